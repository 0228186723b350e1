//! A plugin's section of the declaration, checked against its mapping.

use std::collections::BTreeMap;

use dbus::mapping::encode;
use declaration::{DocumentPath, Problem};
use serde_json::{Map, Value};

use super::mapping::{Kind, Mapping};
use super::service::normal;

/// What a declaration says of a plugin's resources, in the normal form, by resource.
pub type Section = BTreeMap<String, Map<String, Value>>;

/// The name of a resource: its kind, and its name where there may be more of the kind.
pub(crate) fn resource(kind_name: &str, kind: &Kind, name: &str) -> String {
    match kind.is_single() {
        true => kind_name.to_owned(),
        false => format!("{kind_name}:{name}"),
    }
}

/// The kind of a resource and its name.
pub(crate) fn split(resource: &str) -> (&str, &str) {
    resource.split_once(':').unwrap_or((resource, ""))
}

/// A section with everything that is wrong with it; paths begin at the section.
pub fn check(mapping: &Mapping, section: &Value) -> (Section, Vec<Problem>) {
    let mut reader = Reader {
        mapping,
        section: Section::new(),
        problems: Vec::new(),
    };
    reader.read(section);
    (reader.section, reader.problems)
}

struct Reader<'a> {
    mapping: &'a Mapping,
    section: Section,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn read(&mut self, section: &Value) {
        let root = DocumentPath::default();
        let mapping = self.mapping;
        for (key, value) in self.map(&root, section, "a map of kinds of resources") {
            let path = root.key(key);
            let Some(kind) = mapping.kinds.get(key) else {
                self.unknown(path, key, mapping.kinds.keys());
                continue;
            };
            if kind.is_single() {
                self.properties(&path, key, kind, key.clone(), value);
                continue;
            }
            for (name, value) in self.map(&path, value, "a map of resources by name") {
                self.properties(&path.key(name), key, kind, resource(key, kind, name), value);
            }
        }
    }

    fn properties(
        &mut self,
        path: &DocumentPath,
        kind_name: &str,
        kind: &Kind,
        resource: String,
        value: &Value,
    ) {
        let mut properties = Map::new();
        for (name, value) in self.map(path, value, "a map of properties") {
            let path = path.key(name);
            let Some(property) = kind.properties.get(name) else {
                self.unknown(path, name, kind.properties.keys());
                continue;
            };
            if let Some(reason) = self.mapping.refusal(kind_name, name) {
                let may = self.may_be_declared(kind_name, kind);
                self.problems
                    .push(Problem::new(path, format!("`{name}`: {reason}"), may));
                continue;
            }
            match encode(&property.signature, value) {
                Ok(value) => drop(properties.insert(name.clone(), normal(&value))),
                Err(problems) => self.problems.extend(problems.0.iter().map(|problem| {
                    let accepted = format!("a value of the bus's type `{}`", property.signature);
                    Problem::new(below(&path, &problem.path), problem.text.clone(), accepted)
                })),
            }
        }
        if !properties.is_empty() {
            self.section.insert(resource, properties);
        }
    }

    fn may_be_declared(&self, kind_name: &str, kind: &Kind) -> String {
        let may = kind
            .properties
            .keys()
            .filter(|name| self.mapping.refusal(kind_name, name).is_none());
        let may: Vec<_> = may.map(|name| format!("`{name}`")).collect();
        match may.is_empty() {
            true => format!("nothing: the resource `{kind_name}` can only be looked at"),
            false => format!("what may be declared of `{kind_name}`: {}", may.join(", ")),
        }
    }

    fn map<'v>(
        &mut self,
        path: &DocumentPath,
        value: &'v Value,
        accepted: &str,
    ) -> impl Iterator<Item = (&'v String, &'v Value)> + use<'v> {
        let map = value.as_object();
        if map.is_none() {
            self.problems
                .push(Problem::new(path.clone(), format!("`{value}`"), accepted));
        }
        map.into_iter().flatten()
    }

    fn unknown<'k>(
        &mut self,
        path: DocumentPath,
        key: &str,
        known: impl Iterator<Item = &'k String>,
    ) {
        let known: Vec<_> = known.collect();
        let near = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(key, known), known));
        let near = near.filter(|(distance, known)| *distance <= 1 + known.len() / 4);
        let hint = near
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, near)| format!("did you mean `{near}`?"));
        let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let accepted = format!("a map with the keys {}", names.join(", "));
        self.problems
            .push(Problem::new(path, "an unknown key", accepted).hint(hint));
    }
}

/// A path and a JSON Pointer (RFC 6901) below it.
fn below(path: &DocumentPath, pointer: &str) -> DocumentPath {
    pointer
        .split('/')
        .skip(1)
        .fold(path.clone(), |path, step| match step.parse() {
            Ok(index) => path.index(index),
            Err(_) => path.key(step.replace("~1", "/").replace("~0", "~")),
        })
}
