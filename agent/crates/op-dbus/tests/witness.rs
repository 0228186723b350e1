//! A host whose ledger is watched over, and the process that does it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use durable::replace;
use lab::wait_for;
use rig::Rig;
use rig::bus::{Who, as_who};
use rig::daemon::Daemon;
use serde_json::Value;
use tlog::{
    Algorithm, Checkpoint, SignedCheckpoint, SigningKey, Tiles, Tree, VerifierKey, leaf_hash,
};

const SOON: Duration = Duration::from_secs(30);
/// Nobody, in no group.
const NOBODY: Who = Who {
    uid: 60_011,
    groups: "60011",
};
const ADDRESS: &str = "127.0.0.1:8191";

/// A host with a witness, which is the host itself here. What is published is the test's own, so that it can be wrong.
struct Host {
    rig: Rig,
    log: SigningKey,
    witness: Option<Child>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop_witness();
    }
}

impl Host {
    fn new() -> Option<Self> {
        let rig = Rig::storage(256)?;
        fs::set_permissions(rig.machine.dir(), fs::Permissions::from_mode(0o711)).unwrap();
        let text = SigningKey::generate(&"example.org/ledger".parse().unwrap(), Algorithm::Ed25519);
        let log: SigningKey = text.unwrap().parse().unwrap();
        let host = Self {
            rig,
            log,
            witness: None,
        };
        fs::create_dir(host.state()).unwrap();
        chown(host.state(), Some(NOBODY.uid), Some(NOBODY.uid)).unwrap();
        host.declare("");
        host.rig.apply();
        Some(host)
    }

    fn state(&self) -> PathBuf {
        self.rig.machine.dir().join("witness")
    }

    fn declare(&self, witnesses: &str) {
        let origin = self.log.verifier();
        let keys = format!(
            "ledger:\n  checkpoints: {{ enable: false }}\n  witness: {{ listen: \"{ADDRESS}\", name: w, origins: [\"{origin}\"] }}\n{witnesses}"
        );
        self.rig.declare_top(&keys, "");
    }

    fn start_witness(&mut self) {
        let log = fs::File::create(self.rig.machine.dir().join("witness.log")).unwrap();
        let mut command = as_who(NOBODY, env!("CARGO_BIN_EXE_op-dbus"));
        command
            .arg("--file")
            .arg(&self.rig.file)
            .args(["witness", "serve", "--state"])
            .arg(self.state())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .env_remove("JOURNAL_STREAM");
        let mut child = command.spawn().unwrap();
        wait_for("the witness", SOON, || {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(self.rig.machine.dir().join("witness.log"));
                panic!("the witness ended: {status}: {}", log.unwrap());
            }
            TcpStream::connect(ADDRESS).ok()
        });
        self.witness = Some(child);
    }

    /// SIGKILL: what it remembers has to be on the disk.
    fn stop_witness(&mut self) {
        if let Some(mut child) = self.witness.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn witness_key(&self) -> VerifierKey {
        let state = self.state();
        let key = self
            .rig
            .json(&["witness", "key", "--state", state.to_str().unwrap()])
            .expect(0)
            .json();
        key["key"].as_str().unwrap().parse().unwrap()
    }

    /// Publishes a ledger of so many entries.
    fn publish(&self, size: u64) {
        let timing = self.rig.base.join("@timing");
        let mut tree = Tree::new();
        (0..size).for_each(|number| tree.append(leaf_hash(&number.to_be_bytes())));
        Tiles::at(timing.join("tiles")).write(&mut tree).unwrap();
        let head = Checkpoint::new(self.log.verifier().name().clone(), size, tree.root());
        let head = head.sign(&self.log).unwrap().to_string();
        replace(&timing.join("checkpoint"), head.as_bytes(), 0o644).unwrap();
    }

    /// Waits until a head of so many entries is cosigned.
    fn wait_for_cosigned(&self, size: u64, witness: &VerifierKey) {
        let path = self.rig.base.join("@timing/checkpoint.cosigned");
        wait_for("a cosignature", SOON, || {
            let signed = SignedCheckpoint::parse(&fs::read(&path).ok()?).unwrap();
            let cosigned = signed.cosigned(std::slice::from_ref(witness)).unwrap();
            let head = signed.verify(self.log.verifier()).unwrap();
            (head.size == size && cosigned.len() == 1).then_some(())
        });
    }

    fn alarms(&self) -> Vec<Value> {
        let log = self
            .rig
            .json(&["ledger", "log", "--operation", "ledger_alarm"])
            .expect(0)
            .json();
        log["entries"].as_array().unwrap().clone()
    }
}

#[test]
fn heads_are_cosigned_and_a_rollback_is_told() {
    let Some(mut host) = Host::new() else { return };
    host.start_witness();
    let key = host.witness_key();
    host.declare(&format!(
        "  witnesses:\n    attic: {{ url: \"http://{ADDRESS}\", key: \"{key}\" }}\n"
    ));
    host.publish(3);
    let daemon = Daemon::start(&host.rig);
    host.wait_for_cosigned(3, &key);
    host.publish(300);
    host.wait_for_cosigned(300, &key);
    // A witness that is away holds up nothing, and is asked again.
    host.stop_witness();
    host.publish(400);
    host.start_witness();
    host.wait_for_cosigned(400, &key);
    // An older state is put back, and grows.
    let alarmed = |found: &Value| {
        found["alarms"]["attic"]
            .as_str()
            .is_some_and(|text| text.contains("400"))
    };
    host.publish(200);
    daemon.wait_until("an alarm", SOON, alarmed);
    host.publish(201);
    assert_eq!(host.alarms().len(), 1, "{:?}", host.alarms());
    assert_eq!(host.alarms()[0]["metadata"]["alarm"], "rollback");
    let status = host.rig.run(&["status"]).expect(0).out;
    assert!(status.contains("ALARM of attic"), "{status}");
    // Nor is it told again by the next daemon.
    drop(daemon);
    let daemon = Daemon::start(&host.rig);
    daemon.wait_until("an alarm", SOON, alarmed);
    assert_eq!(host.alarms().len(), 1);
    host.publish(401);
    host.wait_for_cosigned(401, &key);
    daemon.wait_until("no alarm", SOON, |found| found.get("alarms").is_none());
}

#[test]
fn what_is_missing_is_said() {
    let Some(host) = Host::new() else { return };
    let state = host.state();
    let state = state.to_str().unwrap();
    let refused = host
        .rig
        .run(&["witness", "key", "--state", state])
        .expect(3);
    assert!(
        refused.err.contains("systemctl start op-dbus-witness"),
        "{}",
        refused.err
    );
    host.rig.declare("");
    let refused = host
        .rig
        .run(&["witness", "serve", "--state", state])
        .expect(2);
    assert!(
        refused.err.contains("ledger.witness.origins"),
        "{}",
        refused.err
    );
}
