//! How much of the corpus is understood, and that nothing is changed where nobody asks for it.

#![allow(clippy::unwrap_used)]

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

#[test]
fn what_is_asked_for_once_holds_for_each() {
    let catalog = catalog();
    let world = say::World {
        templates: ["alpine".to_owned(), "debian".to_owned()].into(),
        ..say::World::default()
    };
    for talk in [
        &["create three containers named web-1 to web-3", "alpine"][..],
        &["create 3 containers", "web-1 to web-3", "alpine"],
        &["create 3 containers from alpine", "web-1, web-2 and web-3"],
    ] {
        let mut context = Context::default();
        let mut said = Vec::new();
        for sentence in talk {
            said = catalog.understand(&world, &context, sentence, &now());
            said.iter().for_each(|one| context.note(one));
        }
        let calls: Vec<_> = said.into_iter().map(|one| one.meaning).collect();
        let expected = ["web-1", "web-2", "web-3"].map(|name| Meaning::Call {
            tool: "container_create".to_owned(),
            arguments: serde_json::json!({ "name": name, "template": "alpine" }),
            effect: say::Effect::Write,
        });
        assert_eq!(calls, expected, "{talk:?}");
    }
}

#[test]
fn the_list_of_sentences_is_that_of_the_tools() {
    let mut page = String::from(
        "# What can be said\n\nMade from the sentences that the tools bring; a test compares the two. Each is understood as the tool beside \
         it, and so is much that is said alike: [sentences](../chat-sentences.md) tells how.\n",
    );
    for topic in catalog().help(Some("")) {
        page += &format!(
            "\n## {}\n\n| sentence | tool | effect |\n|---|---|---|\n",
            topic.domain
        );
        let catalog = catalog();
        let tools = catalog
            .tools()
            .iter()
            .filter(|tool| tool.domain == topic.domain);
        for tool in tools {
            for sentence in &tool.sentences {
                let effect = tool.effect.word();
                page += &format!(
                    "| {} | `{}` | {effect} |\n",
                    sentence.replace('|', "\\|").replace('*', "\\*"),
                    tool.name
                );
            }
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../docs/reference/sentences.md");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        expected == page,
        "docs/reference/sentences.md is not what the tools say: run this test with WRITE_EXPECTED=1"
    );
}

#[test]
fn what_has_no_place_in_a_look_is_told() {
    let all = catalog().understand(&world(), &Context::default(), "addresses of eth9", &now());
    assert!(matches!(&all[0].meaning, Meaning::Call { tool, .. } if tool == "net_list_addresses"));
    assert_eq!(
        all[0].understood,
        "List addresses (what `eth9` means is not known)"
    );
}
