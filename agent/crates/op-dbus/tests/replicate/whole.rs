//! What is sent, what it builds on, what goes, and when.

use std::fs;

use lab::wait_for;
use serde_json::{Value, json};

use crate::SHORT;
use crate::pair::Pair;
use crate::rig::daemon::Daemon;

#[test]
fn the_first_transfer_is_whole_and_each_further_one_builds_on_the_last() {
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.write("@state/large", 20);
    pair.snapshot("one", &["@state", "@timing"]);
    let planned = pair
        .rig
        .json(&["replicate", "disk", "--dry-run"])
        .expect(0)
        .json();
    assert_eq!(
        planned["changes"].as_array().unwrap().len(),
        2,
        "{planned:#}"
    );
    assert!(pair.there().is_empty());

    let first = pair.replicate().expect(0).json();
    let sent = first["sent"].as_array().unwrap();
    assert_eq!(
        (&first["outcome"], sent.len()),
        (&json!("done"), 2),
        "{first:#}"
    );
    assert!(sent[0]["bytes"].as_u64().unwrap() > 20 << 20, "{first:#}");
    assert_eq!(sent[0]["parent"], Value::Null);
    let checked = sent[1]["checked"].as_str().unwrap();
    assert!(checked.starts_with("ledger verified: "), "{checked}");
    pair.assert_same("one", "@state");
    pair.assert_same("one", "@timing");
    assert_eq!(
        lab::names(&pair.far.join("one")),
        ["@state", "@timing", "snapshot.json"]
    );

    let again = pair.replicate().expect(0).json();
    assert_eq!(again["outcome"], "unchanged", "{again:#}");

    fs::write(pair.rig.base.join("@state/small"), "new").unwrap();
    pair.snapshot("two", &["@state", "@timing"]);
    fs::remove_file(pair.rig.base.join("@state/large")).unwrap();
    pair.snapshot("three", &["@state", "@timing"]);
    let second = pair.replicate().expect(0).json();
    let parents: Vec<_> = second["sent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["parent"])
        .collect();
    assert_eq!(parents, ["one", "one", "two", "two"], "{second:#}");
    assert!(
        second["sent"][0]["bytes"].as_u64().unwrap() < 1 << 20,
        "{second:#}"
    );
    for snapshot in ["one", "two", "three"] {
        pair.assert_same(snapshot, "@state");
        pair.assert_same(snapshot, "@timing");
    }
    assert_eq!(pair.there(), ["one", "three", "two"]);
    // Two calls that did something, in the ledger; and the host says how it stands.
    assert_eq!(pair.rig.ledger(&["--operation", "replicate"]).len(), 2);
    let status = pair.rig.json(&["status"]).expect(0).json();
    assert_eq!(
        status["replication"]["disk"]["snapshot"], "three",
        "{status:#}"
    );
    assert!(
        pair.rig
            .run(&["status"])
            .expect(0)
            .out
            .contains("has three since")
    );
}

#[test]
fn the_oldest_go_and_what_the_next_builds_on_stays() {
    let Some(pair) = Pair::new(256, 256, ", keep: 2, subvolumes: ['@state']") else {
        return;
    };
    for name in ["a", "b", "c"] {
        pair.snapshot(name, &["@state", "@timing"]);
    }
    // A foreign thing is nobody's snapshot.
    fs::create_dir(pair.far.join("0-foreign")).unwrap();
    let first = pair.replicate().expect(0).json();
    assert_eq!(first["sent"].as_array().unwrap().len(), 2, "{first:#}");
    assert_eq!(pair.there(), ["0-foreign", "b", "c"]);
    assert_eq!(lab::names(&pair.far.join("c")), ["@state", "snapshot.json"]);
    pair.snapshot("d", &["@state", "@timing"]);
    let second = pair.replicate().expect(0).json();
    assert_eq!(second["removed"], json!(["b"]), "{second:#}");
    assert_eq!(second["sent"][0]["parent"], "c");
    assert_eq!(pair.there(), ["0-foreign", "c", "d"]);

    // Without a common snapshot the whole is sent again, and the names are free.
    for name in ["a", "b", "c", "d"] {
        btrfs::delete_recursive(pair.rig.base.join("@snapshots").join(name).join("@state"))
            .unwrap();
    }
    pair.snapshot("e", &["@state"]);
    let third = pair.replicate().expect(0).json();
    assert_eq!(third["sent"][0]["parent"], Value::Null, "{third:#}");
    assert_eq!(pair.there(), ["0-foreign", "d", "e"]);
}

#[test]
fn the_state_before_a_restore_is_sent_too_and_what_is_back_builds_on_what_is_there() {
    let Some(pair) = Pair::new(256, 256, ", subvolumes: ['@state']") else {
        return;
    };
    let snapshot = |arguments: &[&str]| {
        let all = [&["--yes", "snapshot"][..], arguments].concat();
        pair.rig.json(&all).expect(0).json()
    };
    pair.write("@state/large", 20);
    snapshot(&["create", "one", "@state"]);
    pair.replicate().expect(0);
    fs::write(pair.rig.base.join("@state/small"), "new").unwrap();
    let restored = snapshot(&["restore", "one", "@state"]);
    let before = restored["before"].as_str().unwrap();
    snapshot(&["create", "two", "@state"]);
    let sent = pair.replicate().expect(0).json();
    let sent = sent["sent"].as_array().unwrap();
    let names: Vec<_> = sent.iter().map(|it| &it["snapshot"]).collect();
    assert_eq!(names, [before, "two"], "{sent:#?}");
    for it in sent {
        assert_ne!(it["parent"], Value::Null, "{it:#}");
        assert!(it["bytes"].as_u64().unwrap() < 1 << 20, "{it:#}");
    }
    pair.assert_same(before, "@state");
    pair.assert_same("two", "@state");
}

#[test]
fn one_transfer_at_a_time_and_only_to_another_file_system() {
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    let missing = pair.rig.run(&["replicate", "nowhere"]).expect(2);
    assert!(missing.err.contains("it has disk"), "{missing:?}");
    let missing = pair
        .rig
        .run(&["replicate", "disk", "--snapshot", "gone"])
        .expect(2);
    assert!(missing.err.contains("no snapshot gone"), "{missing:?}");
    let beside = pair.rig.base.with_file_name("beside");
    fs::create_dir(&beside).unwrap();
    let keys = format!(
        "replication: {{targets: {{disk: {{path: {}}}}}}}\n",
        beside.display()
    );
    pair.rig.declare_top(&keys, "");
    let same = pair.rig.run(&["replicate", "disk"]).expect(1);
    assert!(
        same.err.contains("on the file system of the base"),
        "{same:?}"
    );
    let tmp = pair.rig.machine.dir().join("plain");
    fs::create_dir(&tmp).unwrap();
    let keys = format!(
        "replication: {{targets: {{disk: {{path: {}}}}}}}\n",
        tmp.display()
    );
    pair.rig.declare_top(&keys, "");
    let plain = pair.rig.run(&["replicate", "disk"]).expect(1);
    assert!(plain.err.contains("no directory on btrfs"), "{plain:?}");
}

/// The daemon sends what is due, without being asked, and says once why it cannot.
#[test]
fn the_daemon_keeps_the_schedule() {
    let Some(pair) = Pair::new(256, 256, ", every: 1h") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    let mut daemon = Daemon::start(&pair.rig);
    wait_for("the snapshot", SHORT, || {
        pair.far.join("one").exists().then_some(())
    });
    let standing = || {
        let status = pair.rig.json(&["status"]).expect(0).json();
        status["replication"].clone()
    };
    wait_for("the standing", SHORT, || {
        (standing()["disk"]["snapshot"] == "one").then_some(())
    });
    // A target that comes with a change of the declaration is sent to as well, or it is told why not.
    let keys = format!(
        "replication: {{targets: {{other: {{path: {}/nowhere, every: 1h}}}}}}\n",
        pair.far.display()
    );
    pair.rig.declare_top(&keys, "");
    let error = wait_for("the failure", SHORT, || {
        standing()["other"]["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("No such file or directory"), "{error}");
    let said = pair.rig.run(&["status"]).expect(0);
    assert!(said.out.contains("replica `other`"), "{said:?}");
    daemon.terminate();
}
