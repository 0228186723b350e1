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
    let now = corpus::now();
    for (method, least_recall, least_rank) in [
        (Method::Words, 0.0, 0.0),
        (Method::Likeness, 0.0, 0.0),
        (Method::Fused, 0.0, 0.0),
    ] {
        let grade = |(question, right): &(&str, Vec<i64>)| {
            let answer = index
                .search_by(
                    method,
                    &chain,
                    &Likeness::by(&[&BuiltIn]),
                    question,
                    &now,
                    20,
                )
                .unwrap();
            let found: Vec<i64> = answer.hits.iter().map(|hit| hit.id).collect();
            let (recall, rank) = corpus::grade(&found, right);
            if recall < 1.0 {
                println!(
                    "{method:?} {recall:.2} {question} {right:?}: {found:?} {:?}",
                    answer.understood
                );
            }
            (recall, rank)
        };
        let grades: Vec<_> = questions.iter().map(grade).collect();
        let mean = |grades: Vec<f64>| grades.iter().sum::<f64>() / questions.len() as f64;
        let recall = mean(grades.iter().map(|(recall, _)| *recall).collect());
        let rank = mean(grades.iter().map(|(_, rank)| *rank).collect());
        println!("{method:?}: recall@5 {recall:.3}, mean reciprocal rank {rank:.3}");
        assert!(
            recall >= least_recall && rank >= least_rank,
            "{method:?}: {recall:.3} {rank:.3}"
        );
    }
}
