//! The command `search`, as people use it, in its own process and through the daemon.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use ledger::{Ledger, NewEntry};
use rig::daemon::Daemon;
use rig::{Ended, Rig, op_dbus};
use serde_json::{Value, json};

fn entry(operation: &str, target: &str, metadata: Value) -> NewEntry {
    NewEntry {
        operation: operation.to_owned(),
        target: target.to_owned(),
        metadata,
    }
}

fn base(entries: &[NewEntry]) -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir(base.path().join("@timing")).unwrap();
    fs::create_dir(base.path().join("@vectors")).unwrap();
    let ledger = Ledger::open(base.path().join("@timing/blockchain.db")).unwrap();
    ledger.append_all(entries).unwrap();
    base
}

fn search(base: &Path, arguments: &[&str]) -> Ended {
    let mut all = vec!["--here", "--base", base.to_str().unwrap(), "search"];
    all.extend(arguments);
    op_dbus(&all)
}

fn ids(found: &Value) -> Vec<i64> {
    let hits = found["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["id"].as_i64().unwrap()).collect()
}

#[test]
fn people_find_what_was_done() {
    let alice = json!({ "name": "alice" });
    let base = base(&[
        entry(
            "container_create",
            "web-01",
            json!({ "actor": alice, "outcome": "done", "arguments": { "template": "debian-12" } }),
        ),
        entry(
            "package_install",
            "postgresql",
            json!({ "actor": alice, "outcome": "failed", "error": "no space left on device" }),
        ),
        entry(
            "systemd_restart_unit",
            "nginx.service",
            json!({ "actor": { "name": "bob" }, "outcome": "done" }),
        ),
    ]);
    let told = search(base.path(), &["containers created today"]).expect(0);
    assert!(
        told.out.contains("operation container_create") && told.out.contains("web-01"),
        "{told:?}"
    );
    assert!(!told.out.contains("nginx"), "{told:?}");
    let json = |words: &[&str]| {
        let mut all = vec!["--json"];
        all.extend(words);
        search(base.path(), &all).expect(0).json()
    };
    assert_eq!(ids(&json(&["containers", "created", "today"])), [1]);
    assert_eq!(ids(&json(&["what failed this week"])), [2]);
    assert_eq!(ids(&json(&["what did bob do"])), [3]);
    assert_eq!(ids(&json(&["yesterday"])), [0_i64; 0]);
    let found = json(&["the device had no space", "--limit", "1"]);
    assert_eq!(ids(&found), [2]);
    assert!(
        found["hits"][0]["why"]["likeness"].as_f64().unwrap() > 0.1,
        "{found:#}"
    );
    assert_eq!(found["hits"][0]["entry"]["operation"], "package_install");
    search(base.path(), &[]).expect(2);
    search(base.path(), &["x", "--limit", "0"]).expect(2);

    // A damaged index is made anew, and that is said.
    let index = base.path().join("@vectors/vector-index.db");
    fs::write(&index, "no database").unwrap();
    let found = json(&["nginx"]);
    assert_eq!(ids(&found), [3]);
    assert!(
        found["notes"][0].as_str().unwrap().contains("made anew"),
        "{found:#}"
    );
    fs::remove_dir_all(base.path().join("@vectors")).unwrap();
    let failed = search(base.path(), &["nginx"]).expect(1);
    assert!(failed.err.contains("op-dbus apply"), "{failed:?}");
}

/// The disk of the index is full: questions are answered from what it has, and without it from the entries themselves.
#[test]
fn a_full_disk_is_said_and_questions_are_answered_all_the_same() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let base = base(&[entry("file_write", "/srv/first", json!({}))]);
    let vectors = base.path().join("@vectors");
    fs::remove_dir(&vectors).unwrap();
    symlink(machine.tmpfs("1m"), &vectors).unwrap();
    let find = |word: &str| {
        let found = search(base.path(), &["--json", word]).expect(0).json();
        (ids(&found), found["notes"].to_string())
    };
    assert_eq!(find("first"), (vec![1], "[]".to_owned()));
    let ledger = Ledger::open(base.path().join("@timing/blockchain.db")).unwrap();
    ledger
        .append(&entry("file_write", "/srv/second", json!({})))
        .unwrap();
    drop(ledger);
    lab::fill(&vectors.join("full"));
    let (found, notes) = find("first");
    assert_eq!(found, [1], "{notes}");
    assert!(notes.contains("the index is not grown"), "{notes}");
    for file in fs::read_dir(&vectors).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "full" {
            fs::remove_file(file.path()).unwrap();
        }
    }
    lab::fill(&vectors.join("fuller"));
    let (found, notes) = find("second");
    assert_eq!(found, [2], "{notes}");
    assert!(notes.contains("by the words of the entries"), "{notes}");
    fs::remove_file(vectors.join("fuller")).unwrap();
    fs::remove_file(vectors.join("full")).unwrap();
    // What the full disk left of an index is made anew.
    assert_eq!(find("second").0, [2]);
    assert_eq!(find("second"), (vec![2], "[]".to_owned()));
}

