//! A clause as a call: which frame has a place for its words.

use search::when::Period;
use serde_json::{Map, Value};

use crate::catalog::Catalog;
use crate::context::Context;
use crate::fill::{Filled, Ground, fill};
use crate::frames::{FRAMES, Frame};
use crate::items::Item;
use crate::lexicon::{Mark, Noun, Sense, Verb};
use crate::meaning::Slot;
use crate::tool::{Effect, Tool};
use crate::world::World;

/// A part of a sentence that asks for one thing.
#[derive(Debug, Clone)]
pub(crate) struct Clause {
    pub(crate) items: Vec<Item>,
    pub(crate) text: String,
    pub(crate) period: Option<Period>,
    /// The sentence ends with a question mark.
    pub(crate) question: bool,
}

/// A clause as a frame reads it.
#[derive(Debug, Clone)]
pub(crate) struct Reading<'a> {
    pub(crate) tool: &'a Tool,
    pub(crate) filled: Filled,
    pub(crate) score: f64,
    /// Every word has a place.
    pub(crate) whole: bool,
}

impl<'a> Reading<'a> {
    /// One that leaves no doubt, by a form of its own: it goes before what frames make of the words.
    pub(crate) fn sure(tool: &'a Tool, arguments: Map<String, Value>, missing: Vec<Slot>) -> Self {
        Self {
            tool,
            filled: Filled {
                arguments,
                missing,
                sure: true,
                ..Filled::default()
            },
            score: 5.0,
            whole: true,
        }
    }
}

/// Where the verb that leads a clause stands, if it has one: behind words that say nothing, or behind a noun as in
/// `container list`.
pub(crate) fn head(items: &[Item]) -> Option<usize> {
    let first = items
        .iter()
        .position(|item| item.verbs().next().is_some() || !item.is_fill())?;
    if items[first].verbs().next().is_some() {
        return Some(first);
    }
    let program = |item: &Item| matches!(item.lower.as_str(), "op-dbus" | "opdbus" | "sudo");
    let command = items[..first].iter().all(program) && items[first].nouns().next().is_some();
    let second = items.get(first + 1)?;
    let is_order = second.verbs().next().is_some() && second.nouns().next().is_none();
    (command && is_order && !second.is_fill()).then_some(first + 1)
}

impl Clause {
    /// The verbs that the leading word may be; those of looking where there is none.
    pub(crate) fn verbs(&self) -> Vec<Verb> {
        match head(&self.items) {
            Some(at) => self.items[at].verbs().collect(),
            None => vec![Verb::Show, Verb::List],
        }
    }

    /// It begins with an order to change something.
    pub(crate) fn changes(&self) -> bool {
        head(&self.items).is_some_and(|at| changes(&self.items[at]))
    }

    /// Somebody asks, instead of ordering.
    pub(crate) fn asks(&self) -> bool {
        let polite = self.items.iter().take(3).any(|item| {
            let words = ["can you", "could you", "will you", "would you"];
            item.is_fill() && words.iter().any(|polite| item.lower.starts_with(polite))
        });
        let upto = head(&self.items).map_or(self.items.len(), |at| at + 1);
        let question = self.items[..upto]
            .iter()
            .any(|item| item.has(Sense::Question));
        question || (self.question && !polite)
    }

    /// Words that nobody orders with, or an order that does not lead the sentence.
    pub(crate) fn is_no_order(&self, used: &[bool]) -> bool {
        let head = head(&self.items);
        let at_head = |at: usize| Some(at) == head;
        self.items
            .iter()
            .zip(used)
            .enumerate()
            .any(|(at, (item, used))| {
                let only_verb = !item.senses.is_empty()
                    && item
                        .senses
                        .iter()
                        .all(|sense| matches!(sense, Sense::Verb(_)));
                let guards = item.has(Sense::Guard) && !item.is_fill();
                !used && !at_head(at) && (guards || (only_verb && changes(item)))
            })
    }

