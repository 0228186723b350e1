//! Snapshots of the base: what is ours, what the declaration asks for, and the one before each run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ::snapshots::{
    Class, Error, Kind, Known, Locked, NewSnapshot, Ownership, Policy, Restored, Store, schedule,
};
use declaration::{Declaration, SnapshotPolicy, SubvolumeName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{Filter, NewEntry};
use plugins::{btrfs as subvolumes, mark};
use serde_json::{Value, json};

use super::host::Host;
use super::paths::Paths;
use super::site::Site;
use crate::call::Call;
use crate::error::ToolError;
use crate::replication::standings;

/// The mark and the seal of what is ours.
struct Seals;

impl Ownership for Seals {
    fn is_ours(&self, path: &Path, name: &str) -> btrfs::Result<bool> {
        subvolumes::is_ours(path, name)
    }

    fn sign(&self, path: &Path, name: &str) -> btrfs::Result<()> {
        subvolumes::sign(path, name)
    }

    fn mark_of(&self, path: &Path) -> std::io::Result<Option<String>> {
        mark::read(path)
    }

    fn mark(&self, path: &Path, text: &str) -> std::io::Result<()> {
        mark::write(path, text)
    }
}

/// The snapshots of a base.
pub(crate) fn store(paths: &Paths) -> Store<'static> {
    Store::new(&paths.base, &Seals)
}

/// What the declaration asks for.
pub fn snapshot_policy(declaration: &Declaration) -> Result<Policy, ToolError> {
    let section = &declaration.snapshots;
    let finest = section.policies.iter().filter_map(|policy| match policy {
        SnapshotPolicy::PerOperation => None,
        SnapshotPolicy::EveryMinute => Some(Class::Minute),
        SnapshotPolicy::Hourly => Some(Class::Hourly),
        SnapshotPolicy::Daily => Some(Class::Daily),
    });
    let kept = &section.retention;
    let keep = [
        (Class::Operation, kept.operation),
        (Class::Minute, kept.minute),
        (Class::Hourly, kept.hourly),
        (Class::Daily, kept.daily),
        (Class::Weekly, kept.weekly),
        (Class::Quarterly, kept.quarterly),
    ];
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let zone = match &section.time_zone {
        // Where nothing goes by time, the zone is not looked up.
        _ if section.policies.is_empty() => TimeZone::UTC,
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name).map_err(|_| {
            ToolError::Unavailable(format!(
                "this machine knows no time zone `{name}`: correct snapshots.time_zone, or install tzdata"
            ))
        })?,
    };
    Ok(Policy {
        finest: finest.min(),
        keep: keep.map(|(class, kept)| (class, count(kept))).into(),
        zone,
        subvolumes: section.subvolumes.iter().map(ToString::to_string).collect(),
    })
}

/// The subvolumes of a policy that there are already.
pub(crate) fn that_are_there(base: &Path, names: &BTreeSet<String>) -> BTreeSet<String> {
    let there = |name: &&String| subvolumes::is_ours(&base.join(name), name).unwrap_or(false);
    names.iter().filter(there).cloned().collect()
}

/// Everything of ours that is there, as the schedule sees it. What the next transfer to a declared target builds on
/// stays, as if it were pinned.
pub(crate) fn known(
    store: &Store<'_>,
    declaration: &Declaration,
    paths: &Paths,
) -> Result<Vec<Known>, ToolError> {
    let found = store.list()?.snapshots;
    let mut known: Vec<_> = found
        .iter()
        .map(|snapshot| snapshot.record.known())
        .collect();
    let standings = standings(paths);
    for (name, target) in &declaration.replication.targets {
        let newest = standings
            .get(name.as_str())
            .and_then(|standing| standing.snapshot.as_deref());
        if let Some(newest) = newest {
            hold(&mut known, newest, &target.subvolumes);
        }
    }
    Ok(known)
}

/// Keeps the last snapshot of each subvolume up to the newest one that a target has; of all of them if none is named.
fn hold(known: &mut [Known], newest: &str, subvolumes: &[SubvolumeName]) {
    let Some(newest) = known.iter().find(|one| one.name.as_str() == newest) else {
        return;
    };
    let newest = newest.created;
    let wanted = |name: &&String| {
        subvolumes.is_empty() || subvolumes.iter().any(|it| it.as_str() == name.as_str())
    };
    let mut last = BTreeMap::new();
    for (n, one) in known.iter().enumerate() {
        for subvolume in one.subvolumes.iter().filter(wanted) {
            if one.created <= newest {
                let this = (one.created, n);
                let most = last.entry(subvolume.clone()).or_insert(this);
                *most = this.max(*most);
            }
        }
    }
    for (_, n) in last.into_values() {
        known[n].pinned = true;
    }
}

/// Goes on with a restore that a crash interrupted, and writes into the ledger what became of it.
pub fn end_restore(site: &Site) -> Result<(), ToolError> {
    end_restore_at(site, &site.paths()?)
}

pub(crate) fn end_restore_at(site: &Site, paths: &Paths) -> Result<(), ToolError> {
    let store = store(paths);
    match store.is_there() {
        Ok(true) => {}
        // The base may still have to be made, or be mended.
        Ok(false) | Err(_) => return Ok(()),
    }
    told(site, &store.lock()?)
}

/// The operation of the entry that tells of a ledger that was brought back.
pub(crate) const ROLLED_BACK: &str = "ledger_rolled_back";

