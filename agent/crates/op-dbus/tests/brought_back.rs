//! What was interrupted, forged or brought back under a running daemon.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::time::Duration;

use lab::wait_for;
use rig::Rig;
use rig::daemon::Daemon;
use rustix::process::Signal;
use serde_json::{Value, json};
use tlog::{Algorithm, Checkpoint, Hash, SigningKey};

const SOON: Duration = Duration::from_secs(30);

fn rig(keys: &str) -> Option<Rig> {
    let rig = Rig::storage(256)?;
    rig.declare_top(keys, "");
    rig.apply();
    Some(rig)
}

fn last_of(rig: &Rig, operation: &str) -> Value {
    let mut entries = rig.ledger(&["--operation", operation]);
    entries.pop().unwrap_or_default()
}

#[test]
fn a_ledger_that_was_brought_back_tells_its_old_head_although_the_restore_was_killed() {
    let Some(rig) = rig("") else { return };
    rig.run(&["snapshot", "create", "early"]).expect(0);
    let before = rig.ledger(&[]).pop().unwrap();
    // As the restore leaves it between the exchange of subvolumes and the entry.
    let uuid = btrfs::info(rig.base.join("@timing")).unwrap().uuid.unwrap();
    let head = json!({ "id": before["id"], "hash": before["current_hash"] });
    let journal = json!({
        "snapshot": "early",
        "before": "restore-20260131T120000.000Z",
        "subvolumes": { "@timing": { "old": "00000000-0000-0000-0000-000000000001", "new": uuid.to_string() } },
        "note": { "actor": { "name": "root" }, "head_before": head },
    });
    let path = rig.base.join("@snapshots/.restore.json");
    fs::write(&path, journal.to_string()).unwrap();
    // Whatever comes next says so, once, and before anything else.
    for name in ["one", "two"] {
        rig.run(&["snapshot", "create", name, "@plugins"]).expect(0);
        assert!(!path.exists());
        assert_eq!(rig.ledger(&["--operation", "ledger_rolled_back"]).len(), 1);
    }
    let told = last_of(&rig, "ledger_rolled_back");
    assert_eq!(told["metadata"]["head_before"], head);
    assert_eq!(told["metadata"]["recovered"], true);
    assert_eq!(told["id"].as_i64(), before["id"].as_i64().map(|id| id + 1));
    // Killed after the entry and before the journal went, it is not said again.
    fs::write(&path, journal.to_string()).unwrap();
    let daemon = Daemon::start(&rig);
    wait_for("the end of the restore", SOON, || {
        (!path.exists()).then_some(())
    });
    assert_eq!(rig.ledger(&["--operation", "ledger_rolled_back"]).len(), 1);
    drop(daemon);
}

