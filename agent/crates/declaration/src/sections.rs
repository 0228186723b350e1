//! Sections of plugins that this crate knows nothing of: a mapping of a D-Bus service answers for each.
//!
//! This crate does no I/O, so whoever reads a declaration hands in what answers ([`Sections`]). A section that
//! nothing answers for is an unknown key, and said to be one like any other.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Number, Value as Json};

use crate::names::PluginName;
use crate::problem::{DocumentPath, Findings, Problem};
use crate::reader::{Reader, nearest};
use crate::tree::{Node, Value};

/// What a section under `plugins` is read by, if it is none of this crate's own.
pub trait Sections {
    /// The names that are answered for on a host with this base directory.
    fn names(&self, base: &Path) -> Vec<PluginName>;

    /// Everything that is wrong with the section of one of these names. Paths begin at the section.
    fn check(&self, base: &Path, name: &PluginName, section: &Json) -> Vec<Problem>;

    /// Whether every name is answered for, also one that is not among the names.
    fn answers_all(&self) -> bool {
        false
    }
}

/// Answers for everything: for processes that need other parts of a document, and could not read a mapping.
pub struct AnySections;

impl Sections for AnySections {
    fn names(&self, _: &Path) -> Vec<PluginName> {
        Vec::new()
    }

    fn check(&self, _: &Path, _: &PluginName, _: &Json) -> Vec<Problem> {
        Vec::new()
    }

    fn answers_all(&self) -> bool {
        true
    }
}

/// Answers for nothing.
pub struct NoSections;

impl Sections for NoSections {
    fn names(&self, _: &Path) -> Vec<PluginName> {
        Vec::new()
    }

    fn check(&self, _: &Path, _: &PluginName, _: &Json) -> Vec<Problem> {
        Vec::new()
    }
}

/// Takes the sections that are answered for out of a document that was read, with what is wrong with them.
pub(crate) fn collect(
    document: &Node,
    reader: &mut Reader,
    base: &Path,
    sections: &dyn Sections,
) -> BTreeMap<PluginName, Json> {
    let plugins = DocumentPath::of(["plugins"]);
    let reported = |key: &str, findings: &Findings| {
        let path = plugins.key(key);
        let mut problems = findings.problems.iter();
        problems.position(|problem| problem.path == path && problem.found == UNKNOWN)
    };
    let mut found = BTreeMap::new();
    let Some(Value::Map(entries)) = document.get("plugins").map(|node| &node.value) else {
        return found;
    };
    let unknown = |(key, _): &&(String, Node)| reported(key, &reader.findings).is_some();
    let unknown: Vec<_> = entries.iter().filter(unknown).collect();
    if unknown.is_empty() {
        return found;
    }
    let names = sections.names(base);
    for (key, node) in unknown {
        let Some(place) = reported(key, &reader.findings) else {
            continue;
        };
        let name = key.parse::<PluginName>().ok();
        let Some(name) = name.filter(|name| sections.answers_all() || names.contains(name)) else {
            let known: Vec<_> = names.iter().map(PluginName::as_str).collect();
            let problem = &mut reader.findings.problems[place];
            if problem.hint.is_none() {
                problem.hint = nearest(key, &known).map(|near| format!("did you mean `{near}`?"));
            }
            continue;
        };
        reader.findings.problems.remove(place);
        let path = plugins.key(key);
        reader.misspelt.retain(|misspelt| *misspelt != path);
        let section = json(node);
        for problem in sections.check(base, &name, &section) {
            reader.findings.push(Problem {
                path: path.join(&problem.path),
                ..problem
            });
        }
        found.insert(name, section);
    }
    found
}

/// What is said of a key that nobody knows.
pub(crate) const UNKNOWN: &str = "an unknown key";

/// A tree as JSON. Numbers that JSON cannot hold are text, which no number's place accepts.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => value.to_string().into(),
        },
        Value::Float(value) => match Number::from_f64(*value) {
            Some(number) => number.into(),
            None => value.to_string().into(),
        },
        Value::Text(text) => text.as_str().into(),
        Value::List(nodes) => nodes.iter().map(json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| (key.clone(), json(node)));
            Json::Object(entries.collect())
        }
    }
}