/// Writes into the ledger what became of a restore that did not end, if there was one. Of a ledger that was brought
/// back it says first what was left behind.
pub(crate) fn told(site: &Site, locked: &Locked<'_>) -> Result<(), ToolError> {
    let Some(recovered) = &locked.recovered else {
        return Ok(());
    };
    let restore = &recovered.restore;
    if let Some(note) = &restore.note {
        tell_rolled_back(site, restore, note, true)?;
    }
    let outcome = if recovered.done { "done" } else { "undone" };
    let what = match &restore.kind {
        Kind::Subvolumes(exchanges) => json!(exchanges.keys().collect::<Vec<_>>()),
        Kind::Path { path, .. } => json!([path]),
    };
    log::warn!(
        "a restore of {} was interrupted, and is {outcome}",
        restore.snapshot
    );
    site.record(NewEntry {
        operation: "snapshot_restore".to_owned(),
        target: restore.snapshot.to_string(),
        metadata: json!({
            "outcome": outcome,
            "recovered": true,
            "restored": what,
            "before": restore.before,
        }),
    })?;
    match restore.note {
        Some(_) => Ok(locked.settle()?),
        None => Ok(()),
    }
}

/// Says in a ledger that was brought back which head it had before; once, if this is killed and done again.
pub(crate) fn tell_rolled_back(
    site: &Site,
    restore: &Restored,
    note: &Value,
    recovered: bool,
) -> Result<(), ToolError> {
    let last = site.ledger()?.query(&Filter {
        operation: Some(ROLLED_BACK.to_owned()),
        limit: Some(1),
        newest_first: true,
        ..Filter::default()
    })?;
    if last
        .first()
        .is_some_and(|last| last.metadata["before"] == json!(restore.before))
    {
        return Ok(());
    }
    let mut metadata = note.clone();
    metadata["snapshot"] = json!(restore.snapshot);
    metadata["before"] = json!(restore.before);
    if recovered {
        metadata["recovered"] = json!(true);
    }
    site.record(NewEntry {
        operation: ROLLED_BACK.to_owned(),
        target: "@timing".to_owned(),
        metadata,
    })
    .map(drop)
}

/// Makes the snapshot before a run, where that is declared. Without it there is no run: what was asked for is that
/// there is a way back.
pub(crate) fn before_run(call: &Call<'_>, host: &Host, run: &str) -> Result<(), ToolError> {
    let section = &host.declaration.snapshots;
    let declared = section.policies.contains(&SnapshotPolicy::PerOperation);
    let store = store(&host.paths);
    if !declared || section.retention.operation == 0 || !store.is_there()? {
        return Ok(());
    }
    let policy = snapshot_policy(&host.declaration)?;
    let wanted = that_are_there(&host.paths.base, &policy.subvolumes);
    // The first run of a host makes them.
    if wanted.is_empty() {
        return Ok(());
    }
    let locked = store.lock()?;
    let now = Timestamp::now();
    let prefix = Class::Operation.prefix().unwrap_or_default();
    let new = NewSnapshot {
        name: format!("{prefix}{run}").parse().map_err(Error::from)?,
        class: Class::Operation,
        subvolumes: wanted,
        reason: None,
        now,
    };
    locked.create(&new).map_err(|error| {
        let without = "without the snapshot that snapshots.policies asks for there is no run";
        ToolError::Failed(format!("{without}: {error}"))
    })?;
    // The others have their own time.
    let runs = Policy {
        finest: None,
        ..policy
    };
    let known: Vec<Known> = known(&store, &host.declaration, &host.paths)?;
    let classes: BTreeMap<_, _> = known.iter().map(|one| (&one.name, one.class)).collect();
    for name in schedule(&known, now, &runs).prune {
        if classes.get(&name) == Some(&Class::Operation)
            && let Err(error) = locked.delete(&name)
        {
            call.note(format!("snapshot {name} was not removed: {error}"));
        }
    }
    Ok(())
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Name(_) | Error::Claimed { .. } => Self::Invalid(text),
            Error::NoSnapshot(_) | Error::NoSubvolume(_) | Error::NotInSnapshot { .. } => {
                Self::NotFound(text)
            }
            Error::Taken(_)
            | Error::Foreign(_)
            | Error::Refused { .. }
            | Error::Damaged { .. }
            | Error::InUse(_)
            | Error::Pinned(_) => Self::Refused(text),
            _ => Self::Failed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, minute: i64, subvolumes: &[&str]) -> Known {
        Known {
            name: name.parse().unwrap(),
            class: Class::Hourly,
            created: Timestamp::from_second(minute * 60).unwrap(),
            pinned: false,
            subvolumes: subvolumes.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn what_the_next_transfer_builds_on_is_held_for_each_subvolume() {
        let all = [
            known("a", 1, &["@state"]),
            known("b", 2, &["@state", "@timing"]),
            known("c", 3, &["@state"]),
            known("d", 4, &["@state", "@timing"]),
        ];
        let held = |newest: &str, subvolumes: &[&str]| {
            let mut all = all.to_vec();
            let subvolumes: Vec<_> = subvolumes.iter().map(|it| it.parse().unwrap()).collect();
            hold(&mut all, newest, &subvolumes);
            let held = all.iter().filter(|one| one.pinned);
            held.map(|one| one.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(held("c", &[]), ["b", "c"]);
        assert_eq!(held("c", &["@state"]), ["c"]);
        assert_eq!(held("d", &[]), ["d"]);
        // It was deleted here: nothing is left to build on by name.
        assert_eq!(held("gone", &[]), [""; 0]);
    }
}
