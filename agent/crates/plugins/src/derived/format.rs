//! The two files of a plugin, as they are written: `plugin.toml` and `semantic-mapping.toml`.
//!
//! The published schemas are made from these types, and the files are checked against the schemas, so that
//! neither can say more than the other. What takes more than one value to see is checked in `mapping`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `plugin.toml`: what the plugin is called, which service it speaks to, and what it may do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginFile {
    /// The plugin's name: its directory, its section in the declaration, its name in `query`.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,31}$"))]
    pub name: String,
    /// The version of these files, such as `1.0.0`.
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$"))]
    pub version: String,
    /// What the plugin is for, in a sentence.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub description: String,
    /// The service's name on the bus, such as `org.freedesktop.hostname1`.
    #[schemars(
        length(max = 255),
        regex(pattern = r"^[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+$")
    )]
    pub introspection_path: String,
    /// Other names that the plugin answers for if `introspection_path` is not on the bus: a pattern in which `*`
    /// stands for any characters, such as `org.example.Store*`. The first name in the order of the alphabet is taken.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^[A-Za-z_-][A-Za-z0-9_.*-]*$"))]
    pub pattern: Option<String>,
    /// The bus that the service is on.
    #[serde(default)]
    pub bus: BusKind,
    /// What the plugin may do: `read`, and `write` for what the mapping declares safe.
    #[schemars(length(min = 1, max = 2), inner(length(max = 5)))]
    pub capabilities: Vec<Capability>,
    /// Reading takes root.
    #[serde(default)]
    pub requires_root: bool,
    /// Whether the plugin is in use. `op-dbus plugin enable` and `disable` write it.
    #[serde(default)]
    pub enabled: bool,
}

/// A message bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// The host's.
    #[default]
    System,
}

/// What a plugin may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Look.
    Read,
    /// Change what the mapping declares safe.
    Write,
}

/// `semantic-mapping.toml`: the service's objects as resources, and which of their properties may be declared.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingFile {
    /// Whether the bus may start the service for a look or a change. Without it a service that does not run is away.
    #[serde(default)]
    pub activate: bool,
    /// The interfaces as they were reviewed: for each the digests that `op-dbus plugin show` prints. A write goes
    /// only to an interface that still has one of them.
    #[serde(default)]
    pub interfaces: BTreeMap<String, Vec<Digest>>,
    /// The kinds of resources.
    #[serde(default, rename = "resource")]
    #[schemars(length(min = 1, max = 100))]
    pub resources: Vec<ResourceEntry>,
    /// The properties that a declaration may set, and how.
    #[serde(default, rename = "write")]
    #[schemars(length(max = 500))]
    pub writes: Vec<WriteEntry>,
}

/// A digest of an interface: `sha256:` and 64 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Digest(#[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))] pub String);

/// A kind of resource: objects of one interface.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceEntry {
    /// What it is called in `query` and in the declaration.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,62}$"))]
    pub name: String,
    /// The interface that has the properties.
    #[schemars(
        length(max = 255),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")
    )]
    pub interface: String,
    /// The object's path; with a `*` as its last part for all objects there, such as `/org/example/Disks/*`.
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^/([A-Za-z0-9_]+/)*([A-Za-z0-9_]+|\*)?$")
    )]
    pub path: String,
    /// The property that names a resource among those of its kind. Without it that is the last part of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How the objects are found. Without it the object above them is asked by introspection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListEntry>,
    /// The properties that are shown, each with its type as the bus writes it (`b`, `as`, `a{sv}`).
    #[schemars(extend("maxProperties" = 500))]
    pub properties: BTreeMap<String, TypeText>,
}

/// The type of a property, as the bus writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TypeText(#[schemars(length(min = 1, max = 255))] pub String);

/// A method that lists objects.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListEntry {
    /// The object that is asked.
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^/([A-Za-z0-9_]+/)*[A-Za-z0-9_]*$")
    )]
    pub path: String,
    /// Its interface.
    pub interface: String,
    /// The method. It takes nothing and gives paths, or a list of structures.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub method: String,
    /// For structures: the property that each of their fields is, `$path` for the path, and empty for what is not
    /// shown. The objects are then not asked one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub columns: Vec<String>,
}

/// A property that a declaration may set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteEntry {
    /// The kind of resource.
    pub resource: String,
    /// The property.
    pub property: String,
    /// It can be set by a declaration: it harms nobody, and setting it back brings back what was. A person says so.
    #[serde(default)]
    pub safe: bool,
    /// Who has looked at this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub reviewed_by: Option<String>,
    /// When, such as `2026-11-21`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub reviewed_at: Option<String>,
    /// The resource's name is that of a network link whose traffic the write may interrupt: a write to the link that
    /// administrators come by then waits to be confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disrupts_link: bool,
    /// The method that sets it; without it the property itself is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallEntry>,
    /// The method that takes it back, with the value from before; without it the same as forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<CallEntry>,
}

/// A method and its arguments.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallEntry {
    /// The object, if it is not the resource itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^/([A-Za-z0-9_]+/)*[A-Za-z0-9_]*$")
    )]
    pub path: Option<String>,
    /// The interface, if it is not the resource's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The method.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub method: String,
    /// The types of its arguments, such as `sb`.
    #[schemars(length(max = 255))]
    pub signature: String,
    /// Its arguments: values, or the texts `$value` for the value to be set, `$before` for the one that was there,
    /// `$name` for the resource's name and `$path` for its path.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub arguments: Vec<Value>,
}

/// The published schema of `plugin.toml` (draft 2020-12).
pub fn plugin_schema() -> Value {
    schema_of::<PluginFile>("plugin.toml of operation-dbus")
}

/// The published schema of `semantic-mapping.toml` (draft 2020-12).
pub fn mapping_schema() -> Value {
    schema_of::<MappingFile>("semantic-mapping.toml of operation-dbus")
}

fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}
