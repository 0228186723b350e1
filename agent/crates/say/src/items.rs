//! Words and phrases of a sentence with all that they may mean.

use std::collections::HashMap;

use jiff::Zoned;
use search::when::{self, Period};
use strsim::osa_distance;

use crate::lexicon::{Mark, Noun, Sense, Verb, phrase, spelling};
use crate::words::Word;
use crate::world::{Kind, World};

/// A name that is known, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// It was written otherwise, and this is only near.
    pub(crate) near: bool,
}

/// A word or a phrase, and what it may mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    /// As it was written.
    pub(crate) text: String,
    /// In small letters.
    pub(crate) lower: String,
    /// What it may mean.
    pub(crate) senses: Vec<Sense>,
    /// What it may name.
    pub(crate) known: Vec<Known>,
    /// It stood in quotation marks.
    pub(crate) quoted: bool,
    /// A comma follows.
    pub(crate) comma: bool,
    /// It tells a time.
    pub(crate) time: bool,
    /// The word that it was taken for.
    pub(crate) meant: Option<&'static str>,
}

impl Item {
    pub(crate) fn has(&self, sense: Sense) -> bool {
        self.senses.contains(&sense)
    }

    pub(crate) fn is(&self, mark: Mark) -> bool {
        self.has(Sense::Mark(mark))
    }

    pub(crate) fn verbs(&self) -> impl Iterator<Item = Verb> + '_ {
        self.senses.iter().filter_map(|sense| match sense {
            Sense::Verb(verb) => Some(*verb),
            _ => None,
        })
    }

    pub(crate) fn nouns(&self) -> impl Iterator<Item = Noun> + '_ {
        self.senses.iter().filter_map(|sense| match sense {
            Sense::Noun(noun) => Some(*noun),
            _ => None,
        })
    }

    /// It says nothing, whatever stands beside it.
    pub(crate) fn is_fill(&self) -> bool {
        self.has(Sense::Fill)
    }

    /// A word that has no meaning here: it may be a name.
    pub(crate) fn is_free(&self) -> bool {
        self.senses.is_empty() && !self.time
    }

    /// A whole number, with `#` before it or without.
    pub(crate) fn number(&self) -> Option<u64> {
        let digits = self.lower.trim_start_matches('#');
        digits.parse().ok().or_else(|| small_number(&self.lower))
    }

    /// A name as things have one: letters, digits and a few signs, beginning with a letter or a digit.
    pub(crate) fn is_name(&self) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+:@".contains(c);
        let first = self
            .text
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        first && !self.time && self.text.len() <= 255 && self.text.chars().all(allowed)
    }

    /// A name that no word of English looks like.
    pub(crate) fn is_odd(&self) -> bool {
        let digit = self.text.contains(|c: char| c.is_ascii_digit());
        self.is_name() && self.number().is_none() && (digit || self.text.contains(['-', '_']))
    }
}

/// `two`, `three`, up to twelve.
pub(crate) fn small_number(word: &str) -> Option<u64> {
    const NUMBERS: [&str; 11] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ];
    let place = NUMBERS.iter().position(|number| *number == word)?;
    u64::try_from(place).ok().map(|place| place + 2)
}

/// All known names, by what people write.
pub(crate) struct Names {
    by_text: HashMap<String, Vec<Known>>,
}

const KINDS: [Kind; 10] = [
    Kind::Container,
    Kind::Template,
    Kind::Unit,
    Kind::Bridge,
    Kind::Snapshot,
    Kind::Plugin,
    Kind::Interface,
    Kind::User,
    Kind::Command,
    Kind::Target,
];

/// Endings of units that people leave out.
const SUFFIXES: [&str; 4] = [".service", ".timer", ".socket", ".mount"];

