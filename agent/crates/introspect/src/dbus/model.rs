//! What an object says of itself, in checked names and types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use zbus::Signature;
use zbus::names::{OwnedInterfaceName, OwnedMemberName, OwnedPropertyName};

/// Annotations by name, such as `org.freedesktop.DBus.Deprecated`; see "Introspection Data Format" in the
/// D-Bus specification for the standard ones.
pub type Annotations = BTreeMap<String, String>;

/// An object: its interfaces, and its children as far as they were told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The path below its parent, without a slash at either end; empty for the one that was asked.
    pub name: String,
    /// What it can do, in the order it was told.
    pub interfaces: Vec<Interface>,
    /// Objects below it. Most peers tell only their names.
    pub children: Vec<Node>,
    /// What it says of itself, in words.
    pub doc: Option<String>,
}

/// A set of methods, properties and signals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Interface {
    /// Its name, such as `org.freedesktop.DBus.Properties`.
    #[schemars(with = "String")]
    pub name: OwnedInterfaceName,
    /// Methods, in the order they were told.
    pub methods: Vec<Method>,
    /// Properties, in the order they were told.
    pub properties: Vec<Property>,
    /// Signals, in the order they were told.
    pub signals: Vec<Signal>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it is, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// Something that can be called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Method {
    /// Its name.
    #[schemars(with = "String")]
    pub name: OwnedMemberName,
    /// What it takes and gives, in the order it was told.
    pub args: Vec<Arg>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it does, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// An argument of a method or a signal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Arg {
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its type: one complete type.
    #[schemars(with = "String")]
    pub signature: Signature,
    /// Whether it is taken or given. Those of signals are given.
    pub direction: Direction,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it means, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// Which way an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the object.
    In,
    /// From the object.
    Out,
}

/// A value that an object has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Property {
    /// Its name; without control characters.
    #[schemars(with = "String")]
    pub name: OwnedPropertyName,
    /// Its type: one complete type.
    #[schemars(with = "String")]
    pub signature: Signature,
    /// Whether it can be read and set.
    pub access: Access,
    /// What is told when it changes.
    pub emits_changed: EmitsChanged,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it means, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// What can be done with a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It can be read.
    Read,
    /// It can be set.
    Write,
    /// It can be read and set.
    ReadWrite,
}

impl Access {
    /// Whether it can be read.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether it can be set.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// What is told when a property changes (annotation `org.freedesktop.DBus.Property.EmitsChangedSignal`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmitsChanged {
    /// The new value, by the signal `PropertiesChanged`.
    #[default]
    True,
    /// That there is a new value, by the same signal.
    Invalidates,
    /// It does not change while its object is there.
    Const,
    /// Nothing.
    False,
}

/// Something that an object says to whoever listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Signal {
    /// Its name.
    #[schemars(with = "String")]
    pub name: OwnedMemberName,
    /// What comes with it.
    pub args: Vec<Arg>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// What it means, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

impl Method {
    /// The arguments that go one way.
    pub fn args(&self, direction: Direction) -> impl Iterator<Item = &Arg> {
        self.args
            .iter()
            .filter(move |arg| arg.direction == direction)
    }

    /// Whether it gives no answer, not even an empty one.
    pub fn is_no_reply(&self) -> bool {
        is_true(&self.annotations, "org.freedesktop.DBus.Method.NoReply")
    }

    /// Whether it should no longer be used.
    pub fn is_deprecated(&self) -> bool {
        is_true(&self.annotations, "org.freedesktop.DBus.Deprecated")
    }

    /// Whether systemd says that it takes special rights.
    pub fn is_privileged(&self) -> bool {
        is_true(&self.annotations, "org.freedesktop.systemd1.Privileged")
    }
}

fn is_true(annotations: &Annotations, name: &str) -> bool {
    annotations.get(name).is_some_and(|value| value == "true")
}
