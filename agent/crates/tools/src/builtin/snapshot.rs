//! Snapshots: list, show, diff, create, pin, delete, restore, rotate.

mod change;
mod look;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use snapshots::{SnapshotName, Store};

use crate::call::Call;
use crate::engine::snapshots::store;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// One snapshot.
#[derive(Clone, Deserialize, JsonSchema)]
struct Named {
    /// Its name.
    #[schemars(length(min = 1, max = 64))]
    name: String,
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Create {
    /// Its name: letters, digits and `_.:+-`.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// What it is to have, such as `@state`; without it what `snapshots.subvolumes` declares. `@timing` and
    /// `@vectors` go together.
    #[serde(default)]
    #[schemars(length(max = 256))]
    subvolumes: Vec<String>,
    /// What for, in words.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    reason: Option<String>,
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Pin {
    /// The snapshot.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// Whether it is to be pinned; `false` unpins it.
    #[serde(default = "yes")]
    pinned: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Restore {
    /// The snapshot.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// Which of its subvolumes; without it all but the ledger, which is `@timing` and `@vectors`.
    #[serde(default)]
    #[schemars(length(max = 256))]
    subvolumes: Vec<String>,
    /// One file or directory instead, such as `@state/containers.json`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    path: Option<String>,
    /// Bring back the ledger too. What was recorded since is no longer in it, and witnesses will see that.
    #[serde(default)]
    allow_rollback_of_ledger: bool,
}

/// What was done.
#[derive(Default, Serialize, JsonSchema)]
struct Done {
    /// The snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `done`, or `unchanged` if there was nothing to do.
    outcome: &'static str,
    /// What it has, or what was brought back.
    subvolumes: Vec<String>,
    /// The snapshot of the state before a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// Snapshots that were made by schedule.
    made: Vec<String>,
    /// Snapshots that were removed by schedule.
    pruned: Vec<String>,
    /// What people should know.
    notes: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    look::tools().into_iter().chain(changing()).collect()
}

fn changing() -> Vec<Tool> {
    let domain = Domain::Snapshots;
    vec![
        Tool::write(
            domain,
            "snapshot_create",
            "Create a snapshot",
            "Makes a read-only snapshot of subvolumes, whole or not at all. The ledger and its index are \
             snapshotted as a pair.",
            |call, input: Create| change::creation(call, &input),
            change::create,
        )
.says(&["take a snapshot named before-upgrade", "create snapshot before-upgrade", "snapshot everything as before-upgrade"])
        .binds()
        .example(json!({ "name": "before-upgrade" }))
        .example(json!({ "name": "state-only", "subvolumes": ["@state"] })),
        Tool::write(
            domain,
            "snapshot_pin",
            "Pin a snapshot",
            "Keeps a snapshot from being pruned and deleted until it is unpinned; or unpins it.",
            |call, input: Pin| change::pinning(call, &input),
            change::pin,
        )
.says(&["pin snapshot before-upgrade", "unpin snapshot before-upgrade"])
        .binds()
        .example(json!({ "name": "before-upgrade" }))
        .example(json!({ "name": "before-upgrade", "pinned": false })),
        Tool::destroy(
            domain,
            "snapshot_delete",
            "Delete a snapshot",
            "Deletes a snapshot that is not pinned.",
            |call, input: Named| change::deletion(call, &input),
            change::delete,
        )
.says(&["delete snapshot before-upgrade", "remove the snapshot before-upgrade"])
        .binds()
        .example(json!({ "name": "before-upgrade" })),
        Tool::destroy(
            domain,
            "snapshot_restore",
            "Restore a snapshot",
            "Puts subvolumes of a snapshot, or one file or directory of it, in the place of what is there. The \
             present state is snapshotted first. The ledger is left alone unless that is asked for in so many words.",
            |call, input: Restore| change::restoring(call, &input),
            change::restore,
        )
.says(&["restore snapshot before-upgrade", "bring back the snapshot before-upgrade"])
        .binds()
        .example(json!({ "name": "before-upgrade", "subvolumes": ["@plugins"] }))
        .example(json!({ "name": "before-upgrade", "path": "@state/containers.json" })),
        Tool::destroy(
            domain,
            "snapshot_rotate",
            "Rotate snapshots",
            "Makes the snapshots that the declared policies are due for, then removes those that are no longer to \
             be kept. The daemon calls it by itself.",
            |call, Nothing {}| change::rotation(call),
            |call, Nothing {}| change::rotate(call),
        )
.says(&["rotate the snapshots", "prune the snapshots"])
        .binds()
        .example(json!({})),
    ]
}

/// The snapshots of this host.
fn of_site(call: &Call<'_>) -> Result<Store<'static>, ToolError> {
    Ok(store(&call.site.paths()?))
}

fn name(text: &str) -> Result<SnapshotName, ToolError> {
    text.parse()
        .map_err(|error: snapshots::NameError| ToolError::Invalid(error.to_string()))
}
