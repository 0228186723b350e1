//! Tools as data, in the words of the daemon's `tools.list`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a tool does to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing.
    Read,
    /// It changes something that can be changed back.
    Write,
    /// Something may be lost for good.
    Destroy,
}

impl Effect {
    /// `read`, `write` or `destroy`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
        }
    }
}

/// A tool; what the daemon says of one reads as this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// What it is called by.
    pub name: String,
    /// A few words for people.
    pub title: String,
    /// What it does and gives.
    pub description: String,
    /// What part of the host it is about, in a word.
    pub domain: String,
    /// What it does to the host.
    pub effect: Effect,
    /// The least role that may call it: `viewer`, `operator` or `admin`.
    pub role: String,
    /// The schema of its arguments.
    pub input_schema: Value,
    /// Arguments that make sense.
    #[serde(default)]
    pub examples: Vec<Value>,
    /// What people say who want it.
    #[serde(default)]
    pub sentences: Vec<String>,
}
