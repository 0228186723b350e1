//! The whole of it with real processes: what the daemon writes is signed, cosigned over HTTP, and proved to somebody who
//! has nothing but keys; and then the database is put back and forked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use lab::wait_for;
use rig::bus::{Who, as_who};
use rig::daemon::Daemon;
use rig::{Rig, op_dbus};
use serde_json::{Value, json};
use tlog::{SignedCheckpoint, VerifierKey};

const SOON: Duration = Duration::from_secs(30);
const ADDRESS: &str = "127.0.0.1:8192";
const NOBODY: Who = Who {
    uid: 60_012,
    groups: "60012",
};

/// A host, and the process of a witness.
struct Host {
    rig: Rig,
    witness: Child,
    log: VerifierKey,
    cosigner: VerifierKey,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.witness.kill();
        let _ = self.witness.wait();
    }
}

impl Host {
    /// A daemon that publishes, and a witness that knows its key; each is declared to the other.
    fn new() -> Option<(Self, Daemon)> {
        let rig = Rig::storage(256)?;
        fs::set_permissions(rig.machine.dir(), fs::Permissions::from_mode(0o711)).unwrap();
        declare(&rig, "");
        let daemon = Daemon::start(&rig);
        let log = wait_for("the ledger's key", SOON, || {
            let found = rig.run(&["ledger", "key"]);
            (found.status == 0).then(|| found.out.trim().to_owned())
        });
        let witness =
            format!("  witness: {{ listen: \"{ADDRESS}\", name: w, origins: [\"{log}\"] }}\n");
        declare(&rig, &witness);
        let state = rig.machine.dir().join("witness");
        fs::create_dir(&state).unwrap();
        chown(&state, Some(NOBODY.uid), Some(NOBODY.uid)).unwrap();
        let child = start_witness(&rig, &state);
        let state = state.to_str().unwrap();
        let found = rig
            .json(&["witness", "key", "--state", state])
            .expect(0)
            .json();
        let cosigner = found["key"].as_str().unwrap().to_owned();
        declare(
            &rig,
            &format!(
                "{witness}  witnesses:\n    attic: {{ url: \"http://{ADDRESS}\", key: \"{cosigner}\" }}\n"
            ),
        );
        let host = Self {
            rig,
            witness: child,
            log: log.parse().unwrap(),
            cosigner: cosigner.parse().unwrap(),
        };
        Some((host, daemon))
    }

    fn timing(&self) -> PathBuf {
        self.rig.base.join("@timing")
    }

    /// Has the ledger take in an entry; its id.
    fn record(&self, name: &str) -> i64 {
        self.rig
            .json(&["snapshot", "create", name, "@plugins"])
            .expect(0);
        let log = self
            .rig
            .json(&["ledger", "log", "-n", "1"])
            .expect(0)
            .json();
        log["entries"][0]["id"].as_i64().unwrap()
    }

    /// Waits until a head with this entry in it is signed and cosigned.
    fn wait_for_cosigned(&self, id: i64) -> SignedCheckpoint {
        let path = self.timing().join("checkpoint.cosigned");
        wait_for("a cosignature", SOON, || {
            let signed = SignedCheckpoint::parse(&fs::read(&path).ok()?).unwrap();
            let by = signed
                .cosigned(std::slice::from_ref(&self.cosigner))
                .unwrap();
            let head = signed.verify(&self.log).unwrap();
            (head.size > id.unsigned_abs() && by.len() == 1).then_some(signed)
        })
    }

    /// The kinds of alarms in the ledger, the oldest first.
    fn alarms(&self) -> Vec<String> {
        let log = self
            .rig
            .json(&["ledger", "log", "--operation", "ledger_alarm"]);
        let log = log.expect(0).json();
        let entries = log["entries"].as_array().unwrap().iter();
        let kind = |entry: &Value| entry["metadata"]["alarm"].as_str().unwrap().to_owned();
        entries.map(kind).collect()
    }
}

