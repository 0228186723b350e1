//! How much of the corpus is understood, and that nothing is changed where nobody asks for it.

#[allow(clippy::unwrap_used, dead_code)]
#[path = "corpus/mod.rs"]
mod corpus;

use corpus::{PARTS, catalog, now, score, world};
use say::{Context, Meaning};

/// The least share of sentences that are understood, in each part.
const FLOORS: [f64; 2] = [0.95, 0.75];

#[test]
fn most_sentences_are_understood_and_none_that_is_no_order_changes_anything() {
    let catalog = catalog();
    for ((part, text), floor) in PARTS.into_iter().zip(FLOORS) {
        let score = score(&catalog, text);
        let table = score.table(part);
        assert_eq!(score.changes, 0, "{table}\n{:#?}", score.wrong);
        assert!(score.share(false) >= floor, "{table}\n{:#?}", score.wrong);
    }
}

#[test]
fn each_tool_brings_sentences_that_lead_to_it() {
    let catalog = catalog();
    let mut wrong = Vec::new();
    for tool in catalog.tools() {
        assert!(
            (2..=6).contains(&tool.sentences.len()),
            "{} has {} sentences",
            tool.name,
            tool.sentences.len()
        );
        for sentence in &tool.sentences {
            let got = catalog.understand(&world(), &Context::default(), sentence, &now());
            let leads = !got.is_empty()
                && got.iter().all(|one| match &one.meaning {
                    Meaning::Call { tool: named, .. } | Meaning::Missing { tool: named, .. } => {
                        *named == tool.name
                    }
                    _ => false,
                });
            if !leads {
                let told: Vec<_> = got
                    .iter()
                    .map(|one| serde_json::to_string(&one.meaning).unwrap())
                    .collect();
                wrong.push(format!("{}: {sentence} => {}", tool.name, told.join(" ; ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
