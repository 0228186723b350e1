//! What was talked of.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meaning::{Meaning, Slot, Understanding};

/// What was talked of: what `it`, `again` and `that` mean, and what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The last tool that was understood.
    pub tool: Option<String>,
    /// Its arguments.
    pub arguments: Value,
    /// The ledger's entry of the last change that was carried out: what `undo that` takes back.
    pub entry: Option<i64>,
    /// What the last sentence lacked; its tool and arguments are above.
    pub missing: Vec<Slot>,
}

impl Context {
    /// Takes in what was understood last.
    pub fn note(&mut self, understanding: &Understanding) {
        match &understanding.meaning {
            Meaning::Call {
                tool, arguments, ..
            } => {
                self.tool = Some(tool.clone());
                self.arguments = arguments.clone();
                self.missing.clear();
            }
            Meaning::Missing {
                tool,
                arguments,
                what,
            } => {
                self.tool = Some(tool.clone());
                self.arguments = arguments.clone();
                self.missing = what.clone();
            }
            _ => self.missing.clear(),
        }
    }

    /// Takes in that a change was carried out, and which entry of the ledger tells of it.
    pub fn done(&mut self, entry: i64) {
        self.entry = Some(entry);
    }
}
