//! What something is and holds, in figures and few samples.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::limits::{Budget, Limits};
use crate::recognise::{Format, Recognised, recognise};
use crate::shape::{Keys, Shape};
use crate::source::Source;
use crate::{binary, parse};

/// What was found out about one source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Where it comes from.
    pub source: String,
    /// What it is.
    pub format: Format,
    /// Its length in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, as hexadecimal digits.
    pub sha256: String,
    /// What it holds, in the terms of its format.
    pub description: Value,
    /// Its value, if its format has values.
    #[serde(skip)]
    pub value: Option<Value>,
}

/// Looks at bytes. Fails only when a bound is met, or when they end before they should.
pub fn inspect(source: &Source, limits: &Limits) -> Result<Inspection, Error> {
    let mut budget = Budget::new(*limits);
    if source.bytes.len() > limits.bytes {
        return Err(Error::TooLarge(limits.bytes));
    }
    let packed = source.bytes.starts_with(b"\x1f\x8b");
    let unpacked;
    let (bytes, name) = match packed {
        false => (source.bytes.as_slice(), source.name.as_str()),
        true => {
            unpacked = gunzip(source.bytes.as_slice(), &budget)?;
            let name = source.name.as_str();
            (
                unpacked.as_slice(),
                name.strip_suffix(".gz").unwrap_or(name),
            )
        }
    };
    let found = recognise(bytes, name, &mut budget)?;
    let mut description = describe(bytes, &found, &mut budget)?;
    if packed && let Some(told) = description.as_object_mut() {
        told.insert("packed_with".to_owned(), json!("gzip"));
        told.insert("unpacked_bytes".to_owned(), json!(bytes.len()));
    }
    Ok(Inspection {
        source: source.name.clone(),
        format: found.format,
        bytes: source.bytes.len() as u64,
        sha256: sha256(&source.bytes),
        description,
        value: found.value,
    })
}

impl Inspection {
    /// Something that is no file but has a value: its bytes are the value's as JSON.
    pub fn of_value(source: impl Into<String>, format: Format, value: Value) -> Self {
        let bytes = value.to_string();
        Self {
            source: source.into(),
            format,
            bytes: bytes.len() as u64,
            sha256: sha256(bytes.as_bytes()),
            description: described_value(&value),
            value: Some(value),
        }
    }

    /// The examples that it gives: each line of JSON lines, else the whole.
    pub fn shape(&self) -> Option<Shape> {
        match (self.format, self.value.as_ref()?) {
            (Format::JsonLines, Value::Array(values)) => Some(Shape::of_all(values)),
            (_, value) => Some(Shape::of(value)),
        }
    }

    /// The values that are to be valid each by itself.
    pub fn examples(&self) -> &[Value] {
        match (self.format, &self.value) {
            (Format::JsonLines, Some(Value::Array(values))) => values,
            (_, Some(value)) => std::slice::from_ref(value),
            (_, None) => &[],
        }
    }
}

/// The SHA-256 of bytes, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Unpacks gzip (RFC 1952) within the bounds.
pub(crate) fn gunzip(bytes: impl Read, budget: &Budget) -> Result<Vec<u8>, Error> {
    budget
        .read(MultiGzDecoder::new(bytes))
        .map_err(|error| match error {
            Error::Syntax { reason, .. } => Error::syntax("gzip file", reason),
            limit => limit,
        })
}

fn describe(bytes: &[u8], found: &Recognised, budget: &mut Budget) -> Result<Value, Error> {
    budget.again();
    let mut told = match (&found.value, found.format) {
        (Some(value), _) => described_value(value),
        (None, Format::Elf) => or_fault(binary::elf(bytes))?,
        (None, Format::Sqlite) => or_fault(binary::sqlite(bytes))?,
        (None, Format::Tar) => binary::tar(bytes, budget)?,
        (None, Format::Binary) => binary::other(bytes),
        (None, _) => json!({}),
    };
    if found.format == Format::Xml
        && let Some(value @ Value::Object(root)) = &found.value
    {
        told["root"] = json!(root.keys().next());
        told["namespaces"] = json!(parse::namespaces(value));
    }
    if let Some(text) = &found.text {
        told["text"] = lines(text, found.encoding);
    }
    if let Some(fault) = &found.fault {
        told["fault"] = json!(fault);
    }
    Ok(told)
}

