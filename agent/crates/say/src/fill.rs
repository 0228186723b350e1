//! Arguments of a tool from the items of a sentence.

use jiff::Zoned;
use search::when::Period;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::frames::{Argument, Frame, From};
use crate::items::{Item, size_of};
use crate::lexicon::{Mark, Noun, Sense};
use crate::meaning::Slot;
use crate::tool::Effect;
use crate::world::{Kind, World};

/// The most things that one sentence may be about.
const MOST: usize = 50;

/// What a sentence is filled from.
pub(crate) struct Ground<'a> {
    pub(crate) items: &'a [Item],
    pub(crate) period: Option<&'a Period>,
    pub(crate) world: &'a World,
    pub(crate) context: &'a Context,
    pub(crate) tools: &'a [&'a str],
    pub(crate) sentence: &'a str,
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
    for argument in frame.arguments {
        if filled.arguments.contains_key(argument.name) {
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

fn wants(frame: &Frame, kind: Kind) -> bool {
    frame.arguments.iter().any(|argument| {
        matches!(argument.from, From::Known(of) | From::Only(of) | From::Second(of) if of == kind)
            || (kind == Kind::Template && argument.from == From::Template)
    })
}

/// What to ask for an argument.
fn asked(frame: &Frame, argument: &Argument, ground: &Ground<'_>) -> Slot {
    let kind = match argument.from {
        From::Known(kind) | From::Only(kind) | From::Second(kind) => Some(kind),
        From::Template => Some(Kind::Template),
        _ => None,
    };
    let candidates = kind.map_or(&[][..], |kind| ground.world.names(kind));
    let what = match (argument.name, kind) {
        ("name" | "unit", Some(kind)) => format!("Which {}?", word(kind)),
        ("name", None) if frame.tool.ends_with("create") => "What is it to be called?".to_owned(),
        (name, _) => format!("Which {}?", name.replace('_', " ")),
    };
    Slot {
        name: argument.name.to_owned(),
        question: what,
        candidates: candidates.iter().take(20).cloned().collect(),
    }
}

/// A kind in a word.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "container",
        Kind::Template => "template",
        Kind::Unit => "unit",
        Kind::Bridge => "bridge",
        Kind::Snapshot => "snapshot",
        Kind::Plugin => "plugin",
        Kind::Interface => "interface",
        Kind::User => "user",
        Kind::Command => "command",
        Kind::Target => "target",
    }
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
        From::Sentence => Some(json!(ground.sentence)),
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

fn next(items: &[Item], used: &[bool], is: impl Fn(&Item) -> bool) -> Option<usize> {
    items
        .iter()
        .zip(used)
        .position(|(item, used)| !used && is(item))
}

fn take(items: &[Item], used: &mut [bool], is: impl Fn(&Item) -> bool) -> Option<usize> {
    let at = next(items, used, is)?;
    used[at] = true;
    Some(at)
}

/// Marks the word before a value, or that before its preposition.
fn mark_before(items: &[Item], used: &mut [bool], at: usize, mark: Mark) {
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

fn name_of(item: &Item, kind: Kind) -> Option<&str> {
    item.known
        .iter()
        .find(|known| known.kind == kind)
        .map(|known| known.name.as_str())
}

/// Names of a kind: those that are known first, then what stands beside the noun.
fn known(
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
        0 => None,
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
        let noun = |item: &Item| {
            item.nouns()
                .any(|noun| frame.nouns.contains(&noun) || frame.also.contains(&noun))
        };
        let beside = |at: usize| {
            let before = items[..at]
                .iter()
                .rev()
                .find(|item| !item.is_fill() || item.is(Mark::Named));
            let after = items.get(at + 1);
            let named = before.is_some_and(|item| item.is(Mark::Named) || noun(item));
            named || after.is_some_and(noun)
        };
        let target = kind == Kind::Target;
        (0..items.len())
            .find(|at| !filled.used[*at] && free(&items[*at]) && (target || beside(*at)))
    })?;
    if kind == Kind::Interface || (kind == Kind::Unit && !argument.needed && !suffixed(&items[at]))
    {
        return None;
    }
    filled.used[at] = true;
    mark_before(items, &mut filled.used, at, Mark::Named);
    mark_before(items, &mut filled.used, at, Mark::To);
    filled.sure = true;
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
fn new(argument: &Argument, ground: &Ground<'_>, filled: &mut Filled) -> Option<Value> {
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
    let first = behind.or_else(|| next(items, &filled.used, free))?;
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

/// A number of things before the noun has to be that of the names; one name stands for as many with numbers.
fn counted(items: &[Item], filled: &mut Filled, names: &mut Vec<String>) -> Option<()> {
    let noun = items
        .iter()
        .position(|item| item.has(Sense::Noun(Noun::Container)))?;
    let count = items[..noun]
        .iter()
        .rposition(|item| item.number().is_some() && item.is_free());
    let Some(at) = count else { return Some(()) };
    let count = usize::try_from(items[at].number()?).ok()?;
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
fn template(ground: &Ground<'_>, filled: &mut Filled) -> Option<Value> {
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
    let free =
        |item: &Item| item.verbs().next().is_none() && !item.is_fill() && !item.is(Mark::With);
    let mut words = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if !filled.used[at] && free(item) {
            filled.used[at] = true;
            words.push(item.text.as_str());
        }
    }
    (!words.is_empty()).then(|| json!(words.join(" ")))
}

fn list(items: &[Item], filled: &mut Filled) -> Option<Value> {
    let mut words = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let named = item.is_free() || (!item.known.is_empty() && item.verbs().next().is_none());
        if !filled.used[at] && named && item.is_name() {
            filled.used[at] = true;
            words.push(item.text.as_str());
        }
    }
    filled
        .used
        .iter_mut()
        .zip(items)
        .for_each(|(used, item)| *used |= item.is(Mark::And) && words.len() > 1);
    (!words.is_empty()).then(|| json!(words))
}
