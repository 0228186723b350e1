//! What is wrong with a plugin's two files beyond what their schemas say.

use std::collections::BTreeMap;

use declaration::{DocumentPath, PluginName, Problem, Problems};
use zbus::Signature;

use super::format::{self, BusKind, CallEntry, Capability, MappingFile, PluginFile};
use super::mapping::{Call, FileProblems, Kind, List, Mapping, NATIVE, Property, Write};
use super::path::PathPattern;
use super::read::Lines;

/// Collects what is wrong beyond what the schemas say.
#[derive(Default)]
pub(super) struct Checker {
    plugin: Vec<Problem>,
    mapping: Vec<Problem>,
}

impl Checker {
    pub(super) fn mapping(
        mut self,
        (plugin, plugin_lines): (PluginFile, Lines),
        (mapping, mapping_lines): (MappingFile, Lines),
    ) -> Result<Mapping, FileProblems> {
        let name = self.name(&plugin);
        let service = &plugin.introspection_path;
        if zbus::names::BusName::try_from(service.as_str()).is_err() {
            self.plugin(
                ["introspection_path"],
                service,
                "a well-known name on the bus",
            );
        }
        let writes = plugin.capabilities.contains(&Capability::Write);
        if !plugin.capabilities.contains(&Capability::Read) {
            self.plugin(
                ["capabilities"],
                "no `read`",
                "`read`, and `write` beside it if it may change something",
            );
        }
        if plugin.bus != BusKind::System {
            self.plugin(["bus"], "another bus", "`system`");
        }
        let mut kinds = self.kinds(&mapping);
        for (index, entry) in mapping.writes.iter().enumerate() {
            self.write(index, entry, &mut kinds);
        }
        let found = |problems: Vec<Problem>, lines: &Lines| -> Option<Problems> {
            let mut problems = problems;
            problems.iter_mut().for_each(|problem| lines.place(problem));
            (!problems.is_empty()).then_some(Problems {
                problems,
                omitted: 0,
            })
        };
        match (name, self.plugin.is_empty() && self.mapping.is_empty()) {
            (Some(name), true) => Ok(Mapping {
                name,
                version: plugin.version,
                description: plugin.description,
                service: plugin.introspection_path,
                pattern: plugin.pattern,
                writes,
                requires_root: plugin.requires_root,
                enabled: plugin.enabled,
                activate: mapping.activate,
                interfaces: mapping
                    .interfaces
                    .into_iter()
                    .map(|(interface, digests)| (interface, digests.into_iter().collect()))
                    .collect(),
                kinds,
            }),
            _ => Err(FileProblems {
                plugin: found(self.plugin, &plugin_lines),
                mapping: found(self.mapping, &mapping_lines),
            }),
        }
    }

    fn plugin<const N: usize>(&mut self, path: [&str; N], found: &str, accepted: &str) {
        self.plugin
            .push(Problem::new(DocumentPath::of(path), found, accepted));
    }

    fn wrong(&mut self, path: DocumentPath, found: impl Into<String>, accepted: impl Into<String>) {
        self.mapping.push(Problem::new(path, found, accepted));
    }

    fn name(&mut self, plugin: &PluginFile) -> Option<PluginName> {
        if NATIVE.contains(&plugin.name.as_str()) {
            let found = format!("`{}`, which is a plugin of the agent's own", plugin.name);
            self.plugin(["name"], &found, "another name");
            return None;
        }
        let name = plugin.name.parse();
        name.map_err(|error: declaration::NameError| {
            self.plugin(["name"], &error.to_string(), "the name of a plugin");
        })
        .ok()
    }

    fn signature(&mut self, path: DocumentPath, text: &str) -> Option<Signature> {
        match Signature::try_from(text) {
            Ok(signature) if dbus::mapping::has_descriptor(&signature) => {
                self.wrong(
                    path,
                    format!("`{text}`"),
                    "a type without file descriptors (`h`)",
                );
                None
            }
            Ok(signature) if signature.to_string() == text && signature != Signature::Unit => {
                Some(signature)
            }
            _ => {
                self.wrong(
                    path,
                    format!("`{text}`"),
                    "one type as the bus writes it, such as b, s, u or as",
                );
                None
            }
        }
    }

    fn kinds(&mut self, mapping: &MappingFile) -> BTreeMap<String, Kind> {
        let mut kinds = BTreeMap::new();
        for (index, entry) in mapping.resources.iter().enumerate() {
            let path = DocumentPath::of(["resource"]).index(index);
            let mut properties = BTreeMap::new();
            for (name, text) in &entry.properties {
                let at = path.key("properties").key(name);
                // One of a bad type is there all the same: what names it is not wrong too.
                let signature = self.signature(at, &text.0).unwrap_or(Signature::Unit);
                let property = Property {
                    signature,
                    write: None,
                };
                properties.insert(name.clone(), property);
            }
            if let Some(identity) = &entry.identity
                && entry
                    .properties
                    .get(identity)
                    .is_none_or(|text| text.0 != "s")
            {
                self.wrong(
                    path.key("identity"),
                    format!("`{identity}`"),
                    "a property of type `s` that is listed below",
                );
            }
            let list = entry.list.as_ref().map(|list| List {
                path: list.path.clone(),
                interface: list.interface.clone(),
                method: list.method.clone(),
                columns: list.columns.clone(),
            });
            if let Some(list) = &list {
                self.columns(&path, list, entry);
            }
            let kind = Kind {
                interface: entry.interface.clone(),
                path: PathPattern::new(&entry.path),
                identity: entry.identity.clone(),
                list,
                properties,
            };
            if kinds.insert(entry.name.clone(), kind).is_some() {
                self.wrong(
                    path.key("name"),
                    format!("`{}` a second time", entry.name),
                    "each kind once",
                );
            }
        }
        kinds
    }

