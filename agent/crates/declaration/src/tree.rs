//! A document as a tree of values, before it means anything.

use std::collections::BTreeSet;

use crate::problem::{DocumentPath, Findings, Problem, Step};

/// A larger document is refused unread: 16 MiB, some hundred thousand resources.
pub(crate) const LARGEST: usize = 16 << 20;
/// The most values a document may hold, those that YAML aliases repeat included.
pub(crate) const MOST_NODES: usize = 1_000_000;
/// The longest key, in bytes: no name is longer, and keys are repeated in every message.
pub(crate) const LONGEST_KEY: usize = 256;
/// How deep lists and maps may be nested; a declaration needs ten levels.
pub(crate) const DEEPEST: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Of the key, for the value of a key. Counted from 1; 0 where it is not known.
    pub(crate) line: u32,
    pub(crate) value: Value,
}

/// What JSON and YAML have in common.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// All pairs as they were written, repeated keys included.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The first value of a key; nothing too if this is not a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find_map(|(name, node)| (name == key).then_some(node)),
            _ => None,
        }
    }

    /// What the value is, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::Text(text) => format!("the text {}", quote(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// A problem for every key that a map has more than once.
    pub(crate) fn repeated_keys(&self) -> Findings {
        let mut findings = Findings::default();
        self.collect_repeated(&mut DocumentPath::default(), &mut findings);
        findings
    }

    fn collect_repeated(&self, path: &mut DocumentPath, findings: &mut Findings) {
        match &self.value {
            Value::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    path.push(Step::Index(index));
                    node.collect_repeated(path, findings);
                    path.pop();
                }
            }
            Value::Map(entries) => {
                let mut seen = BTreeSet::new();
                for (key, node) in entries {
                    path.push(Step::Key(key.clone()));
                    if !seen.insert(key) {
                        let mut problem = Problem::new(
                            path.clone(),
                            "the key a second time",
                            "each key once in a map",
                        );
                        problem.line = node.known_line();
                        findings.push(problem);
                    }
                    node.collect_repeated(path, findings);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn known_line(&self) -> Option<u64> {
        (self.line > 0).then_some(u64::from(self.line))
    }

    /// Puts problems in the order of the document, and gives them their lines.
    pub(crate) fn place(&self, problems: &mut [Problem]) {
        let mut placed: Vec<_> = problems
            .iter()
            .map(|problem| self.position(&problem.path))
            .collect();
        for (problem, (_, line)) in problems.iter_mut().zip(&mut placed) {
            problem.line = problem.line.or(*line);
        }
        let mut order: Vec<usize> = (0..problems.len()).collect();
        order.sort_by(|&a, &b| placed[a].0.cmp(&placed[b].0));
        let sorted: Vec<_> = order
            .into_iter()
            .map(|index| problems[index].clone())
            .collect();
        problems.clone_from_slice(&sorted);
    }

    /// The way to a path in positions of lists and maps, and the last line on it that is known. A
    /// path that ends in something that is not there ends at what should hold it.
    fn position(&self, path: &DocumentPath) -> (Vec<usize>, Option<u64>) {
        let mut way = Vec::new();
        let mut line = None;
        let mut node = self;
        for step in path.steps() {
            let next = match (&node.value, step) {
                (Value::List(nodes), Step::Index(index)) => {
                    nodes.get(*index).map(|node| (*index, node))
                }
                (Value::Map(entries), Step::Key(key)) => entries
                    .iter()
                    .position(|(name, _)| name == key)
                    .map(|index| (index, &entries[index].1)),
                _ => None,
            };
            let Some((index, child)) = next else { break };
            way.push(index);
            line = child.known_line().or(line);
            node = child;
        }
        (way, line)
    }
}

/// Text in back quotes, on one line, and not longer than people like to read.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .collect::<String>()
        .escape_debug()
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\'", "'").replace("\\\"", "\""))
}