fn declare(rig: &Rig, more: &str) {
    let keys = format!("ledger:\n  checkpoints: {{ origin: host.example/ledger }}\n{more}");
    rig.declare_top(&keys, "");
}

fn start_witness(rig: &Rig, state: &Path) -> Child {
    let log = fs::File::create(rig.machine.dir().join("witness.log")).unwrap();
    let mut command = as_who(NOBODY, env!("CARGO_BIN_EXE_op-dbus"));
    command
        .arg("--file")
        .arg(&rig.file)
        .args(["witness", "serve", "--state"])
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .env_remove("JOURNAL_STREAM");
    let mut child = command.spawn().unwrap();
    wait_for("the witness", SOON, || {
        assert!(child.try_wait().unwrap().is_none(), "the witness ended");
        TcpStream::connect(ADDRESS).ok()
    });
    child
}

fn copy(from: &Path, to: &Path) {
    lab::run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

/// Puts everything in a directory back, as somebody who is root would.
fn put_back(from: &Path, to: &Path) {
    for entry in fs::read_dir(to).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
    }
    lab::run(
        "cp",
        &["-a", &format!("{}/.", from.display()), to.to_str().unwrap()],
    );
}

#[test]
fn an_entry_is_proved_to_another_machine_and_a_rollback_and_a_fork_are_told() {
    let Some((host, mut daemon)) = Host::new() else {
        return;
    };
    let rig = &host.rig;
    let first = host.record("first");
    host.wait_for_cosigned(first);

    // Another machine has a file and two keys.
    let elsewhere = tempfile::tempdir().unwrap();
    let proof = elsewhere.path().join("entry.proof");
    let proof = proof.to_str().unwrap();
    rig.run(&["ledger", "prove", &first.to_string(), "-o", proof])
        .expect(0);
    let (log, cosigner) = (host.log.to_string(), host.cosigner.to_string());
    let checked = [
        "--json",
        "--file",
        "/nonexistent",
        "ledger",
        "verify-proof",
        proof,
        "--key",
        &log,
        "--witness-key",
        &cosigner,
    ];
    let proved = op_dbus(&checked).expect(0).json();
    assert_eq!(proved["entry"]["operation"], "snapshot_create");
    assert_eq!(proved["id"], json!(first));
    assert_eq!(proved["cosigned"].as_array().unwrap().len(), 1);

    // What a snapshot of the whole directory would be.
    daemon.terminate();
    let old = elsewhere.path().join("old");
    copy(&host.timing(), &old);
    let mut daemon = Daemon::start(rig);
    let later = host.record("later");
    let seen = host.wait_for_cosigned(later);
    let kept = elsewhere.path().join("kept");
    fs::write(&kept, seen.to_string()).unwrap();
    daemon.terminate();

    // Everything is put back: the host alone finds nothing wrong with it.
    put_back(&old, &host.timing());
    let alone = rig.json(&["ledger", "verify"]).expect(0).json();
    assert_eq!(alone["valid"], true);
    let kept = kept.to_str().unwrap();
    let found = rig
        .json(&["ledger", "verify", "--checkpoint", kept])
        .expect(1)
        .json();
    assert_eq!(found["findings"][0]["code"], "rolled-back", "{found:#}");
    let daemon = Daemon::start(rig);
    let alarmed = |found: &Value| found["alarms"]["attic"].is_string();
    daemon.wait_until("an alarm", SOON, alarmed);
    wait_for("the entry of a rollback", SOON, || {
        (host.alarms() == ["rollback"]).then_some(())
    });

    // It goes on, and so becomes another history.
    let mut number = 0;
    while host.record(&format!("other-{number}")) <= later + 1 {
        number += 1;
    }
    wait_for("the entry of a fork", SOON, || {
        (host.alarms() == ["rollback", "fork"]).then_some(())
    });
    let found = rig
        .json(&["ledger", "verify", "--checkpoint", kept])
        .expect(1)
        .json();
    assert_eq!(found["findings"][0]["code"], "root", "{found:#}");
    // The proof from before is as good as ever.
    op_dbus(&checked).expect(0);
}