    /// Somebody asks what was done: a question for the ledger.
    pub(crate) fn asks_past(&self) -> bool {
        let leads = head(&self.items).is_none_or(|at| {
            let item = &self.items[at];
            item.has(Sense::Question)
                || item
                    .verbs()
                    .any(|verb| matches!(verb, Verb::Show | Verb::List | Verb::Diff))
        });
        let opens = self.items.first().is_some_and(|item| {
            let asks = [
                "what", "which", "who", "when", "how many", "was", "were", "did", "has", "have",
                "show", "show me", "list",
            ];
            asks.contains(&item.lower.split(' ').next().unwrap_or_default())
                || item.lower == "how many"
                || item.lower == "show me"
        });
        let ordinary = |noun: &Noun| {
            !matches!(
                noun,
                Noun::Container
                    | Noun::Run
                    | Noun::State
                    | Noun::Template
                    | Noun::Package
                    | Noun::Snapshot
                    | Noun::Host
            )
        };
        let other = self.items.iter().any(|item| {
            let known = item.has(Sense::Past)
                || item
                    .known
                    .iter()
                    .any(|known| known.kind != crate::world::Kind::User);
            !known && item.nouns().next().is_some() && item.nouns().all(|noun| ordinary(&noun))
        });
        // "Stopped" says how containers are, unless it says when that was or who did it.
        let history = |item: &Item| {
            ["was", "were", "did", "has", "have", "who", "when"].contains(&item.lower.as_str())
        };
        let stands = self.period.is_none() && !self.items.iter().any(history);
        let past = self.items.iter().any(|item| {
            item.has(Sense::Past) && item.lower != "running" && !(item.lower == "stopped" && stands)
        }) || (self.period.is_some()
            && self
                .items
                .iter()
                .any(|item| item.has(Sense::State("failed"))));
        let when = self
            .items
            .first()
            .is_some_and(|item| item.lower == "who" || item.lower == "when");
        leads && opens && past && !other && (when || self.items.len() > 1)
    }
}

/// Whether the word is an order to change something.
pub(crate) fn changes(item: &Item) -> bool {
    let looks = [
        Verb::Show,
        Verb::List,
        Verb::Read,
        Verb::Search,
        Verb::Count,
        Verb::Verify,
        Verb::Validate,
        Verb::Query,
    ];
    item.verbs().any(|verb| !looks.contains(&verb))
        && !item.verbs().any(|verb| looks.contains(&verb))
}

/// Reads a clause: the frame that has a place for most of its words.
pub(crate) fn read<'a>(
    catalog: &'a Catalog,
    clause: &Clause,
    world: &World,
    context: &Context,
) -> Option<Reading<'a>> {
    let verbs = clause.verbs();
    let tools = catalog.names();
    let mut best: Option<Reading<'a>> = None;
    for frame in FRAMES {
        if !frame.verbs.iter().any(|verb| verbs.contains(verb)) {
            continue;
        }
        let Some(tool) = catalog.tool(frame.tool) else {
            continue;
        };
        let ground = Ground {
            items: &clause.items,
            period: clause.period.as_ref(),
            world,
            context,
            tools: &tools,
            effect: tool.effect,
        };
        let Some(reading) = weigh(
            frame,
            tool,
            clause,
            fill(frame, &ground, Map::new()),
            context,
        ) else {
            continue;
        };
        if best
            .as_ref()
            .is_none_or(|best| reading.score > best.score + 1e-9)
        {
            best = Some(reading);
        }
    }
    best
}

