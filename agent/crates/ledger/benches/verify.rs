//! How fast a ledger of a million entries is verified, against the SHA-256 rate of `openssl speed`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ledger::{Ledger, NewEntry, Verification};
use serde_json::json;

const ENTRIES: u64 = 1_000_000;
const BATCH: u64 = 10_000;
const RUNS: usize = 3;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blockchain.db");
    let bytes = fill(&path);
    let ledger = Ledger::open_read_only(&path).unwrap();
    // Forgets the peak so far: clear_refs of proc(5).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS:");
    let per_entry = bytes / ENTRIES;
    let openssl = sha256_rate(per_entry);
    println!(
        "verify: {ENTRIES} entries, {per_entry} bytes hashed an entry; openssl sha256 at that size: {:.0} MB/s",
        openssl / 1e6
    );
    let chain = best(|| ledger.verify_chain(None).unwrap());
    report("chain alone", chain, bytes, openssl);
    let whole = best(|| ledger.verify(None).unwrap());
    report("with indexes and pages", whole, bytes, openssl);
    println!(
        "verify: memory taken at most: {} kB",
        memory("VmHWM:").saturating_sub(before)
    );
}

/// Fills a ledger; returns how many bytes its hashes cover.
fn fill(path: &Path) -> u64 {
    let ledger = Ledger::open(path).unwrap();
    let operations = [
        "subvolume_create",
        "container_create",
        "port_update",
        "flow_delete",
    ];
    let mut bytes = 0;
    for batch in 0..ENTRIES / BATCH {
        let entries: Vec<_> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|n| NewEntry {
                operation: operations[n as usize % operations.len()].into(),
                target: format!("web-{:03}", n % 500),
                metadata: json!({
                    "actor": { "door": "cli", "name": "root", "uid": 0 },
                    "duration_ms": n % 1000,
                    "outcome": "done",
                    "plan_hash": format!("{n:064x}"),
                    "run": format!("{:032x}", n / 7),
                }),
            })
            .collect();
        for entry in ledger.append_all(&entries).unwrap() {
            let hashed = json!({
                "id": entry.id, "timestamp": entry.timestamp, "operation": entry.operation,
                "target": entry.target, "metadata": entry.metadata, "previous_hash": entry.previous_hash,
            });
            bytes += hashed.to_string().len() as u64;
        }
    }
    bytes
}

fn best(mut verify: impl FnMut() -> Verification) -> Duration {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let found = verify();
        times.push(start.elapsed());
        assert_eq!(
            (found.valid, found.entries),
            (true, ENTRIES + 1),
            "{found:?}"
        );
    }
    times.into_iter().min().unwrap()
}

fn report(what: &str, time: Duration, bytes: u64, openssl: f64) {
    let rate = bytes as f64 / time.as_secs_f64();
    println!(
        "verify: {what}: {:.2} s, {:.2} M entries/s, {:.0} MB/s, {:.2} of one core's openssl rate",
        time.as_secs_f64(),
        ENTRIES as f64 / time.as_secs_f64() / 1e6,
        rate / 1e6,
        rate / openssl,
    );
}

/// Bytes per second that one core of this machine hashes in pieces of `size` bytes, by OpenSSL.
fn sha256_rate(size: u64) -> f64 {
    let size = size.to_string();
    let arguments = [
        "speed", "-mr", "-seconds", "2", "-bytes", &size, "-evp", "sha256",
    ];
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    // `+F:22:sha256:1269260090.00`
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("+F:")?.rsplit(':').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("openssl said {text}"))
}

/// A line of `/proc/self/status`, in kB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
