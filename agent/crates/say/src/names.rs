//! Names in a sentence: those that are known, and those that are new.

use serde_json::{Value, json};

use crate::context::Context;
use crate::fill::{Filled, Ground, mark_before, next, take};
use crate::frames::{Argument, Frame, From};
use crate::items::Item;
use crate::lexicon::{Mark, Noun, Sense};
use crate::tool::Effect;
use crate::world::Kind;

/// The most things that one sentence may be about.
const MOST: usize = 50;

/// Names of a kind: those that are known first, then what stands beside the noun.
pub(crate) fn known(
    frame: &Frame,
    argument: &Argument,
    kind: Kind,
    ground: &Ground<'_>,
    filled: &mut Filled,
) -> Option<Value> {
    let items = ground.items;
    let mut found: Vec<String> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(known) = item.known.iter().find(|known| known.kind == kind) else {
            continue;
        };
        if filled.used[at] || (!found.is_empty() && !argument.needed) {
            continue;
        }
        // What is lost for good is named as it is.
        if known.near && ground.effect == Effect::Destroy {
            filled.used[at] = true;
            filled
                .notes
                .push(format!("`{}` is not known; {} is", item.text, known.name));
            continue;
        }
        if known.near {
            filled
                .notes
                .push(format!("`{}` read as {}", item.text, known.name));
        }
        filled.used[at] = true;
        filled.sure = true;
        found.push(known.name.clone());
        if !argument.needed
            || frame
                .arguments
                .iter()
                .any(|argument| matches!(argument.from, From::Second(_)))
        {
            break;
        }
    }
    if found.is_empty() {
        found.extend(unknown(frame, argument, kind, items, filled));
    }
    if found.is_empty()
        && let Some(at) = next(items, &filled.used, |item| item.is(Mark::It))
        && let Some(name) = spoken_of(kind, ground.context)
    {
        filled.used[at] = true;
        filled.sure = true;
        found.push(name);
    }
    filled
        .used
        .iter_mut()
        .zip(items)
        .for_each(|(used, item)| *used |= item.is(Mark::And) && found.len() > 1);
    match found.len() {
        // Which of them is asked; nothing is done to all at once.
        0 => {
            let all = argument
                .needed
                .then(|| items.iter().position(|item| item.is(Mark::All)));
            if let Some(at) = all.flatten() {
                filled.used[at] = true;
            }
            None
        }
        1 => found.pop().map(|name| json!(name)),
        _ => {
            found.dedup();
            filled.each = Some((argument.name, found));
            None
        }
    }
}

/// A name that is not known, where the noun beside it or its own form says what it names.
fn unknown(
    frame: &Frame,
    argument: &Argument,
    kind: Kind,
    items: &[Item],
    filled: &mut Filled,
) -> Option<String> {
    let free = |item: &Item| {
        item.is_free() && item.known.is_empty() && item.is_name() && item.number().is_none()
    };
    let suffixed = |item: &Item| {
        kind == Kind::Unit && item.is_name() && item.lower.contains(".") && {
            const TYPES: [&str; 8] = [
                ".service", ".timer", ".socket", ".target", ".mount", ".slice", ".path", ".scope",
            ];
            TYPES.iter().any(|suffix| item.lower.ends_with(suffix))
        }
    };
    let at = next(items, &filled.used, suffixed).or_else(|| {
        if !argument.needed && kind != Kind::Unit {
            return None;
        }
        // What something uses has no name.
        let names = |noun: &Noun| !matches!(noun, Noun::Memory | Noun::Processor | Noun::Resources);
        let noun = |item: &Item| {
            let mut nouns = item.nouns().filter(names);
            nouns.any(|noun| frame.nouns.contains(&noun) || frame.also.contains(&noun))
        };
        let beside = |at: usize| {
            let before = items[..at]
                .iter()
                .rev()
                .find(|item| !item.is_fill() || item.is(Mark::Named));
            let one = |item: &Item| noun(item) && !item.lower.ends_with('s');
            let after = items.get(at + 1);
            let named = before.is_some_and(|item| item.is(Mark::Named) || one(item));
            named || after.is_some_and(one)
        };
        let target = kind == Kind::Target;
        (0..items.len()).find(|at| {
            !filled.used[*at]
                && free(&items[*at])
                && match target {
                    true => at.checked_sub(1).is_some_and(|to| items[to].is(Mark::To)),
                    false => beside(*at),
                }
        })
    })?;
    if kind == Kind::Interface || (kind == Kind::Unit && !argument.needed && !suffixed(&items[at]))
    {
        return None;
    }
    filled.used[at] = true;
    mark_before(items, &mut filled.used, at, Mark::Named);
    mark_before(items, &mut filled.used, at, Mark::To);
    filled.sure = kind != Kind::Target;
    let name = items[at].text.trim_end_matches("'s").to_owned();
    match kind == Kind::Unit && !name.contains('.') {
        true => Some(format!("{name}.service")),
        false => Some(name),
    }
}

