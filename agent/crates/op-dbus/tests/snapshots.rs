//! Snapshots from the command line and by the daemon, on a real host.

#![allow(clippy::unwrap_used)]

mod rig;

use std::fs;
use std::time::Duration;

use ledger::{Claim, Ledger};
use rig::Rig;
use rig::daemon::Daemon;
use serde_json::{Value, json};

fn rig(keys: &str) -> Option<Rig> {
    let rig = Rig::storage(256)?;
    rig.declare_top(keys, "");
    rig.apply();
    Some(rig)
}

fn names(rig: &Rig) -> Vec<String> {
    let listed = rig.json(&["snapshot", "list"]).expect(0).json();
    let snapshots = listed["snapshots"].as_array().unwrap().iter();
    snapshots
        .map(|snapshot| snapshot["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_snapshot_is_made_compared_brought_back_and_deleted() {
    let Some(rig) = rig("") else { return };
    let file = rig.base.join("@state/notes");
    fs::write(&file, "old").unwrap();
    let made = rig.json(&["snapshot", "create", "first", "--reason", "a test"]);
    let made = made.expect(0).json();
    assert_eq!(
        made["subvolumes"],
        json!(["@plugins", "@state", "@timing", "@vectors"])
    );
    fs::write(&file, "new").unwrap();
    fs::write(rig.base.join("@state/more"), "").unwrap();
    let found = rig.json(&["snapshot", "diff", "first"]).expect(0).json();
    let paths = found["differences"].as_array().unwrap().iter();
    let state: Vec<_> = paths
        .filter(|one| one["path"].as_str().unwrap().starts_with("@state/"))
        // Follows the ledger, which has an entry more.
        .filter(|one| one["path"] != "@state/current-state.json")
        .map(|one| {
            format!(
                "{} {}",
                one["what"].as_str().unwrap(),
                one["path"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(state, ["added @state/more", "changed @state/notes"]);

    // Nothing is brought back or deleted that was not agreed to.
    rig.run(&["snapshot", "restore", "first"]).expect(3);
    rig.run(&["snapshot", "delete", "first"]).expect(3);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    let entries = rig.ledger(&[]).len();
    let restored = rig
        .json(&["--yes", "snapshot", "restore", "first"])
        .expect(0)
        .json();
    assert_eq!(restored["subvolumes"], json!(["@plugins", "@state"]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    // The ledger has not gone back, and has the restore in it.
    assert_eq!(rig.ledger(&[]).len(), entries + 1);
    let last = rig
        .ledger(&["--operation", "snapshot_restore"])
        .pop()
        .unwrap();
    assert_eq!(last["metadata"]["outcome"], "done");
    rig.assert_converged();

    let before = restored["before"].as_str().unwrap();
    let path = [
        "--yes",
        "snapshot",
        "restore",
        before,
        "--path",
        "@state/more",
    ];
    rig.run(&path).expect(0);
    assert!(rig.base.join("@state/more").exists());

    rig.run(&["snapshot", "pin", "first"]).expect(0);
    rig.run(&["--yes", "snapshot", "delete", "first"]).expect(3);
    rig.run(&["snapshot", "unpin", "first"]).expect(0);
    rig.run(&["--yes", "snapshot", "delete", "first"]).expect(0);
    assert!(!names(&rig).contains(&"first".to_owned()));
    rig.run(&["snapshot", "show", "first"]).expect(2);
    rig.run(&["snapshot", "create", "../x"]).expect(2);
    rig.run(&["snapshot", "create", "daily_2024-01-01"])
        .expect(2);
    rig.assert_converged();
}

#[test]
fn the_ledger_goes_back_only_if_that_is_said() {
    let Some(rig) = rig("") else { return };
    rig.run(&["snapshot", "create", "early"]).expect(0);
    rig.run(&["snapshot", "create", "later", "@state"])
        .expect(0);
    let head = rig.ledger(&[]).len();
    rig.run(&["--yes", "snapshot", "restore", "early", "@timing"])
        .expect(3);
    rig.run(&[
        "--yes",
        "snapshot",
        "restore",
        "early",
        "--path",
        "@timing/blockchain.db",
    ])
    .expect(3);
    let refused = rig.ledger(&[]).len();
    // There is not even a plan for it.
    assert_eq!(refused, head);
    let restored = rig.json(&[
        "--yes",
        "snapshot",
        "restore",
        "early",
        "@timing",
        "--allow-rollback-of-ledger",
    ]);
    assert_eq!(
        restored.expect(0).json()["subvolumes"],
        json!(["@timing", "@vectors"])
    );
    let entries = rig.ledger(&[]);
    // What was recorded since the snapshot is not in it.
    assert!(
        entries
            .iter()
            .all(|entry| entry["operation"] != "snapshot_create")
    );
    let operations: Vec<_> = entries
        .iter()
        .rev()
        .take(2)
        .map(|entry| &entry["operation"])
        .collect();
    assert_eq!(
        operations,
        [&json!("snapshot_restore"), &json!("ledger_rolled_back")]
    );
    let told = &entries[entries.len() - 2]["metadata"];
    assert_eq!(told["head_before"]["id"], json!(refused - 1));
    assert_eq!(
        rig.json(&["ledger", "verify"]).expect(0).json()["valid"],
        true
    );
    // What was left behind is in the snapshot that was made before.
    let before = rig
        .base
        .join("@snapshots")
        .join(told["before"].as_str().unwrap());
    assert!(before.join("@timing/blockchain.db").exists());
}

/// Who publishes the ledger is waited for, and keeps it where it is: what is published of the old one must not land in
/// the one that is back.
#[test]
fn a_ledger_that_is_being_published_does_not_go_back() {
    let Some(rig) = rig("") else { return };
    rig.run(&["snapshot", "create", "early"]).expect(0);
    let timing = rig.base.join("@timing");
    let uuid = || btrfs::info(&timing).unwrap().uuid;
    let was = uuid();
    let ledger = Ledger::open(timing.join("blockchain.db")).unwrap();
    let claim = Claim::of(&ledger).unwrap();
    let arguments = ["early", "@timing", "--allow-rollback-of-ledger"];
    let arguments = [&["--yes", "snapshot", "restore"], &arguments[..]].concat();
    rig.run(&arguments).expect(1);
    assert_eq!(uuid(), was);
    drop((claim, ledger));
    rig.run(&arguments).expect(0);
    assert_ne!(uuid(), was);
    rig.json(&["ledger", "verify"]).expect(0);
}

/// Between two snapshots nothing changes any more, so what differs is found out once.
#[test]
fn the_difference_of_two_snapshots_is_kept() {
    let Some(rig) = rig("") else { return };
    let state = rig.base.join("@state/notes");
    for name in ["one", "two", "three"] {
        fs::write(&state, name).unwrap();
        rig.run(&["snapshot", "create", name, "@state"]).expect(0);
    }
    let diff = |arguments: &[&str]| {
        let arguments = [&["snapshot", "diff"], arguments].concat();
        let found = rig.json(&arguments).expect(0).json();
        assert!(found["differences"].to_string().contains("@state/notes"));
        found
    };
    let kept = || {
        let stats = rig.json(&["cache", "stats"]).expect(0).json();
        let kinds = stats["kinds"].as_array().unwrap().iter();
        let mut blocks = kinds.filter(|kind| kind["kind"] == "blocks");
        blocks.next().unwrap()["entries"].as_u64().unwrap()
    };
    let first = diff(&["one", "two"]);
    assert_eq!(kept(), 1);
    assert_eq!(diff(&["one", "two"]), first);
    assert_eq!(kept(), 1);
    // The other way round, to another one, with another limit: each is something else. The present state is not kept.
    diff(&["two", "one"]);
    diff(&["one", "three"]);
    diff(&["one", "two", "--limit", "5"]);
    assert_eq!(kept(), 4);
    diff(&["one"]);
    assert_eq!(kept(), 4);
    // One of the same name is another one.
    rig.run(&["--yes", "snapshot", "delete", "two"]).expect(0);
    fs::write(rig.base.join("@state/other"), "new").unwrap();
    rig.run(&["snapshot", "create", "two", "@state"]).expect(0);
    assert_ne!(diff(&["one", "two"]), first);
    // A damaged one is compared with nothing, kept or not.
    let two = rig.base.join("@snapshots/two/@state");
    btrfs::set_read_only(&two, false).unwrap();
    rig.run(&["snapshot", "diff", "one", "two"]).expect(3);
}

#[test]
fn each_run_has_a_snapshot_before_it() {
    let keys = "snapshots: {policies: [per-operation], retention: {operation: 2}}\n";
    let Some(rig) = rig(keys) else { return };
    // The first run had nothing to snapshot.
    assert_eq!(names(&rig), [""; 0]);
    let mut runs = Vec::new();
    for n in 0..3 {
        let subvolumes = format!(
            "version: \"1.0\"\n{keys}plugins:\n  btrfs:\n    base: {}\n    subvolumes: {{\"@x\": {{compression: \"zstd:{}\"}}}}\n",
            rig.base.display(),
            n + 1
        );
        fs::write(&rig.file, subvolumes).unwrap();
        runs.push(format!("run_{}", rig.apply()["run"].as_str().unwrap()));
        // One that changes nothing needs none.
        rig.apply();
    }
    assert_eq!(names(&rig), runs[1..]);
    // One that cannot have it does not begin.
    let text = fs::read_to_string(&rig.file)
        .unwrap()
        .replace("zstd:3", "zstd:4");
    fs::write(&rig.file, text).unwrap();
    let place = rig.base.join("@snapshots");
    btrfs::set_read_only(&place, true).unwrap();
    let refused = rig.run(&["apply"]).expect(1);
    assert!(
        refused.err.contains("per-operation") || refused.err.contains("snapshots.policies"),
        "{refused:?}"
    );
    btrfs::set_read_only(&place, false).unwrap();
    assert_eq!(rig.json(&["verify"]).expect(1).json()["converged"], false);
    rig.apply();
    assert_eq!(names(&rig).len(), 2);
    rig.assert_converged();
}

/// Minutes are real here: the daemon makes the first ones at once, and goes on when one begins.
#[test]
fn the_daemon_makes_what_is_due() {
    let Some(rig) = rig("snapshots: {policies: [hourly], time_zone: UTC}\n") else {
        return;
    };
    fs::create_dir(rig.base.join("@snapshots/not-ours")).unwrap();
    let daemon = Daemon::start(&rig);
    let found = lab::wait_for("the first snapshots", Duration::from_secs(30), || {
        Some(names(&rig)).filter(|names| names.len() == 4)
    });
    let classes: Vec<_> = found
        .iter()
        .map(|name| name.split('_').next().unwrap())
        .collect();
    assert_eq!(classes, ["hourly", "daily", "weekly", "quarterly"]);
    let entry = lab::wait_for("its entry", Duration::from_secs(30), || {
        rig.ledger(&["--operation", "snapshot_rotate"]).pop()
    });
    assert_eq!(entry["metadata"]["actor"]["name"], "op-dbusd");
    // A policy that is taken back, and one that comes, are followed.
    rig.declare_top(
        "snapshots: {policies: [every-minute], time_zone: UTC}\n",
        "",
    );
    lab::wait_for("one of a minute", Duration::from_secs(30), || {
        names(&rig)
            .into_iter()
            .find(|name| name.starts_with("minute_"))
    });
    drop(daemon);
    let listed: Value = rig.json(&["snapshot", "list"]).expect(0).json();
    assert_eq!(
        listed["foreign"],
        json!([{ "name": "not-ours", "what": "directory" }])
    );
    assert!(rig.base.join("@snapshots/not-ours").exists());
    for snapshot in listed["snapshots"].as_array().unwrap() {
        assert_eq!(snapshot["damage"], json!([]), "{snapshot}");
    }
}

/// Killed at each step of a restore: afterwards it is the old or the new state, whole, and the ledger says which.
#[test]
fn a_restore_that_is_killed_is_finished_or_undone() {
    if !lab::has("strace") {
        return lab::skip("needs strace");
    }
    let Some(rig) = rig("") else { return };
    let plugins = rig.base.join("@plugins/version");
    let state = rig.base.join("@state/version");
    let write = |text: &str| {
        fs::write(&plugins, text).unwrap();
        fs::write(&state, text).unwrap();
    };
    write("old");
    rig.run(&["snapshot", "create", "old", "@plugins", "@state"])
        .expect(0);
    let (mut kept, mut finished, mut recovered) = (0, 0, 0);
    for calls in ["renameat2", "fsync,fdatasync,unlink"] {
        for nth in 1..40 {
            write("new");
            let told = rig.ledger(&["--operation", "snapshot_restore"]).len();
            let restore = ["--yes", "snapshot", "restore", "old"];
            if rig.killed_at(&["-f"], calls, nth, &restore) {
                break;
            }
            // The next start puts it in order.
            rig.run(&[
                "snapshot",
                "create",
                &format!("after-{}-{nth}", calls.len()),
                "@plugins",
            ])
            .expect(0);
            let is = fs::read_to_string(&plugins).unwrap();
            assert_eq!(is, fs::read_to_string(&state).unwrap(), "{calls} {nth}");
            let entries = rig.ledger(&["--operation", "snapshot_restore"]);
            match is.as_str() {
                "new" => kept += 1,
                "old" => {
                    finished += 1;
                    // Once, by whom it was done or by whom it was finished. Killed between its last step and that,
                    // the ledger has nothing to go by.
                    assert!(entries.len() <= told + 1, "{calls} {nth}");
                    recovered += entries
                        .iter()
                        .skip(told)
                        .filter(|entry| entry["metadata"]["recovered"] == true)
                        .count();
                }
                other => panic!("{other}"),
            }
            let hidden: Vec<_> = [".", "@snapshots"]
                .iter()
                .flat_map(|place| lab::names(&rig.base.join(place)))
                .filter(|name| name.starts_with('.'))
                .collect();
            assert!(hidden.is_empty(), "{calls} {nth}: {hidden:?}");
        }
    }
    println!("{kept} kept as they were, {finished} new, {recovered} of them finished later");
    assert!(
        kept >= 3 && finished >= 3 && recovered >= 2,
        "{kept} {finished} {recovered}"
    );
    rig.assert_converged();
}
