//! How values are written in the document: one definition from which follow the Rust type, the
//! decoding with all its problems, the encoding and the JSON Schema.
//!
//! [`Form<T>`] says how a `T` is written. Most types are their own form; where one type is written
//! in several ways (a `u16` as a VLAN or as a TCP port), a field names the form after `as`.
//! [`record!`] defines maps with known keys, [`words!`] enumerations.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value as Json, json};

use crate::problem::{DocumentPath, LISTED, Problem, Step};
use crate::schema::Definitions;
use crate::tree::{Node, Value, quote};

/// How a value of type `T` is written in the document.
pub(crate) trait Form<T> {
    /// What is accepted, for people.
    fn accepted() -> String;
    /// The value, or nothing after the problem has been reported.
    fn decode(node: &Node, reader: &mut Reader) -> Option<T>;
    /// The value in its normal form.
    fn encode(value: &T) -> Json;
    /// The JSON Schema (draft 2020-12) of what `decode` takes.
    fn schema(definitions: &mut Definitions) -> Json;
}

/// A value of type `T` that is written as text.
pub(crate) trait Text<T> {
    /// What is accepted, for people.
    const ACCEPTED: &'static str;
    /// What is accepted, as a regular expression (ECMA-262) for the schema; empty for none.
    const PATTERN: &'static str;

    fn read(text: &str) -> Result<T, Rejected>;
    fn write(value: &T) -> String;
}

/// Why a text was not taken.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    /// What is wrong with it, where that is not plain.
    pub(crate) reason: Option<String>,
    /// What may have been meant.
    pub(crate) hint: Option<String>,
}

impl Rejected {
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            hint: None,
        }
    }

    pub(crate) fn hint(hint: impl Into<String>) -> Self {
        Self {
            reason: None,
            hint: Some(hint.into()),
        }
    }

    fn found(&self, text: &str) -> String {
        match &self.reason {
            Some(reason) => format!("{} ({reason})", quote(text)),
            None => quote(text),
        }
    }
}

/// Walks a document, and remembers what is wrong with it.
#[derive(Default)]
pub(crate) struct Reader {
    path: DocumentPath,
    pub(crate) problems: Vec<Problem>,
    /// How many problems there were when no more were kept.
    pub(crate) omitted: usize,
    /// Values that are missing only because their key is written wrong.
    pub(crate) misspelt: Vec<DocumentPath>,
    /// For lists with elements that could not be read: where in the document the others stand.
    pub(crate) kept: BTreeMap<DocumentPath, Vec<usize>>,
}

impl Reader {
    /// Decodes a value one step further into the document.
    pub(crate) fn step<T, F: Form<T>>(&mut self, step: Step, node: &Node) -> Option<T> {
        self.path.push(step);
        let value = F::decode(node, self);
        self.path.pop();
        value
    }

    /// Reports a problem with the value that is being decoded.
    pub(crate) fn report(
        &mut self,
        found: impl Into<String>,
        accepted: impl Into<String>,
        hint: Option<String>,
    ) {
        self.push(Problem::new(self.path.clone(), found, accepted).hint(hint));
    }

    fn push(&mut self, problem: Problem) {
        if self.problems.len() < LISTED {
            self.problems.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// Reports a value of the wrong type.
    pub(crate) fn wrong<T, F: Form<T>>(&mut self, node: &Node) {
        self.wrong_type(node, F::accepted(), None);
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, accepted: String, hint: Option<String>) {
        let hint = hint.or_else(|| {
            matches!(node.value, Value::Null)
                .then(|| "give it a value, or leave the key out for the default".to_owned())
        });
        self.report(node.describe(), accepted, hint);
    }

    /// The entries of a map with known keys, after all others have been reported.
    pub(crate) fn record<'n>(
        &mut self,
        node: &'n Node,
        keys: &[&str],
    ) -> Option<&'n [(String, Node)]> {
        let Value::Map(entries) = &node.value else {
            let hint = matches!(node.value, Value::Null)
                .then(|| "write `{}` if all its defaults are meant".to_owned());
            self.wrong_type(node, accepted_keys(keys), hint);
            return None;
        };
        for (key, _) in entries {
            if keys.contains(&key.as_str()) {
                continue;
            }
            if self.problems.len() >= LISTED {
                self.omitted += 1;
                continue;
            }
            let nearest = nearest(key, keys);
            self.misspelt.extend(nearest.map(|known| self.path.key(known)));
            self.push(
                Problem::new(self.path.key(key), "an unknown key", accepted_keys(keys))
                    .hint(nearest.map(|known| format!("did you mean `{known}`?"))),
            );
        }
        Some(entries)
    }