impl Names {
    pub(crate) fn of(world: &World) -> Self {
        let mut by_text: HashMap<String, Vec<Known>> = HashMap::new();
        let mut put = |text: &str, kind: Kind, name: &str| {
            let known = Known {
                kind,
                name: name.to_owned(),
                near: false,
            };
            by_text.entry(text.to_lowercase()).or_default().push(known);
        };
        for kind in KINDS {
            for name in world.names(kind) {
                put(name, kind, name);
                if kind == Kind::Unit
                    && let Some(stem) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))
                {
                    put(stem, kind, name);
                }
                if kind == Kind::Template
                    && let Some((system, _)) = name.split_once(['-', '_', ':'])
                {
                    put(system, kind, name);
                }
            }
        }
        // Of a timer and a service of one stem the service is meant.
        for all in by_text.values_mut() {
            all.sort_by_key(|known| !known.name.ends_with(".service"));
        }
        Self { by_text }
    }

    fn exact(&self, lower: &str) -> Vec<Known> {
        self.by_text.get(lower).cloned().unwrap_or_default()
    }

    /// Names that differ by a typing error; never by a number.
    fn near(&self, lower: &str) -> Vec<Known> {
        let letters = lower.len();
        if !(4..=40).contains(&letters) {
            return Vec::new();
        }
        let reach = if letters >= 8 { 2 } else { 1 };
        let first = lower.chars().next();
        let digits = numbers(lower);
        let best = self.by_text.iter().filter_map(|(text, known)| {
            let may = text.len().abs_diff(letters) <= reach
                && text.chars().next() == first
                && numbers(text) == digits;
            let distance = may.then(|| osa_distance(lower, text))?;
            (distance <= reach).then_some((distance, text, known))
        });
        let best = best.min_by_key(|(distance, text, _)| (*distance, *text));
        best.map_or_else(Vec::new, |(_, _, known)| {
            known
                .iter()
                .cloned()
                .map(|known| Known {
                    near: true,
                    ..known
                })
                .collect()
        })
    }
}

/// The numbers in a name: `web-01` and `web-1` have the same.
fn numbers(text: &str) -> Vec<u64> {
    let parts = text.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Particles of verbs, and the verbs that they belong to wherever they stand.
const SPLIT: [(&str, &[&str]); 8] = [
    ("turn", &["on", "off"]),
    ("switch", &["on", "off"]),
    ("power", &["on", "off"]),
    ("take", &["down"]),
    ("bring", &["up", "down"]),
    ("shut", &["down"]),
    ("boot", &["up"]),
    ("start", &["up"]),
];

/// `turn web-01 off` as `turn off web-01`.
pub(crate) fn join_particles(words: &mut Vec<Word>) {
    for at in 0..words.len() {
        let Some((_, particles)) = SPLIT.iter().find(|(verb, _)| words[at].lower == *verb) else {
            continue;
        };
        let reach = words.len().min(at + 6);
        let found = (at + 2..reach).find(|at| particles.contains(&words[*at].lower.as_str()));
        // Before another word it is a preposition.
        let ends = |found: &usize| {
            let next = words.get(found + 1).map(|word| word.lower.as_str());
            words[*found].comma
                || matches!(next, None | Some("please" | "and" | "then" | "now" | "for"))
        };
        if let Some(found) = found.filter(ends) {
            let comma = std::mem::take(&mut words[found].comma);
            words[found - 1].comma |= comma;
            let particle = words.remove(found);
            words.insert(at + 1, particle);
        }
    }
}

/// The words as items, and the time that they tell.
pub(crate) fn items(words: &[Word], names: &Names, now: &Zoned) -> (Vec<Item>, Option<Period>) {
    let lowers: Vec<&str> = words
        .iter()
        .map(|word| if word.quoted { "" } else { word.lower.as_str() })
        .collect();
    let (period, timely) = when::find(&lowers, now);
    let mut all: Vec<Item> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (item, length) = item(&words[at..], &lowers[at..], &timely[at..], names, &all);
        all.push(item);
        at += length;
    }
    (all, period)
}

