//! A damaged ledger is brought back: what verifies is kept, the rest is quarantined, and nothing is dropped silently.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ledger::{Entry, Error, Filter, Ledger, Outcome, Recovered, Recovery};
use serde_json::{Map, Value, json};
use support::*;

const ENTRIES: usize = 60;

fn note() -> Map<String, Value> {
    let note = json!({ "actor": { "name": "root" }, "outcome": "done" });
    note.as_object().unwrap().clone()
}

fn recover(path: &Path) -> Recovered {
    let recovery = Recovery::examine(path, 0).unwrap();
    recovery.carry_out(&note()).unwrap().unwrap()
}

/// The hash that a carried entry had, computed from the definition alone.
fn old_hash(entry: &Entry) -> (i64, String) {
    let mut old = entry.clone();
    let recovered = old.metadata.as_object_mut().unwrap().remove("recovered");
    let recovered = recovered.unwrap();
    if let Some(before) = recovered.get("before") {
        old.metadata["recovered"] = before.clone();
    }
    old.id = recovered["id"].as_i64().unwrap();
    old.previous_hash = Some(
        recovered["previous_hash"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
    );
    let hash = hash(&old);
    assert_eq!(recovered["current_hash"], hash, "{entry:?}");
    (old.id, hash)
}

/// The entries that were carried into a new chain, by old id and hash.
fn carried(path: &Path) -> BTreeMap<i64, String> {
    let ledger = Ledger::open_read_only(path).unwrap();
    assert!(ledger.verify(None).unwrap().valid);
    all(&ledger)[2..].iter().map(old_hash).collect()
}

fn quarantine(archive: &Path) -> Vec<Value> {
    let text = fs::read_to_string(archive.join("quarantine.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_sound_ledger_is_left_alone() {
    let (dir, path) = filled(ENTRIES);
    let before = fs::read(&path).unwrap();
    let recovery = Recovery::examine(&path, 0).unwrap();
    assert_eq!(recovery.findings().outcome, Outcome::Sound);
    assert_eq!(recovery.carry_out(&note()).unwrap(), None);
    assert_eq!(fs::read(&path).unwrap(), before);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert!(left.iter().all(|file| {
        file.file_name()
            .to_string_lossy()
            .starts_with("blockchain.db")
    }));
}

#[test]
fn rows_that_do_not_verify_are_quarantined_and_a_new_chain_names_the_old_head() {
    let (_dir, path) = filled(ENTRIES);
    let known = all(&Ledger::open_read_only(&path).unwrap());
    tamper(
        &path,
        "UPDATE operations SET target = 'elsewhere' WHERE id = 20;
         UPDATE operations SET metadata = x'00ff' WHERE id = 30;
         DELETE FROM operations WHERE id IN (40, 41);
         VACUUM;",
    );
    let recovery = Recovery::examine(&path, 0).unwrap();
    let found = recovery.findings().clone();
    assert_eq!(found.outcome, Outcome::NewChain);
    assert_eq!((found.kept, found.refused, found.missing), (57, 2, 2));
    assert_eq!(found.unbroken.unwrap().hash, known[19].current_hash);
    assert_eq!(found.old_head.unwrap().hash, known[60].current_hash);
    // Looking changes nothing.
    assert!(
        !Ledger::open_read_only(&path)
            .unwrap()
            .verify(None)
            .unwrap()
            .valid
    );
    let done = recovery.carry_out(&note()).unwrap().unwrap();

    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.head().unwrap(), done.head);
    let first = ledger.get(1).unwrap().unwrap();
    assert_eq!(first.operation, "ledger_recover");
    assert_eq!(
        first.metadata["recovery"]["old_head"]["hash"],
        known[60].current_hash.to_string()
    );
    assert_eq!(first.metadata["actor"]["name"], "root");
    let expected: BTreeMap<_, _> = known[1..]
        .iter()
        .filter(|entry| ![20, 30, 40, 41].contains(&entry.id))
        .map(|entry| (entry.id, entry.current_hash.to_string()))
        .collect();
    assert_eq!(carried(&path), expected);
    // Found as before, and at the time when it was.
    let run = |ledger: &Ledger| {
        ledger.query(&Filter {
            run: Some("run-2".into()),
            ..Filter::default()
        })
    };
    assert_eq!(run(&ledger).unwrap().len(), 5);
    assert_eq!(ledger.append(&sample(1)).unwrap().id, done.head.id + 1);
    assert!(ledger.verify(None).unwrap().valid);

    let refused = quarantine(&done.archive);
    let reasons: Vec<_> = refused
        .iter()
        .map(|line| {
            (
                line["id"].as_i64().unwrap(),
                line["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [(20, "edited"), (30, "unreadable"), (40, "deleted")]
    );
    assert_eq!(
        (&refused[0]["row"]["target"], &refused[1]["row"]["metadata"]),
        (&json!("elsewhere"), &json!({ "hex": "00ff" }))
    );
    assert_eq!(refused[2]["last"], 41);
    // The damaged file is kept as it was.
    let damaged = Ledger::open_read_only(done.archive.join("damaged.db")).unwrap();
    assert_eq!(damaged.get(20).unwrap().unwrap().target, "elsewhere");
    // A second time there is nothing to do.
    drop(ledger);
    assert_eq!(
        Recovery::examine(&path, 0).unwrap().findings().outcome,
        Outcome::Sound
    );
}

#[test]
fn a_chain_without_gaps_goes_on_in_a_mended_file() {
    let (_dir, path) = filled(3000);
    let known = all(&Ledger::open_read_only(&path).unwrap());
    // The root page of the table: SQLite finds no row any more.
    let root: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'operations'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0x5a; 4096], (root as u64 - 1) * 4096)
        .unwrap();
    assert!(Ledger::open(&path).is_err());
    // What was published of the chain has to agree with it as before: a rewritten one is not made good by this.
    let checkpoint = path.with_file_name("checkpoint");
    fs::write(&checkpoint, "signed").unwrap();
    fs::create_dir(path.with_file_name("tiles")).unwrap();
    let done = recover(&path);
    assert_eq!(fs::read(&checkpoint).unwrap(), b"signed");
    assert!(path.with_file_name("tiles").exists() && !done.archive.join("tiles").exists());
    let ledger = Ledger::open(&path).unwrap();
    let now = all(&ledger);
    assert_eq!(now[..known.len()], known);
    assert_eq!(
        (now.len(), &*now[known.len()].operation),
        (known.len() + 1, "ledger_recover")
    );
    assert_eq!(now[known.len()].current_hash, done.head.hash);
    assert_eq!(quarantine(&done.archive), Vec::<Value>::new());
}

#[test]
fn whatever_pages_are_lost_the_entries_of_the_others_are_kept() {
    let (dir, path) = filled(400);
    let known = all(&Ledger::open_read_only(&path).unwrap());
    let bytes = fs::read(&path).unwrap();
    for (round, pages) in [vec![0], vec![1, 5], vec![2, 9, 12], (3..9).collect()]
        .iter()
        .enumerate()
    {
        let copy = dir.path().join(format!("{round}")).join("blockchain.db");
        fs::create_dir(copy.parent().unwrap()).unwrap();
        let mut spoiled = bytes.clone();
        for page in pages {
            spoiled[page * 4096..(page + 1) * 4096].fill(0xa5);
        }
        fs::write(&copy, &spoiled).unwrap();
        let found = Recovery::examine(&copy, 0).unwrap().findings().clone();
        let done = recover(&copy);
        let there = match found.outcome {
            Outcome::NewChain => carried(&copy),
            _ => all(&Ledger::open(&copy).unwrap())[1..401]
                .iter()
                .map(|e| (e.id, e.current_hash.to_string()))
                .collect(),
        };
        // Nothing is made up, and what is gone is named.
        for (id, hash) in &there {
            assert_eq!(&known[*id as usize].current_hash.to_string(), hash);
        }
        let missing: i64 = quarantine(&done.archive)
            .iter()
            .map(|line| {
                line["last"]
                    .as_i64()
                    .map_or(1, |last| last - line["id"].as_i64().unwrap() + 1)
            })
            .sum();
        let beyond = 400 - there.keys().max().unwrap();
        let genesis = i64::from(found.refusals.iter().any(|refusal| refusal.id == 0));
        assert_eq!(
            there.len() as i64 + missing - genesis + beyond,
            400,
            "{pages:?}: {found:?}"
        );
        assert!(there.len() > 200, "{pages:?}: {}", there.len());
    }
}

#[test]
fn entries_that_only_the_log_holds_are_kept() {
    let (dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    for n in 0..40 {
        ledger.append(&sample(n)).unwrap();
    }
    let known = all(&ledger);
    let copy = dir.path().join("copy").join("blockchain.db");
    fs::create_dir(copy.parent().unwrap()).unwrap();
    // The file itself is gone, and one page of the log is spoiled.
    let mut log = fs::read(dir.path().join("blockchain.db-wal")).unwrap();
    let at = log.len() - 2000;
    log[at] ^= 1;
    fs::write(copy.with_file_name("blockchain.db-wal"), &log).unwrap();
    let outcome = Recovery::examine(&copy, 0).unwrap().findings().outcome;
    recover(&copy);
    let ledger = Ledger::open(&copy).unwrap();
    assert!(ledger.verify(None).unwrap().valid);
    let kept = match outcome {
        Outcome::NewChain => carried(&copy).len(),
        _ => all(&ledger).len() - 2,
    };
    assert!(
        kept >= 38
            && all(&ledger)[1..]
                .iter()
                .any(|entry| entry.target == known[1].target),
        "{kept}"
    );
}

#[test]
fn what_a_checkpoint_speaks_of_is_missed() {
    let (_dir, path) = filled(10);
    let recovery = Recovery::examine(&path, 15).unwrap();
    assert_eq!(
        (recovery.findings().outcome, recovery.findings().missing),
        (Outcome::NewChain, 4)
    );
    let done = recovery.carry_out(&note()).unwrap().unwrap();
    assert_eq!(
        (
            quarantine(&done.archive)[0]["id"].as_i64(),
            carried(&path).len()
        ),
        (Some(11), 10)
    );
}

#[test]
fn an_edited_genesis_row_is_refused() {
    let (_dir, path) = filled(3);
    tamper(&path, "UPDATE operations SET timestamp = 5 WHERE id = 0");
    let done = recover(&path);
    assert_eq!(quarantine(&done.archive)[0]["reason"], "genesis");
    assert_eq!(carried(&path).len(), 3);
}

#[test]
fn it_can_be_recovered_twice() {
    let (_dir, path) = filled(20);
    let known = all(&Ledger::open_read_only(&path).unwrap());
    tamper(&path, "UPDATE operations SET operation = 'x' WHERE id = 7");
    recover(&path);
    tamper(&path, "DELETE FROM operations WHERE id = 3; VACUUM");
    recover(&path);
    // Behind the second recovery lies the first.
    let ledger = Ledger::open(&path).unwrap();
    let second = ledger.get(3).unwrap().unwrap();
    assert_eq!(
        second.metadata["recovered"]["before"]["current_hash"],
        known[1].current_hash.to_string()
    );
    assert_eq!(carried(&path).len(), 20 - 1 + 1 - 1);
}

#[test]
fn what_was_never_a_ledger_is_refused() {
    let (_dir, path) = place();
    assert!(matches!(
        Recovery::examine(&path, 0),
        Err(Error::Missing { .. })
    ));
    tamper(&path, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    assert!(matches!(
        Recovery::examine(&path, 0),
        Err(Error::Foreign { .. })
    ));
    fs::write(&path, "hello").unwrap();
    assert!(matches!(
        Recovery::examine(&path, 0),
        Err(Error::Foreign { .. })
    ));
}

#[test]
fn what_is_written_meanwhile_stops_it() {
    let (dir, path) = filled(20);
    tamper(&path, "UPDATE operations SET operation = 'x' WHERE id = 7");
    let recovery = Recovery::examine(&path, 0).unwrap();
    Ledger::open(&path).unwrap().append(&sample(9)).unwrap();
    assert_eq!(
        recovery.carry_out(&note()),
        Err(Error::Replaced { path: path.clone() })
    );
    assert_eq!(Ledger::open(&path).unwrap().head().unwrap().id, 21);
    assert!(!dir.path().join("blockchain.db.recovery-partial").exists());
    assert!(carried_after(&path, 20));
}

fn carried_after(path: &Path, entries: usize) -> bool {
    recover(path);
    carried(path).len() == entries
}

const PATH: &str = "LEDGER_TO_RECOVER";

#[test]
fn killed_at_any_point_it_is_run_again() {
    if let Some(path) = std::env::var_os(PATH) {
        println!("begun");
        Recovery::resume(Path::new(&path)).unwrap();
        recover(Path::new(&path));
        println!("recorded 0 {}", "0".repeat(64));
        thread::park();
    }
    let (whole, path) = filled(300);
    tamper(&path, "UPDATE operations SET operation = 'x' WHERE id = 7");
    let (mut partial, mut decided) = (0, 0);
    for round in 0..40_u64 {
        let dir = tempfile::tempdir_in(whole.path()).unwrap();
        let copy = dir.path().join("blockchain.db");
        fs::copy(&path, &copy).unwrap();
        fs::create_dir(dir.path().join("tiles")).unwrap();
        fs::write(dir.path().join("checkpoint"), "old").unwrap();
        let mut child = again("killed_at_any_point_it_is_run_again", PATH, &copy);
        let watched = dir.path().to_owned();
        // Spread over all of it: by what is there on the disk, and by time.
        let is = |name: &str| watched.join(format!("blockchain.db.{name}")).exists();
        let stage = ["recovery-partial", "recovery-partial", "recovery"][round as usize % 3];
        for _ in 0..200_000 {
            if is(stage) || child.try_wait().unwrap().is_some() || archives(&watched) > 0 {
                break;
            }
        }
        thread::sleep(Duration::from_micros(round * 397 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        partial += u32::from(is("recovery-partial"));
        decided += u32::from(is("recovery"));
        if is("recovery") {
            // Nobody writes in between what would be lost.
            assert!(matches!(Ledger::open(&copy), Err(Error::Corrupt { .. })));
        }
        if Recovery::resume(&copy).unwrap().is_none() && archives(&watched) == 0 {
            recover(&copy);
        }
        assert_eq!(carried(&copy).len(), 299, "round {round}");
        assert_eq!(archives(&watched), 1, "round {round}");
        assert!(!watched.join("checkpoint").exists() && !watched.join("tiles").exists());
        assert_eq!(
            Recovery::examine(&copy, 0).unwrap().findings().outcome,
            Outcome::Sound
        );
    }
    println!("killed {partial} times before, {decided} times after it was decided");
    assert!(partial > 0);
}

fn archives(dir: &Path) -> usize {
    let names = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|file| file.file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("recovered-"))
        .count()
}

#[test]
fn a_full_disk_leaves_the_damaged_file_as_it_was() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let dir = machine.tmpfs("20m");
    let path = dir.join("blockchain.db");
    let long: Vec<_> = (0..400)
        .map(|n| new("o", &"t".repeat(3000), json!({ "n": n })))
        .collect();
    Ledger::open(&path).unwrap().append_all(&long).unwrap();
    tamper(&path, "UPDATE operations SET operation = 'x' WHERE id = 7");
    let before = fs::read(&path).unwrap();
    lab::run("mount", &["-o", "remount,size=4m", dir.to_str().unwrap()]);
    let recovery = Recovery::examine(&path, 0).unwrap();
    assert_eq!(
        recovery.carry_out(&note()),
        Err(Error::DiskFull { path: path.clone() })
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    lab::run("mount", &["-o", "remount,size=30m", dir.to_str().unwrap()]);
    assert!(carried_after(&path, 399));
}
