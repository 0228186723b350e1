//! What the tests of the ledger have in common.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ledger::{Entry, Filter, Ledger, NewEntry};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A path for a ledger in a directory of its own.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blockchain.db");
    (dir, path)
}

pub(crate) fn new(operation: &str, target: &str, metadata: Value) -> NewEntry {
    NewEntry {
        operation: operation.into(),
        target: target.into(),
        metadata,
    }
}

/// A new entry like any other.
pub(crate) fn sample(n: usize) -> NewEntry {
    let operation = ["subvolume_create", "container_create", "container_delete"][n % 3];
    let name = ["root", "eve"][n % 2];
    let metadata = json!({ "run": format!("run-{}", n / 5), "actor": { "name": name }, "n": n });
    new(operation, &format!("web-{:02}", n % 7), metadata)
}

/// A closed ledger with so many samples after the genesis row.
pub(crate) fn filled(entries: usize) -> (TempDir, PathBuf) {
    let (dir, path) = place();
    let samples: Vec<_> = (1..=entries).map(sample).collect();
    Ledger::open(&path).unwrap().append_all(&samples).unwrap();
    (dir, path)
}

pub(crate) fn all(ledger: &Ledger) -> Vec<Entry> {
    ledger.query(&Filter::default()).unwrap()
}

/// Changes a ledger behind its back.
pub(crate) fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// The hash of a row, computed from the definition alone.
pub(crate) fn hash(row: &Entry) -> String {
    let record = json!({
        "id": row.id,
        "timestamp": row.timestamp,
        "operation": row.operation,
        "target": row.target,
        "metadata": row.metadata,
        "previous_hash": row.previous_hash.map(|hash| hash.to_string()),
    });
    let canonical = serde_json_canonicalizer::to_vec(&record).unwrap();
    Sha256::digest(canonical)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Gives the entries from an id on new hashes that fit, as somebody would who rewrites history.
pub(crate) fn rechain(path: &Path, from: i64) {
    let count = all(&Ledger::open_read_only(path).unwrap()).len() as i64;
    for id in from..count {
        let ledger = Ledger::open_read_only(path).unwrap();
        let previous = ledger.get(id - 1).unwrap().unwrap().current_hash;
        let mut entry = ledger.get(id).unwrap().unwrap();
        entry.previous_hash = Some(previous);
        let new = hash(&entry);
        tamper(
            path,
            &format!(
                "UPDATE operations SET previous_hash = '{previous}', current_hash = '{new}' WHERE id = {id}"
            ),
        );
    }
}

/// Starts this test program again for one test, with an environment variable that tells it its part.
pub(crate) fn again(test: &str, variable: &str, value: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Says on standard output that an entry was recorded.
pub(crate) fn acknowledge(entry: &Entry) {
    println!("recorded {} {}", entry.id, entry.current_hash);
}

/// What a process acknowledges, as it does, until it ends: ids and hashes.
pub(crate) fn acknowledged(child: &mut Child) -> impl Iterator<Item = (i64, String)> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| {
        // The test harness does not end its own line first.
        let (_, entry) = line.split_once("recorded ")?;
        let (id, hash) = entry.split_once(' ')?;
        // The last line may be cut off where the process was killed.
        (hash.len() == 64).then(|| (id.parse().unwrap(), hash.to_owned()))
    })
}