/// The thing of a kind that was talked of last.
pub(crate) fn spoken_of(kind: Kind, context: &Context) -> Option<String> {
    let tool = context.tool.as_deref()?;
    let frames = crate::frames::FRAMES
        .iter()
        .filter(|frame| frame.tool == tool);
    frames
        .flat_map(|frame| frame.arguments)
        .find_map(|argument| {
            let of = match argument.from {
                From::Known(kind) | From::Only(kind) => kind,
                From::New if tool == "container_create" => Kind::Container,
                From::New if tool == "snapshot_create" => Kind::Snapshot,
                _ => return None,
            };
            let name = context.arguments[argument.name].as_str()?;
            (of == kind).then(|| name.to_owned())
        })
}

/// Names of what is to be made: behind `named` or the noun, and ranges of them.
pub(crate) fn new(argument: &Argument, ground: &Ground<'_>, filled: &mut Filled) -> Option<Value> {
    let items = ground.items;
    let may = |item: &Item| {
        (item.is_free() || item.quoted || item.is_odd() || !item.known.is_empty()) && item.is_name()
    };
    let made = |item: &Item| {
        item.nouns()
            .any(|noun| matches!(noun, Noun::Container | Noun::Snapshot | Noun::Learned))
    };
    let behind = (1..items.len()).find(|at| {
        let before = items[..*at]
            .iter()
            .rev()
            .find(|item| !item.is_fill() || item.is(Mark::Named));
        let named = before.is_some_and(|item| item.is(Mark::Named) || item.is(Mark::As));
        let noun = before.is_some_and(made)
            && items[*at]
                .known
                .iter()
                .all(|known| known.kind != Kind::Template);
        (named || noun) && may(&items[*at]) && items[*at].number().is_none()
    });
    let free = |item: &Item| item.is_odd() && item.is_free() && item.known.is_empty();
    let Some(first) = behind.or_else(|| next(items, &filled.used, free)) else {
        // What they are to be called is asked.
        if let Some((at, _)) = count(items) {
            filled.used[at] = true;
        }
        return None;
    };
    filled.doubt = items[first]
        .known
        .iter()
        .any(|known| known.kind == Kind::Container && !known.near);
    let mut names = vec![items[first].text.clone()];
    filled.used[first] = true;
    mark_before(items, &mut filled.used, first, Mark::Named);
    mark_before(items, &mut filled.used, first, Mark::As);
    let mut at = first;
    while names.len() < MOST && at + 1 < items.len() {
        let here = &items[at];
        let after = &items[at + 1];
        let (joined, to, step) = match items.get(at + 2) {
            Some(name) if after.is(Mark::And) => (may(name).then_some(name), false, 2),
            Some(name) if after.is(Mark::To) || after.lower == "-" => {
                (may(name).then_some(name), true, 2)
            }
            _ if here.comma => ((may(after) && after.is_odd()).then_some(after), false, 1),
            _ => (None, false, 0),
        };
        let Some(name) = joined else { break };
        match to {
            true => names.extend(between(&items[at].text, &name.text)?),
            false => names.push(name.text.clone()),
        }
        filled.used[at + 1..=at + step].fill(true);
        at += step;
    }
    if let [only] = names.as_slice()
        && let Some((from, to)) = only.split_once("..")
    {
        names = std::iter::once(from.to_owned())
            .chain(between(from, to.trim_start_matches('.'))?)
            .collect();
    }
    counted(items, filled, &mut names)?;
    match names.len() {
        1 => names.pop().map(|name| json!(name)),
        _ => {
            filled.each = Some((argument.name, names));
            None
        }
    }
}