/// What is damaged is told, and is no reason to say nothing.
fn or_fault(told: Result<Value, Error>) -> Result<Value, Error> {
    match told {
        Err(error @ Error::Syntax { .. }) => Ok(json!({ "fault": error.to_string() })),
        other => other,
    }
}

fn lines(text: &str, encoding: Option<&str>) -> Value {
    let longest = text.lines().map(|line| line.chars().count()).max();
    json!({
        "encoding": encoding,
        "lines": text.lines().count(),
        "longest_line": longest.unwrap_or_default(),
        "line_ends": match (text.contains("\r\n"), text.contains('\n')) {
            (true, _) => "crlf",
            (false, true) => "lf",
            (false, false) => "none",
        },
    })
}

fn described_value(value: &Value) -> Value {
    let mut count = Count::default();
    count.take(value, 0);
    let mut room = Room(NODES);
    json!({
        "values": count.values,
        "depth": count.depth,
        "structure": outline(&Shape::of(value), &mut room),
    })
}

#[derive(Default)]
struct Count {
    values: usize,
    depth: usize,
}

impl Count {
    fn take(&mut self, value: &Value, depth: usize) {
        self.values += 1;
        self.depth = self.depth.max(depth);
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.take(value, depth + 1)),
            Value::Object(map) => map.values().for_each(|value| self.take(value, depth + 1)),
            _ => {}
        }
    }
}

/// How many parts of a structure are shown.
const NODES: usize = 500;
/// How many texts are shown for one place.
const SAMPLES: usize = 3;

/// How many more parts may be shown.
struct Room(usize);

/// A shape for people: kinds with their counts, ranges, some samples.
fn outline(shape: &Shape, room: &mut Room) -> Value {
    room.0 = room.0.saturating_sub(1);
    let mut told = Map::new();
    let mut kinds = Map::new();
    let mut kind = |name: &str, count: u64| {
        if count > 0 {
            kinds.insert(name.to_owned(), json!(count));
        }
    };
    kind("null", shape.nulls);
    kind("boolean", shape.booleans);
    if let Some(numbers) = &shape.numbers {
        kind(
            if numbers.integers {
                "integer"
            } else {
                "number"
            },
            numbers.count,
        );
        let range = match numbers.integers && numbers.min.abs().max(numbers.max.abs()) < 9e15 {
            true => json!([numbers.min as i64, numbers.max as i64]),
            false => json!([numbers.min, numbers.max]),
        };
        told.insert("range".to_owned(), range);
    }
    if let Some(texts) = &shape.texts {
        kind("text", texts.count);
        told.insert("length".to_owned(), json!([texts.min, texts.max]));
        if let Some(name) = texts.formats.name() {
            told.insert("text_format".to_owned(), json!(name));
        }
        let samples = texts
            .values
            .iter()
            .flatten()
            .filter(|text| !text.is_empty());
        let samples: Vec<_> = samples.take(SAMPLES).collect();
        if !samples.is_empty() {
            told.insert("samples".to_owned(), json!(samples));
        }
    }
    if let Some(lists) = &shape.lists {
        kind("list", lists.count);
        told.insert("elements".to_owned(), json!([lists.min, lists.max]));
        if lists.items.count > 0 && room.0 > 0 {
            told.insert("items".to_owned(), outline(&lists.items, room));
        }
    }
    if let Some(objects) = &shape.objects {
        kind("object", objects.count);
        match (&objects.keys, objects.named()) {
            (_, Some(keys)) => {
                let mut shown = Map::new();
                for (key, below) in keys {
                    if room.0 == 0 {
                        told.insert("left_out".to_owned(), json!(keys.len() - shown.len()));
                        break;
                    }
                    let mut part = outline(below, room);
                    if below.count < objects.count {
                        part["optional"] = json!(true);
                    }
                    shown.insert(key.clone(), part);
                }
                told.insert("keys".to_owned(), Value::Object(shown));
            }
            (Keys::Named(keys), None) => {
                told.insert(
                    "any_key".to_owned(),
                    outline(&crate::shape::all(keys.clone()), room),
                );
            }
            (Keys::Many(values), None) => {
                told.insert("any_key".to_owned(), outline(values, room));
            }
        }
    }
    told.insert("kinds".to_owned(), Value::Object(kinds));
    Value::Object(told)
}
