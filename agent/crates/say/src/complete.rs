//! How a sentence may go on.

use std::collections::BTreeSet;

use jiff::Zoned;

use crate::catalog::Catalog;
use crate::context::Context;
use crate::meaning::{Completion, Meaning};
use crate::world::{Kind, World};

/// How many ways to go on are told.
const MOST: usize = 8;

/// The longest beginning that is gone on with, in bytes.
const LONGEST: usize = 300;

impl Catalog {
    /// Ways to go on with what was typed so far, best first; at most eight.
    ///
    /// The last word may be the beginning of a known name; the whole may be the beginning of a tool's sentence.
    pub fn complete(&self, world: &World, context: &Context, prefix: &str) -> Vec<Completion> {
        let typed = prefix.trim_start();
        if typed.len() > LONGEST {
            return Vec::new();
        }
        let mut all = self.with_names(world, context, typed);
        let lower = typed.to_lowercase();
        let said = self.tools().iter().flat_map(|tool| {
            let title = tool.title.as_str();
            tool.sentences
                .iter()
                .map(move |sentence| (sentence.as_str(), title))
        });
        let mut begun: Vec<_> = said
            .clone()
            .filter(|(text, _)| text.to_lowercase().starts_with(&lower))
            .collect();
        begun.sort_by_key(|(text, _)| text.len());
        let words: Vec<_> = lower.split_whitespace().collect();
        let holds = |text: &str| {
            let text = text.to_lowercase();
            let have: Vec<_> = text.split_whitespace().collect();
            words
                .iter()
                .all(|word| have.iter().any(|has| has.starts_with(word)))
        };
        let mut like: Vec<_> = said
            .filter(|(text, _)| !words.is_empty() && holds(text))
            .collect();
        like.sort_by_key(|(text, _)| text.len());
        let found = begun.into_iter().chain(like);
        all.extend(found.map(|(text, title)| Completion {
            text: text.to_owned(),
            title: title.to_owned(),
        }));
        let mut seen = BTreeSet::new();
        all.retain(|completion| completion.text != typed && seen.insert(completion.text.clone()));
        all.truncate(MOST);
        all
    }

    /// The last word as the known names that it begins, where that is understood.
    fn with_names(&self, world: &World, context: &Context, typed: &str) -> Vec<Completion> {
        let Some((before, begun)) = typed.rsplit_once(' ') else {
            return Vec::new();
        };
        let begun = begun.to_lowercase();
        let kinds = [
            Kind::Container,
            Kind::Unit,
            Kind::Snapshot,
            Kind::Template,
            Kind::Bridge,
            Kind::Plugin,
            Kind::Command,
        ];
        let names = kinds.iter().flat_map(|kind| world.names(*kind));
        let begins = names
            .filter(|name| name.to_lowercase().starts_with(&begun))
            .take(4 * MOST);
        let read = begins.filter_map(|name| {
            let text = format!("{before} {name}");
            let understood = self.understand(world, context, &text, &Zoned::default());
            let [understanding] = understood.as_slice() else {
                return None;
            };
            let (Meaning::Call { tool, .. } | Meaning::Missing { tool, .. }) =
                &understanding.meaning
            else {
                return None;
            };
            let whole = understanding.score >= 1.0;
            let title = self.tool(tool).filter(|_| whole)?.title.clone();
            Some(Completion { text, title })
        });
        read.take(MOST / 2).collect()
    }
}
