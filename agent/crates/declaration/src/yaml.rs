//! YAML 1.2 with the core schema (§10.3 of its specification) to a tree.
//!
//! The tree is built from the parser's events without recursion. Aliases and merge keys (`<<`) are
//! expanded, within the bounds of [`tree`](crate::tree).

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use crate::problem::{DocumentPath, Problem};
use crate::tree::{DEEPEST, LONGEST_KEY, MOST_NODES, Node, Value};

/// Reads one YAML document; the problem says where the syntax breaks.
pub(crate) fn parse(text: &str) -> Result<Node, Problem> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str_with_options(text, options()) {
        let (event, span) = event
            .map_err(|error| syntax(error.marker().line(), error.marker().col(), &error.info()))?;
        let (line, column) = (span.start.line(), span.start.col());
        tree.event(event, u32::try_from(line).unwrap_or_default())
            .map_err(|reason| syntax(line, column, &reason))?;
    }
    Ok(tree.root.unwrap_or(Node {
        line: 1,
        value: Value::Null,
    }))
}

fn options() -> Options {
    granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    }
}

fn syntax(line: usize, column: usize, reason: &str) -> Problem {
    Problem {
        line: u64::try_from(line).ok(),
        ..Problem::new(
            DocumentPath::default(),
            format!("line {line}, column {}: {reason}", column + 1),
            "one YAML 1.2 document",
        )
    }
}

/// A list or map whose end has not come yet.
struct Open {
    line: u32,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        /// The key whose value comes next.
        key: Option<Key>,
        /// What `<<` brings in.
        merged: Vec<(String, Node)>,
    },
}

enum Key {
    /// A plain `<<`, which stands for the pairs of other maps (YAML 1.1 type repository, `merge`).
    Merge,
    Name(String, u32),
}

/// A value that aliases may repeat.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
}

impl Tree {
    fn event(&mut self, event: Event<'_>, line: u32) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err("a second document in the file".to_owned())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                if let Some(next) = self.expected_key() {
                    *next = Some(key(&text, style, line)?);
                    return Ok(());
                }
                let value = scalar(&text, style, tag.as_deref())?;
                self.finish(Node { line, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Content::List(Vec::new()), anchor, tag.as_deref(), line)
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Map {
                    entries: Vec::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(content, anchor, tag.as_deref(), line)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.finish(
                    Node {
                        line: open.line,
                        value: close(open.content),
                    },
                    open.anchor,
                ),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, line),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(format!(
                "more than {MOST_NODES} values, repeated ones included"
            ));
        }
        Ok(())
    }

    /// Where the next scalar goes, if it is a key.
    fn expected_key(&mut self) -> Option<&mut Option<Key>> {
        match &mut self.open.last_mut()?.content {
            Content::Map { key, .. } if key.is_none() => Some(key),
            _ => None,
        }
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        line: u32,
    ) -> Result<(), String> {
        self.count(1)?;
        if self.expected_key().is_some() {
            return Err("a list or map as a key".to_owned());
        }
        if self.open.len() >= DEEPEST {
            return Err(format!(
                "lists and maps nested deeper than {DEEPEST} levels"
            ));
        }
        if tag.is_some_and(Tag::is_custom) {
            return Err("a tag that is not of YAML's own".to_owned());
        }
        self.open.push(Open {
            line,
            anchor,
            content,
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<(), String> {
        if self.expected_key().is_some() {
            return Err("an alias as a key".to_owned());
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err("an alias inside of what it stands for".to_owned());
        };
        if self.open.len() + anchored.depth > DEEPEST {
            return Err(format!(
                "lists and maps nested deeper than {DEEPEST} levels"
            ));
        }
        let nodes = anchored.nodes;
        let node = Node {
            line,
            value: anchored.node.value.clone(),
        };
        self.count(nodes)?;
        self.finish(node, 0)
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, mut node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            let (nodes, depth) = extent(&node);
            self.count(nodes)?;
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    nodes,
                    depth,
                },
            );
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(nodes)) => nodes.push(node),
            Some(Content::Map {
                entries,
                key,
                merged,
            }) => match key.take() {
                Some(Key::Merge) => merged.extend(merge(node)?),
                Some(Key::Name(name, line)) => {
                    node.line = line;
                    entries.push((name, node));
                }
                None => {}
            },
        }
        Ok(())
    }
}

fn key(text: &str, style: ScalarStyle, line: u32) -> Result<Key, String> {
    if text == "<<" && matches!(style, ScalarStyle::Plain) {
        Ok(Key::Merge)
    } else if text.len() > LONGEST_KEY {
        Err(format!("a key of more than {LONGEST_KEY} bytes"))
    } else {
        Ok(Key::Name(text.to_owned(), line))
    }
}

/// The number of values in a tree, and how deep it is. Trees are at most [`DEEPEST`] deep here.
fn extent(node: &Node) -> (usize, usize) {
    let sum = |(nodes, depth): (usize, usize), child: &Node| {
        let (more, below) = extent(child);
        (nodes + more, depth.max(below + 1))
    };
    match &node.value {
        Value::List(nodes) => nodes.iter().fold((1, 1), sum),
        Value::Map(entries) => entries.iter().map(|(_, node)| node).fold((1, 1), sum),
        _ => (1, 0),
    }
}

