//! The whole of it with real processes: what the daemon writes is signed, cosigned over HTTP, and proved to somebody who
//! has nothing but keys; and then the database is put back and forked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::wait_for;
use rig::daemon::Daemon;
use rig::witness::{Witness, wait_for_cosigned};
use rig::{Rig, op_dbus};
use serde_json::{Value, json};
use tlog::{SignedCheckpoint, VerifierKey};

const SOON: Duration = Duration::from_secs(30);

/// A host, and the process of a witness.
struct Host {
    // Before `rig`: it ends before the machine goes.
    _witness: Witness,
    rig: Rig,
    log: VerifierKey,
    cosigner: VerifierKey,
}

impl Host {
    /// A daemon that publishes, and a witness that knows its key; each is declared to the other.
    fn new() -> Option<(Self, Daemon)> {
        let rig = Rig::storage(256)?;
        let mut witness = Witness::new(&rig);
        declare(&rig, "");
        let daemon = Daemon::start(&rig);
        let log = wait_for("the ledger's key", SOON, || {
            let found = rig.run(&["ledger", "key"]);
            (found.status == 0).then(|| found.out.trim().parse().unwrap())
        });
        let serving = Witness::serving(&log);
        declare(&rig, &serving);
        witness.start(&rig);
        let cosigner = witness.key(&rig);
        declare(&rig, &(serving + &Witness::asked(&cosigner)));
        let host = Self {
            _witness: witness,
            rig,
            log,
            cosigner,
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
        let is_in = |size| size > id.unsigned_abs();
        wait_for_cosigned(&self.rig, &self.log, &self.cosigner, is_in)
    }

    /// The kinds of alarms in the ledger, the oldest first.
    fn alarms(&self) -> Vec<String> {
        let alarms = self.rig.ledger(&["--operation", "ledger_alarm"]);
        let kind = |entry: &Value| entry["metadata"]["alarm"].as_str().unwrap().to_owned();
        alarms.iter().map(kind).collect()
    }
}

fn declare(rig: &Rig, more: &str) {
    let keys = format!("ledger:\n  checkpoints: {{ origin: host.example/ledger }}\n{more}");
    rig.declare_top(&keys, "");
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
