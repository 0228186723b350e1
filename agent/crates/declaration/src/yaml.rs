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
