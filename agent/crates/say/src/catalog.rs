//! The tools, and what is understood by them.

use std::collections::HashMap;

use jiff::Zoned;
use serde_json::{Map, Value};

use crate::clauses::clauses;
use crate::context::Context;
use crate::follow::follow;
use crate::grammar::{self, Clause, Reading, told};
use crate::items::{Names, items, join_particles};
use crate::meaning::{Alternative, Meaning, Slot, Understanding};
use crate::rank::Ranker;
use crate::talk;
use crate::tool::{Effect, Tool};
use crate::words::{Sentence, sentences};
use crate::world::World;

/// How near a tool that only reads has to come to be asked without the grammar.
const NEAR: f64 = 0.62;
/// How near a tool has to come to be offered.
const OFFERED: f64 = 0.2;
/// How many tools are offered.
const OFFERS: usize = 3;

/// The tools that sentences can ask for.
#[derive(Debug)]
pub struct Catalog {
    tools: Vec<Tool>,
    by_name: HashMap<String, usize>,
    ranker: Ranker,
}

impl Catalog {
    /// A catalogue of these tools.
    pub fn new(tools: Vec<Tool>) -> Self {
        let by_name = tools
            .iter()
            .enumerate()
            .map(|(place, tool)| (tool.name.clone(), place))
            .collect();
        let ranker = Ranker::new(&tools);
        Self {
            tools,
            by_name,
            ranker,
        }
    }

