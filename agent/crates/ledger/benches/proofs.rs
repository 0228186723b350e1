//! Durable appends with tree and checkpoints on against the bare chain, and proofs out of a million entries.
//! `cargo bench -p ledger --bench proofs -- appends` or `-- proofs` does one of the two.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ledger::{Ledger, NewEntry, Published, Publisher};
use serde_json::json;
use tlog::{Algorithm, SigningKey};

const ENTRIES: usize = 6000;
const RUNS: usize = 5;
const MANY: usize = 1_000_000;
/// Time between a write and its checkpoint, as in the daemon.
const GATHER: Duration = Duration::from_millis(300);

fn main() {
    // In the build directory: `/tmp` may be in memory, where nothing is durable.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    let wanted = |what: &str| named.is_empty() || named.iter().any(|name| name == what);
    if wanted("appends") {
        appends(dir.path());
    }
    if wanted("proofs") {
        proofs(dir.path());
    }
}

fn key() -> SigningKey {
    let name = "host.example/ledger".parse().unwrap();
    SigningKey::generate(&name, Algorithm::Ed25519)
        .unwrap()
        .parse()
        .unwrap()
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

fn appends(dir: &Path) {
    let (mut bare, mut published) = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for run in 0..RUNS {
        // One after the other, so that both see the same disk.
        let one = append(&dir.join(format!("bare-{run}")), false);
        let other = append(&dir.join(format!("published-{run}")), true);
        ratios.push(one.as_secs_f64() / other.as_secs_f64());
        bare.push(one);
        published.push(other);
    }
    ratios.sort_by(f64::total_cmp);
    let rate = |mut times: Vec<Duration>| {
        times.sort();
        ENTRIES as f64 / times[RUNS / 2].as_secs_f64()
    };
    println!(
        "appends: bare chain {:.0} entries/s, with tree and checkpoints {:.0} entries/s, {:.2} of it (medians of {RUNS})",
        rate(bare),
        rate(published),
        ratios[RUNS / 2]
    );
}

fn append(dir: &Path, publish: bool) -> Duration {
    std::fs::create_dir(dir).unwrap();
    let ledger = Ledger::open(dir.join("blockchain.db")).unwrap();
    let entries: Vec<_> = (0..ENTRIES).map(entry).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        if publish {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(GATHER);
                    // As the daemon does it: opened anew each time.
                    let reader = Ledger::open_read_only(ledger.path()).unwrap();
                    Publisher::open(&reader, key_of(dir))
                        .unwrap()
                        .publish(&reader)
                        .unwrap();
                }
            });
        }
        let begun = Instant::now();
        for entry in &entries {
            ledger.append(entry).unwrap();
        }
        let time = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        time
    })
}

/// The key of a run, kept beside it.
fn key_of(dir: &Path) -> SigningKey {
    let file = tlog::KeyFile::at(dir.join("keys/checkpoint.key"));
    let name = "host.example/ledger".parse().unwrap();
    file.open_or_create(&name, Algorithm::Ed25519).unwrap()
}

fn proofs(dir: &Path) {
    let dir = dir.join("many");
    std::fs::create_dir(&dir).unwrap();
    let ledger = Ledger::open(dir.join("blockchain.db")).unwrap();
    for chunk in 0..MANY / 10_000 {
        let entries: Vec<_> = (0..10_000).map(|n| entry(chunk * 10_000 + n)).collect();
        ledger.append_all(&entries).unwrap();
    }
    let begun = Instant::now();
    let key = key();
    let log = key.verifier().clone();
    Publisher::open(&ledger, key)
        .unwrap()
        .publish(&ledger)
        .unwrap();
    println!(
        "tree of {MANY} entries made from the database: {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let published = Published::of(ledger.path()).unwrap();
    let mut times = Vec::new();
    for n in 0..2000_i64 {
        let id = n * 7919 % MANY as i64;
        let begun = Instant::now();
        let proof = published.prove(&ledger, id).unwrap();
        times.push(begun.elapsed());
        assert!(
            proof
                .verify(tlog::leaf_hash(proof.extra.as_deref().unwrap()), &log)
                .is_ok()
        );
    }
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
    println!(
        "proof out of {MANY} entries: p50 {:.3} ms, p99 {:.3} ms",
        at(50),
        at(99)
    );
    let begun = Instant::now();
    let known = ledger::Expectations {
        key: Some(log),
        ..ledger::Expectations::default()
    };
    assert!(ledger.audit(&known).unwrap().valid);
    println!("all of it verified: {:.1} s", begun.elapsed().as_secs_f64());
}
