//! Durable appends per second, against a bare loop of SQLite with the same settings and rows.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ledger::{Ledger, NewEntry};
use rusqlite::{Connection, params};
use serde_json::json;

const ENTRIES: usize = 3000;
const RUNS: usize = 5;

fn main() {
    // In the build directory: `/tmp` may be in memory, where nothing is durable.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut bare = Vec::new();
    let mut ours = [1, 64].map(|writers| (writers, Vec::new()));
    for run in 0..RUNS {
        bare.push(bare_loop(&dir.path().join(format!("bare-{run}.db"))));
        for (writers, times) in &mut ours {
            times.push(ledger(
                &dir.path().join(format!("ledger-{writers}-{run}.db")),
                *writers,
            ));
        }
    }
    let bare = median(bare);
    println!(
        "append: bare SQLite, one writer: {:.0} entries/s",
        rate(bare)
    );
    for (writers, times) in ours {
        let time = median(times);
        println!(
            "append: ledger, {writers} writers: {:.0} entries/s, {:.2} of bare SQLite",
            rate(time),
            bare.as_secs_f64() / time.as_secs_f64(),
        );
    }
}

fn entry(n: usize) -> NewEntry {
    NewEntry {
        operation: "container_create".into(),
        target: format!("web-{:03}", n % 500),
        metadata: json!({
            "actor": { "door": "cli", "name": "root", "uid": 0 },
            "duration_ms": n % 1000,
            "outcome": "done",
            "plan_hash": format!("{n:064x}"),
            "run": format!("{:032x}", n / 7),
        }),
    }
}

/// One insert a transaction, of rows that are as long as those of the ledger.
fn bare_loop(path: &Path) -> Duration {
    drop(Ledger::open(path).unwrap());
    let connection = Connection::open(path).unwrap();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .unwrap();
    let mut insert = connection
        .prepare("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, NULL, ?)")
        .unwrap();
    let hash = "5".repeat(64);
    let rows: Vec<_> = (1..=ENTRIES)
        .map(|n| (n, entry(n)))
        .map(|(n, e)| (n, e.target, e.metadata.to_string()))
        .collect();
    let start = Instant::now();
    for (n, target, metadata) in &rows {
        let row = params![
            *n as i64,
            1_700_000_000 + (*n / 1000) as i64,
            "container_create",
            target,
            hash,
            hash,
            metadata
        ];
        insert.execute(row).unwrap();
    }
    start.elapsed()
}

fn ledger(path: &Path, writers: usize) -> Duration {
    let ledger = Ledger::open(path).unwrap();
    let entries: Vec<_> = (1..=ENTRIES).map(entry).collect();
    let start = Instant::now();
    thread::scope(|scope| {
        for part in entries.chunks(ENTRIES.div_ceil(writers)) {
            let ledger = &ledger;
            scope.spawn(move || {
                part.iter()
                    .for_each(|entry| drop(ledger.append(entry).unwrap()))
            });
        }
    });
    let time = start.elapsed();
    let found = ledger.verify(None).unwrap();
    assert_eq!((found.valid, found.entries), (true, ENTRIES as u64 + 1));
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn rate(time: Duration) -> f64 {
    ENTRIES as f64 / time.as_secs_f64()
}
