//! One step from what is to what should be.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::Key;

/// What a change does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It is not there and will be.
    Create,
    /// It is there and will be different.
    Update,
    /// It is there and will not be.
    Delete,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// One change of one resource, with everything needed to undo it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The plugin that carries it out.
    pub plugin: String,
    /// The resource, in the plugin's words.
    pub resource: String,
    /// Create, update or delete.
    pub verb: Verb,
    /// The observed state; `null` for a create.
    pub before: Value,
    /// The desired state; `null` for a delete.
    pub after: Value,
    /// Changes of this plan that must be done first.
    pub requires: Vec<Key>,
    /// The resource was not ours and is taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopts: bool,
    /// Data is lost for good once the run has ended well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroys: bool,
    /// It stays when a failed run is undone, so that the record of the failure has a place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps: bool,
    /// Links and bridges whose traffic the change interrupts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disrupts: Vec<String>,
}

impl Change {
    /// A change that asks for no other, loses nothing and disturbs nobody.
    pub fn new(
        plugin: impl Into<String>,
        resource: impl Into<String>,
        verb: Verb,
        before: Value,
        after: Value,
    ) -> Self {
        Self {
            plugin: plugin.into(),
            resource: resource.into(),
            verb,
            before,
            after,
            requires: Vec::new(),
            adopts: false,
            destroys: false,
            keeps: false,
            disrupts: Vec::new(),
        }
    }

    /// The resource that is changed.
    pub fn key(&self) -> Key {
        Key::new(&self.plugin, &self.resource)
    }

    /// The change that takes the resource back: before and after change places.
    pub fn inverse(&self) -> Self {
        Self {
            verb: match self.verb {
                Verb::Create => Verb::Delete,
                Verb::Update => Verb::Update,
                Verb::Delete => Verb::Create,
            },
            before: self.after.clone(),
            after: self.before.clone(),
            ..self.clone()
        }
    }
}