#[test]
fn the_queue_follows_its_file_when_state_is_brought_back() {
    let Some(rig) = rig("") else { return };
    let daemon = Daemon::start(&rig);
    let ids = |listed: Value| -> Vec<i64> {
        let tasks = listed["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["id"].as_i64().unwrap()).collect()
    };
    let submit = || {
        let task = rig
            .json(&["task", "submit", "ledger_verify"])
            .expect(0)
            .json();
        let id = task["id"].as_i64().unwrap();
        wait_for("the end of a task", SOON, || {
            let shown = rig
                .json(&["task", "show", &id.to_string()])
                .expect(0)
                .json();
            (shown["state"] == "done").then_some(id)
        })
    };
    let first = submit();
    rig.run(&["snapshot", "create", "early", "@state"])
        .expect(0);
    let second = submit();
    rig.run(&["--yes", "snapshot", "restore", "early", "@state"])
        .expect(0);
    let there = ids(rig.json(&["task", "list"]).expect(0).json());
    assert!(
        there.contains(&first) && !there.contains(&second),
        "{there:?}"
    );
    // What is taken in now is in the file that is there now, and not in one that is gone.
    let third = submit();
    daemon.signal(Signal::KILL);
    drop(daemon);
    let daemon = Daemon::start(&rig);
    let there = ids(rig.json(&["task", "list"]).expect(0).json());
    assert!(
        there.contains(&first) && there.contains(&third),
        "{there:?}"
    );
    drop(daemon);
}

#[test]
fn a_daemon_is_known_by_its_lock_whatever_became_of_its_sockets() {
    let Some(rig) = rig("") else { return };
    let daemon = Daemon::start(&rig);
    fs::remove_file(&daemon.api).unwrap();
    let refused = rig.run(&["--yes", "ledger", "recover"]).expect(3);
    assert!(
        refused.err.contains("a daemon keeps this host") && refused.err.contains("systemctl stop"),
        "{refused:?}"
    );
    let second = rig.machine.dir().join("second.sock");
    let refused = rig.run(&["daemon", "--no-bus", "--jsonrpc", second.to_str().unwrap()]);
    assert!(refused.expect(3).err.contains("a daemon keeps this host"));
    rig.run(&["snapshot", "create", "early", "@state"])
        .expect(0);
    let refused = rig
        .run(&["--yes", "snapshot", "restore", "early", "@state"])
        .expect(3);
    assert!(
        refused.err.contains("a daemon keeps this host"),
        "{refused:?}"
    );
    // A lock that was left behind says nothing.
    daemon.signal(Signal::KILL);
    drop(daemon);
    let sound = rig.json(&["ledger", "recover"]).expect(0).json();
    assert_eq!(sound["outcome"], "sound");
    rig.run(&["--yes", "snapshot", "restore", "early", "@state"])
        .expect(0);
}

#[test]
fn a_recovery_counts_on_a_checkpoint_only_if_the_host_s_key_signed_it() {
    let Some(rig) = rig("ledger: {checkpoints: {origin: host.example/ledger}}\n") else {
        return;
    };
    rig.run(&["ledger", "checkpoint"]).expect(0);
    let key = rig.run(&["ledger", "key"]).expect(0).out.trim().to_owned();
    let path = rig.base.join("@timing/checkpoint");
    let own = fs::read(&path).unwrap();
    let text = SigningKey::generate(&"host.example/ledger".parse().unwrap(), Algorithm::Ed25519);
    let stranger: SigningKey = text.unwrap().parse().unwrap();
    let head = Checkpoint::new(
        "host.example/ledger".parse().unwrap(),
        1_000_000,
        Hash([7; 32]),
    );
    fs::write(&path, head.sign(&stranger).unwrap().to_string()).unwrap();
    let sound = rig.json(&["ledger", "recover"]).expect(0).json();
    assert_eq!(sound["outcome"], "sound");
    let note = sound["notes"][0].as_str().unwrap();
    assert!(note.contains("1000000 entries"), "{note}");

    // Its own one counts; without the key only by what was kept of it.
    fs::write(&path, own).unwrap();
    let database = rusqlite::Connection::open(rig.base.join("@timing/blockchain.db")).unwrap();
    let last = "SELECT max(id) FROM operations";
    database
        .execute(&format!("DELETE FROM operations WHERE id = ({last})"), [])
        .unwrap();
    drop(database);
    let cut = rig.json(&["ledger", "recover"]).expect(3).json();
    assert_eq!(cut["plan"]["missing"], 1, "{cut:#}");
    fs::rename(rig.base.join("keys"), rig.base.join("keys-gone")).unwrap();
    let unknown = rig.json(&["ledger", "recover"]).expect(0).json();
    assert!(unknown["notes"][0].as_str().unwrap().contains("--key"));
    let cut = rig
        .json(&["ledger", "recover", "--key", &key])
        .expect(3)
        .json();
    assert_eq!(cut["plan"]["missing"], 1, "{cut:#}");
}

#[test]
fn a_new_name_or_a_new_key_is_begun_when_that_is_asked_for() {
    let origin = |name: &str| format!("ledger: {{checkpoints: {{origin: {name}}}}}\n");
    let Some(rig) = rig(&origin("old.example/ledger")) else {
        return;
    };
    rig.run(&["ledger", "checkpoint"]).expect(0);
    let unchanged = rig
        .json(&["ledger", "checkpoint", "--new-origin"])
        .expect(0)
        .json();
    assert_eq!(unchanged["outcome"], "unchanged");

    rig.declare_top(&origin("new.example/ledger"), "");
    let blocked = rig.run(&["ledger", "checkpoint"]).expect(1);
    assert!(blocked.err.contains("--new-origin"), "{blocked:?}");
    rig.run(&["ledger", "checkpoint", "--new-origin"]).expect(3);
    let begun = rig
        .json(&["--yes", "ledger", "checkpoint", "--new-origin"])
        .expect(0)
        .json();
    assert_eq!(begun["origin"], "new.example/ledger");
    assert_eq!(begun["before"]["origin"], "old.example/ledger");
    let kept = std::path::Path::new(begun["kept_in"].as_str().unwrap());
    assert!(kept.join("checkpoint").is_file() && kept.join("tiles").is_dir());
    let told = last_of(&rig, "ledger_published_anew");
    assert_eq!(told["metadata"]["before"], begun["before"]);
    let head = rig.json(&["ledger", "checkpoint"]).expect(0).json();
    assert_eq!(head["origin"], "new.example/ledger");
    let verified = rig.json(&["ledger", "verify"]).expect(0).json();
    assert_eq!(verified["guarantee"]["kind"], "signed", "{verified:#}");

    // The key is lost.
    fs::remove_file(rig.base.join("keys/checkpoint.key")).unwrap();
    let blocked = rig.run(&["ledger", "checkpoint"]).expect(1);
    assert!(blocked.err.contains("--new-origin"), "{blocked:?}");
    rig.run(&["--yes", "ledger", "checkpoint", "--new-origin"])
        .expect(0);
    assert_eq!(
        rig.json(&["ledger", "verify"]).expect(0).json()["valid"],
        true
    );
}
