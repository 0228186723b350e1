//! Damage, full disks, deaths and deadlines.

use std::fs;

use lab::{names, run, text, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::SHORT;
use crate::pair::Pair;
use crate::rig::Ended;

fn children(process: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn kill(process: i32) {
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn what_was_changed_at_the_far_end_is_not_built_on() {
    if !lab::has("sqlite3") {
        lab::skip("needs sqlite3");
        return;
    }
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    pair.replicate().expect(0);
    let copy = pair.far.join("one/@state");
    btrfs::set_read_only(&copy, false).unwrap();
    fs::write(copy.join("forged"), "x").unwrap();
    btrfs::set_read_only(&copy, true).unwrap();
    pair.snapshot("two", &["@state"]);
    let ended = pair.replicate().expect(1);
    assert!(
        ended
            .err
            .contains("another snapshot of the name one, or changed that one"),
        "{ended:?}"
    );
    let two = pair
        .rig
        .json(&["replicate", "disk", "--snapshot", "two"])
        .expect(0)
        .json();
    assert_eq!(two["sent"][0]["parent"], Value::Null, "{two:#}");
    pair.assert_same("two", "@state");
    // A damaged ledger is refused, and nothing of it stays.
    let file = pair.rig.base.join("@timing/blockchain.db");
    let damaged = pair.rig.base.join("@damaged");
    btrfs::snapshot(file.parent().unwrap(), &damaged, false).unwrap();
    let damage = "UPDATE operations SET target = 'forged' WHERE id = 1";
    run("sqlite3", &[text(&damaged.join("blockchain.db")), damage]);
    let place = pair.rig.base.join("@snapshots/three");
    fs::create_dir(&place).unwrap();
    btrfs::snapshot(&damaged, place.join("@timing"), true).unwrap();
    let ended = pair
        .rig
        .json(&["replicate", "disk", "--snapshot", "three"])
        .expect(1);
    assert!(ended.err.contains("does not verify"), "{ended:?}");
    assert_eq!(pair.there(), ["one", "two"]);
}

#[test]
fn a_far_end_that_is_full_keeps_nothing_of_it() {
    let Some(pair) = Pair::new(384, 128, "") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    pair.replicate().expect(0);
    pair.write("@state/large", 180);
    pair.snapshot("two", &["@state"]);
    let ended = pair.replicate().expect(1);
    assert!(ended.err.contains("No space left on device"), "{ended:?}");
    assert_eq!(pair.there(), ["one"]);
    let status = pair.rig.json(&["status"]).expect(0).json();
    let error = status["replication"]["disk"]["error"].as_str().unwrap();
    assert!(error.contains("No space left"), "{error}");
    // With less it goes on from the last that was whole.
    fs::remove_file(pair.rig.base.join("@state/large")).unwrap();
    pair.snapshot("three", &["@state"]);
    // The kernel frees the space a little later.
    let only = wait_for("room at the far end", SHORT, || {
        let ended = pair.rig.json(&["replicate", "disk", "--snapshot", "three"]);
        (ended.status == 0).then(|| ended.json())
    });
    assert_eq!(only["sent"][0]["parent"], "one", "{only:#}");
    pair.assert_same("three", "@state");
}

#[test]
fn whoever_is_killed_leaves_nothing_behind() {
    let Some(pair) = Pair::new(512, 512, "") else {
        return;
    };
    pair.write("@state/large", 150);
    pair.snapshot("one", &["@state"]);
    let begun = || {
        names(&pair.far)
            .iter()
            .any(|name| name == ".incoming-one")
            .then_some(())
    };

    // The sending end: the far end notices, and clears up.
    let mut near = pair.start();
    wait_for("the transfer", SHORT, begun);
    near.kill().unwrap();
    near.wait().unwrap();
    wait_for("an empty far end", SHORT, || {
        pair.there().is_empty().then_some(())
    });

    // `btrfs receive`: the far end says so, and clears up.
    let near = pair.start();
    let receiver = |near: u32| children(near).first().copied();
    let far = wait_for("the far end", SHORT, || receiver(near.id()));
    let program = wait_for("btrfs receive", SHORT, || {
        receiver(u32::try_from(far).unwrap())
    });
    kill(program);
    let ended = Ended::of(near).expect(1);
    let said = "btrfs receive failed (signal: 9";
    assert!(ended.err.contains(said), "{ended:?}");
    assert!(pair.there().is_empty());

    // The far end itself: the sending end says so, and the next transfer clears up and does it.
    let near = pair.start();
    let far = wait_for("the far end", SHORT, || receiver(near.id()));
    wait_for("the transfer", SHORT, begun);
    kill(far);
    let ended = Ended::of(near).expect(1);
    assert!(ended.err.contains("the far end went away"), "{ended:?}");
    assert!(!pair.far.join("one").exists());
    let done = pair.replicate().expect(0).json();
    assert_eq!(done["outcome"], "done");
    assert_eq!(pair.there(), ["one"]);
    pair.assert_same("one", "@state");
}

#[test]
fn a_transfer_ends_at_its_deadline() {
    let Some(pair) = Pair::new(512, 512, "") else {
        return;
    };
    pair.write("@state/large", 200);
    pair.snapshot("one", &["@state"]);
    let ended = pair.rig.run(&[
        "tool",
        "call",
        "replicate",
        "target=disk",
        "--timeout",
        // No disk takes 200 MB in that.
        "50ms",
    ]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("deadline"), "{ended:?}");
    assert!(pair.there().is_empty());
}
