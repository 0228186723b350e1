//! How well methods of real services are found: hit@1, hit@5 and the mean reciprocal rank over hand-written questions.
//!
//! `cargo bench -p search --bench retrieval`
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use search::{Document, Index, Method};

const METHODS: &str = include_str!("../tests/corpus/methods.tsv");
const QUESTIONS: &str = include_str!("../tests/corpus/questions.tsv");
const DEPTH: usize = 50;

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split('\t').collect())
}

fn documents() -> Vec<Document> {
    let of = |fields: Vec<&str>| Document {
        id: format!("{}.{}", fields[0], fields[1]),
        title: fields[1].to_owned(),
        text: [fields[0], fields[2], fields[3]].join(" "),
    };
    lines(METHODS).map(of).collect()
}

fn main() {
    let documents = documents();
    let ids: Vec<_> = documents
        .iter()
        .map(|document| document.id.clone())
        .collect();
    let begun = Instant::now();
    let index = Index::new(documents).unwrap();
    let built = begun.elapsed();

    let questions: Vec<(&str, Vec<String>)> = lines(QUESTIONS)
        .map(|fields| {
            let right = fields[1]
                .split(' ')
                .map(|name| match name.starts_with("org.") {
                    true => name.to_owned(),
                    false => format!("org.freedesktop.{name}"),
                });
            (fields[0], right.collect())
        })
        .collect();
    for (question, right) in &questions {
        for name in right {
            assert!(ids.contains(name), "{question}: there is no {name}");
        }
    }

    println!(
        "{} questions over {} methods; index built in {built:.1?}",
        questions.len(),
        ids.len()
    );
    println!(
        "{:<10} {:>6} {:>6} {:>6} {:>12}",
        "", "hit@1", "hit@5", "MRR", "a question"
    );
    for (name, method) in [
        ("words", Method::Words),
        ("vectors", Method::Likeness),
        ("fused", Method::Fused),
    ] {
        let begun = Instant::now();
        let ranks: Vec<Option<usize>> = questions
            .iter()
            .map(|(question, right)| {
                let hits = index.search_by(method, question, DEPTH).unwrap();
                hits.iter()
                    .position(|hit| right.iter().any(|name| name == hit.id))
            })
            .collect();
        let each = begun.elapsed() / u32::try_from(questions.len()).unwrap();
        let within = |limit| {
            let hits = ranks
                .iter()
                .filter(|rank| rank.is_some_and(|rank| rank < limit));
            hits.count() as f64 / ranks.len() as f64
        };
        let reciprocal: f64 = ranks
            .iter()
            .flatten()
            .map(|rank| 1.0 / (*rank as f64 + 1.0))
            .sum();
        let mean = reciprocal / ranks.len() as f64;
        println!(
            "{name:<10} {:>6.2} {:>6.2} {mean:>6.2} {each:>12.1?}",
            within(1),
            within(5)
        );
        if std::env::args().any(|argument| argument == "--missed") {
            for ((question, _), rank) in questions.iter().zip(&ranks) {
                if rank.is_none_or(|rank| rank >= 5) {
                    println!("    {question} {:?}", rank.map(|rank| rank + 1));
                }
            }
        }
    }
}
