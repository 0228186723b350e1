//! Writers that are killed, and disks that are full.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ledger::{Entry, Error, Head, Ledger};
use support::*;

const PATH: &str = "LEDGER_OF_THE_DOOMED";

/// Appends with several threads until it is killed.
fn write_until_killed(path: &Path) -> ! {
    let ledger = Ledger::open(path).unwrap();
    thread::scope(|scope| {
        for thread in 0..3 {
            let ledger = &ledger;
            scope.spawn(move || {
                for n in 0.. {
                    let entries = vec![sample(n); 1 + thread];
                    ledger
                        .append_all(&entries)
                        .unwrap()
                        .iter()
                        .for_each(acknowledge);
                }
            });
        }
    });
    unreachable!("nobody stops")
}

#[test]
fn killed_writers_lose_nothing_that_was_acknowledged() {
    if let Some(path) = std::env::var_os(PATH) {
        write_until_killed(Path::new(&path));
    }
    let (_dir, path) = place();
    let mut recorded = BTreeMap::new();
    for round in 0..60 {
        let mut child = again(
            "killed_writers_lose_nothing_that_was_acknowledged",
            PATH,
            &path,
        );
        let mut entries = acknowledged(&mut child);
        // Spread over start, creation, opening and writing, however slow this machine is.
        recorded.extend(entries.by_ref().take(round % 8));
        thread::sleep(Duration::from_micros(300 + round as u64 * 7919 % 40_000));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        recorded.extend(entries);
        let ledger = Ledger::open(&path).unwrap();
        let found = ledger.verify(None).unwrap();
        assert!(found.valid, "round {round}: {found:?}");
        let there: BTreeMap<_, _> = all(&ledger)
            .into_iter()
            .map(|entry| (entry.id, entry.current_hash.to_string()))
            .collect();
        for (id, hash) in &recorded {
            assert_eq!(there.get(id), Some(hash), "round {round}: entry {id}");
        }
    }
    assert!(
        recorded.len() > 100,
        "only {} entries in all",
        recorded.len()
    );
}

const PLACES: &str = "PLACES_FOR_LEDGERS";

#[test]
fn a_ledger_whose_making_was_killed_can_be_opened() {
    if let Some(dir) = std::env::var_os(PLACES) {
        for n in 0.. {
            println!("begun");
            drop(Ledger::open(Path::new(&dir).join(format!("{n}.db"))).unwrap());
        }
    }
    let mut ledgers = 0;
    for round in 0..30 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = again(
            "a_ledger_whose_making_was_killed_can_be_opened",
            PLACES,
            dir.path(),
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..=round % 3 {
            assert!(lines.any(|line| line.unwrap().ends_with("begun")));
        }
        thread::sleep(Duration::from_micros(round * 797 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for file in fs::read_dir(dir.path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "db") {
                // Made or not, that can be told.
                let made = Ledger::is_there(&path).unwrap();
                assert_eq!(Ledger::open_read_only(&path).is_ok(), made);
                let ledger = Ledger::open(&path).unwrap();
                assert_eq!(ledger.append(&sample(1)).unwrap().id, 1);
                assert!(ledger.verify(None).unwrap().valid);
                ledgers += 1;
            }
        }
    }
    assert!(ledgers > 10, "only {ledgers} were begun");
}

fn head(entry: &Entry) -> Head {
    Head {
        id: entry.id,
        hash: entry.current_hash,
    }
}

/// Appends until the disk is full; what was acknowledged must be there, and more once there is space.
fn fill_up(dir: &Path) {
    let path = dir.join("blockchain.db");
    let ledger = Ledger::open(&path).unwrap();
    let mut last = head(&ledger.append(&sample(0)).unwrap());
    let ballast = dir.join("ballast");
    lab::fill(&ballast);
    let mut entry = sample(1);
    entry.metadata["long"] = "x".repeat(20_000).into();
    let error = loop {
        match ledger.append(&entry) {
            Ok(entry) => last = head(&entry),
            Err(error) => break error,
        }
        assert!(last.id < 100_000, "the disk does not fill up");
    };
    assert_eq!(error, Error::DiskFull { path: path.clone() });
    assert_eq!(
        ledger.append(&entry),
        Err(Error::DiskFull { path: path.clone() })
    );
    // Reading is refused as well where it would need space.
    let full = Error::DiskFull { path: path.clone() };
    match (ledger.head(), Ledger::open_read_only(&path)) {
        (Ok(head), Ok(reader)) => {
            assert_eq!(head, last);
            assert!(reader.verify(Some(&last.hash.to_string())).unwrap().valid);
        }
        (head, reader) => assert_eq!((head.err(), reader.err()), (Some(full.clone()), Some(full))),
    }

    fs::remove_file(ballast).unwrap();
    let next = lab::wait_for("the space is given back", Duration::from_secs(60), || {
        ledger.append(&entry).ok()
    });
    assert_eq!(
        (next.id, next.previous_hash),
        (last.id + 1, Some(last.hash))
    );
    assert!(ledger.verify(None).unwrap().valid);
    drop(ledger);
    assert!(
        Ledger::open(&path)
            .unwrap()
            .verify(Some(&next.current_hash.to_string()))
            .unwrap()
            .valid
    );
}

#[test]
fn a_full_tmpfs_loses_nothing() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let dir = machine.tmpfs("2m");
    fill_up(&dir);
}

#[test]
fn a_full_btrfs_loses_nothing() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    fill_up(&machine.btrfs(128));
}

#[test]
fn a_closed_ledger_on_a_full_btrfs_can_be_read() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let dir = machine.btrfs(128);
    let path = dir.join("blockchain.db");
    Ledger::open(&path)
        .unwrap()
        .append_all(&[sample(1), sample(2)])
        .unwrap();
    lab::fill(&dir.join("ballast"));
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(all(&ledger).len(), 3);
    assert!(ledger.verify(None).unwrap().valid);
    assert_eq!(Ledger::open(&path).err(), Some(Error::DiskFull { path }));
}

#[test]
fn a_ledger_cannot_be_made_on_a_full_disk() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let dir = machine.tmpfs("16k");
    let path = dir.join("blockchain.db");
    assert_eq!(
        Ledger::open(&path).err(),
        Some(Error::DiskFull { path: path.clone() })
    );
    // What was begun is no obstacle later.
    lab::run("mount", &["-o", "remount,size=2m", dir.to_str().unwrap()]);
    assert_eq!(
        Ledger::open(&path).unwrap().append(&sample(1)).unwrap().id,
        1
    );
}
