//! Sentences as clauses, each of which asks for one thing.

use search::when::Period;

use crate::grammar::{Clause, changes};
use crate::items::Item;
use crate::lexicon::{Mark, Sense};

/// Splits a sentence where another order begins.
pub(crate) fn clauses(
    items: Vec<Item>,
    text: &str,
    period: Option<Period>,
    question: bool,
) -> Vec<Clause> {
    let mut parts: Vec<Vec<Item>> = vec![Vec::new()];
    let mut at = 0;
    while at < items.len() {
        let joins = items[at].is(Mark::And) || items[at].lower == "then";
        let after_comma = at > 0 && items[at - 1].comma;
        let begun = parts
            .last()
            .is_some_and(|part| part.iter().any(|item| !item.is_fill()));
        if begun && (joins || after_comma) {
            let from = at + usize::from(joins);
            let next = items[from.min(items.len())..].iter().position(|item| {
                !(item.is_fill() && item.verbs().next().is_none())
                    && !item.is(Mark::And)
                    && item.lower != "then"
            });
            let order = next.map(|next| &items[from + next]).is_some_and(begins);
            if order {
                parts.push(Vec::new());
                at = from;
                continue;
            }
        }
        if let Some(part) = parts.last_mut() {
            part.push(items[at].clone());
        }
        at += 1;
    }
    let several = parts.len() > 1;
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts
        .map(|items| {
            let words: Vec<_> = items.iter().map(|item| item.text.as_str()).collect();
            let timely = items.iter().any(|item| item.time);
            Clause {
                text: if several {
                    words.join(" ")
                } else {
                    text.to_owned()
                },
                period: period.clone().filter(|_| timely),
                question,
                items,
            }
        })
        .collect()
}

/// Whether a word begins an order, where one may begin.
fn begins(item: &Item) -> bool {
    let verb = item.verbs().next().is_some();
    let weak = item.nouns().next().is_some()
        || item.is_fill()
            && !changes(item)
            && !matches!(item.lower.as_str(), "show" | "list" | "status");
    verb && (!weak || matches!(item.lower.as_str(), "list" | "status"))
        && item
            .senses
            .iter()
            .all(|sense| !matches!(sense, Sense::Mark(_)))
}
