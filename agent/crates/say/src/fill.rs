//! Arguments of a tool from the items of a sentence.

use jiff::Zoned;
use search::when::Period;
use serde_json::{Map, Value, json};

use crate::ask::asked;
use crate::context::Context;
use crate::frames::{Argument, Frame, From};
use crate::items::{Item, size_of};
use crate::lexicon::{Mark, Sense};
use crate::meaning::Slot;
use crate::names::{known, name_of, new, template};
use crate::tool::Effect;
use crate::world::{Kind, World};

/// What a sentence is filled from.
pub(crate) struct Ground<'a> {
    pub(crate) items: &'a [Item],
    pub(crate) period: Option<&'a Period>,
    pub(crate) world: &'a World,
    pub(crate) context: &'a Context,
    pub(crate) tools: &'a [&'a str],
    pub(crate) effect: Effect,
}

/// A frame with what a sentence gives for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filled {
    pub(crate) arguments: Map<String, Value>,
    /// Which items have a place in it.
    pub(crate) used: Vec<bool>,
    pub(crate) missing: Vec<Slot>,
    /// An argument that is to have each of these in turn.
    pub(crate) each: Option<(&'static str, Vec<String>)>,
    /// What people should know of how it was understood.
    pub(crate) notes: Vec<String>,
    /// A name or a value said what it is about.
    pub(crate) sure: bool,
    /// What is to be made is there already.
    pub(crate) doubt: bool,
}

/// Fills a frame; `known` are arguments that were given before.
pub(crate) fn fill(frame: &Frame, ground: &Ground<'_>, known: Map<String, Value>) -> Filled {
    let mut filled = Filled {
        arguments: known,
        used: vec![false; ground.items.len()],
        ..Filled::default()
    };
    for (item, used) in ground.items.iter().zip(&mut filled.used) {
        let noun = |noun| frame.nouns.contains(&noun) || frame.also.contains(&noun);
        *used = item.nouns().any(noun) && item.known.iter().all(|known| !wants(frame, known.kind));
    }
    filled.each = told_before(frame, &mut filled.arguments);
    for argument in frame.arguments {
        let is_each = |(name, _): &(&str, _)| *name == argument.name;
        if filled.arguments.contains_key(argument.name) || filled.each.as_ref().is_some_and(is_each)
        {
            continue;
        }
        let value = value(frame, argument, ground, &mut filled);
        match value {
            Some(value) => {
                filled.arguments.insert(argument.name.to_owned(), value);
            }
            None if argument.needed
                && filled
                    .each
                    .as_ref()
                    .is_none_or(|(name, _)| *name != argument.name) =>
            {
                filled.missing.push(asked(frame, argument, ground));
            }
            None => {}
        }
    }
    filled
}

/// Names that were told before something else was asked for, where the tool takes one at a time.
fn told_before(
    frame: &Frame,
    known: &mut Map<String, Value>,
) -> Option<(&'static str, Vec<String>)> {
    let mut names = frame.arguments.iter().filter(|argument| {
        matches!(
            argument.from,
            From::New | From::Known(_) | From::Only(_) | From::Second(_)
        )
    });
    let name = names.find(|argument| known.get(argument.name).is_some_and(Value::is_array))?;
    let values = known.remove(name.name)?;
    let values = values.as_array()?.iter().filter_map(Value::as_str);
    Some((name.name, values.map(str::to_owned).collect()))
}

fn wants(frame: &Frame, kind: Kind) -> bool {
    frame.arguments.iter().any(|argument| {
        matches!(argument.from, From::Known(of) | From::Only(of) | From::Second(of) if of == kind)
            || (kind == Kind::Template && argument.from == From::Template)
    })
}

