//! A host whose ledger is watched over, and the process that does it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::time::Duration;

use durable::replace;
use lab::wait_for;
use rig::Rig;
use rig::daemon::Daemon;
use rig::witness::{Witness, wait_for_cosigned};
use serde_json::Value;
use tlog::{Algorithm, Checkpoint, SigningKey, Tiles, Tree, VerifierKey, leaf_hash};

const SOON: Duration = Duration::from_secs(30);

/// A host with a witness, which is the host itself here. What is published is the test's own, so that it can be wrong.
struct Host {
    // Before `rig`: it ends before the machine goes.
    witness: Witness,
    rig: Rig,
    log: SigningKey,
}

impl Host {
    fn new() -> Option<Self> {
        let rig = Rig::storage(256)?;
        let text = SigningKey::generate(&"example.org/ledger".parse().unwrap(), Algorithm::Ed25519);
        let log: SigningKey = text.unwrap().parse().unwrap();
        let host = Self {
            witness: Witness::new(&rig),
            rig,
            log,
        };
        host.declare("");
        host.rig.apply();
        Some(host)
    }

    fn declare(&self, witnesses: &str) {
        let keys = format!(
            "ledger:\n  checkpoints: {{ enable: false }}\n{}{witnesses}",
            Witness::serving(self.log.verifier())
        );
        self.rig.declare_top(&keys, "");
    }

    fn start_witness(&mut self) {
        self.witness.start(&self.rig);
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
        wait_for_cosigned(&self.rig, self.log.verifier(), witness, |it| it == size);
    }

    fn alarms(&self) -> Vec<Value> {
        self.rig.ledger(&["--operation", "ledger_alarm"])
    }
}

#[test]
fn heads_are_cosigned_and_a_rollback_is_told() {
    let Some(mut host) = Host::new() else { return };
    host.start_witness();
    let key = host.witness.key(&host.rig);
    host.declare(&Witness::asked(&key));
    host.publish(3);
    let daemon = Daemon::start(&host.rig);
    host.wait_for_cosigned(3, &key);
    host.publish(300);
    host.wait_for_cosigned(300, &key);
    // A witness that is away holds up nothing, and is asked again.
    host.witness.kill();
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
    // It is shown first, and then recorded.
    wait_for("its entry", SOON, || {
        (!host.alarms().is_empty()).then_some(())
    });
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
    let state = host.witness.state();
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
