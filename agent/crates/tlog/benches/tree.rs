//! What a tree costs: growing, writing, going on, proving, checking. A bare SHA-256 of the leaves stands beside it.
//!
//! `cargo bench -p tlog --bench tree`
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tlog::{Hash, Prover, Tiles, Tree, check_inclusion, leaf_hash};

const LEAVES: u64 = 1_000_000;
const PROOFS: u64 = 2000;

fn leaf(number: u64) -> Hash {
    // As long as the canonical text of an ordinary entry.
    let mut data = [b'x'; 400];
    data[..8].copy_from_slice(&number.to_be_bytes());
    leaf_hash(&data)
}

fn main() {
    // In the build directory: `/tmp` may be in memory, where nothing is durable.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tiles = Tiles::at(directory.path());
    let (bare, ()) = timed(|| {
        (0..LEAVES).for_each(|number| {
            black_box(leaf(number));
        });
    });
    let mut tree = Tree::new();
    let mut writing = Duration::ZERO;
    let (all, ()) = timed(|| {
        for number in 0..LEAVES {
            tree.append(leaf(number));
            if tree.size().is_multiple_of(16_384) {
                writing += timed(|| tiles.write(&mut tree).unwrap()).0;
            }
        }
    });
    writing += timed(|| tiles.write(&mut tree).unwrap()).0;
    let each = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count as f64;
    let growing = all.saturating_sub(writing);
    println!(
        "grow: {:.2} µs a leaf, {:.2} times its bare hash; writing {:.2} µs a leaf",
        each(growing, LEAVES),
        growing.as_secs_f64() / bare.as_secs_f64(),
        each(writing, LEAVES),
    );
    let (resume, again) = timed(|| tiles.resume(LEAVES, tree.root()).unwrap());
    assert_eq!(again.size(), LEAVES);
    println!("go on from {LEAVES} leaves: {resume:.1?}");
    let index = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % LEAVES;
    for (what, span) in [("all over the tree", LEAVES), ("among the last 4096", 4096)] {
        let prover = Prover::new(&tiles);
        let place = |number| LEAVES - 1 - index(number) % span;
        let mut times: Vec<Duration> = (0..PROOFS)
            .map(|number| {
                let (time, path) = timed(|| prover.inclusion(place(number), LEAVES).unwrap());
                assert!(check_inclusion(
                    &path,
                    place(number),
                    leaf(place(number)),
                    LEAVES,
                    tree.root()
                ));
                time
            })
            .collect();
        times.sort();
        let at = |share: usize| times[times.len() * share / 100];
        println!("prove one {what}: p50 {:.1?}, p99 {:.1?}", at(50), at(99));
    }
    let path = Prover::new(&tiles).inclusion(7, LEAVES).unwrap();
    let (check, ()) = timed(|| {
        (0..PROOFS).for_each(|_| assert!(check_inclusion(&path, 7, leaf(7), LEAVES, tree.root())));
    });
    println!("check a proof: {:.1} µs", each(check, PROOFS));
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let result = work();
    (begun.elapsed(), result)
}
