//! Appending and reading, by several threads and processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ledger::{Entry, Error, Ledger};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use support::*;

#[test]
fn entries_come_back_as_they_were_recorded() {
    let (_dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    let hostile = [
        "",
        "a\nb",
        "\u{0}",
        "'; DROP TABLE operations; --",
        "\"},\"operation\":\"x",
        "\u{1f600}\u{7f}\u{1b}[31m",
        "\\u0000",
    ];
    let entries: Vec<_> = hostile
        .iter()
        .map(|text| {
            new(
                text,
                text,
                json!({ *text: text, "more": [1.0, -0.0, 1e-7, null, { *text: [] }] }),
            )
        })
        .collect();
    let recorded = ledger.append_all(&entries).unwrap();
    assert_eq!(recorded, all(&ledger)[1..]);
    for (new, entry) in entries.iter().zip(&recorded).skip(1) {
        assert_eq!(
            (&new.operation, &new.target),
            (&entry.operation, &entry.target)
        );
        assert_eq!(
            serde_json_canonicalizer::to_string(&new.metadata).unwrap(),
            entry.metadata.to_string()
        );
        assert_eq!(entry.current_hash.to_string(), hash(entry));
    }
    assert!(ledger.verify(None).unwrap().valid);
    assert_eq!(ledger.append_all(&[]), Ok(Vec::new()));
}

#[test]
fn the_first_entry_vouches_for_the_genesis_row() {
    let (_dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    let mut genesis = ledger.get(0).unwrap().unwrap();
    let recorded = ledger
        .append_all(&[
            new("a", "b", json!({ "genesis_hash": 1 })),
            new("a", "b", json!({})),
        ])
        .unwrap();
    genesis.previous_hash = None;
    assert_eq!(
        recorded[0].metadata,
        json!({ "genesis_hash": hash(&genesis) })
    );
    assert_eq!(recorded[1].metadata, json!({}));
    assert_eq!(recorded, all(&ledger)[1..]);
}

#[test]
fn what_cannot_be_stored_is_refused_and_nothing_of_it_is_recorded() {
    let (_dir, path) = filled(2);
    let ledger = Ledger::open(&path).unwrap();
    let long = "x".repeat(16 << 20);
    for metadata in [
        json!(null),
        json!([1]),
        json!("{}"),
        json!({ "n": u64::MAX }),
        json!({ "long": long }),
    ] {
        let refused = ledger.append_all(&[sample(3), new("huge", "x", metadata)]);
        let Err(Error::Refused { operation, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(operation, "huge");
    }
    assert_eq!(ledger.head().unwrap().id, 2);
}

#[test]
fn threads_share_a_ledger() {
    const THREADS: usize = 16;
    const EACH: usize = 25;
    let (_dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    let start = Barrier::new(THREADS);
    let recorded: Vec<Entry> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (ledger, start) = (&ledger, &start);
                scope.spawn(move || {
                    start.wait();
                    let own: Vec<_> = (0..EACH)
                        .flat_map(|n| {
                            let target = format!("{thread}");
                            let pair = [
                                new("a", &target, json!({ "n": n })),
                                new("b", &target, json!({ "n": n })),
                            ];
                            let recorded = ledger.append_all(&pair).unwrap();
                            assert_eq!(recorded[0].id + 1, recorded[1].id);
                            recorded
                        })
                        .collect();
                    assert!(own.is_sorted_by_key(|entry| entry.id));
                    own
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let by_id: BTreeMap<_, _> = recorded.iter().map(|entry| (entry.id, entry)).collect();
    assert_eq!(by_id.len(), THREADS * EACH * 2);
    assert!(by_id.into_values().eq(&all(&ledger)[1..]));
    assert!(ledger.verify(None).unwrap().valid);
}

const PATH: &str = "LEDGER_OF_ONE_OF_MANY";

#[test]
fn processes_share_a_ledger_and_make_it_once() {
    const PROCESSES: usize = 6;
    const THREADS: usize = 2;
    const EACH: usize = 20;
    if let Some(path) = std::env::var_os(PATH) {
        let ledger = Ledger::open(Path::new(&path)).unwrap();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    (0..EACH).for_each(|n| acknowledge(&ledger.append(&sample(n)).unwrap()))
                });
            }
        });
        return;
    }
    let (_dir, path) = place();
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|_| again("processes_share_a_ledger_and_make_it_once", PATH, &path))
        .collect();
    let mut recorded: Vec<_> = children.iter_mut().flat_map(acknowledged).collect();
    assert!(
        children
            .iter_mut()
            .all(|child| child.wait().unwrap().success())
    );
    recorded.sort();
    let ledger = Ledger::open(&path).unwrap();
    let there = all(&ledger)
        .into_iter()
        .skip(1)
        .map(|entry| (entry.id, entry.current_hash.to_string()));
    assert!(recorded.into_iter().eq(there));
    assert_eq!(
        ledger.verify(None).unwrap().entries,
        (1 + PROCESSES * THREADS * EACH) as u64
    );
}

#[test]
fn a_lock_is_waited_for() {
    let (_dir, path) = filled(1);
    let ledger = Ledger::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    thread::scope(|scope| {
        let append = scope.spawn(|| ledger.append(&sample(2)));
        // Readers are not kept waiting.
        assert_eq!(ledger.head().unwrap().id, 1);
        thread::sleep(Duration::from_millis(100));
        assert!(!append.is_finished());
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(append.join().unwrap().unwrap().id, 2);
    });
}

#[test]
fn a_lock_is_not_waited_for_for_ever() {
    let (_dir, path) = filled(1);
    let ledger = Ledger::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(
        ledger.append(&sample(2)),
        Err(Error::Locked { path, seconds: 10 })
    );
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(ledger.append(&sample(2)).unwrap().id, 2);
}

#[test]
fn a_follower_learns_of_new_entries() {
    let (_dir, path) = filled(1);
    let follower = Ledger::open_read_only(&path).unwrap();
    assert!(follower.changed().unwrap());
    assert!(!follower.changed().unwrap());
    let writer = Ledger::open(&path).unwrap();
    follower.changed().unwrap();
    writer.changed().unwrap();
    for n in 2..5 {
        writer.append(&sample(n)).unwrap();
        assert!(follower.changed().unwrap() && writer.changed().unwrap());
        assert!(!follower.changed().unwrap() && !writer.changed().unwrap());
        let new = follower
            .query(&ledger::Filter {
                after_id: Some(n as i64 - 1),
                ..Default::default()
            })
            .unwrap();
        assert_eq!(new, [writer.get(n as i64).unwrap().unwrap()]);
    }
}

#[test]
fn a_ledger_that_grows_is_valid_all_the_time() {
    let (_dir, path) = filled(5000);
    let ledger = Ledger::open(&path).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..300).for_each(|n| drop(ledger.append(&sample(n)).unwrap()));
            done.store(true, Ordering::Relaxed);
        });
        let mut entries = 0;
        while !done.load(Ordering::Relaxed) {
            let found = ledger.verify(None).unwrap();
            assert!(found.valid && found.entries >= entries, "{found:?}");
            entries = found.entries;
        }
    });
    assert_eq!(ledger.verify(None).unwrap().entries, 5301);
}