/// The pairs that a merge key's value brings: of one map, or of each of a list of maps.
fn merge(node: Node) -> Result<Vec<(String, Node)>, String> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(nodes) => nodes.into_iter().try_fold(Vec::new(), |mut all, node| {
            all.extend(merge(node)?);
            Ok(all)
        }),
        _ => Err("`<<` with something else than a map".to_owned()),
    }
}

/// A list or map that is complete. A map's own keys go before those that are merged in, and of
/// these the first one.
fn close(content: Content) -> Value {
    match content {
        Content::List(nodes) => Value::List(nodes),
        Content::Map {
            mut entries,
            merged,
            ..
        } => {
            let mut known: std::collections::HashSet<String> =
                entries.iter().map(|(key, _)| key.clone()).collect();
            entries.extend(
                merged
                    .into_iter()
                    .filter(|(key, _)| known.insert(key.clone())),
            );
            Value::Map(entries)
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        None if matches!(style, ScalarStyle::Plain) => Ok(resolve(text)),
        None => Ok(Value::Text(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(Value::Text(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() => Ok(resolve(text)),
        Some(_) => Err("a tag that is not of YAML's own".to_owned()),
    }
}

/// The type of a plain scalar by the core schema (YAML 1.2.2 §10.3.2).
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    integer(text)
        .map(Value::Integer)
        .or_else(|| float(text).map(Value::Float))
        .unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn integer(text: &str) -> Option<i128> {
    let radix = |digits: &str, radix| {
        let unsigned = !digits.starts_with(['+', '-']);
        unsigned.then(|| i128::from_str_radix(digits, radix).ok())?
    };
    match text.get(..2) {
        Some("0x") => radix(&text[2..], 16),
        Some("0o") => radix(&text[2..], 8),
        _ => text.parse().ok(),
    }
}

fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    match digits {
        ".inf" | ".Inf" | ".INF" => Some(if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        // Rust takes the same decimal forms, and the words `inf`, `nan` and `infinity` besides.
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse(text).unwrap().value
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn plain_scalars_have_the_types_of_the_core_schema() {
        for (written, meant) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("yes", text("yes")),
            ("on", text("on")),
            ("12", Value::Integer(12)),
            ("-12", Value::Integer(-12)),
            ("+12", Value::Integer(12)),
            ("012", Value::Integer(12)),
            ("0o12", Value::Integer(10)),
            ("0x1F", Value::Integer(31)),
            ("0x-1", text("0x-1")),
            ("0b1", text("0b1")),
            ("1_000", text("1_000")),
            ("1.0", Value::Float(1.0)),
            ("-.5", Value::Float(-0.5)),
            ("1e3", Value::Float(1000.0)),
            (".inf", Value::Float(f64::INFINITY)),
            ("inf", text("inf")),
            ("1e", text("1e")),
            ("02:00:00:00:00:01", text("02:00:00:00:00:01")),
            ("12:30:45", text("12:30:45")),
            ("10.0.0.1", text("10.0.0.1")),
            ("10.0", Value::Float(10.0)),
            ("\"12\"", text("12")),
            ("'true'", text("true")),
            ("!!str 12", text("12")),
            ("!!int \"12\"", Value::Integer(12)),
        ] {
            assert_eq!(value(written), meant, "{written}");
        }
    }

    fn integers(node: &Node) -> Vec<(&str, i128)> {
        let Value::Map(entries) = &node.value else {
            panic!("no map: {node:?}");
        };
        let numbers = entries.iter().map(|(key, node)| match node.value {
            Value::Integer(number) => (key.as_str(), number),
            _ => panic!("no number: {node:?}"),
        });
        numbers.collect()
    }

    #[test]
    fn merged_pairs_give_way_to_the_maps_own() {
        let root = parse(
            "a: &a { x: 1, y: 1 }\nb: &b { y: 2, z: 2 }\n\
             one: { <<: *a, y: 9 }\ntwo: { y: 9, <<: [*b, *a] }\nquoted: { '<<': 3 }",
        )
        .unwrap();
        let of = |key| integers(root.get(key).unwrap());
        assert_eq!(of("one"), [("y", 9), ("x", 1)]);
        assert_eq!(of("two"), [("y", 9), ("z", 2), ("x", 1)]);
        assert_eq!(of("quoted"), [("<<", 3)]);
    }

    #[test]
    fn repeated_keys_are_all_kept() {
        let root = parse("{ 1: 10, 1: 20, \"1\": 30 }").unwrap();
        assert_eq!(integers(&root), [("1", 10), ("1", 20), ("1", 30)]);
    }

    #[test]
    fn values_have_the_lines_of_their_keys() {
        let root = parse("a:\n  b:\n    - 1\n    - 2\nc: 3").unwrap();
        let b = root.get("a").and_then(|a| a.get("b")).unwrap();
        let Value::List(nodes) = &b.value else {
            panic!("no list: {b:?}");
        };
        assert_eq!((b.line, nodes[0].line, nodes[1].line), (2, 3, 4));
        assert_eq!(root.get("c").unwrap().line, 5);
    }
}
