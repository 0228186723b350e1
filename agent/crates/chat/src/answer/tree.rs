//! One thing with parts.

use serde::Serialize;
use serde_json::Value;

use super::{cut, readable, title};

/// How many nodes a tree has at most.
const NODES: usize = 600;
/// How deep it is at most.
const DEPTH: usize = 12;
/// How long a value is, in bytes.
const VALUE: usize = 400;

/// A part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// What it is called.
    pub label: String,
    /// What it is, where it has no parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its parts.
    pub children: Vec<Node>,
}

/// The tree of a value. What is too deep or too much is left out, and a node says so.
pub(super) fn of(label: &str, value: &Value) -> Node {
    node(title(label), label, value, DEPTH, &mut NODES.clone())
}

fn node(label: String, key: &str, value: &Value, depth: usize, room: &mut usize) -> Node {
    let mut children = Vec::new();
    let parts: Vec<(String, &str, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, part)| (word(key), key.as_str(), part))
            .collect(),
        Value::Array(list) if list.iter().any(|item| item.is_object() || item.is_array()) => {
            let items = list.iter().enumerate();
            items
                .map(|(place, item)| (called(place, item), "", item))
                .collect()
        }
        _ => Vec::new(),
    };
    if parts.is_empty() || depth == 0 {
        return Node {
            label,
            value: Some(cut(&readable(key, value), VALUE)),
            children,
        };
    }
    let all = parts.len();
    for (label, key, part) in parts {
        if *room == 0 {
            children.push(Node {
                label: format!("{} more", all - children.len()),
                value: None,
                children: Vec::new(),
            });
            break;
        }
        *room -= 1;
        children.push(node(label, key, part, depth - 1, room));
    }
    Node {
        label,
        value: None,
        children,
    }
}

/// What a key is called: a word of ours as people say it, the name of a thing as it is.
fn word(key: &str) -> String {
    let ours = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match key.chars().all(ours) {
        true => title(key),
        false => key.to_owned(),
    }
}

/// What an item of a list is called: by its name, or its place.
fn called(place: usize, item: &Value) -> String {
    let name = ["name", "id", "resource"]
        .iter()
        .find_map(|key| item[*key].as_str());
    name.map_or_else(|| (place + 1).to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_have_titles_and_values_units() {
        let tree = of(
            "answer",
            &json!({ "memory": { "total_bytes": 1024 }, "tags": ["a", "b"] }),
        );
        assert_eq!(tree.children[0].children[0].value.as_deref(), Some("1 KiB"));
        assert_eq!(tree.children[1].value.as_deref(), Some("a, b"));
    }

    #[test]
    fn names_stay_as_they_are() {
        let units =
            json!({ "nginx.service": { "state": 1 }, "tags": [{ "name": "web-01", "n": 1 }] });
        let tree = of("answer", &units);
        let unit = &tree.children[0];
        assert_eq!(unit.label, "nginx.service");
        assert_eq!(unit.children[0].label, "State");
        assert_eq!(tree.children[1].children[0].label, "web-01");
    }

    #[test]
    fn a_large_tree_is_cut_and_says_so() {
        let many: Vec<_> = (0..5000).map(|n| json!({ "n": n })).collect();
        let text = serde_json::to_string(&of("answer", &json!(many))).unwrap();
        assert!(text.len() < 100_000 && text.contains(" more"));
        let mut deep = json!(1);
        for _ in 0..90 {
            deep = json!([deep]);
        }
        assert!(serde_json::to_string(&of("answer", &deep)).unwrap().len() < 2000);
    }
}