/// Somebody holds the index and does not let go.
#[test]
fn a_lock_that_is_held_holds_up_no_question() {
    let base = base(&[entry("file_write", "/srv/first", json!({}))]);
    search(base.path(), &["first"]).expect(0);
    let lock = fs::File::open(base.path().join("@vectors/vector-index.lock")).unwrap();
    lock.lock().unwrap();
    let found = search(base.path(), &["--json", "first"]).expect(0).json();
    assert_eq!(ids(&found), [1], "{found:#}");
    assert!(found["notes"].to_string().contains("in use"), "{found:#}");
}

#[test]
fn an_entry_that_was_tampered_with_is_left_out() {
    let base = base(
        &(0..20)
            .map(|n| entry("file_write", &format!("/srv/{n}"), json!({})))
            .collect::<Vec<_>>(),
    );
    let path = base.path().join("@timing/blockchain.db");
    let tampered = "UPDATE operations SET metadata = 'no json' WHERE id IN (1, 7, 8, 20)";
    lab::run("sqlite3", &[path.to_str().unwrap(), tampered]);
    let found = search(base.path(), &["--json", "file_write", "--limit", "100"])
        .expect(0)
        .json();
    assert_eq!(found["passing"], 16, "{found:#}");
    assert_eq!(
        ids(&found),
        [19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 6, 5, 4, 3, 2]
    );
}

#[test]
fn an_answer_that_was_kept_leaves_out_what_was_tampered_with_since() {
    let entries: Vec<_> = (0..3)
        .map(|n| entry("file_write", &format!("/srv/{n}"), json!({})))
        .collect();
    let base = base(&entries);
    fs::create_dir(base.path().join("@cache")).unwrap();
    let found = || {
        let told = search(base.path(), &["--json", "file_write"]).expect(0);
        ids(&told.json())
    };
    assert_eq!(found(), [3, 2, 1]);
    let path = base.path().join("@timing/blockchain.db");
    let tampered = "UPDATE operations SET metadata = 'no json' WHERE id = 2";
    lab::run("sqlite3", &[path.to_str().unwrap(), tampered]);
    assert_eq!(found(), [3, 1]);
}

#[test]
fn the_daemon_takes_in_a_ledger_that_was_there() {
    let Some(rig) = Rig::storage(256) else {
        return;
    };
    rig.declare("");
    rig.apply();
    let entries: Vec<_> = (0..3000)
        .map(|n| {
            entry(
                "file_write",
                &format!("/srv/{n}"),
                json!({ "outcome": "done" }),
            )
        })
        .collect();
    let ledger = Ledger::open(rig.base.join("@timing/blockchain.db")).unwrap();
    ledger.append_all(&entries).unwrap();
    drop(ledger);
    let daemon = Daemon::start(&rig);
    let index = search::entries::EntryIndex::new(rig.base.join("@vectors"));
    lab::wait_for(
        "the index of the old entries",
        Duration::from_secs(60),
        || index.reach().filter(|last| *last >= 3000),
    );
    let found = rig
        .json(&["search", "file_write", "/srv/2999"])
        .expect(0)
        .json();
    let first = &found["hits"][0]["entry"];
    assert_eq!(first["target"], "/srv/2999", "{found:#}");
    let made = rig
        .json(&["search", "subvolume_create today"])
        .expect(0)
        .json();
    assert!(made["passing"].as_u64().unwrap() > 5, "{made:#}");
    drop(daemon);
}