fn value(
    frame: &Frame,
    argument: &Argument,
    ground: &Ground<'_>,
    filled: &mut Filled,
) -> Option<Value> {
    let items = ground.items;
    match argument.from {
        From::Known(kind) => known(frame, argument, kind, ground, filled),
        From::Second(kind) => {
            let at = next(items, &filled.used, |item| {
                item.known.iter().any(|known| known.kind == kind)
            })?;
            filled.used[at] = true;
            name_of(&items[at], kind).map(|name| json!(name))
        }
        From::Only(kind) => known(frame, argument, kind, ground, filled).or_else(|| {
            match ground.world.names(kind) {
                [only] => Some(json!(only)),
                _ => None,
            }
        }),
        From::New => new(argument, ground, filled),
        From::Template => template(ground, filled),
        From::Network => network(items, filled),
        From::Size(mark) => beside(items, &mut filled.used, mark, |item| {
            size_of(&item.lower).map(|size| json!(size))
        }),
        From::Beside(mark) => beside(items, &mut filled.used, mark, |item| {
            item.number().map(|number| json!(number))
        }),
        From::Address => {
            let at = next(items, &filled.used, |item| is_network(&item.lower))?;
            mark_before(items, &mut filled.used, at, Mark::Address);
            filled.used[at] = true;
            Some(json!(items[at].lower))
        }
        From::Gateway => beside(items, &mut filled.used, Mark::Gateway, |item| {
            item.lower
                .parse::<std::net::IpAddr>()
                .ok()
                .map(|address| json!(address))
        }),
        From::Flag(mark, value) => {
            take(items, &mut filled.used, |item| item.is(mark)).map(|_| json!(value))
        }
        From::Choice(mark, value) => {
            take(items, &mut filled.used, |item| item.is(mark)).map(|_| json!(value))
        }
        From::OfNoun(noun, value) => {
            let at = items
                .iter()
                .position(|item| item.has(Sense::Noun(noun)) && says_unit_type(item))?;
            filled.used[at] = true;
            Some(json!(value))
        }
        From::Number => {
            let at = take(items, &mut filled.used, |item| {
                item.number().is_some() && item.is_free()
            })?;
            filled.sure = true;
            items[at].number().map(|number| json!(number))
        }
        From::NumberText => {
            let at = take(items, &mut filled.used, |item| {
                item.number().is_some() && item.is_free()
            })?;
            items[at].number().map(|number| json!(number.to_string()))
        }
        From::Limit => limit(items, filled),
        From::Since | From::SinceSeconds => {
            let since = ground.period?.since.as_ref()?;
            use_times(items, filled);
            Some(moment(since, argument.from == From::Since))
        }
        From::Until | From::UntilSeconds => {
            let until = ground.period?.until.as_ref()?;
            use_times(items, filled);
            let seconds = argument.from == From::UntilSeconds;
            match seconds {
                true => ground.period?.seconds().1.map(|last| json!(last)),
                false => Some(moment(until, true)),
            }
        }
        From::State => items.iter().enumerate().find_map(|(at, item)| {
            let state = item.senses.iter().find_map(|sense| match sense {
                Sense::State(state) => Some(*state),
                _ => None,
            })?;
            filled.used[at] = true;
            Some(json!(state))
        }),
        From::Level => items.iter().enumerate().find_map(|(at, item)| {
            let level = item.senses.iter().find_map(|sense| match sense {
                Sense::Level(level) => Some(*level),
                _ => None,
            })?;
            filled.used[at] = true;
            Some(json!(level))
        }),
        From::Path => {
            let at = take(items, &mut filled.used, |item| item.text.starts_with('/'))?;
            filled.sure = true;
            Some(json!(items[at].text))
        }
        From::Source | From::Sources => {
            let at = take(items, &mut filled.used, is_source)?;
            filled.sure = true;
            let source = items[at].text.as_str();
            Some(match argument.from {
                From::Source => json!(source),
                _ => json!([source]),
            })
        }
        From::Glob => take(items, &mut filled.used, |item| {
            item.text.contains(['*', '?']) && item.is_free()
        })
        .map(|at| json!(items[at].text)),
        From::Quoted => take(items, &mut filled.used, |item| item.quoted).map(|at| {
            filled
                .used
                .iter_mut()
                .zip(items)
                .for_each(|(used, item)| *used |= item.is(Mark::With));
            json!(items[at].text)
        }),
        From::Rest => rest(items, filled),
        From::List => list(items, filled),
        From::Behind(mark) => {
            let at = items.iter().position(|item| item.is(mark))?;
            filled.used[at..].fill(true);
            let words: Vec<_> = items[at + 1..]
                .iter()
                .map(|item| item.text.as_str())
                .collect();
            (!words.is_empty()).then(|| json!(words.join(" ")))
        }
        From::Bus => {
            let is_bus = |item: &Item| {
                let parts = item
                    .text
                    .split('.')
                    .filter(|part| part.chars().any(char::is_alphabetic));
                item.is_name() && parts.count() >= 2 && !item.text.ends_with(".service")
            };
            let at = take(items, &mut filled.used, is_bus)?;
            filled.sure = true;
            Some(json!(items[at].text))
        }
        From::Tool => take(items, &mut filled.used, |item| {
            ground.tools.contains(&item.lower.as_str())
        })
        .map(|at| json!(items[at].lower)),
        From::Free => {
            let free = |item: &Item| {
                (item.is_free() || !item.known.is_empty() || item.quoted) && is_zone_or_name(item)
            };
            let at = take(items, &mut filled.used, free)?;
            mark_before(items, &mut filled.used, at, Mark::To);
            mark_before(items, &mut filled.used, at, Mark::Named);
            Some(json!(items[at].text))
        }
        From::LastChange => {
            if let Some(at) = take(items, &mut filled.used, |item| {
                item.number().is_some()
                    || item.known.iter().any(|known| known.kind == Kind::Snapshot)
            }) {
                mark_before(items, &mut filled.used, at, Mark::To);
                return Some(json!(items[at].text.trim_start_matches('#')));
            }
            let at = take(items, &mut filled.used, |item| item.is(Mark::It));
            at.and(ground.context.entry)
                .map(|entry| json!(entry.to_string()))
        }
        From::KernelFile => {
            const FILES: [&str; 4] = ["meminfo", "loadavg", "cpuinfo", "mounts"];
            let at = take(items, &mut vec![false; items.len()], |item| {
                FILES.contains(&item.lower.as_str())
            })?;
            filled.used[at] = true;
            Some(json!(items[at].lower))
        }
        From::No => Some(json!(false)),
        From::Boot => take(items, &mut filled.used, |item| item.is(Mark::Boot)).map(|_| json!(0)),
    }
}

