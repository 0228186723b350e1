//! A plugin's two files as checked values: which objects are resources, and what may be written how.

use std::collections::{BTreeMap, BTreeSet};

use declaration::{DocumentPath, PluginName, Problem, Problems};
use serde_json::Value;
use zbus::Signature;

use super::format::{self, BusKind, CallEntry, Capability, Digest, MappingFile, PluginFile};
use super::path::PathPattern;
use super::read::{self, Lines};

/// Names of plugins that come with the agent, and of the parts of the declaration: no derived plugin has one.
pub const NATIVE: [&str; 8] = [
    "btrfs",
    "ovs",
    "openflow",
    "packagekit",
    "systemd",
    "lxc",
    "netmaker",
    "mesh",
];

/// A plugin made from a D-Bus service.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Its name.
    pub name: PluginName,
    /// The version of its files.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// The service's name on the bus.
    pub service: String,
    /// Other names that it answers for: `*` stands for any characters.
    pub pattern: Option<String>,
    /// Whether it may write at all.
    pub writes: bool,
    /// Whether reading takes root.
    pub requires_root: bool,
    /// Whether it is in use.
    pub enabled: bool,
    /// Whether the bus may start the service.
    pub activate: bool,
    /// The reviewed digests, by interface.
    pub interfaces: BTreeMap<String, BTreeSet<Digest>>,
    /// The kinds of resources.
    pub kinds: BTreeMap<String, Kind>,
}

/// Objects of one interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// The interface.
    pub interface: String,
    /// Where the objects are.
    pub path: PathPattern,
    /// The property that names a resource; the last part of the path without it.
    pub identity: Option<String>,
    /// The method that lists the objects.
    pub list: Option<List>,
    /// The properties that are shown.
    pub properties: BTreeMap<String, Property>,
}

impl Kind {
    /// Whether there is one object of it, which needs no name.
    pub fn is_single(&self) -> bool {
        self.list.is_none() && self.path.is_exact()
    }
}

/// A method that lists objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The object that is asked.
    pub path: String,
    /// Its interface.
    pub interface: String,
    /// The method.
    pub method: String,
    /// The properties in the fields of the answer; empty where the answer is paths.
    pub columns: Vec<String>,
}

/// A property.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Its type.
    pub signature: Signature,
    /// How it is set, if the mapping has an entry for that.
    pub write: Option<Write>,
}

/// How a property is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// A person says that it is safe, and has put a name and a day to that.
    pub reviewed: bool,
    /// It may interrupt the link that the resource is named after.
    pub disrupts_link: bool,
    /// The method that sets it; the property itself is set without one.
    pub forward: Option<Call>,
    /// The method that takes it back; the same as forward without one.
    pub inverse: Option<Call>,
}

/// A method and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The object; the resource itself without one.
    pub path: Option<String>,
    /// The interface.
    pub interface: String,
    /// The method.
    pub method: String,
    /// The types of the arguments.
    pub types: Vec<Signature>,
    /// The arguments, with `$value` and the like still in them.
    pub arguments: Vec<Value>,
}

impl Mapping {
    /// Reads the two files, with everything that is wrong with either.
    pub fn parse(plugin: &str, mapping: &str) -> Result<Self, FileProblems> {
        let plugin = read::read::<PluginFile>(plugin, &format::plugin_schema());
        let mapping = read::read::<MappingFile>(mapping, &format::mapping_schema());
        let (plugin, mapping) = match (plugin, mapping) {
            (Ok(plugin), Ok(mapping)) => (plugin, mapping),
            (plugin, mapping) => {
                return Err(FileProblems {
                    plugin: plugin.err(),
                    mapping: mapping.err(),
                });
            }
        };
        Checker::default().mapping(plugin, mapping)
    }

    /// Why a property of a kind must not be set, in a sentence; `None` if it may be.
    ///
    /// Whether the service still is what was reviewed is seen only when it is asked.
    pub fn refusal(&self, kind: &str, property: &str) -> Option<String> {
        let write = self.write(kind, property);
        let Some(write) = write else {
            return Some(format!("the mapping of {} only reads it", self.name));
        };
        if !self.writes {
            return Some(format!(
                "{} has no capability `write` in plugin.toml",
                self.name
            ));
        }
        if !write.reviewed {
            return Some(format!(
                "the mapping of {} does not declare it safe: somebody has to review its entry in \
                 semantic-mapping.toml",
                self.name
            ));
        }
        let unreviewed = self.touched(kind, write).find(|interface| {
            self.interfaces
                .get(*interface)
                .is_none_or(BTreeSet::is_empty)
        });
        unreviewed.map(|interface| {
            format!(
                "the mapping of {} has no reviewed digest of the interface {interface}",
                self.name
            )
        })
    }

    /// How a property is set.
    pub fn write(&self, kind: &str, property: &str) -> Option<&Write> {
        self.kinds
            .get(kind)?
            .properties
            .get(property)?
            .write
            .as_ref()
    }

    /// The interfaces that a write goes to and that its value is read from.
    pub fn touched<'a>(&'a self, kind: &str, write: &'a Write) -> impl Iterator<Item = &'a str> {
        let own = self.kinds.get(kind).map(|kind| kind.interface.as_str());
        let calls = [&write.forward, &write.inverse].into_iter().flatten();
        own.into_iter()
            .chain(calls.map(|call| call.interface.as_str()))
    }

    /// Whether a name on the bus is one of those that it answers for.
    pub fn answers_for(&self, name: &str) -> bool {
        name == self.service
            || self
                .pattern
                .as_ref()
                .is_some_and(|pattern| super::path::fits(pattern, name))
    }
}

/// Everything that is wrong with the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblems {
    /// Of `plugin.toml`.
    pub plugin: Option<Problems>,
    /// Of `semantic-mapping.toml`.
    pub mapping: Option<Problems>,
}

/// Collects what is wrong beyond what the schemas say.
#[derive(Default)]
struct Checker {
    plugin: Vec<Problem>,
    mapping: Vec<Problem>,
}

impl Checker {
    fn mapping(
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

/// What an argument may stand for.
pub(super) const TEMPLATES: [&str; 4] = ["$value", "$before", "$name", "$path"];
