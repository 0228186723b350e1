//! Sentences with what they mean, and how many of them are understood.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Zoned;
use say::{Catalog, Context, Effect, Meaning, Understanding, World};
use serde::Deserialize;
use serde_json::Value;

/// The sentences that the grammar was made with, and those that it was not.
pub const PARTS: [(&str, &str); 2] = [
    (
        "development",
        include_str!("../../corpus/development.jsonl"),
    ),
    ("held-out", include_str!("../../corpus/held-out.jsonl")),
];

/// A sentence of the corpus.
#[derive(Deserialize)]
pub struct Case {
    /// What kind of sentence it is.
    pub kind: String,
    /// What is said.
    pub say: String,
    /// What was talked of before.
    #[serde(default)]
    context: Context,
    /// The calls that it asks for, in their order.
    #[serde(default)]
    calls: Vec<Expected>,
    /// Nothing is to be changed.
    #[serde(default)]
    none: bool,
    /// This tool is not to be asked.
    not: Option<String>,
    /// Help, yes, no, why.
    meaning: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    tool: OneOrMore,
    arguments: Option<Value>,
    #[serde(default)]
    missing: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn has(&self, tool: &str) -> bool {
        match self {
            Self::One(one) => one == tool,
            Self::More(more) => more.iter().any(|one| one == tool),
        }
    }
}

/// The sentences of a part.
pub fn cases(text: &str) -> Vec<Case> {
    let lines = text.lines().skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// The registered tools.
pub fn catalog() -> Catalog {
    let tools = tools::builtin::all();
    let described = tools
        .iter()
        .map(|tool| serde_json::to_value(tools::Description::of(tool)).unwrap());
    Catalog::new(
        described
            .map(|tool| serde_json::from_value(tool).unwrap())
            .collect(),
    )
}

/// The names that the sentences are about.
pub fn world() -> World {
    serde_json::from_str(include_str!("../../corpus/world.json")).unwrap()
}

/// When they are said.
pub fn now() -> Zoned {
    "2026-03-18T15:00:00+01:00[Europe/Berlin]".parse().unwrap()
}

/// What is understood of a sentence.
pub fn understand(catalog: &Catalog, case: &Case) -> Vec<Understanding> {
    catalog.understand(&world(), &case.context, &case.say, &now())
}

/// Whether it would change something, or asks for what is needed to.
pub fn changes(catalog: &Catalog, understanding: &Understanding) -> bool {
    match &understanding.meaning {
        Meaning::Call { effect, .. } => *effect != Effect::Read,
        Meaning::Missing { tool, .. } => catalog
            .tool(tool)
            .is_none_or(|tool| tool.effect != Effect::Read),
        Meaning::Apply => true,
        _ => false,
    }
}

/// Whether a sentence is understood as it should be.
pub fn is_right(catalog: &Catalog, case: &Case, got: &[Understanding]) -> bool {
    if case.none {
        let asked = |understanding: &Understanding| match &understanding.meaning {
            Meaning::Call { tool, .. } => Some(tool.clone()),
            _ => None,
        };
        return !got
            .iter()
            .any(|one| changes(catalog, one) || (case.not.is_some() && asked(one) == case.not));
    }
    if let Some(meaning) = &case.meaning {
        let [one] = got else { return false };
        let word = match one.meaning {
            Meaning::Help { .. } => "help",
            Meaning::Why => "why",
            Meaning::Cancel => "cancel",
            Meaning::Apply => "apply",
            _ => "",
        };
        return word == meaning;
    }
    got.len() == case.calls.len()
        && case.calls.iter().zip(got).all(|(expected, got)| {
            let (tool, arguments, missing) = match &got.meaning {
                Meaning::Call {
                    tool, arguments, ..
                } => (tool, arguments, false),
                Meaning::Missing {
                    tool, arguments, ..
                } => (tool, arguments, true),
                _ => return false,
            };
            let same = expected
                .arguments
                .as_ref()
                .is_none_or(|expected| expected == arguments);
            expected.tool.has(tool) && same && expected.missing == missing
        })
}

/// How a part came out.
#[derive(Default)]
pub struct Score {
    /// Right ones and all, by kind.
    pub kinds: BTreeMap<String, (usize, usize)>,
    /// Changes that came out of sentences that ask for none.
    pub changes: usize,
    /// What came out wrong.
    pub wrong: Vec<String>,
}

impl Score {
    /// The share of right ones, of kinds that ask for something or of those that do not.
    pub fn share(&self, negative: bool) -> f64 {
        let kinds = self
            .kinds
            .iter()
            .filter(|(kind, _)| kind.starts_with("negative") == negative);
        let (right, all) = kinds.fold((0, 0), |sum, (_, (right, all))| {
            (sum.0 + right, sum.1 + all)
        });
        right as f64 / all as f64
    }

    /// A table of it.
    pub fn table(&self, part: &str) -> String {
        let mut text = format!("{part}\n");
        for (kind, (right, all)) in &self.kinds {
            let share = 100.0 * *right as f64 / *all as f64;
            let _ = writeln!(text, "  {kind:<24} {right:>3} of {all:>3}  {share:5.1} %");
        }
        let positive = 100.0 * self.share(false);
        let _ = writeln!(
            text,
            "  understood {positive:.1} %; changes from sentences that ask for none: {}",
            self.changes
        );
        text
    }
}

/// Measures a part.
pub fn score(catalog: &Catalog, text: &str) -> Score {
    let mut score = Score::default();
    for case in cases(text) {
        let got = understand(catalog, &case);
        let right = is_right(catalog, &case, &got);
        let kind = score.kinds.entry(case.kind.clone()).or_default();
        kind.0 += usize::from(right);
        kind.1 += 1;
        if case.none {
            score.changes += got.iter().filter(|one| changes(catalog, one)).count();
        }
        if !right {
            let told: Vec<_> = got
                .iter()
                .map(|one| serde_json::to_string(&one.meaning).unwrap())
                .collect();
            score.wrong.push(format!(
                "[{}] {} => {}",
                case.kind,
                case.say,
                told.join(" ; ")
            ));
        }
    }
    score
}