/// `units` are of any type, `services` are not.
fn says_unit_type(item: &Item) -> bool {
    !matches!(
        item.lower.as_str(),
        "unit" | "units" | "systemd" | "systemd units" | "systemd unit"
    )
}

pub(crate) fn next(items: &[Item], used: &[bool], is: impl Fn(&Item) -> bool) -> Option<usize> {
    items
        .iter()
        .zip(used)
        .position(|(item, used)| !used && is(item))
}

pub(crate) fn take(items: &[Item], used: &mut [bool], is: impl Fn(&Item) -> bool) -> Option<usize> {
    let at = next(items, used, is)?;
    used[at] = true;
    Some(at)
}

/// Marks the word before a value, or that before its preposition.
pub(crate) fn mark_before(items: &[Item], used: &mut [bool], at: usize, mark: Mark) {
    for before in at.saturating_sub(2)..at {
        if items[before].is(mark) {
            used[before] = true;
        }
    }
}

/// A value at a word's side: `4 cores`, `cores 4`, `4 GB of memory`.
fn beside(
    items: &[Item],
    used: &mut [bool],
    mark: Mark,
    read: impl Fn(&Item) -> Option<Value>,
) -> Option<Value> {
    let at = items.iter().position(|item| item.is(mark))?;
    let near = [
        at.checked_sub(1),
        at.checked_sub(2),
        Some(at + 1),
        Some(at + 2),
    ];
    let found = near.into_iter().flatten().find_map(|near| {
        let item = items.get(near)?;
        let between = near.min(at) + 1..near.max(at);
        let clear = items[between].iter().all(Item::is_fill);
        let value = (clear && !used[near]).then(|| read(item)).flatten()?;
        Some((near, value))
    });
    // Without the word `memory`, a number with a unit stands for itself.
    let (near, value) = found?;
    used[at] = true;
    used[near] = true;
    Some(value)
}