/// How well a filled frame fits a clause; nothing where it is about something else.
fn weigh<'a>(
    frame: &Frame,
    tool: &'a Tool,
    clause: &Clause,
    mut filled: Filled,
    context: &Context,
) -> Option<Reading<'a>> {
    let head = head(&clause.items);
    let named =
        clause.items.iter().enumerate().any(|(at, item)| {
            Some(at) != head && item.nouns().any(|noun| frame.nouns.contains(&noun))
        }) || head.is_none()
            && clause
                .items
                .iter()
                .any(|item| item.nouns().any(|noun| frame.nouns.contains(&noun)));
    let bare = frame.bare && head.is_some();
    if !(named || filled.sure || bare) {
        return None;
    }
    if let Some(at) = head {
        filled.used[at] = true;
    }
    connect(&clause.items, &mut filled.used);
    let content = clause
        .items
        .iter()
        .zip(&filled.used)
        .filter(|(item, _)| !item.is_fill());
    let (mut used, mut lost) = (0.0, Vec::new());
    for (item, is_used) in content {
        match is_used {
            true => used += 1.0,
            // That all are meant needs no place, nor does a state of what is looked at.
            false if tool.effect == Effect::Read && is_light(item) => {}
            false => lost.push(item.text.as_str()),
        }
    }
    let (left, whole) = (lost.len() as f64, lost.is_empty());
    if tool.effect != Effect::Read && (!whole || clause.asks()) {
        return None;
    }
    if tool.effect == Effect::Read
        && (clause.is_no_order(&filled.used) || (left > 1.0 && left >= used))
    {
        return None;
    }
    let filled_in = filled.arguments.len() as f64;
    let mut score = used + 0.3 * filled_in - 1.5 * filled.missing.len() as f64 - left;
    score += if named { 0.5 } else { 0.0 } + if filled.sure { 0.25 } else { 0.0 };
    // A bare `it` is about what was talked of.
    score -= if filled.doubt { 2.0 } else { 0.0 };
    if clause.items.iter().any(|item| item.is(Mark::It))
        && context.tool.is_some()
        && !filled.sure
        && frame.arguments.iter().any(|argument| argument.needed)
    {
        score -= 0.5;
    }
    if !whole {
        let lost = lost.join(" ");
        filled
            .notes
            .push(format!("what `{lost}` means is not known"));
    }
    Some(Reading {
        tool,
        filled,
        score,
        whole,
    })
}

/// Words that lead from one thing to the next have a place where the next has one.
fn connect(items: &[Item], used: &mut [bool]) {
    let leads = [
        Mark::And,
        Mark::From,
        Mark::To,
        Mark::In,
        Mark::On,
        Mark::With,
        Mark::By,
        Mark::As,
    ];
    for at in 0..items.len() {
        if !used[at] && leads.iter().any(|mark| items[at].is(*mark)) {
            let next = (at + 1..items.len()).find(|next| !items[*next].is_fill() || used[*next]);
            used[at] = next.is_some_and(|next| used[next]);
        }
    }
}

/// Words that a question may have without changing what is looked at.
pub(crate) fn is_light(item: &Item) -> bool {
    let senses = item.senses.iter();
    let mut light = senses.map(|sense| match sense {
        Sense::Mark(mark) => matches!(
            mark,
            Mark::All
                | Mark::And
                | Mark::In
                | Mark::On
                | Mark::From
                | Mark::It
                | Mark::By
                | Mark::With
                | Mark::Last
                | Mark::To
                | Mark::Too
        ),
        Sense::State(_) | Sense::Question => true,
        Sense::Verb(verb) => matches!(verb, Verb::Show | Verb::List | Verb::Count),
        _ => false,
    });
    light.any(|light| light)
}

/// Arguments in words, for people.
pub(crate) fn told(arguments: &Map<String, Value>) -> String {
    let parts = arguments.iter().map(|(key, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| {
                        item.as_str()
                            .map_or_else(|| item.to_string(), str::to_owned)
                    })
                    .collect();
                items.join(" ")
            }
            other => other.to_string(),
        };
        format!("{} {value}", key.replace('_', " "))
    });
    parts.collect::<Vec<_>>().join(", ")
}
