//! A plugin's two files as checked values: which objects are resources, and what may be written how.

use std::collections::{BTreeMap, BTreeSet};

use declaration::{PluginName, Problems};
use serde_json::Value;
use zbus::Signature;

use super::checker::Checker;
use super::format::{self, Digest, MappingFile, PluginFile};
use super::path::PathPattern;
use super::read;

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
