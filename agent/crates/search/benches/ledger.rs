//! How well questions to a ledger are answered, and how fast: `cargo bench -p search --bench ledger`.
//!
//! 60 hand-written questions over some 3,400 entries: recall among five and the mean reciprocal rank, as asked and with
//! a typing error in each. Then how long a search takes over 100,000 entries, and how long they take to be indexed.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../tests/corpus/ledger.rs"]
mod corpus;
#[path = "../tests/support/mod.rs"]
mod support;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use search::entries::{EntryIndex, Likeness, Method, Record};
use search::{BuiltIn, Embedder};
use support::Chain;

fn main() {
    quality(&BuiltIn);
    speed(100_000);
}

/// Prints how well each method answers with the vectors of a model.
fn quality(embedder: &dyn Embedder) {
    let (records, keys) = corpus::corpus();
    let questions = corpus::questions(&records, &keys);
    let chain = Chain::new(records);
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    index
        .grow(&chain, embedder, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let now = corpus::now();
    println!(
        "{} questions over {} entries, vectors by {}",
        questions.len(),
        chain.records.len(),
        embedder.id()
    );
    println!(
        "{:<8} {:>9} {:>6} {:>22} {:>6}",
        "", "recall@5", "MRR", "mistyped: recall@5", "MRR"
    );
    for (name, method) in [
        ("words", Method::Words),
        ("vectors", Method::Likeness),
        ("fused", Method::Fused),
    ] {
        let search = |question: &str| -> Vec<i64> {
            let models = [embedder];
            let likeness = Likeness::by(&models);
            let answer = index.search_by(method, &chain, &likeness, question, &now, 20);
            answer.unwrap().hits.iter().map(|hit| hit.id).collect()
        };
        let (recall, rank) = corpus::grades(&questions, false, search);
        let (typed_recall, typed_rank) = corpus::grades(&questions, true, search);
        println!("{name:<8} {recall:>9.2} {rank:>6.2} {typed_recall:>22.2} {typed_rank:>6.2}");
    }
}

fn speed(count: usize) {
    let now = corpus::now();
    let records = corpus::generated(count, &now, &mut corpus::Dice::new(3));
    let records = (0..)
        .zip(records)
        .map(|(id, record)| Record { id, ..record });
    let chain = Chain::new(records.collect());
    let dir = tempfile::tempdir_in(".").unwrap();
    let index = EntryIndex::new(dir.path());
    let begun = Instant::now();
    index
        .grow(&chain, &BuiltIn, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let took = begun.elapsed();
    println!(
        "{count} entries indexed in {took:.1?}, {:.0}/s",
        count as f64 / took.as_secs_f64()
    );
    let size = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len() / 1_000_000;
    println!(
        "vector-index.db {} MB, built-in-1.vectors {} MB",
        size("vector-index.db"),
        size("built-in-1.vectors")
    );
    println!("{:<46} {:>9} {:>9}", "a search", "p50", "p99");
    for question in [
        "containers created last week",
        "no space left on device",
        "nginx restarts last month",
        "web-03",
        "weekly maintenance",
    ] {
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let begun = Instant::now();
                index
                    .search(&chain, &Likeness::by(&[&BuiltIn]), question, &now, 10)
                    .unwrap();
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("{question:<46} {:>9.1?} {:>9.1?}", times[10], times[19]);
    }
}
