//! The reference of the declaration for people, in Markdown.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::define::one_of;
use crate::document::Document;
use crate::form::Form;
use crate::schema::{Definition, Definitions, Field, Kind};

/// A declaration with every key there is, in YAML.
pub const EXAMPLE: &str = include_str!("example.yaml");

const INTRODUCTION: &str = "\
# The declaration

<!-- Generated from the crate `declaration`: change it there. -->

A declaration says what a host should have. It is one document in JSON or in YAML 1.2, by default
`/etc/op-dbus/state.json`. `op-dbus check FILE` says everything that is wrong with one, and
`op-dbus schema` prints its JSON Schema for editors.

* A key that is not named here is an error, and so is a key that stands twice in one map.
* **Sizes** are a whole number of MiB (`2048`, `\"2048\"`), or a whole number with its unit: `B`, `KiB`,
  `MiB`, `GiB`, `TiB`, or `K`, `M`, `G`, `T` for the same powers of 1024.
* **Paths** are absolute.
* YAML may use anchors, aliases and merge keys (`<<`). `yes`, `no`, `on` and `off` are text, as YAML 1.2
  has it.
* A file has at most 16 MiB and a million values, nested at most 64 deep.
* **Secrets** have no place in it: it names the files that hold them.

## Example

```yaml
";

/// The reference: an example, then a table of keys for each map of the document.
pub fn reference() -> String {
    let mut definitions = Definitions::default();
    let document = Document::schema(&mut definitions);
    let mut page = format!("{INTRODUCTION}{EXAMPLE}```\n");
    for name in references(&document) {
        section(&definitions, name, String::new(), &mut page);
    }
    page
}

/// A definition, and below it those that it refers to.
fn section(definitions: &Definitions, name: &str, path: String, page: &mut String) {
    let Some(definition) = definitions.get(name) else {
        return;
    };
    match &definition.kind {
        Kind::Record(fields) => {
            table(definitions, definition, fields, &path, page);
            for field in fields {
                let below = match path.as_str() {
                    "" => field.key.to_owned(),
                    path => format!("{path}.{}", field.key),
                };
                children(definitions, &field.schema, below, page);
            }
        }
        Kind::Other(schema) => children(definitions, schema, path, page),
        Kind::Words(_) | Kind::Pending => {}
    }
}

/// The maps in the value at a path: itself, the values of its keys, the elements of the list.
fn children(definitions: &Definitions, schema: &Json, path: String, page: &mut String) {
    if let Some(values) = schema
        .get("additionalProperties")
        .filter(|it| it.is_object())
    {
        return children(definitions, values, format!("{path}.NAME"), page);
    }
    if let Some(elements) = schema.get("items") {
        return children(definitions, elements, format!("{path}[N]"), page);
    }
    if let Some(choices) = schema.get("oneOf").and_then(Json::as_array) {
        for choice in choices {
            children(
                definitions,
                choice,
                format!("{path}{}", condition(choice)),
                page,
            );
        }
        return;
    }
    for name in references(schema) {
        section(definitions, name, path.clone(), page);
    }
}

/// What tells a choice from the others: the values that it wants for a key.
fn condition(choice: &Json) -> String {
    let keys = choice.get("properties").and_then(Json::as_object);
    keys.into_iter()
        .flatten()
        .filter_map(|(key, schema)| {
            let values = schema.get("enum")?.as_array()?;
            let values: Vec<_> = values.iter().filter_map(Json::as_str).collect();
            Some(format!(" ({key}: {})", values.join(" or ")))
        })
        .collect()
}

/// The names of the definitions that a schema is, or is one of.
fn references(schema: &Json) -> Vec<&str> {
    let choices = ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten();
    choices
        .chain([schema])
        .filter_map(|schema| schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/"))
        .collect()
}

fn table(
    definitions: &Definitions,
    definition: &Definition,
    fields: &[Field],
    path: &str,
    page: &mut String,
) {
    let heading = if path.is_empty() {
        "The document".to_owned()
    } else {
        format!("`{path}`")
    };
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n## {heading}\n\n{}\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n",
        definition.description
    );
    for field in fields {
        let default = match &field.default {
            None => "required".to_owned(),
            Some(Json::Null) => "none".to_owned(),
            Some(Json::Object(entries)) if !entries.is_empty() => "see there".to_owned(),
            Some(Json::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {default} | {} |",
            field.key,
            value(definitions, field),
            meaning(definitions, field)
        );
    }
}

fn value(definitions: &Definitions, field: &Field) -> String {
    match words(definitions, field) {
        Some(words) => one_of(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>()),
        None => field.accepted.clone(),
    }
}

fn meaning(definitions: &Definitions, field: &Field) -> String {
    let mut text = field.description.clone();
    for (word, meaning) in words(definitions, field).into_iter().flatten() {
        let _ = write!(text, "<br>`{word}`: {meaning}");
    }
    text
}

/// The words that a field may have.
fn words<'a>(definitions: &'a Definitions, field: &Field) -> Option<&'a [(&'static str, String)]> {
    references(&field.schema)
        .into_iter()
        .find_map(|name| match &definitions.get(name)?.kind {
            Kind::Words(words) => Some(words.as_slice()),
            _ => None,
        })
}