fn network(items: &[Item], filled: &mut Filled) -> Option<Value> {
    let choice = [
        (Mark::NoNetwork, "none"),
        (Mark::Mesh, "mesh"),
        (Mark::Sockets, "socket"),
    ];
    let (mark, network) = choice
        .into_iter()
        .find(|(mark, _)| items.iter().any(|item| item.is(*mark)))?;
    let says = |item: &Item| item.is(mark) || item.is(Mark::Network);
    filled
        .used
        .iter_mut()
        .zip(items)
        .for_each(|(used, item)| *used |= says(item));
    Some(json!(network))
}

fn limit(items: &[Item], filled: &mut Filled) -> Option<Value> {
    let number = |item: &Item| item.number().is_some() && item.is_free();
    let noun = |item: Option<&Item>| item.is_some_and(|item| item.nouns().next().is_some());
    let found = (0..items.len()).find(|at| {
        let after_last = *at > 0 && items[*at - 1].is(Mark::Last);
        number(&items[*at]) && !filled.used[*at] && (after_last || noun(items.get(*at + 1)))
    });
    filled
        .used
        .iter_mut()
        .zip(items)
        .for_each(|(used, item)| *used |= item.is(Mark::Last));
    let at = found?;
    filled.used[at] = true;
    items[at].number().map(|number| json!(number))
}

fn moment(time: &Zoned, _rfc: bool) -> Value {
    match _rfc {
        true => json!(time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
        false => json!(time.timestamp().as_second()),
    }
}

fn use_times(items: &[Item], filled: &mut Filled) {
    filled
        .used
        .iter_mut()
        .zip(items)
        .for_each(|(used, item)| *used |= item.time);
}

fn is_source(item: &Item) -> bool {
    let schemes = ["https://", "dbus:", "lxc:", "oci:"];
    item.text.starts_with('/') || schemes.iter().any(|scheme| item.text.starts_with(scheme))
}

fn is_network(text: &str) -> bool {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    address.parse::<std::net::IpAddr>().is_ok()
        && length.is_none_or(|length| length.parse::<u8>().is_ok())
}

fn is_zone_or_name(item: &Item) -> bool {
    let zone = item
        .text
        .split_once('/')
        .is_some_and(|(region, city)| !region.is_empty() && !city.is_empty());
    let letters = item
        .text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/_+-.".contains(c));
    item.is_name() || (zone && letters)
}

/// A quotation, or the words that nothing else is for, in their order.
fn rest(items: &[Item], filled: &mut Filled) -> Option<Value> {
    if let Some(at) = take(items, &mut filled.used, |item| item.quoted) {
        return Some(json!(items[at].text));
    }
    if let Some(at) = items.iter().position(|item| item.is(Mark::With))
        && at + 1 < items.len()
    {
        filled.used[at..].fill(true);
        let words: Vec<_> = items[at + 1..]
            .iter()
            .map(|item| item.text.as_str())
            .collect();
        return Some(json!(words.join(" ")));
    }
    let free = |item: &Item| item.verbs().next().is_none() && !item.is_fill();
    let mut words = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if !filled.used[at] && free(item) {
            filled.used[at] = true;
            words.push(item.text.as_str());
        }
    }
    (!words.is_empty()).then(|| json!(words.join(" ")))
}

/// Names of packages: words that name nothing else.
fn list(items: &[Item], filled: &mut Filled) -> Option<Value> {
    let other = |item: &Item| {
        item.known
            .iter()
            .any(|known| known.kind != Kind::Unit && !known.near)
    };
    let mut words = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let named = item.senses.is_empty() && !item.time && !other(item);
        if !filled.used[at] && named && item.is_name() {
            filled.used[at] = true;
            words.push(item.text.as_str());
        }
    }
    let says = |item: &Item| match words.is_empty() {
        true => item.is(Mark::All),
        false => item.is(Mark::And) && words.len() > 1,
    };
    let marks: Vec<_> = items.iter().map(says).collect();
    for (used, says) in filled.used.iter_mut().zip(marks) {
        *used |= says;
    }
    (!words.is_empty()).then(|| json!(words))
}
