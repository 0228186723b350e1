//! What a question asks for: words that filter, and words that are looked for.

use jiff::Zoned;

use crate::concepts;
use crate::tokens::stems;
use crate::when::{self, Period};

use super::database::{Database, Kind, Wanted};

/// Words of questions that say nothing of what is looked for.
const FILLERS: [&str; 46] = [
    "when",
    "who",
    "whom",
    "whose",
    "why",
    "where",
    "did",
    "were",
    "been",
    "being",
    "had",
    "having",
    "happen",
    "happened",
    "happening",
    "everything",
    "anything",
    "something",
    "every",
    "each",
    "entry",
    "entries",
    "event",
    "events",
    "we",
    "they",
    "them",
    "he",
    "she",
    "got",
    "get",
    "just",
    "recently",
    "ever",
    "after",
    "before",
    "since",
    "during",
    "until",
    "between",
    "not",
    "as",
    "so",
    "but",
    "while",
    "again",
];

/// Words with which people ask to be shown something, at the beginning of a question.
const REQUESTS: [&str; 10] = [
    "show", "list", "find", "search", "give", "tell", "display", "look", "see", "print",
];

/// The longest question that is looked at, in characters and in words.
const LONGEST: usize = 1000;
const MOST_WORDS: usize = 64;

/// What a question was understood as.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) period: Option<Period>,
    pub(crate) operations: Vec<String>,
    pub(crate) targets: Vec<String>,
    pub(crate) actors: Vec<String>,
    pub(crate) outcomes: Vec<String>,
    /// The words that no filter took.
    pub(crate) rest: String,
    /// The words of operations and outcomes, for when those filters leave nothing.
    operation_words: String,
    outcome_words: String,
    target_words: String,
    actor_words: String,
}

/// Which filter to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Operation,
    Outcome,
    Target,
    Actor,
}

struct Word<'a> {
    text: &'a str,
    lower: String,
    taken: bool,
}

impl Question {
    /// Takes a question apart.
    pub(crate) fn parse(text: &str, now: &Zoned, known: &Database) -> rusqlite::Result<Self> {
        let text: String = text.chars().take(LONGEST).collect();
        let trimmed = text
            .split_whitespace()
            .map(trim)
            .filter(|word| !word.is_empty());
        let mut words: Vec<Word<'_>> = trimmed
            .take(MOST_WORDS)
            .map(|text| Word {
                text,
                lower: text.to_lowercase(),
                taken: false,
            })
            .collect();
        let lower: Vec<_> = words.iter().map(|word| word.lower.clone()).collect();
        let lower: Vec<_> = lower.iter().map(String::as_str).collect();
        let (period, taken) = when::find(&lower, now);
        for (word, taken) in words.iter_mut().zip(taken) {
            word.taken = taken;
        }
        if let Some(first) = words.iter_mut().find(|word| !word.taken)
            && REQUESTS.contains(&first.lower.as_str())
        {
            first.taken = true;
        }
        let mut question = Self {
            period,
            ..Self::default()
        };
        question.find_targets(&mut words, known)?;
        question.find_actors(&mut words, known)?;
        question.find_outcomes(&mut words, known)?;
        question.find_operations(&mut words, known)?;
        let rest = words
            .iter()
            .filter(|word| !word.taken && !FILLERS.contains(&word.lower.as_str()));
        question.rest = rest.map(|word| word.text).collect::<Vec<_>>().join(" ");
        if stems(&question.rest).is_empty() {
            question.rest.clear();
        }
        Ok(question)
    }

    /// What entries must have.
    pub(crate) fn wanted(&self) -> Wanted {
        let (since, until) = self.period.as_ref().map_or((None, None), Period::seconds);
        Wanted {
            since,
            until,
            operations: self.operations.clone(),
            targets: self.targets.clone(),
            mentions: self.target_words.split(' ').map(str::to_owned).collect(),
            actors: self.actors.clone(),
            outcomes: self.outcomes.clone(),
        }
    }

