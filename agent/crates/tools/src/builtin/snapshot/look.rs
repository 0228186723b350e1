//! What snapshots there are, what they have, and what differs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use snapshots::{Bounds, Snapshot, What};

use super::{Named, name, of_site};
use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// How many differences are named where the caller does not say.
const NAMED: usize = 1000;
/// How many files and directories a comparison looks at.
const LOOKED_AT: usize = 5_000_000;

#[derive(Deserialize, JsonSchema)]
struct Diff {
    /// The snapshot to begin with.
    #[schemars(length(min = 1, max = 64))]
    before: String,
    /// The snapshot to compare it with; the present state without it.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    after: Option<String>,
    /// How many differences to name at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    limit: Option<usize>,
}

/// The snapshots there are.
#[derive(Serialize, JsonSchema)]
struct Listed {
    /// Ours, the oldest first.
    snapshots: Vec<Item>,
    /// What else is in `@snapshots`. It is left alone.
    foreign: Vec<Foreign>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A snapshot in a list.
#[derive(Serialize, JsonSchema)]
struct Item {
    /// Its name.
    name: String,
    /// `manual`, `restore`, `operation`, `minute`, `hourly`, `daily`, `weekly` or `quarterly`.
    class: String,
    /// When it was made (RFC 3339).
    created: String,
    /// It is not pruned.
    pinned: bool,
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it has.
    subvolumes: Vec<String>,
    /// What is wrong with it.
    damage: Vec<String>,
}

/// Something that is not ours.
#[derive(Serialize, JsonSchema)]
struct Foreign {
    /// Its name.
    name: String,
    /// What it is.
    what: &'static str,
}

/// A snapshot, whole.
#[derive(Serialize, JsonSchema)]
struct Shown {
    #[serde(flatten)]
    item: Item,
    /// Its directory.
    directory: String,
    /// What it has, by name.
    taken: BTreeMap<String, Taken>,
}

/// One subvolume of a snapshot.
#[derive(Serialize, JsonSchema)]
struct Taken {
    /// The UUID of the read-only subvolume.
    uuid: String,
    /// The UUID of the subvolume that it was made of.
    source: String,
    /// The transaction that had last changed that.
    generation: u64,
    /// Subvolumes in it, which the snapshot does not have.
    without: Vec<String>,
}

/// What differs.
#[derive(Serialize, JsonSchema)]
struct Differences {
    /// By path. What is in a directory that is new or gone is not named.
    differences: Vec<Difference>,
    /// A limit came first: there may be more.
    cut: bool,
    /// Subvolumes that only the first one has.
    only_before: Vec<String>,
    /// Subvolumes that only the second one has.
    only_after: Vec<String>,
}

/// One thing that differs.
#[derive(Serialize, JsonSchema)]
struct Difference {
    /// The subvolume and the path within.
    path: String,
    /// `added`, `changed` or `removed`.
    what: &'static str,
    /// It is a directory.
    directory: bool,
    /// Its size before, in bytes, for files.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_before: Option<u64>,
    /// Its size after, in bytes, for files.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_after: Option<u64>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Snapshots;
    vec![
        Tool::read(
            domain,
            "snapshot_list",
            "List snapshots",
            "Lists the snapshots of this host, the oldest first, and what else lies where they are.",
            list,
        )
.says(&["list snapshots", "which snapshots are there?"])
        .example(json!({})),
        Tool::read(
            domain,
            "snapshot_show",
            "Show a snapshot",
            "Shows one snapshot: why and when it was made, what it has, and whether it is still as it was made.",
            show,
        )
.says(&["show snapshot before-upgrade", "details of snapshot before-upgrade"])
        .example(json!({ "name": "before-upgrade" })),
        Tool::read(
            domain,
            "snapshot_diff",
            "Compare snapshots",
            "Names the files and directories that were added, changed or removed from one snapshot to another, or to \
             the present state.",
            diff,
        )
.says(&["what changed since before-upgrade?", "compare daily_2026-03-16 and daily_2026-03-17"])
        .example(json!({ "before": "before-upgrade" }))
        .example(json!({ "before": "daily_2024-12-30", "after": "daily_2024-12-31" })),
    ]
}

fn item(snapshot: &Snapshot) -> Item {
    let record = &snapshot.record;
    Item {
        name: record.name.to_string(),
        class: word(record),
        created: record.created.to_string(),
        pinned: record.pinned,
        reason: record.reason.clone(),
        subvolumes: record.subvolumes.keys().cloned().collect(),
        damage: snapshot.damage.clone(),
    }
}

/// The class as `snapshot.json` writes it.
pub(super) fn word(record: &snapshots::Record) -> String {
    let word = json!(record.class);
    word.as_str().unwrap_or_default().to_owned()
}

fn list(call: &Call<'_>, cut: Page) -> Result<Listed, ToolError> {
    let found = of_site(call)?.list()?;
    let foreign = found.foreign.into_iter().map(|foreign| Foreign {
        name: foreign.name,
        what: foreign.what,
    });
    let items = found.snapshots.iter().map(item).collect();
    let (snapshots, next_cursor) = page(items, &cut)?;
    Ok(Listed {
        snapshots,
        foreign: foreign.take(1000).collect(),
        next_cursor,
    })
}

fn show(call: &Call<'_>, input: Named) -> Result<Shown, ToolError> {
    let store = of_site(call)?;
    let name = name(&input.name)?;
    let snapshot = store.show(&name)?;
    let taken = snapshot.record.subvolumes.iter().map(|(name, taken)| {
        let taken = Taken {
            uuid: taken.uuid.clone(),
            source: taken.source.clone(),
            generation: taken.generation,
            without: taken.without.clone(),
        };
        (name.clone(), taken)
    });
    Ok(Shown {
        item: item(&snapshot),
        directory: store.place(&name, "").display().to_string(),
        taken: taken.collect(),
    })
}

fn diff(call: &Call<'_>, input: Diff) -> Result<Differences, ToolError> {
    let before = name(&input.before)?;
    let after = input.after.as_deref().map(name).transpose()?;
    let bounds = Bounds {
        named: input.limit.unwrap_or(NAMED).clamp(1, 10_000),
        looked_at: LOOKED_AT,
        go_on: &|| call.check().is_ok(),
    };
    let found = of_site(call)?.diff(&before, after.as_ref(), bounds)?;
    call.check()?;
    let differences = found.found.into_iter().map(|one| Difference {
        path: one.path,
        what: match one.what {
            What::Added => "added",
            What::Changed => "changed",
            What::Removed => "removed",
        },
        directory: one.directory,
        bytes_before: one.bytes.0,
        bytes_after: one.bytes.1,
    });
    Ok(Differences {
        differences: differences.collect(),
        cut: found.cut,
        only_before: found.only_before,
        only_after: found.only_after,
    })
}