/// Entries at all sorts of times.
fn scattered() -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = filled(200);
    tamper(
        &path,
        "UPDATE operations SET timestamp = 1000 + id * 7919 % 211; UPDATE operations SET metadata = 'no JSON' WHERE id = 77; UPDATE operations SET metadata = '{}' WHERE id = 77",
    );
    (dir, path)
}

#[test]
fn a_filter_passes_what_it_says() {
    let (_dir, path) = scattered();
    let ledger = Ledger::open_read_only(&path).unwrap();
    let all = all(&ledger);
    let number = || proptest::option::weighted(0.3, -5_i64..215);
    let time = || proptest::option::weighted(0.3, 990_i64..1220);
    let word = |words: &'static [&'static str]| {
        proptest::option::weighted(0.3, proptest::sample::select(words).prop_map(str::to_owned))
    };
    let filters = (
        (time(), time(), number(), number()),
        (
            word(&[
                "subvolume_create",
                "container_create",
                "genesis",
                "none",
                "'",
            ]),
            word(&["web-00", "web-05", "system", "", "%"]),
            word(&["run-0", "run-13", "run-99", "1"]),
            word(&["root", "eve", "nobody"]),
        ),
        (proptest::option::weighted(0.3, 0_usize..30), any::<bool>()),
    );
    proptest!(|(((since, until, after_id, before_id), (operation, target, run, actor), (limit, newest_first)) in filters)| {
        let passes = |entry: &&Entry| {
            let text = |pointer: &str| entry.metadata.pointer(pointer).and_then(|text| text.as_str());
            since.is_none_or(|since| entry.timestamp >= since)
                && until.is_none_or(|until| entry.timestamp <= until)
                && after_id.is_none_or(|id| entry.id > id)
                && before_id.is_none_or(|id| entry.id < id)
                && operation.as_ref().is_none_or(|operation| *operation == entry.operation)
                && target.as_ref().is_none_or(|target| *target == entry.target)
                && run.as_ref().is_none_or(|run| text("/run") == Some(run))
                && actor.as_ref().is_none_or(|actor| text("/actor/name") == Some(actor))
        };
        let mut expected: Vec<_> = all.iter().filter(passes).cloned().collect();
        if newest_first {
            expected.reverse();
        }
        expected.truncate(limit.unwrap_or(usize::MAX));
        let filter = ledger::Filter {
            since, until, operation: operation.clone(), target: target.clone(), run: run.clone(), actor: actor.clone(),
            after_id, before_id, limit, newest_first,
        };
        prop_assert_eq!(ledger.query(&filter).unwrap(), expected);
    });
}

#[test]
fn a_row_that_is_no_json_does_not_hide_the_others() {
    let (_dir, path) = filled(10);
    tamper(
        &path,
        "UPDATE operations SET metadata = 'no JSON' WHERE id = 3",
    );
    let ledger = Ledger::open_read_only(&path).unwrap();
    let filter = ledger::Filter {
        run: Some("run-1".into()),
        ..Default::default()
    };
    assert_eq!(ledger.query(&filter).unwrap().len(), 5);
}