    /// The value of a key, or its default: also if there is something wrong with the value, so that
    /// the rest can be looked at.
    pub(crate) fn field<T, F: Form<T>>(
        &mut self,
        entries: &[(String, Node)],
        key: &str,
        default: Option<fn() -> T>,
    ) -> Option<T> {
        let found = entries.iter().find(|(name, _)| name == key);
        let value = match found {
            Some((_, node)) => self.step::<T, F>(Step::Key(key.to_owned()), node),
            None => {
                if default.is_none() {
                    self.push(Problem::new(
                        self.path.key(key),
                        "nothing: the key is missing",
                        F::accepted(),
                    ));
                }
                None
            }
        };
        value.or_else(|| default.map(|default| default()))
    }
}

fn accepted_keys(keys: &[&str]) -> String {
    let names: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match names.as_slice() {
        [only] => format!("a map with the key {only}"),
        names => format!("a map with the keys {}", names.join(", ")),
    }
}

/// The candidate that the text was most likely meant to be, if any is near.
pub(crate) fn nearest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Text, whatever it means.
impl<T, F: Text<T>> Form<T> for F {
    fn accepted() -> String {
        F::ACCEPTED.to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<T> {
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                let hint = "it is text: put it in quotes".to_owned();
                reader.wrong_type(node, F::accepted(), Some(hint));
                return None;
            }
            _ => {
                reader.wrong::<T, F>(node);
                return None;
            }
        };
        F::read(text)
            .map_err(|rejected| {
                reader.report(rejected.found(text), F::ACCEPTED, rejected.hint);
            })
            .ok()
    }

    fn encode(value: &T) -> Json {
        F::write(value).into()
    }

    fn schema(_: &mut Definitions) -> Json {
        if F::PATTERN.is_empty() {
            json!({ "type": "string" })
        } else {
            json!({ "type": "string", "pattern": F::PATTERN })
        }
    }
}

impl Form<bool> for bool {
    fn accepted() -> String {
        "true or false".to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<bool> {
        let hint = match &node.value {
            Value::Bool(value) => return Some(*value),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some("write true, without quotes".to_owned()),
                "false" | "no" | "off" | "n" => Some("write false, without quotes".to_owned()),
                _ => None,
            },
            _ => None,
        };
        reader.wrong_type(node, Self::accepted(), hint);
        None
    }

    fn encode(value: &bool) -> Json {
        (*value).into()
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "boolean" })
    }
}

/// A whole number from `LOW` to `HIGH`.
pub(crate) struct In<const LOW: u32, const HIGH: u32>;

