//! What was found out, for people.

use serde_json::{Map, Value};

/// The widest column of keys.
const WIDEST: usize = 40;

/// What something is, and a tree of what it holds.
pub(super) fn inspection(told: &Value) -> String {
    let word = |key: &str| plain(&told[key]);
    let mut text = format!(
        "{}: {}, {} bytes\n",
        word("source"),
        word("format"),
        word("bytes")
    );
    text.push_str(&format!("  sha256  {}\n", word("sha256")));
    let description = told["description"].as_object();
    for (key, value) in description.into_iter().flatten() {
        if key != "structure" && !value.is_null() {
            facts(&mut text, key, value, 1);
        }
    }
    if let Some(structure) = told["description"].get("structure") {
        text.push('\n');
        tree(&mut text, "", structure, 0);
    }
    if let Some(schema) = told.get("schema") {
        text.push_str(&format!("\nschema of all examples:\n{schema:#}\n"));
    }
    text
}

/// Whether something fits.
pub(super) fn verdict(told: &Value) -> String {
    let source = plain(&told["source"]);
    let faults = told["faults"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if faults.is_empty() {
        return format!("{source}: fits\n");
    }
    let mut text = format!("{source}: does not fit\n");
    for fault in faults {
        let place = match plain(&fault["place"]) {
            place if place.is_empty() => "the whole".to_owned(),
            place => place,
        };
        let value = match fault["value"].as_u64() {
            Some(value @ 1..) => format!("value {value}, "),
            _ => String::new(),
        };
        text.push_str(&format!("  {value}{place}: {}\n", plain(&fault["message"])));
    }
    text
}

/// Text as it is, without what could move the cursor.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let shown = text
                .chars()
                .map(|char| if char.is_control() { '\u{fffd}' } else { char });
            shown.collect()
        }
        other => other.to_string(),
    }
}

/// Keys with their values, a line each.
fn facts(text: &mut String, key: &str, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let key = plain(&Value::from(key));
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push_str(&format!("{indent}{key}\n"));
            for (key, value) in map {
                facts(text, key, value, depth + 1);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            text.push_str(&format!("{indent}{key}\n"));
            for item in list {
                text.push_str(&format!("{indent}  {}\n", row(item)));
            }
        }
        value => text.push_str(&format!("{indent}{key}  {}\n", row(value))),
    }
}

/// A value on one line.
fn row(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts = map.iter().filter(|(_, value)| !value.is_null());
            let parts = parts.map(|(key, value)| format!("{key} {}", row(value)));
            parts.collect::<Vec<_>>().join("  ")
        }
        Value::Array(list) => list.iter().map(row).collect::<Vec<_>>().join(", "),
        other => plain(other),
    }
}

/// The structure of a value: a line a place.
fn tree(text: &mut String, key: &str, node: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let room = WIDEST.saturating_sub(indent.len());
    let key = plain(&Value::from(key));
    text.push_str(&format!(
        "{indent}{key:room$}  {}\n",
        figures(node).trim_end()
    ));
    let empty = Map::new();
    let keys = node["keys"].as_object().unwrap_or(&empty);
    for (key, below) in keys {
        tree(text, key, below, depth + 1);
    }
    for (name, place) in [("[each]", "items"), ("[any key]", "any_key")] {
        if let Some(below) = node.get(place) {
            tree(text, name, below, depth + 1);
        }
    }
    if let Some(left_out) = node.get("left_out") {
        text.push_str(&format!("{indent}  … {left_out} more\n"));
    }
}

/// Kinds, ranges and samples of one place.
fn figures(node: &Value) -> String {
    let kinds = node["kinds"].as_object().into_iter().flatten();
    let kinds = kinds.map(|(kind, count)| match count.as_u64() {
        Some(1) => kind.clone(),
        _ => format!("{kind} ×{count}"),
    });
    let mut parts = vec![kinds.collect::<Vec<_>>().join(" or ")];
    if node["optional"] == Value::Bool(true) {
        parts.push("optional".to_owned());
    }
    if let Some(name) = node["text_format"].as_str() {
        parts.push(name.to_owned());
    }
    for (key, what) in [
        ("range", ""),
        ("length", "characters"),
        ("elements", "elements"),
    ] {
        if let Some([from, to]) = node[key].as_array().map(Vec::as_slice) {
            let range = match from == to {
                true => from.to_string(),
                false => format!("{from}–{to}"),
            };
            parts.push(format!("{range} {what}").trim_end().to_owned());
        }
    }
    if let Some(samples) = node["samples"].as_array() {
        let samples = samples.iter().map(|sample| format!("“{}”", plain(sample)));
        parts.push(samples.collect::<Vec<_>>().join(" "));
    }
    parts.join(", ")
}
