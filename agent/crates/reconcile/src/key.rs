//! The name of one resource: which plugin owns it and what the plugin calls it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A resource, written `plugin/resource`: `btrfs/@cache`, `ovs/bridge:ovsbr0`, `lxc/container:web-01`.
///
/// The resource part is unique within its plugin; it may itself contain slashes.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct Key {
    /// The plugin that owns the resource.
    pub plugin: String,
    /// The plugin's own name for it.
    pub resource: String,
}

impl Key {
    /// A key from its two parts.
    pub fn new(plugin: impl Into<String>, resource: impl Into<String>) -> Self {
        Self {
            plugin: plugin.into(),
            resource: resource.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plugin, self.resource)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

/// The text is not `plugin/resource`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource: expected PLUGIN/RESOURCE")]
pub struct KeyError(String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.split_once('/') {
            Some((plugin, resource)) if !plugin.is_empty() && !resource.is_empty() => {
                Ok(Self::new(plugin, resource))
            }
            _ => Err(KeyError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}
