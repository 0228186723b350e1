//! How replication stands: what the last transfer to each target came to, kept over restarts.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{Paths, write_whole};
use crate::error::ToolError;

/// How the last transfer to a target ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// When the last transfer ended, as RFC 3339 has it.
    pub time: String,
    /// The newest snapshot that the target has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// When a transfer last ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<String>,
    /// Why the last transfer failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How replication stands, by target. What cannot be read counts as nothing yet.
pub fn standings(paths: &Paths) -> BTreeMap<String, Standing> {
    let text = fs::read(paths.replication()).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// Keeps how a transfer ended, which happened now: with the newest snapshot that is there, or why not.
pub(crate) fn ended(
    paths: &Paths,
    target: &str,
    result: Result<Option<String>, &ToolError>,
) -> Result<(), ToolError> {
    // Transfers to several targets may end at once.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = standings(paths);
    let standing = all.entry(target.to_owned()).or_default();
    let now = Timestamp::now().to_string();
    standing.time.clone_from(&now);
    match result {
        Ok(snapshot) => {
            standing.snapshot = snapshot;
            standing.succeeded = Some(now);
            standing.error = None;
        }
        Err(error) => {
            let text = error.to_string();
            // The daemon tries again and again; its log has each reason once.
            if standing.error.as_ref() != Some(&text) {
                log::warn!("replication to {target} failed: {text}");
            }
            standing.error = Some(text);
        }
    }
    let text = serde_json::to_vec(&all)
        .map_err(|error| ToolError::failed("write how replication stands", error))?;
    write_whole(&paths.replication(), &text)
}
