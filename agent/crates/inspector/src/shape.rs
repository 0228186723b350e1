//! What values look like: a summary of one or many that can be merged.
//!
//! Merging is associative and commutative, and the empty shape is its neutral element, so that the order in
//! which examples come makes no difference. What is kept is bounded: where there are too many different
//! texts or keys, the shape says only that there are many.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::format::Formats;
use crate::secret::sounds_secret;

/// More different texts than this are "many".
pub(crate) const FEW: usize = 12;
/// A longer text, in bytes, is never kept.
const KEPT: usize = 64;
/// More different keys than this make a map.
pub(crate) const MOST_KEYS: usize = 256;

/// The summary of any number of values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// How many values there are.
    pub count: u64,
    /// How many of them are null.
    #[serde(skip_serializing_if = "is_none")]
    pub nulls: u64,
    /// How many of them are true or false.
    #[serde(skip_serializing_if = "is_none")]
    pub booleans: u64,
    /// The numbers among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// The texts among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
    /// The lists among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lists: Option<Lists>,
    /// The objects among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Objects>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The summary of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// How many.
    pub count: u64,
    /// Whether all of them are integers.
    pub integers: bool,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// The summary of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// How many.
    pub count: u64,
    /// The length of the shortest, in characters.
    pub min: u64,
    /// The length of the longest, in characters.
    pub max: u64,
    /// The standard formats that all of them have.
    pub formats: Formats,
    /// All of them, if they are few, short, and not secret.
    pub values: Option<BTreeSet<String>>,
}

/// The summary of lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// How many.
    pub count: u64,
    /// The length of the shortest.
    pub min: u64,
    /// The length of the longest.
    pub max: u64,
    /// All elements of all of them.
    pub items: Box<Shape>,
}

/// The summary of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// How many.
    pub count: u64,
    /// Their keys.
    pub keys: Keys,
}

/// The keys of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// Each by its name.
    Named(BTreeMap<String, Shape>),
    /// There are too many; this is the shape of all their values.
    Many(Box<Shape>),
}

impl Shape {
    /// The shape of one value.
    pub fn of(value: &Value) -> Self {
        Self::under(value, false)
    }

    fn under(value: &Value, secret: bool) -> Self {
        let mut shape = Self {
            count: 1,
            ..Self::default()
        };
        match value {
            Value::Null => shape.nulls = 1,
            Value::Bool(_) => shape.booleans = 1,
            Value::Number(number) => {
                let float = number.as_f64().unwrap_or_default();
                shape.numbers = Some(Numbers {
                    count: 1,
                    integers: number.is_i64() || number.is_u64(),
                    min: float,
                    max: float,
                });
            }
            Value::String(text) => shape.texts = Some(Texts::of(text, secret)),
            Value::Array(values) => {
                let mut items = Self::default();
                for value in values {
                    items.merge(Self::under(value, secret));
                }
                let count = values.len() as u64;
                shape.lists = Some(Lists {
                    count: 1,
                    min: count,
                    max: count,
                    items: Box::new(items),
                });
            }
            Value::Object(map) => {
                let mut keys = Keys::Named(BTreeMap::new());
                for (key, value) in map {
                    let below = Self::under(value, secret || sounds_secret(key));
                    keys.merge(Keys::Named(BTreeMap::from([(key.clone(), below)])));
                }
                shape.objects = Some(Objects { count: 1, keys });
            }
        }
        shape
    }

    /// Takes in the values of another.
    pub fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.nulls = self.nulls.saturating_add(other.nulls);
        self.booleans = self.booleans.saturating_add(other.booleans);
        join(&mut self.numbers, other.numbers, Numbers::merge);
        join(&mut self.texts, other.texts, Texts::merge);
        join(&mut self.lists, other.lists, Lists::merge);
        join(&mut self.objects, other.objects, Objects::merge);
    }

    /// Takes out every text and number that was seen: kinds, counts, lengths, formats and the names of keys stay.
    pub fn without_values(mut self) -> Self {
        self.forget_values();
        self
    }

    fn forget_values(&mut self) {
        if let Some(numbers) = &mut self.numbers {
            (numbers.min, numbers.max) = (0.0, 0.0);
        }
        if let Some(texts) = &mut self.texts {
            texts.values = None;
        }
        if let Some(lists) = &mut self.lists {
            lists.items.forget_values();
        }
        match self.objects.as_mut().map(|objects| &mut objects.keys) {
            Some(Keys::Named(keys)) => keys.values_mut().for_each(Self::forget_values),
            Some(Keys::Many(values)) => values.forget_values(),
            None => {}
        }
    }

    /// The shape of all values together.
    pub fn of_all<'v>(values: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut all = Self::default();
        for value in values {
            all.merge(Self::of(value));
        }
        all
    }
}

fn join<T>(mine: &mut Option<T>, other: Option<T>, merge: fn(&mut T, T)) {
    match (mine.as_mut(), other) {
        (Some(mine), Some(other)) => merge(mine, other),
        (None, other) => *mine = other,
        (Some(_), None) => {}
    }
}

impl Numbers {
    fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.integers &= other.integers;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

impl Texts {
    fn of(text: &str, secret: bool) -> Self {
        let length = text.chars().count() as u64;
        let keep = !secret && text.len() <= KEPT;
        Self {
            count: 1,
            min: length,
            max: length,
            formats: Formats::of(text),
            values: keep.then(|| BTreeSet::from([text.to_owned()])),
        }
    }

    fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.formats = self.formats.both(other.formats);
        self.values = match (self.values.take(), other.values) {
            (Some(mut mine), Some(mut others)) => {
                mine.append(&mut others);
                (mine.len() <= FEW).then_some(mine)
            }
            _ => None,
        };
    }
}

impl Lists {
    fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.items.merge(*other.items);
    }
}

impl Objects {
    fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.keys.merge(other.keys);
    }
}

impl Keys {
    fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Named(mine), Self::Named(others)) => {
                for (key, shape) in others {
                    match mine.get_mut(&key) {
                        Some(known) => known.merge(shape),
                        None => drop(mine.insert(key, shape)),
                    }
                }
                if mine.len() > MOST_KEYS {
                    let values = std::mem::take(mine);
                    *self = Self::Many(Box::new(all(values)));
                }
            }
            (Self::Many(mine), Self::Named(others)) => mine.merge(all(others)),
            (Self::Many(mine), Self::Many(others)) => mine.merge(*others),
            (Self::Named(mine), Self::Many(mut others)) => {
                others.merge(all(std::mem::take(mine)));
                *self = Self::Many(others);
            }
        }
    }
}

/// The shape of all values of a map.
pub(crate) fn all(shapes: BTreeMap<String, Shape>) -> Shape {
    let mut all = Shape::default();
    for shape in shapes.into_values() {
        all.merge(shape);
    }
    all
}
