//! Whatever byte of the files is changed: it is refused, or found, or changes nothing that anybody reads.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ledger::{Bad, Entry, Error, Filter, Ledger, Reason};
use serde_json::json;
use support::*;
use tempfile::TempDir;

/// Enough entries that the table and its indexes have inner pages.
fn deep() -> (TempDir, std::path::PathBuf) {
    let (dir, path) = place();
    let entries: Vec<_> = (0..90)
        .map(|n| {
            let long = |text: &str| format!("{text}-{}-{}", n * 37 % 11, text.repeat(12));
            new(
                &long("operation"),
                &long("target"),
                json!({ "run": format!("run-{}", n / 10), "n": n }),
            )
        })
        .collect();
    Ledger::open(&path).unwrap().append_all(&entries).unwrap();
    (dir, path)
}

/// All that can be read in any way.
fn everything(ledger: &Ledger, known: &[Entry]) -> Result<Vec<Vec<Entry>>, Error> {
    let mut found = vec![
        ledger.query(&Filter::default())?,
        ledger.query(&Filter {
            newest_first: true,
            ..Filter::default()
        })?,
    ];
    let mut filters = BTreeSet::new();
    for entry in known {
        found.push(ledger.get(entry.id)?.into_iter().collect());
        found.push(ledger.query(&Filter {
            after_id: Some(entry.id),
            limit: Some(1),
            ..Filter::default()
        })?);
        filters.insert((Some(entry.operation.clone()), None, None));
        filters.insert((None, Some(entry.target.clone()), None));
        filters.insert((None, None, Some(entry.timestamp)));
    }
    for (operation, target, time) in filters {
        found.push(ledger.query(&Filter {
            operation,
            target,
            since: time,
            until: time,
            ..Filter::default()
        })?);
    }
    Ok(found)
}

/// A number generator that gives the same numbers every time (Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides) as usize
    }
}

#[test]
fn a_changed_byte_anywhere_in_the_file_is_refused_or_found_or_of_no_effect() {
    let (_dir, path) = deep();
    let bytes = fs::read(&path).unwrap();
    let ledger = Ledger::open_read_only(&path).unwrap();
    let known = all(&ledger);
    let truth = everything(&ledger, &known).unwrap();
    drop(ledger);
    let mut dice = Dice(7);
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.db");
    let mut at = 0;
    while at < bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= match dice.roll(2) {
            0 => 1 << dice.roll(8),
            _ => 1 + dice.roll(255) as u8,
        };
        fs::write(&copy, &spoiled).unwrap();
        let checked =
            Ledger::open_read_only(&copy).and_then(|ledger| Ok((ledger.verify(None)?, ledger)));
        match checked {
            Err(error) => {
                let kind = matches!(
                    error,
                    Error::Foreign { .. }
                        | Error::Corrupt { .. }
                        | Error::Failed { .. }
                        | Error::Denied { .. }
                );
                assert!(kind, "byte {at}: {error:?}");
                refused += 1;
            }
            Ok((verification, _)) if !verification.valid => found += 1,
            Ok((_, ledger)) => {
                let read = everything(&ledger, &known);
                assert!(
                    read.as_ref() == Ok(&truth),
                    "byte {at} of {} was changed unseen",
                    bytes.len()
                );
                harmless += 1;
            }
        }
        for beside in ["copy.db-wal", "copy.db-shm"] {
            let _ = fs::remove_file(dir.path().join(beside));
        }
        // Every byte of the header, and some of every cell.
        at += if at < 128 { 1 } else { 1 + dice.roll(80) };
    }
    println!("{refused} refused, {found} found, {harmless} of no effect");
    assert!(refused > 50 && found > 500 && harmless > 100);
}

#[test]
fn a_page_that_leads_searches_astray_is_found() {
    let (dir, path) = deep();
    let bytes = fs::read(&path).unwrap();
    // An inner page of a table (SQLite file format, section 1.6): type 5, number of cells at 3,
    // pointers to cells from 12 on; a cell is four bytes of page number and the key.
    let page = (4096..bytes.len())
        .step_by(4096)
        .find(|at| bytes[*at] == 5)
        .unwrap();
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let keys: Vec<_> = (0..number(page + 3))
        .map(|cell| page + number(page + 12 + 2 * cell) + 4)
        .collect();
    assert!(keys.len() >= 3);
    let copy = dir.path().join("copy.db");
    let mut astray = 0;
    for key in keys {
        for bit in [1, 4] {
            let mut spoiled = bytes.clone();
            spoiled[key] ^= bit;
            fs::write(&copy, &spoiled).unwrap();
            let ledger = Ledger::open_read_only(&copy).unwrap();
            assert!(ledger.verify_chain(None).unwrap().valid);
            let found = ledger.verify(None).unwrap();
            assert!(
                matches!(
                    found.first_bad,
                    Some(Bad {
                        reason: Reason::Pages(_),
                        ..
                    })
                ),
                "{found:?}"
            );
            astray += (0..90)
                .filter(|id| ledger.get(*id).unwrap().is_none())
                .count();
        }
    }
    assert!(astray > 0);
}

/// Copies a ledger that is open, with its log as it is at this moment.
fn copy_live(path: &Path, to: &Path, log: &[u8]) {
    fs::copy(path, to).unwrap();
    fs::write(to.with_file_name("copy.db-wal"), log).unwrap();
    let _ = fs::remove_file(to.with_file_name("copy.db-shm"));
}

#[test]
fn a_torn_or_changed_log_leaves_a_valid_beginning_or_is_found() {
    let (dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    for n in 0..12 {
        ledger.append(&sample(n)).unwrap();
    }
    let known = all(&ledger);
    let head = ledger.head().unwrap().hash.to_string();
    let log = fs::read(dir.path().join("blockchain.db-wal")).unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    let mut dice = Dice(3);
    let mut lengths = BTreeSet::new();
    let mut check = |log: &[u8], what: &str| {
        copy_live(&path, &copy, log);
        // The table itself may be in the part of the log that is lost.
        let Ok(ledger) = Ledger::open_read_only(&copy) else {
            return;
        };
        let found = ledger.verify(None).unwrap();
        if !found.valid {
            return;
        }
        let read = all(&ledger);
        assert!(known.starts_with(&read), "{what}: other entries came up");
        lengths.insert(read.len());
        assert_eq!(
            ledger.verify(Some(&head)).unwrap().valid,
            read.len() == known.len(),
            "{what}"
        );
    };
    for _ in 0..150 {
        let length = dice.roll(log.len() as u64 + 1);
        check(&log[..length], &format!("cut to {length} bytes"));
        let mut spoiled = log.clone();
        let at = dice.roll(log.len() as u64);
        spoiled[at] ^= 1 << dice.roll(8);
        check(&spoiled, &format!("byte {at} changed"));
    }
    check(&log, "untouched");
    assert!(
        lengths.len() == known.len() && lengths.contains(&known.len()),
        "{lengths:?}"
    );
}
