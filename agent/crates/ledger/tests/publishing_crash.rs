//! Publishers that are killed, disks that are full, and what a checkpoint may never speak of.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/published.rs"]
mod published;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ledger::{Expectations, Ledger, ProofError, Publisher};
use published::*;
use support::*;

const PATH: &str = "LEDGER_TO_PUBLISH";

/// Appends and publishes until it is killed.
fn work_until_killed(path: &Path) -> ! {
    let ledger = Ledger::open(path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                ledger
                    .append_all(&vec![sample(n); 1 + n % 40])
                    .unwrap()
                    .iter()
                    .for_each(acknowledge);
            }
        });
        scope.spawn(|| {
            let mut publisher = Publisher::open(&ledger, key()).unwrap();
            loop {
                publisher.publish(&ledger).unwrap();
            }
        });
    });
    unreachable!("nobody stops")
}

#[test]
fn killed_at_any_point_the_next_one_goes_on() {
    if let Some(path) = std::env::var_os(PATH) {
        work_until_killed(Path::new(&path));
    }
    let (dir, path) = place();
    let mut recorded = BTreeMap::new();
    let (mut ahead, mut last) = (0, 0);
    for round in 0..40 {
        let mut child = again("killed_at_any_point_the_next_one_goes_on", PATH, &path);
        let mut entries = acknowledged(&mut child);
        // Spread over opening, tiles and checkpoints, however slow this machine is; the first round makes the ledger.
        recorded.extend(entries.by_ref().take(round % 8 * 20));
        thread::sleep(Duration::from_micros(round as u64 * 7919 % 20_000));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        recorded.extend(entries);
        let ledger = Ledger::open(&path).unwrap();
        // What was there before anything is mended.
        let known = Expectations {
            key: Some(key().verifier().clone()),
            ..Expectations::default()
        };
        let audit = ledger.audit(&known).unwrap();
        assert!(audit.valid, "round {round}: {:?}", audit.wrong());
        for (id, hash) in &recorded {
            let there = ledger
                .get(*id)
                .unwrap()
                .map(|entry| entry.current_hash.to_string());
            assert_eq!(there.as_ref(), Some(hash), "round {round}: entry {id}");
        }
        let mut publisher = Publisher::open(&ledger, key()).unwrap();
        let size = publisher
            .checkpoint()
            .map_or(0, |signed| signed.unverified().size);
        assert!(size >= last, "round {round}: the checkpoint went back");
        ahead += u32::from(publisher.publish(&ledger).unwrap());
        last = publisher.checkpoint().unwrap().unverified().size;
        assert_eq!(last, ledger.head().unwrap().id as u64 + 1);
        assert!(ledger.audit(&known).unwrap().notes.is_empty());
    }
    println!("{last} entries; {ahead} times entries were not published yet");
    assert!(recorded.len() > 100 && ahead > 5);
    drop(dir);
}

#[test]
fn a_full_disk_publishes_nothing_and_goes_on_later() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let dir = machine.tmpfs("8m");
    let path = dir.join("blockchain.db");
    let ledger = Ledger::open(&path).unwrap();
    ledger
        .append_all(&(0..300).map(sample).collect::<Vec<_>>())
        .unwrap();
    let before = publish(&path).unwrap();
    ledger
        .append_all(&(0..300).map(sample).collect::<Vec<_>>())
        .unwrap();
    let ballast = dir.join("ballast");
    lab::fill(&ballast);
    let error = publish(&path).unwrap_err();
    assert!(
        matches!(error, ProofError::Tile(_) | ProofError::Io { .. }) && !error.is_finding(),
        "{error:?}"
    );
    let published = ledger::Published::of(&path).unwrap();
    assert_eq!(published.checkpoint(), Some(&before));
    fs::remove_file(ballast).unwrap();
    assert_eq!(publish(&path).unwrap().unverified().size, 601);
    let known = Expectations {
        key: Some(key().verifier().clone()),
        ..Expectations::default()
    };
    let audit = ledger.audit(&known).unwrap();
    assert!(audit.valid && audit.notes.is_empty(), "{audit:?}");
    drop(ledger);
}

#[test]
fn what_contradicts_the_ledger_is_not_overwritten() {
    let host = Host::new(300);
    publish(&host.path).unwrap();
    let checkpoint = fs::read(host.file("checkpoint")).unwrap();
    let tile = host.file("tiles/tile/0/000");
    let tile_before = fs::read(&tile).unwrap();
    tamper(
        &host.path,
        "UPDATE operations SET target = 'elsewhere' WHERE id = 270",
    );
    rechain(&host.path, 270);
    tamper(&host.path, "DELETE FROM operations WHERE id > 290");
    assert!(matches!(
        publish(&host.path),
        Err(ProofError::RolledBack {
            entries: 291,
            size: 301
        })
    ));
    Ledger::open(&host.path)
        .unwrap()
        .append_all(&(0..30).map(sample).collect::<Vec<_>>())
        .unwrap();
    let error = publish(&host.path).unwrap_err();
    assert!(error.is_finding(), "{error}");
    // Nor without a checkpoint, as long as there are tiles.
    fs::rename(host.file("checkpoint"), host.file("moved")).unwrap();
    tamper(
        &host.path,
        "UPDATE operations SET target = 'elsewhere' WHERE id = 70",
    );
    rechain(&host.path, 70);
    let error = publish(&host.path).unwrap_err();
    assert!(error.is_finding(), "{error}");
    assert_eq!(fs::read(host.file("moved")).unwrap(), checkpoint);
    assert_eq!(fs::read(tile).unwrap(), tile_before);
    assert!(!host.file("checkpoint").exists());
}
