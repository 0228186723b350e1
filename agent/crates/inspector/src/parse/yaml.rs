//! YAML 1.2 (core schema) to values. Aliases are expanded within the bounds, and counted as what they repeat.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::seed::float;
use crate::error::Error;
use crate::limits::Budget;

const FORMAT: &str = "YAML";

/// Parses YAML. Several documents in one file become a list. Merge keys (`<<`) are expanded, keys that are no
/// text become text, and tags that are not YAML's own are passed over.
pub fn yaml(text: &str, budget: &mut Budget) -> Result<Value, Error> {
    let mut tree = Tree {
        documents: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        budget,
    };
    let depth = tree.budget.limits().depth;
    for event in Parser::new_from_str_with_options(text, options(depth)) {
        let (event, _) = event.map_err(|error| {
            let line = error.marker().line();
            Error::syntax(FORMAT, format!("line {line}: {}", error.info()))
        })?;
        tree.event(event)?;
    }
    match tree.documents.len() {
        0 => Ok(Value::Null),
        1 => Ok(tree.documents.remove(0)),
        _ => Ok(Value::Array(tree.documents)),
    }
}

fn options(depth: usize) -> Options {
    granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: depth,
        block_nesting_limit: depth,
    }
}

/// A value that aliases may repeat, with its extent.
struct Anchored {
    value: Value,
    nodes: usize,
    depth: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map {
        entries: Map<String, Value>,
        /// The key whose value comes next.
        key: Option<Key>,
        merged: Vec<Map<String, Value>>,
    },
}

enum Key {
    Merge,
    Name(String),
}

struct Tree<'b> {
    documents: Vec<Value>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    budget: &'b mut Budget,
}