    /// The tools.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// One tool.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.by_name
            .get(name)
            .and_then(|place| self.tools.get(*place))
    }

    /// The names of all tools.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    /// What a text means, sentence by sentence; a sentence about several things gives one for each of them.
    ///
    /// What changes something is understood only where every sentence of the text is: a text of which parts are not
    /// understood is no order. Only the first [`crate::LONGEST`] bytes are looked at.
    pub fn understand(
        &self,
        world: &World,
        context: &Context,
        text: &str,
        now: &Zoned,
    ) -> Vec<Understanding> {
        let cut = (0..=text.len().min(crate::LONGEST))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        let cut = cut.unwrap_or_default();
        let (sentences, more) = sentences(&text[..cut]);
        let names = Names::of(world);
        let mut context = context.clone();
        let mut all = Vec::new();
        let mut orders = !more && cut == text.len();
        for sentence in sentences {
            orders &= !sentence.told;
            for understanding in self.sentence(world, &names, &mut context, sentence, now) {
                // Offered by likeness, or not at all: not understood word by word.
                orders &= understanding.score >= 1.0
                    || matches!(understanding.meaning, Meaning::Help { .. });
                all.push(understanding);
            }
        }
        if !orders {
            all.iter_mut()
                .for_each(|understanding| self.withdraw(understanding));
        }
        if all.is_empty() {
            all.push(self.unknown(text.trim(), "Nothing was said", &[]));
        }
        for understanding in &mut all {
            understanding.score = understanding.score.clamp(0.0, 1.0);
        }
        all
    }

    fn sentence(
        &self,
        world: &World,
        names: &Names,
        context: &mut Context,
        sentence: Sentence,
        now: &Zoned,
    ) -> Vec<Understanding> {
        if let Some(understanding) = talk::small(&sentence, context) {
            context.note(&understanding);
            return vec![understanding];
        }
        let mut words = sentence.words;
        join_particles(&mut words);
        let (items, period) = items(&words, names, now);
        let mut all = Vec::new();
        for clause in clauses(items, &sentence.text, period, sentence.question) {
            let understandings = self.clause(world, context, &clause);
            if let Some(last) = understandings.last() {
                context.note(last);
            }
            all.extend(understandings);
        }
        all
    }

    fn clause(&self, world: &World, context: &Context, clause: &Clause) -> Vec<Understanding> {
        if let Some(reading) = talk::named_tool(self, clause).or_else(|| talk::exec(self, clause)) {
            return self.told(clause, reading);
        }
        if let Some(reading) = follow(self, clause, world, context) {
            return self.told(clause, reading);
        }
        let reading = grammar::read(self, clause, world, context);
        let sure = reading
            .as_ref()
            .is_some_and(|reading| reading.filled.sure && reading.whole);
        if clause.asks_past()
            && !sure
            && let Some(tool) = self.tool("search")
        {
            let query = clause.text.trim_end_matches(|c: char| ".!?".contains(c));
            let arguments = Map::from_iter([("query".to_owned(), Value::from(query))]);
            let filled = crate::fill::Filled {
                arguments,
                ..Default::default()
            };
            return self.told(
                clause,
                Reading {
                    tool,
                    filled,
                    score: 2.0,
                    whole: true,
                },
            );
        }
        if let Some(reading) = reading {
            return self.told(clause, reading);
        }
        vec![self.guess(world, context, clause)]
    }

    /// What a reading means: one understanding for each thing that it is about.
    fn told(&self, clause: &Clause, reading: Reading<'_>) -> Vec<Understanding> {
        let tool = reading.tool;
        let each = match &reading.filled.each {
            // What is not known is asked for once, and then holds for each.
            Some((name, values)) if !reading.filled.missing.is_empty() => {
                vec![Some((*name, Value::from(values.clone())))]
            }
            Some((name, values)) => {
                let values = values.iter().map(String::as_str);
                values.map(|value| Some((*name, value.into()))).collect()
            }
            None => vec![None],
        };
        let of = |one: Option<(&str, Value)>| {
            let mut arguments = reading.filled.arguments.clone();
            if let Some((name, value)) = one {
                arguments.insert(name.to_owned(), value);
            }
            self.understanding(
                clause,
                tool,
                arguments,
                reading.filled.missing.clone(),
                &reading,
            )
        };
        each.into_iter().map(of).collect()
    }

    fn understanding(
        &self,
        clause: &Clause,
        tool: &Tool,
        arguments: Map<String, Value>,
        missing: Vec<Slot>,
        reading: &Reading<'_>,
    ) -> Understanding {
        let mut understood = tool.title.clone();
        if !arguments.is_empty() {
            understood = format!("{understood}: {}", told(&arguments));
        }
        for note in &reading.filled.notes {
            understood = format!("{understood} ({note})");
        }
        let meaning = match missing.is_empty() {
            true => Meaning::call(&tool.name, arguments, tool.effect),
            false => {
                let questions: Vec<_> = missing.iter().map(|slot| slot.question.as_str()).collect();
                understood = format!("{understood}. {}", questions.join(" "));
                Meaning::Missing {
                    tool: tool.name.clone(),
                    arguments: Value::Object(arguments),
                    what: missing,
                }
            }
        };
        Understanding {
            sentence: clause.text.clone(),
            understood,
            meaning,
            // Less than 1 where a word has no place: then nothing in the same message changes anything.
            score: if reading.whole { 1.0 } else { 0.8 },
            alternatives: self.alternatives(&clause.text, Some(&tool.name)),
        }
    }

    /// The nearest tool, if it comes near enough and only reads; else what to offer.
    fn guess(&self, world: &World, context: &Context, clause: &Clause) -> Understanding {
        let near = self.ranker.near(&self.tools, &clause.text, OFFERS);
        let orders = clause.is_no_order(&vec![false; clause.items.len()]);
        // Who wants something changed is not shown it instead.
        let looks = !orders && !clause.changes();
        if let Some(best) = near.first().filter(|best| best.score >= NEAR && looks) {
            let tool = &self.tools[best.tool];
            let filled = talk::by_frames(self, tool, clause, world, context);
            if tool.effect == Effect::Read
                && let Some(filled) = filled.filter(|filled| filled.missing.is_empty())
            {
                let arguments = filled.arguments.clone();
                let reading = Reading {
                    tool,
                    filled,
                    score: best.score,
                    whole: false,
                };
                let mut understanding =
                    self.understanding(clause, tool, arguments, Vec::new(), &reading);
                understanding.score = best.score;
                return understanding;
            }
        }
        let why = match orders
            || clause.asks()
                && near
                    .first()
                    .is_some_and(|near| self.tools[near.tool].effect != Effect::Read)
        {
            true => "That is not taken for an order, so nothing is done",
            false => "That is not understood",
        };
        let alternatives: Vec<_> = near
            .into_iter()
            .filter(|near| near.score >= OFFERED)
            .map(|near| Alternative {
                sentence: near.sentence,
                tool: self.tools[near.tool].name.clone(),
            })
            .collect();
        self.unknown(&clause.text, why, &alternatives)
    }

    fn unknown(&self, sentence: &str, why: &str, alternatives: &[Alternative]) -> Understanding {
        let hint = match alternatives.is_empty() {
            true => "`help` tells what can be said",
            false => "perhaps one of these was meant",
        };
        Understanding {
            sentence: sentence.to_owned(),
            understood: format!("{why}: {hint}."),
            meaning: Meaning::Unknown,
            score: 0.0,
            alternatives: alternatives.to_vec(),
        }
    }

    /// The tools by how near they come to some words, best first; those that do not come near at all are left out.
    pub fn near(&self, text: &str) -> impl Iterator<Item = &Tool> {
        let near = self.ranker.near(&self.tools, text, self.tools.len());
        let near = near.into_iter().filter(|near| near.score >= OFFERED);
        near.map(|near| &self.tools[near.tool])
    }

    fn alternatives(&self, text: &str, but: Option<&str>) -> Vec<Alternative> {
        let near = self.ranker.near(&self.tools, text, OFFERS + 1).into_iter();
        let near = near.filter(|near| near.score >= OFFERED);
        let named = near.map(|near| Alternative {
            sentence: near.sentence,
            tool: self.tools[near.tool].name.clone(),
        });
        named
            .filter(|near| Some(near.tool.as_str()) != but)
            .take(OFFERS)
            .collect()
    }

    /// Takes back what would change something, since not all that was said is understood; it is offered instead.
    fn withdraw(&self, understanding: &mut Understanding) {
        let tool = match &understanding.meaning {
            Meaning::Call { tool, .. } | Meaning::Missing { tool, .. } => tool,
            // Agreement counts only where nothing else is said.
            Meaning::Apply => {
                understanding.meaning = Meaning::Unknown;
                return;
            }
            _ => return,
        };
        if self
            .tool(tool)
            .is_none_or(|tool| tool.effect == Effect::Read)
        {
            return;
        }
        let offer = Alternative {
            sentence: understanding.sentence.clone(),
            tool: tool.clone(),
        };
        let rest = std::mem::take(&mut understanding.alternatives).into_iter();
        let alternatives: Vec<_> = std::iter::once(offer).chain(rest).take(OFFERS).collect();
        let why = "Not all of the message is understood, so nothing of it is done";
        *understanding = self.unknown(&understanding.sentence, why, &alternatives);
    }
}
