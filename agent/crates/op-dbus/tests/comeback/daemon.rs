//! A daemon that keeps an export, and one that restores from it.

use std::fs;

use serde_json::{Value, json};

use super::{SOON, destroy, export};
use crate::rig::Rig;
use crate::rig::daemon::Daemon;

#[test]
fn the_daemon_keeps_the_current_state_after_each_change() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let kept = || -> Option<Value> {
        let text = fs::read(rig.base.join("@state/current-state.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("it is whole at any time"))
    };
    // Every head that the ledger has got is in it soon, whoever changed something.
    let follows = |what: &str| {
        lab::wait_for(what, SOON, || {
            let head = rig.ledger(&[]).last()?.clone();
            (kept()?["ledger"]["hash"] == head["current_hash"]).then_some(())
        });
    };
    follows("the first run");
    let extra = format!(
        "{{base: {}, subvolumes: {{\"@extra\": {{}}}}}}",
        rig.base.display()
    );
    let text = fs::read_to_string(&rig.file).unwrap();
    let plain = format!("{{base: {}}}", rig.base.display());
    fs::write(&rig.file, text.replace(&plain, &extra)).unwrap();
    lab::wait_for("the new subvolume", SOON, || {
        kept()?["state"]["btrfs"]["resources"]["@extra"]["ours"].as_bool()
    });
    follows("the second run");
}

/// A daemon that has nothing to keep yet takes an export, restores from it, and keeps the host from then on.
#[test]
fn a_daemon_without_a_declaration_restores() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let (_, exported) = export(&rig);
    destroy(&rig);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("it has looked", SOON, |host| host["state"] == "undeclared");
    let answer = daemon
        .connect()
        .call("state_restore", json!({ "document": exported }));
    assert_eq!(answer["result"]["outcome"], "applied", "{answer:#}");
    daemon.wait_until("it keeps the host", SOON, |host| {
        host["state"] == "converged"
    });
    let entries = rig.ledger(&[]);
    assert_eq!(entries[1]["operation"], "restore_begin");
    rig.json(&["verify"]).expect(0);
}
