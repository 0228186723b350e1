//! JSON (RFC 8259) to a tree.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::problem::{DocumentPath, Problem};
use crate::tree::{LONGEST_KEY, MOST_NODES, Node, Value};

/// Reads one JSON value; the problem says where the syntax breaks.
pub(crate) fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let count = Cell::new(0);
    Tree(&count)
        .deserialize(&mut reader)
        .and_then(|node| reader.end().map(|()| node))
        .map_err(|error| {
            let message = error.to_string();
            let reason = message.split(" at line ").next().unwrap_or_default();
            Problem {
                line: u64::try_from(error.line()).ok(),
                ..Problem::new(
                    DocumentPath::default(),
                    format!("line {}, column {}: {reason}", error.line(), error.column()),
                    "one JSON object",
                )
            }
        })
}

/// Builds a tree and counts its values.
struct Tree<'a>(&'a Cell<usize>);

impl Tree<'_> {
    fn node<E: Error>(&self, value: Value) -> Result<Node, E> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > MOST_NODES {
            return Err(E::custom(format_args!("more than {MOST_NODES} values")));
        }
        Ok(Node { line: 0, value })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.node(Value::Integer(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        self.node(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.node(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element_seed(Tree(self.0))? {
            nodes.push(node);
        }
        self.node(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.len() > LONGEST_KEY {
                let reason = format_args!("a key of more than {LONGEST_KEY} bytes");
                return Err(A::Error::custom(reason));
            }
            entries.push((key, access.next_value_seed(Tree(self.0))?));
        }
        self.node(Value::Map(entries))
    }
}
