//! Sentences that go on with what was said before.

use crate::catalog::Catalog;
use crate::context::Context;
use crate::fill::{Filled, Ground, fill};
use crate::frames::{FRAMES, Frame, From};
use crate::grammar::{Clause, Reading, changes, is_light};
use crate::items::Item;
use crate::lexicon::{Mark, Sense};
use crate::tool::Effect;
use crate::world::World;

/// A follow-up: what was asked last, of something else, or again.
pub(crate) fn follow<'a>(
    catalog: &'a Catalog,
    clause: &Clause,
    world: &World,
    context: &Context,
) -> Option<Reading<'a>> {
    let tool = catalog.tool(context.tool.as_deref()?)?;
    let last = context.arguments.as_object().cloned().unwrap_or_default();
    let again = [
        "again",
        "once more",
        "do it again",
        "do that again",
        "repeat",
        "repeat that",
        "same again",
        "one more time",
        "and again",
        "try again",
        "retry",
    ];
    let text = clause.text.to_lowercase();
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    if again.contains(&text) && context.missing.is_empty() {
        let filled = Filled {
            arguments: last,
            ..Filled::default()
        };
        return Some(Reading {
            tool,
            filled,
            score: 2.0,
            whole: true,
        });
    }
    let answers = !context.missing.is_empty();
    let more = [
        "and ",
        "also ",
        "same for ",
        "the same for ",
        "what about ",
        "how about ",
        "do the same for ",
        "same with ",
        "now ",
        "then ",
    ];
    let continues = more.iter().any(|more| text.starts_with(more))
        || text.ends_with(" too")
        || text.ends_with(" as well")
        || text.ends_with(" also");
    if !answers && !continues {
        return None;
    }
    let orders = clause.items.iter().any(changes);
    if orders
        || (clause.asks()
            && tool.effect != Effect::Read
            && !text.starts_with("what about")
            && !text.starts_with("how about"))
    {
        return None;
    }
    let frames = FRAMES.iter().filter(|frame| frame.tool == tool.name);
    let readings = frames.filter_map(|frame| {
        let tools = catalog.names();
        let mut items = clause.items.clone();
        if !answers
            && let Some(at) = items
                .iter()
                .position(|item| item.is_odd() && item.is_free() && item.known.is_empty())
        {
            let named = vec![Sense::Mark(Mark::Named)];
            items.insert(
                at,
                Item {
                    senses: named,
                    ..Item::default()
                },
            );
        }
        if answers {
            lead(&mut items, frame, &context.missing[0].name);
        }
        let ground = Ground {
            items: &items,
            period: clause.period.as_ref(),
            world,
            context,
            tools: &tools,
            effect: tool.effect,
        };
        let mut known = last.clone();
        if !answers {
            // What the sentence names takes the place of what was named before.
            let key = frame
                .arguments
                .iter()
                .find(|argument| argument.needed)?
                .name;
            known.remove(key);
        }
        let before = known.len();
        let filled = fill(frame, &ground, known);
        let fresh = filled.arguments.len() > before || filled.each.is_some();
        let words = [
            "same",
            "what about",
            "how about",
            "do",
            "what",
            "how",
            "and",
            "also",
            "too",
        ];
        let whole = items.iter().zip(&filled.used).all(|(item, used)| {
            *used || item.is_fill() || is_light(item) || words.contains(&item.lower.as_str())
        });
        let score = 2.0 - filled.missing.len() as f64;
        (fresh && whole).then_some(Reading {
            tool,
            filled,
            score,
            whole,
        })
    });
    readings.max_by(|one, other| one.score.total_cmp(&other.score))
}

/// Lets an answer be read as what was asked for: a name behind `named`.
fn lead(items: &mut Vec<Item>, frame: &Frame, name: &str) {
    let from = frame
        .arguments
        .iter()
        .find(|argument| argument.name == name)
        .map(|argument| argument.from);
    let mark = match from {
        Some(From::New | From::Known(_) | From::Only(_)) => Mark::Named,
        Some(From::Template) => Mark::From,
        _ => return,
    };
    let item = Item {
        senses: vec![Sense::Mark(mark)],
        ..Item::default()
    };
    for item in items
        .iter_mut()
        .filter(|item| item.is_free() && item.known.iter().all(|known| known.near))
    {
        item.known.clear();
    }
    items.insert(0, item);
}