impl Tree<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.take(1)?;
                if let Some(next) = self.expected_key() {
                    *next = Some(match style {
                        ScalarStyle::Plain if text == "<<" => Key::Merge,
                        _ => Key::Name(text.into_owned()),
                    });
                    return Ok(());
                }
                self.finish(scalar(&text, style, tag.as_deref()), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Content::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Map {
                    entries: Map::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(content, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.finish(complete(open.content), open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn expected_key(&mut self) -> Option<&mut Option<Key>> {
        match &mut self.open.last_mut()?.content {
            Content::Map { key, .. } if key.is_none() => Some(key),
            _ => None,
        }
    }

    fn begin(&mut self, content: Content, anchor: usize) -> Result<(), Error> {
        self.budget.take(1)?;
        if self.expected_key().is_some() {
            return Err(Error::syntax(
                FORMAT,
                "a list or map as a key, which is not supported",
            ));
        }
        self.budget.deep(self.open.len() + 1)?;
        self.open.push(Open { anchor, content });
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Error> {
        if self.expected_key().is_some() {
            return Err(Error::syntax(
                FORMAT,
                "an alias as a key, which is not supported",
            ));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Error::syntax(
                FORMAT,
                "an alias inside of what it stands for",
            ));
        };
        // Before the copy is made, and not after.
        self.budget.take(anchored.nodes)?;
        self.budget.deep(self.open.len() + anchored.depth)?;
        let value = anchored.value.clone();
        self.finish(value, 0)
    }

    fn finish(&mut self, value: Value, anchor: usize) -> Result<(), Error> {
        if anchor > 0 {
            let (nodes, depth) = extent(&value);
            self.budget.take(nodes)?;
            let anchored = Anchored {
                value: value.clone(),
                nodes,
                depth,
            };
            self.anchors.insert(anchor, anchored);
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.documents.push(value),
            Some(Content::List(values)) => values.push(value),
            Some(Content::Map {
                entries,
                key,
                merged,
            }) => match key.take() {
                Some(Key::Merge) => merged.extend(maps(value)?),
                Some(Key::Name(name)) => drop(entries.insert(name, value)),
                None => {}
            },
        }
        Ok(())
    }
}

/// The number of values in a tree, and how deep it is. No tree here is deeper than the limit. Texts and keys count by
/// their length too, so that what bounds the number of copies bounds their bytes.
fn extent(value: &Value) -> (usize, usize) {
    let sum = |(nodes, depth): (usize, usize), (more, below): (usize, usize)| {
        (nodes + more, depth.max(below + 1))
    };
    match value {
        Value::Array(values) => values.iter().map(extent).fold((1, 1), sum),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| {
                let (nodes, depth) = extent(value);
                (nodes + weight(key), depth)
            });
            entries.fold((1, 1), sum)
        }
        Value::String(text) => (1 + weight(text), 0),
        _ => (1, 0),
    }
}

/// The values that take about as much room as a text.
fn weight(text: &str) -> usize {
    const BYTES: usize = 16;
    text.len() / BYTES
}

/// The maps that a merge key brings in.
fn maps(value: Value) -> Result<Vec<Map<String, Value>>, Error> {
    let no_map = || Error::syntax(FORMAT, "`<<` with something else than a map");
    match value {
        Value::Object(map) => Ok(vec![map]),
        Value::Array(values) => {
            let maps = values.into_iter().map(|value| match value {
                Value::Object(map) => Ok(map),
                _ => Err(no_map()),
            });
            maps.collect()
        }
        _ => Err(no_map()),
    }
}

/// A list or map that is complete: a map's own keys go before those that are merged in.
fn complete(content: Content) -> Value {
    match content {
        Content::List(values) => Value::Array(values),
        Content::Map {
            mut entries,
            merged,
            ..
        } => {
            for (key, value) in merged.into_iter().flatten() {
                entries.entry(key).or_insert(value);
            }
            Value::Object(entries)
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    match tag {
        None if matches!(style, ScalarStyle::Plain) => plain(text),
        Some(tag) if tag.is_yaml_core_schema() && !tag.is_yaml_core_schema_tag("str") => {
            plain(text)
        }
        _ => text.into(),
    }
}

/// The type of a plain scalar (YAML 1.2.2 §10.3.2). An integer that JSON readers cannot hold becomes a float.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return float(f64::NAN),
        _ => {}
    }
    let radix = |prefix, radix| {
        let digits = text.strip_prefix(prefix)?;
        let unsigned = !digits.starts_with(['+', '-']);
        unsigned.then(|| u64::from_str_radix(digits, radix).ok())?
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return number.into();
    }
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    if let Ok(number) = text.parse::<u64>() {
        return number.into();
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    match digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        true => text.parse().map_or_else(|_| text.into(), float),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;

    fn parsed(text: &str) -> Result<Value, Error> {
        yaml(text, &mut Budget::new(Limits::default()))
    }

    #[test]
    fn values_have_the_types_of_the_core_schema() {
        let value = parsed(
            "a: &a { x: 1, y: 0x1F }\nb: { <<: *a, y: two }\nc: [~, yes, true, 1.5, -.inf, '1', 2026-01-01]\n",
        );
        assert_eq!(
            value.unwrap(),
            json!({
                "a": { "x": 1, "y": 31 }, "b": { "x": 1, "y": "two" },
                "c": [null, "yes", true, 1.5, "-.inf", "1", "2026-01-01"],
            })
        );
        assert_eq!(
            parsed("a: 1\n---\nb: 2\n").unwrap(),
            json!([{ "a": 1 }, { "b": 2 }])
        );
        assert_eq!(parsed("!own { a: !!str 1 }").unwrap(), json!({ "a": "1" }));
    }

    #[test]
    fn alias_bombs_end_at_the_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            let repeated = vec![format!("*a{before}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{repeated}]\n"));
        }
        assert!(parsed(&text).unwrap_err().is_limit());
        assert!(parsed("a: &a [*a]").is_err());
    }

    #[test]
    fn few_aliases_of_long_texts_end_at_the_limit_too() {
        let long = "x".repeat(1 << 20);
        let keys: Vec<_> = (0..1000).map(|key| format!("{key:x<1000}: 1")).collect();
        let map = format!("&a {{ {} }}", keys.join(", "));
        for anchored in [format!("&a {long}"), map.clone()] {
            let repeated =
                |times| format!("a: {anchored}\nb: [{}]\n", vec!["*a"; times].join(", "));
            assert!(parsed(&repeated(2)).is_ok());
            assert!(parsed(&repeated(100)).unwrap_err().is_limit());
        }
        let merged = format!("a: {map}\nb:\n{}", "- <<: *a\n".repeat(100));
        assert!(parsed(&merged).unwrap_err().is_limit());
    }
}