fn item(
    words: &[Word],
    lowers: &[&str],
    timely: &[bool],
    names: &Names,
    before: &[Item],
) -> (Item, usize) {
    let word = &words[0];
    let mut item = Item {
        text: word.text.clone(),
        lower: word.lower.clone(),
        comma: word.comma,
        quoted: word.quoted,
        ..Item::default()
    };
    if word.quoted {
        item.known = names.exact(&word.lower);
        return (item, 1);
    }
    item.known = names.exact(&word.lower);
    if item.known.is_empty() && timely[0] {
        let length = timely.iter().take_while(|timely| **timely).count();
        item.time = true;
        join(&mut item, &words[..length]);
        return (item, length);
    }
    if let Some(stem) = word.lower.strip_suffix("'s")
        && item.known.is_empty()
    {
        item.known = names.exact(stem);
        if !item.known.is_empty() {
            return (item, 1);
        }
    }
    let fresh = is_fresh(before);
    if let Some((length, senses)) = phrase(lowers)
        && !(fresh && item.is_odd())
    {
        item.senses = senses.to_vec();
        if length > 1 {
            item.known.clear();
            join(&mut item, &words[..length]);
        }
        return (item, length);
    }
    if let Some(size) = words
        .get(1)
        .and_then(|unit| sized(&word.lower, &unit.lower))
    {
        join(&mut item, &words[..2]);
        item.lower = size;
        return (item, 2);
    }
    if item.known.is_empty() && !fresh {
        match (spelling(&word.lower), names.near(&word.lower)) {
            (Some(meant), near) if near.is_empty() => {
                item.senses = phrase(&[meant])
                    .map(|(_, senses)| senses.to_vec())
                    .unwrap_or_default();
                item.meant = Some(meant);
            }
            (_, near) => item.known = near,
        }
    }
    (item, 1)
}

/// `8` and `gb` as `8gb`.
fn sized(number: &str, unit: &str) -> Option<String> {
    let size = format!("{number}{unit}");
    (number.parse::<u64>().is_ok() && size_of(&size).is_some()).then_some(size)
}

/// A size as the declaration writes it, from what people write: `4G`, `512mb`, `2gigs`.
pub(crate) fn size_of(text: &str) -> Option<String> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    digits.parse::<u64>().ok()?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" | "meg" | "megs" | "megabytes" | "megabyte" => "MiB",
        "g" | "gb" | "gib" | "gig" | "gigs" | "gigabytes" | "gigabyte" => "GiB",
        "t" | "tb" | "tib" | "terabytes" | "terabyte" => "TiB",
        _ => return None,
    };
    Some(format!("{digits}{unit}"))
}

/// Whether what follows is a name that nobody knows yet, so that it is no typing error.
fn is_fresh(before: &[Item]) -> bool {
    let verb = |verbs: &[Verb]| {
        before
            .iter()
            .any(|item| item.verbs().any(|verb| verbs.contains(&verb)))
    };
    if verb(&[Verb::Install, Verb::Uninstall])
        || before
            .iter()
            .any(|item| item.has(Sense::Noun(Noun::Package)))
    {
        return true;
    }
    let Some(last) = before
        .iter()
        .rev()
        .find(|item| !item.is_fill() || item.is(Mark::Named))
    else {
        return false;
    };
    let new = last
        .nouns()
        .any(|noun| matches!(noun, Noun::Container | Noun::Snapshot));
    let after_new = last.is(Mark::And) && before.iter().any(|item| item.is(Mark::Named));
    last.is(Mark::Named) || after_new || (new && verb(&[Verb::Create, Verb::Snapshot]))
}

fn join(item: &mut Item, words: &[Word]) {
    let text: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    item.text = text.join(" ");
    item.lower = item.text.to_lowercase();
    item.comma = words.last().is_some_and(|word| word.comma);
}