/// How many containers a sentence speaks of, and where it says so: `three containers`.
pub(crate) fn count(items: &[Item]) -> Option<(usize, usize)> {
    let mut nouns = items.iter();
    let noun = nouns.position(|item| item.has(Sense::Noun(Noun::Container)))?;
    let at = items[..noun]
        .iter()
        .rposition(|item| item.number().is_some() && item.is_free())?;
    Some((at, usize::try_from(items[at].number()?).ok()?))
}

/// A number of things before the noun has to be that of the names; one name stands for as many with numbers.
fn counted(items: &[Item], filled: &mut Filled, names: &mut Vec<String>) -> Option<()> {
    let Some((at, count)) = count(items) else {
        return Some(());
    };
    if names.len() == 1 && (2..=MOST).contains(&count) {
        let stem = names[0].trim_end_matches('-').to_owned();
        *names = (1..=count)
            .map(|number| format!("{stem}-{number}"))
            .collect();
    }
    if names.len() != count {
        return None;
    }
    filled.used[at] = true;
    Some(())
}

/// `web-2`, `web-3` for `web-1` and `web-3`: those after the first.
fn between(from: &str, to: &str) -> Option<Vec<String>> {
    let split = |name: &str| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        Some((stem.to_owned(), digits.len(), digits.parse::<usize>().ok()?))
    };
    let (stem, width, first) = split(from)?;
    let (other, _, last) = split(to)?;
    let fits = stem == other || other.is_empty();
    (fits && first < last && last - first < MOST).then(|| {
        (first + 1..=last)
            .map(|number| format!("{stem}{number:0width$}"))
            .collect()
    })
}

/// The template that is named, else the one that others are based on.
pub(crate) fn template(ground: &Ground<'_>, filled: &mut Filled) -> Option<Value> {
    let items = ground.items;
    let of = |item: &Item| item.known.iter().any(|known| known.kind == Kind::Template);
    if let Some(at) = take(items, &mut filled.used, of) {
        mark_before(items, &mut filled.used, at, Mark::From);
        filled
            .used
            .iter_mut()
            .zip(items)
            .for_each(|(used, item)| *used |= item.has(Sense::Noun(Noun::Template)));
        return name_of(&items[at], Kind::Template).map(|name| json!(name));
    }
    let from = (1..items.len()).find(|at| {
        let before = items[..*at].iter().rev().find(|item| !item.is_fill());
        let leads = |item: &Item| item.is(Mark::From) || item.has(Sense::Noun(Noun::Template));
        items[*at].is_free()
            && items[*at].is_name()
            && !filled.used[*at]
            && before.is_some_and(leads)
    });
    if let Some(at) = from {
        filled.used[at] = true;
        mark_before(items, &mut filled.used, at, Mark::From);
        return Some(json!(items[at].text));
    }
    // A word that should name a template, and names none: which one is meant is asked.
    let before = (0..items.len().saturating_sub(1)).find(|at| {
        let leads = items[at + 1].lower == "container";
        leads
            && items[*at].is_free()
            && items[*at].is_name()
            && !items[*at].is_odd()
            && !filled.used[*at]
    });
    if let Some(at) = before {
        filled.used[at] = true;
        filled
            .notes
            .push(format!("no template is called `{}`", items[at].text));
        return None;
    }
    let templates = &ground.world.templates;
    let mut bases = templates
        .iter()
        .filter(|name| name.ends_with("-base") || *name == "base");
    let only = match (templates.as_slice(), bases.next(), bases.next()) {
        ([only], ..) => only,
        (_, Some(base), None) => base,
        _ => return None,
    };
    filled
        .notes
        .push(format!("from the template {only}, since none is named"));
    Some(json!(only))
}

pub(crate) fn name_of(item: &Item, kind: Kind) -> Option<&str> {
    item.known
        .iter()
        .find(|known| known.kind == kind)
        .map(|known| known.name.as_str())
}
