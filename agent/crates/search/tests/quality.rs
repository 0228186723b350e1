//! How well questions are answered: bounds below which no change may fall. `cargo bench -p search --bench ledger`
//! prints the figures.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

#[path = "corpus/ledger.rs"]
mod corpus;
mod support;

use std::ops::ControlFlow;

use search::BuiltIn;
use search::entries::{EntryIndex, Likeness, Method};
use support::Chain;

#[test]
fn questions_find_what_they_should() {
    let (records, keys) = corpus::corpus();
    assert!(records.len() >= 3_000);
    let questions = corpus::questions(&records, &keys);
    assert_eq!(questions.len(), 60);
    let chain = Chain::new(records);
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    index
        .grow(&chain, &BuiltIn, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    for (method, mistyped, least) in [
        (Method::Words, false, (0.80, 0.78)),
        (Method::Likeness, false, (0.74, 0.72)),
        (Method::Fused, false, (0.80, 0.77)),
        (Method::Fused, true, (0.68, 0.64)),
    ] {
        let search = |question: &str| {
            let likeness = Likeness::by(&[&BuiltIn]);
            let now = corpus::now();
            let answer = index.search_by(method, &chain, &likeness, question, &now, 20);
            answer.unwrap().hits.iter().map(|hit| hit.id).collect()
        };
        let (recall, rank) = corpus::grades(&questions, mistyped, search);
        println!(
            "{method:?}, mistyped {mistyped}: recall@5 {recall:.3}, mean reciprocal rank {rank:.3}"
        );
        assert!(
            recall >= least.0 && rank >= least.1,
            "{method:?}, mistyped {mistyped}: {recall:.3} {rank:.3}"
        );
    }
}
