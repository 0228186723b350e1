//! The JSON Schema (draft 2020-12) of the declaration.

use serde_json::{Map, Value as Json, json};

use crate::document::Document;
use crate::form::Form;

/// The JSON Schema of a declaration: what it accepts, its defaults and its descriptions.
///
/// It comes from the definitions that decode declarations too. It does not say what depends on
/// several values (an address outside of its bridge's network, a cycle): only reading a declaration
/// finds that.
pub fn schema() -> Json {
    let mut definitions = Definitions::default();
    let document = Document::schema(&mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "operation-dbus declaration",
        "$ref": document["$ref"],
        "$defs": definitions.0,
    })
}

/// The schemas that others refer to by name.
#[derive(Default)]
pub(crate) struct Definitions(Map<String, Json>);

/// One key of a record.
pub(crate) struct Field {
    key: &'static str,
    schema: Json,
    required: bool,
}

impl Definitions {
    /// A reference to a schema that is defined once.
    pub(crate) fn define(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Json) -> Json {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Json::Null);
            let schema = schema(self);
            self.0.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// A map with known keys.
    pub(crate) fn record(
        &mut self,
        name: &str,
        doc: &str,
        fields: impl FnOnce(&mut Self) -> Vec<Field>,
    ) -> Json {
        self.define(name, |definitions| {
            let fields = fields(definitions);
            let required: Vec<_> = fields
                .iter()
                .filter(|field| field.required)
                .map(|field| field.key)
                .collect();
            let mut schema = json!({
                "description": prose(doc),
                "type": "object",
                "additionalProperties": false,
            });
            if !required.is_empty() {
                schema["required"] = required.into();
            }
            schema["properties"] = fields
                .into_iter()
                .map(|field| (field.key.to_owned(), field.schema))
                .collect();
            schema
        })
    }

    /// One key of a record: its form with what is said of it and its default.
    pub(crate) fn field<T, F: Form<T>>(
        &mut self,
        key: &'static str,
        doc: &str,
        default: Option<fn() -> T>,
    ) -> Field {
        let mut schema = F::schema(self);
        schema["description"] = prose(doc).into();
        if let Some(default) = default {
            schema["default"] = F::encode(&default());
        }
        Field {
            key,
            schema,
            required: default.is_none(),
        }
    }

    /// One of some words.
    pub(crate) fn words(&mut self, name: &str, doc: &str, words: &[(&str, &str)]) -> Json {
        self.define(name, |_| {
            let choices: Vec<_> = words
                .iter()
                .map(|(word, doc)| json!({ "const": word, "description": prose(doc) }))
                .collect();
            json!({ "description": prose(doc), "oneOf": choices })
        })
    }
}

/// A doc comment as running text, without the links that only Rust knows.
fn prose(doc: &str) -> String {
    let lines: Vec<_> = doc.lines().map(str::trim).collect();
    lines
        .split(|line| line.is_empty())
        .map(|paragraph| paragraph.join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
        .replace("[`", "`")
        .replace("`]", "`")
}
