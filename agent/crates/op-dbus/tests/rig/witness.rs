//! A process that watches over the ledger, as nobody, and what it is to sign.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use lab::{Kept, text, wait_for};
use tlog::{SignedCheckpoint, VerifierKey};

use super::Rig;
use super::bus::{Who, as_who};

/// Nobody, in no group.
const NOBODY: Who = Who {
    uid: 60_011,
    groups: "60011",
};
const ADDRESS: &str = "127.0.0.1:8191";
const SOON: Duration = Duration::from_secs(30);

/// A witness on the host itself; what it remembers outlives its process.
pub struct Witness {
    state: PathBuf,
    process: Option<Kept>,
}

impl Witness {
    /// One that has not begun yet.
    pub fn new(rig: &Rig) -> Self {
        let dir = rig.machine.dir();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).unwrap();
        let state = dir.join("witness");
        fs::create_dir(&state).unwrap();
        chown(&state, Some(NOBODY.uid), Some(NOBODY.uid)).unwrap();
        Self {
            state,
            process: None,
        }
    }

    /// The key of `ledger` for a witness of this ledger.
    pub fn serving(log: &VerifierKey) -> String {
        format!("  witness: {{ listen: \"{ADDRESS}\", name: w, origins: [\"{log}\"] }}\n")
    }

    /// The key of `ledger` for a host that asks the witness of this key, by the name of `attic`.
    pub fn asked(key: &VerifierKey) -> String {
        format!("  witnesses:\n    attic: {{ url: \"http://{ADDRESS}\", key: \"{key}\" }}\n")
    }

    /// The directory of what it remembers.
    pub fn state(&self) -> &str {
        text(&self.state)
    }

    pub fn start(&mut self, rig: &Rig) {
        let log_file = rig.machine.dir().join("witness.log");
        let log = fs::File::create(&log_file).unwrap();
        let mut command = as_who(NOBODY, env!("CARGO_BIN_EXE_op-dbus"));
        command
            .arg("--file")
            .arg(&rig.file)
            .args(["witness", "serve", "--state", self.state()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .env_remove("JOURNAL_STREAM");
        let process = self.process.insert(Kept(command.spawn().unwrap()));
        wait_for("the witness", SOON, || {
            if let Some(status) = process.0.try_wait().unwrap() {
                let log = fs::read_to_string(&log_file).unwrap();
                panic!("the witness ended: {status}: {log}");
            }
            TcpStream::connect(ADDRESS).ok()
        });
    }

    /// SIGKILL: what it remembers has to be on the disk.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn key(&self, rig: &Rig) -> VerifierKey {
        let shown = rig.json(&["witness", "key", "--state", self.state()]);
        let shown = shown.expect(0).json();
        shown["key"].as_str().unwrap().parse().unwrap()
    }
}

/// Waits until a head of this ledger `is` of the wanted size and cosigned.
pub fn wait_for_cosigned(
    rig: &Rig,
    log: &VerifierKey,
    witness: &VerifierKey,
    is: impl Fn(u64) -> bool,
) -> SignedCheckpoint {
    let path = rig.base.join("@timing/checkpoint.cosigned");
    wait_for("a cosignature", SOON, || {
        let signed = SignedCheckpoint::parse(&fs::read(&path).ok()?).unwrap();
        let by = signed.cosigned(std::slice::from_ref(witness)).unwrap();
        let head = signed.verify(log).unwrap();
        (is(head.size) && by.len() == 1).then_some(signed)
    })
}