impl<T, const LOW: u32, const HIGH: u32> Form<T> for In<LOW, HIGH>
where
    T: TryFrom<u32> + Into<u32> + Copy,
{
    fn accepted() -> String {
        format!("a whole number from {LOW} to {HIGH}")
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<T> {
        let hint = match &node.value {
            Value::Integer(number) => match u32::try_from(*number) {
                Ok(number) if (LOW..=HIGH).contains(&number) => return T::try_from(number).ok(),
                _ => None,
            },
            Value::Text(text) => u32::from_str(text)
                .ok()
                .map(|number| format!("write {number}, without quotes")),
            _ => None,
        };
        reader.wrong_type(node, <Self as Form<T>>::accepted(), hint);
        None
    }

    fn encode(value: &T) -> Json {
        (*value).into().into()
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": LOW, "maximum": HIGH })
    }
}

/// A value, or null for none.
impl<T, F: Form<T>> Form<Option<T>> for Option<F> {
    fn accepted() -> String {
        F::accepted()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Option<T>> {
        match node.value {
            Value::Null => Some(None),
            _ => F::decode(node, reader).map(Some),
        }
    }

    fn encode(value: &Option<T>) -> Json {
        value.as_ref().map_or(Json::Null, F::encode)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [F::schema(definitions), { "type": "null" }] })
    }
}

impl<T, F: Form<T>> Form<Vec<T>> for Vec<F> {
    fn accepted() -> String {
        format!("a list, each element {}", F::accepted())
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Vec<T>> {
        let Value::List(nodes) = &node.value else {
            let hint = match &node.value {
                Value::Text(text) => Some(format!("write a list: [{text}]")),
                Value::Null => Some("write `[]` for none, or leave the key out".to_owned()),
                _ => None,
            };
            reader.wrong_type(node, Self::accepted(), hint);
            return None;
        };
        let (indexes, values): (Vec<usize>, Vec<T>) = nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| {
                Some((index, reader.step::<T, F>(Step::Index(index), node)?))
            })
            .unzip();
        if values.len() < nodes.len() {
            reader.kept.insert(reader.path.clone(), indexes);
        }
        Some(values)
    }

    fn encode(value: &Vec<T>) -> Json {
        value.iter().map(F::encode).collect()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "type": "array", "items": F::schema(definitions) })
    }
}

/// A map from names to values.
impl<K: Ord + Text<K>, T, F: Form<T>> Form<BTreeMap<K, T>> for BTreeMap<K, F> {
    fn accepted() -> String {
        format!("a map, each key {}", K::ACCEPTED)
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<BTreeMap<K, T>> {
        let Value::Map(entries) = &node.value else {
            let hint = matches!(node.value, Value::Null)
                .then(|| "write `{}` for none, or leave the key out".to_owned());
            reader.wrong_type(node, Self::accepted(), hint);
            return None;
        };
        let mut map = BTreeMap::new();
        for (key, node) in entries {
            let name = K::read(key).map_err(|rejected| {
                reader.push(
                    Problem::new(reader.path.key(key), rejected.found(key), K::ACCEPTED)
                        .hint(rejected.hint),
                );
            });
            let value = reader.step::<T, F>(Step::Key(key.clone()), node);
            if let (Ok(name), Some(value)) = (name, value) {
                map.entry(name).or_insert(value);
            }
        }
        Some(map)
    }

    fn encode(value: &BTreeMap<K, T>) -> Json {
        let entries = value
            .iter()
            .map(|(name, value)| (K::write(name), F::encode(value)));
        Json::Object(entries.collect())
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({
            "type": "object",
            "propertyNames": <K as Form<K>>::schema(definitions),
            "additionalProperties": F::schema(definitions),
        })
    }
}

/// Adds a field to an encoded record; one without a value is left out.
pub(crate) fn encode_field<T, F: Form<T>>(object: &mut Map<String, Json>, key: &str, value: &T) {
    let value = F::encode(value);
    if !value.is_null() {
        object.insert(key.to_owned(), value);
    }
}

/// A struct that is written as a map with known keys.
///
/// A field is `name: Type as Form = default`. Its key is its name, or what stands in brackets behind
/// it; without `as` the type is its own form; without a default the key is required. The doc
/// comments become the descriptions of the schema. With `: Default` behind the name (for records
/// whose fields all have one), the struct implements it.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident: Default { $($body:tt)* }
    ) => {
        record! { $(#[doc = $doc])* $vis struct $name { $($body)* } }
        record! { @impl_default $name { $($body)* } }
    };
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident $(($key:literal))?: $type:ty $(as $form:ty)? $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* $vis $field: $type, )*
        }

        impl $crate::form::Form<$name> for $name {
            fn accepted() -> String {
                "a map".to_owned()
            }

            fn decode(
                node: &$crate::tree::Node,
                reader: &mut $crate::form::Reader,
            ) -> Option<$name> {
                let entries = reader.record(node, &[$(record!(@key $field $($key)?)),*])?;
                $(
                    let $field = reader.field::<$type, record!(@form $type $(, $form)?)>(
                        entries,
                        record!(@key $field $($key)?),
                        record!(@default $($default)?),
                    );
                )*
                Some($name { $($field: $field?),* })
            }

            fn encode(value: &$name) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $(
                    $crate::form::encode_field::<$type, record!(@form $type $(, $form)?)>(
                        &mut object,
                        record!(@key $field $($key)?),
                        &value.$field,
                    );
                )*
                object.into()
            }

            fn schema(definitions: &mut $crate::schema::Definitions) -> serde_json::Value {
                definitions.record(
                    stringify!($name),
                    concat!($($doc, "\n"),*),
                    |definitions| vec![$(
                        definitions.field::<$type, record!(@form $type $(, $form)?)>(
                            record!(@key $field $($key)?),
                            concat!($($field_doc, "\n"),*),
                            record!(@default $($default)?),
                        )
                    ),*],
                )
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$name as $crate::form::Form<$name>>::encode(self).serialize(serializer)
            }
        }
    };
    (@impl_default $name:ident {
        $(
            $(#[doc = $field_doc:literal])*
            $field:ident $(($key:literal))?: $type:ty $(as $form:ty)? = $default:expr
        ),* $(,)?
    }) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@form $type:ty) => { $type };
    (@form $type:ty, $form:ty) => { $form };
    (@default) => { None };
    (@default $default:expr) => { Some(|| $default) };
}

