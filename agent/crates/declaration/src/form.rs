//! How values are written in the document: one definition from which follow the Rust type, the
//! decoding with all its problems, the encoding and the JSON Schema.
//!
//! [`Form<T>`] says how a `T` is written. Most types are their own form; where one type is written
//! in several ways (a `u16` as a VLAN or as a TCP port), a field names the form after `as`.
//! [`record!`](crate::define::record) defines maps with known keys,
//! [`words!`](crate::define::words) enumerations.

use serde_json::{Value as Json, json};

use crate::reader::Reader;
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
    /// It may hold a secret, and must not be repeated.
    pub(crate) secret: bool,
}

impl Rejected {
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::default()
        }
    }

    pub(crate) fn hint(hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..Self::default()
        }
    }

    /// What was found, for people.
    pub(crate) fn found(&self, text: &str) -> String {
        let text = if self.secret {
            "text that is not shown here".to_owned()
        } else {
            quote(text)
        };
        match &self.reason {
            Some(reason) => format!("{text} ({reason})"),
            None => text,
        }
    }
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
            json!({ "type": "string", "pattern": F::PATTERN, "$comment": F::ACCEPTED })
        }
    }
}