    fn columns(&mut self, path: &DocumentPath, list: &List, entry: &format::ResourceEntry) {
        let path = path.key("list").key("columns");
        for (index, column) in list.columns.iter().enumerate() {
            let known =
                column.is_empty() || column == "$path" || entry.properties.contains_key(column);
            if !known {
                self.wrong(
                    path.index(index),
                    format!("`{column}`"),
                    "a property that is listed below, `$path`, or empty",
                );
            }
        }
        if !list.columns.is_empty() && !list.columns.iter().any(|column| column == "$path") {
            self.wrong(
                path,
                "no `$path`",
                "`$path` in the place of the object's path",
            );
        }
    }

    fn write(
        &mut self,
        index: usize,
        entry: &format::WriteEntry,
        kinds: &mut BTreeMap<String, Kind>,
    ) {
        let path = DocumentPath::of(["write"]).index(index);
        let names = || {
            kinds
                .keys()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Some(kind) = kinds.get(&entry.resource) else {
            let accepted = format!("a kind of resource: {}", names());
            return self.wrong(
                path.key("resource"),
                format!("`{}`", entry.resource),
                accepted,
            );
        };
        let interface = kind.interface.clone();
        if !kind.properties.contains_key(&entry.property) {
            let accepted = format!("a property of the resource `{}`", entry.resource);
            return self.wrong(
                path.key("property"),
                format!("`{}`", entry.property),
                accepted,
            );
        }
        if holds_variant(&kind.properties[&entry.property].signature) {
            return self.wrong(
                path.key("property"),
                "a property with a variant (`v`), whose type a declaration does not say",
                "a property that can be set back as it was",
            );
        }
        if kind.identity.as_ref() == Some(&entry.property) {
            return self.wrong(
                path.key("property"),
                "the property that names the resource",
                "another property",
            );
        }
        let reviewed = entry.reviewed_by.is_some() && entry.reviewed_at.is_some();
        if entry.safe && !reviewed {
            self.wrong(
                path.key("safe"),
                "`true` without `reviewed_by` and `reviewed_at`",
                "who has reviewed it, and when",
            );
        }
        if entry.inverse.is_some() && entry.call.is_none() {
            self.wrong(
                path.key("inverse"),
                "an inverse without `call`",
                "`call`: a property is set back as it was set",
            );
        }
        let forward = entry
            .call
            .as_ref()
            .map(|call| self.call(&path.key("call"), call, &interface));
        let inverse = entry
            .inverse
            .as_ref()
            .map(|call| self.call(&path.key("inverse"), call, &interface));
        let write = Write {
            reviewed: entry.safe && reviewed,
            disrupts_link: entry.disrupts_link,
            forward: forward.flatten(),
            inverse: inverse.flatten(),
        };
        let property = kinds
            .get_mut(&entry.resource)
            .and_then(|kind| kind.properties.get_mut(&entry.property));
        if let Some(property) = property
            && property.write.replace(write).is_some()
        {
            self.wrong(
                path.key("property"),
                "a second entry for the property",
                "one entry for each property",
            );
        }
    }

    fn call(&mut self, path: &DocumentPath, entry: &CallEntry, interface: &str) -> Option<Call> {
        let types = match Signature::try_from(format!("({})", entry.signature).as_str()) {
            Ok(Signature::Structure(fields)) => fields.iter().cloned().collect(),
            _ if entry.signature.is_empty() => Vec::new(),
            _ => {
                self.wrong(
                    path.key("signature"),
                    format!("`{}`", entry.signature),
                    "the types of the arguments",
                );
                return None;
            }
        };
        let types: Vec<Signature> = types;
        if types.len() != entry.arguments.len() {
            let found = format!(
                "{} arguments for {} types",
                entry.arguments.len(),
                types.len()
            );
            self.wrong(
                path.key("arguments"),
                found,
                "one argument for each type in `signature`",
            );
            return None;
        }
        for (index, (signature, argument)) in types.iter().zip(&entry.arguments).enumerate() {
            let path = path.key("arguments").index(index);
            let template = argument.as_str().is_some_and(|text| text.starts_with('$'));
            if template && !TEMPLATES.iter().any(|known| argument == known) {
                self.wrong(
                    path,
                    format!("`{argument}`"),
                    "a value, `$value`, `$before`, `$name` or `$path`",
                );
            } else if template && holds_variant(signature) {
                self.wrong(
                    path,
                    format!("`{argument}` as a variant (`v`), which does not say its type"),
                    "an argument of the type of what it stands for",
                );
            } else if !template && let Err(problems) = dbus::mapping::encode(signature, argument) {
                self.wrong(
                    path,
                    problems.to_string(),
                    format!("a value of type `{signature}`"),
                );
            }
        }
        Some(Call {
            path: entry.path.clone(),
            interface: entry
                .interface
                .clone()
                .unwrap_or_else(|| interface.to_owned()),
            method: entry.method.clone(),
            types,
            arguments: entry.arguments.clone(),
        })
    }
}

/// Whether a value of the type has parts whose types only the value itself says: its plain JSON does not have them.
pub(super) fn holds_variant(signature: &Signature) -> bool {
    signature.to_string().contains('v')
}

/// What an argument may stand for.
pub(super) const TEMPLATES: [&str; 4] = ["$value", "$before", "$name", "$path"];