    /// The filters that can be done without, the least certain first.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let parts = [
            (Part::Operation, &self.operations),
            (Part::Outcome, &self.outcomes),
            (Part::Actor, &self.actors),
            (Part::Target, &self.targets),
        ];
        let set = parts.into_iter().filter(|(_, names)| !names.is_empty());
        set.map(|(part, _)| part).collect()
    }

    /// Does without a filter: its words are looked for instead. Says what was given up.
    pub(crate) fn relax(&mut self, part: Part) -> String {
        let (names, words, what) = match part {
            Part::Operation => (&mut self.operations, &self.operation_words, "operation"),
            Part::Outcome => (&mut self.outcomes, &self.outcome_words, "outcome"),
            Part::Target => (&mut self.targets, &self.target_words, "target"),
            Part::Actor => (&mut self.actors, &self.actor_words, "actor"),
        };
        let names = std::mem::take(names);
        self.rest = [words, self.rest.as_str()].join(" ").trim().to_owned();
        format!("{what} {}", names.join(" or "))
    }

    fn find_targets(&mut self, words: &mut [Word<'_>], known: &Database) -> rusqlite::Result<()> {
        for word in words.iter_mut().filter(|word| !word.taken) {
            if !may_name(&word.lower) {
                continue;
            }
            let mut found = known.named(Kind::Target, word.text)?;
            found.retain(|name| !self.targets.contains(name));
            if !found.is_empty() {
                word.taken = true;
                push(&mut self.target_words, word.text);
                self.targets.append(&mut found);
            }
        }
        Ok(())
    }

    fn find_actors(&mut self, words: &mut [Word<'_>], known: &Database) -> rusqlite::Result<()> {
        for place in 0..words.len() {
            let said =
                place > 0 && matches!(words[place - 1].lower.as_str(), "by" | "user" | "from");
            let word = &words[place];
            if word.taken || !(said || may_name(&word.lower)) {
                continue;
            }
            let name = word.text.strip_suffix("'s").unwrap_or(word.text);
            let mut found = known.named(Kind::Actor, name)?;
            if !found.is_empty() {
                push(&mut self.actor_words, name);
                words[place].taken = true;
                if said {
                    words[place - 1].taken = true;
                }
                self.actors.append(&mut found);
            }
        }
        Ok(())
    }

    fn find_outcomes(&mut self, words: &mut [Word<'_>], known: &Database) -> rusqlite::Result<()> {
        let there = known.all_named(Kind::Outcome)?;
        for place in 0..words.len() {
            let before = place
                .checked_sub(1)
                .map(|place| words[place].lower.as_str());
            let meant: &[&str] = match words[place].lower.as_str() {
                "error" | "errors" | "failed" | "fail" | "fails" | "failing" | "failure"
                | "failures" | "unsuccessful" => &["failed", "undo-failed"],
                // These are words of errors as well.
                "refused" | "denied" | "rejected" | "refusals"
                    if !matches!(
                        before,
                        Some("connection" | "permission" | "access" | "operation")
                    ) =>
                {
                    &["refused"]
                }
                "succeeded" | "successful" | "successfully" => &["done", "applied"],
                "undone" => &["undone", "rolled-back"],
                "interrupted" => &["interrupted"],
                _ => continue,
            };
            let found = meant
                .iter()
                .filter(|name| there.iter().any(|there| there == *name));
            let found: Vec<_> = found.map(|name| (*name).to_owned()).collect();
            if !words[place].taken && !found.is_empty() {
                words[place].taken = true;
                push(&mut self.outcome_words, words[place].text);
                self.outcomes.extend(found);
            }
        }
        self.outcomes.sort_unstable();
        self.outcomes.dedup();
        Ok(())
    }

    /// An operation is asked for by its name, or by words that mean all of its parts.
    fn find_operations(
        &mut self,
        words: &mut [Word<'_>],
        known: &Database,
    ) -> rusqlite::Result<()> {
        let of_words: Vec<Vec<String>> = words
            .iter()
            .map(|word| match word.taken {
                true => Vec::new(),
                false => stems(&word.lower),
            })
            .collect();
        let mut used = vec![false; words.len()];
        for operation in known.all_named(Kind::Operation)? {
            let named = words
                .iter()
                .position(|word| !word.taken && word.lower == operation);
            let places = match named {
                Some(place) => Some(vec![place]),
                None => all_meant(&stems(&operation), &of_words),
            };
            for place in places.iter().flatten() {
                used[*place] = true;
            }
            if places.is_some() {
                self.operations.push(operation);
            }
        }
        for (word, used) in words.iter_mut().zip(used) {
            if used {
                word.taken = true;
                push(&mut self.operation_words, word.text);
            }
        }
        Ok(())
    }
}

/// Where the words stand that mean the parts of an operation, if all of them are there: two parts or more, and each
/// by a word of its own.
fn all_meant(parts: &[String], words: &[Vec<String>]) -> Option<Vec<usize>> {
    if parts.len() < 2 {
        return None;
    }
    let mut places = Vec::with_capacity(parts.len());
    for part in parts {
        let group = concepts::group(part);
        let means = |stems: &Vec<String>| {
            let mut stems = stems.iter();
            stems.any(|stem| stem == part || (group.is_some() && concepts::group(stem) == group))
        };
        let place =
            (0..words.len()).find(|place| !places.contains(place) && means(&words[*place]))?;
        places.push(place);
    }
    Some(places)
}

/// Whether a word may be somebody's or something's name, and not one that everybody says.
fn may_name(word: &str) -> bool {
    let stems = stems(word);
    let marked = word
        .chars()
        .any(|c| c.is_ascii_digit() || "-._/@:".contains(c));
    match stems.as_slice() {
        [] => false,
        [stem] if !marked => {
            word.chars().count() > 2
                && concepts::group(stem).is_none()
                && !FILLERS.contains(&word)
                && word != "host"
        }
        _ => true,
    }
}

/// A word without the punctuation around it.
fn trim(word: &str) -> &str {
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric() && !"/.@_".contains(c));
    let word = word.strip_suffix("...").unwrap_or(word);
    let end = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '.');
    // A full stop ends a sentence, and two leave a range open.
    match end.strip_suffix('.') {
        Some(rest) if !rest.ends_with('.') => rest,
        _ => end,
    }
}

fn push(all: &mut String, word: &str) {
    if !all.is_empty() {
        all.push(' ');
    }
    all.push_str(word);
}
