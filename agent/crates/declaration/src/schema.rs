//! The JSON Schema (draft 2020-12) of the declaration.

use serde_json::{Value as Json, json};

use crate::document::Document;
use crate::form::{Form, Text};
use crate::names::PluginName;

/// The JSON Schema of a declaration: what it accepts, its defaults and its descriptions.
///
/// It comes from the definitions that decode declarations too. It does not say what depends on
/// several values (an address outside of its bridge's network, a cycle): only reading a declaration
/// finds that.
pub fn schema() -> Json {
    let mut definitions = Definitions::default();
    let document = Document::schema(&mut definitions);
    let mut schemas: serde_json::Map<_, _> = definitions
        .0
        .iter()
        .map(|definition| (definition.name.to_owned(), definition.schema()))
        .collect();
    if let Some(plugins) = schemas.get_mut("Plugins") {
        plugins["propertyNames"] = json!({
            "pattern": <PluginName as Text<PluginName>>::PATTERN,
        });
        plugins["additionalProperties"] = json!({
            "type": "object",
            "description": "The section of a plugin made from a D-Bus service. What it may hold is said by the \
                            plugin's mapping: `op-dbus plugin show NAME`.",
        });
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "operation-dbus declaration",
        "$ref": document["$ref"],
        "$defs": schemas,
    })
}

/// The schemas that others refer to by name.
#[derive(Default)]
pub(crate) struct Definitions(Vec<Definition>);

/// A schema with a name.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) description: String,
    pub(crate) kind: Kind,
}

/// What a definition is about.
pub(crate) enum Kind {
    /// It is being defined.
    Pending,
    /// A map with known keys.
    Record(Vec<Field>),
    /// One of some words, each with what it means.
    Words(Vec<(&'static str, String)>),
    /// Something else.
    Other(Json),
}

/// One key of a record.
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) accepted: String,
    pub(crate) description: String,
    /// The default in its normal form; nothing if the key is required.
    pub(crate) default: Option<Json>,
    pub(crate) schema: Json,
}

impl Definitions {
    pub(crate) fn get(&self, name: &str) -> Option<&Definition> {
        self.0.iter().find(|definition| definition.name == name)
    }

    /// A reference to a schema that is defined once.
    pub(crate) fn define(
        &mut self,
        name: &'static str,
        description: &str,
        kind: impl FnOnce(&mut Self) -> Kind,
    ) -> Json {
        if self.get(name).is_none() {
            let index = self.0.len();
            self.0.push(Definition {
                name,
                description: prose(description),
                kind: Kind::Pending,
            });
            self.0[index].kind = kind(self);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// One key of a record: its form with what is said of it and its default.
    pub(crate) fn field<T, F: Form<T>>(
        &mut self,
        key: &'static str,
        description: &str,
        default: Option<fn() -> T>,
    ) -> Field {
        Field {
            key,
            accepted: F::accepted(),
            description: prose(description),
            default: default.map(|default| F::encode(&default())),
            schema: F::schema(self),
        }
    }
}

impl Definition {
    fn schema(&self) -> Json {
        let mut schema = match &self.kind {
            Kind::Pending => json!({}),
            Kind::Record(fields) => record(fields),
            Kind::Words(words) => {
                let choices: Vec<_> = words
                    .iter()
                    .map(|(word, description)| json!({ "const": word, "description": description }))
                    .collect();
                json!({ "oneOf": choices })
            }
            Kind::Other(schema) => schema.clone(),
        };
        schema["description"] = self.description.as_str().into();
        schema
    }
}

fn record(fields: &[Field]) -> Json {
    let required: Vec<_> = fields
        .iter()
        .filter(|field| field.default.is_none())
        .map(|field| field.key)
        .collect();
    let properties: serde_json::Map<_, _> = fields
        .iter()
        .map(|field| {
            let mut schema = field.schema.clone();
            schema["description"] = field.description.as_str().into();
            if let Some(default) = &field.default {
                schema["default"] = default.clone();
            }
            (field.key.to_owned(), schema)
        })
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A doc comment as running text, without the links that only Rust knows.
pub(crate) fn prose(doc: &str) -> String {
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