/// An enumeration whose values are written as words.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident {
            $( $(#[doc = $word_doc:literal])* $variant:ident = $word:literal ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $( $(#[doc = $word_doc])* $variant, )*
        }

        impl $name {
            /// The word that the document uses.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::form::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $( $word => Ok(Self::$variant), )*
                    _ => Err($crate::form::UnknownWord::new(text, &[$($word),*])),
                }
            }
        }

        impl $crate::form::Form<$name> for $name {
            fn accepted() -> String {
                $crate::form::one_of(&[$($word),*])
            }

            fn decode(
                node: &$crate::tree::Node,
                reader: &mut $crate::form::Reader,
            ) -> Option<$name> {
                let text = $crate::form::word(node, reader, &[$($word),*])?;
                text.parse().ok()
            }

            fn encode(value: &$name) -> serde_json::Value {
                value.as_str().into()
            }

            fn schema(definitions: &mut $crate::schema::Definitions) -> serde_json::Value {
                definitions.words(
                    stringify!($name),
                    concat!($($doc, "\n"),*),
                    &[$(($word, concat!($($word_doc, "\n"),*))),*],
                )
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use {record, words};

/// The text is none of the words that are accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not {accepted}", quote(.text))]
pub struct UnknownWord {
    text: String,
    accepted: String,
}

impl UnknownWord {
    pub(crate) fn new(text: &str, words: &[&str]) -> Self {
        Self {
            text: text.to_owned(),
            accepted: one_of(words),
        }
    }
}

/// `a`, `b` or `c`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The text of a node that has to be one of some words.
pub(crate) fn word<'n>(node: &'n Node, reader: &mut Reader, words: &[&str]) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if words.contains(&text.as_str()) => Some(text),
        Value::Text(text) => {
            let lower = text.to_lowercase();
            let hint = nearest(&lower, words).map(|word| format!("did you mean `{word}`?"));
            reader.report(quote(text), one_of(words), hint);
            None
        }
        _ => {
            reader.wrong_type(node, one_of(words), None);
            None
        }
    }
}
