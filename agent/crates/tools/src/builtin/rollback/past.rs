//! What the ledger tells of a run.

use std::collections::BTreeMap;

use ledger::{Entry, Filter, Ledger};
use reconcile::{Key, Past};
use serde_json::Value;

use crate::error::ToolError;

/// How many ends of runs are looked at for the last one that somebody asked for.
const LOOKED_AT: usize = 1000;
/// Seconds in a day: how far a clock may have been set between a run's name and its entries.
const DAY: i64 = 86_400;

/// The last run that a person, or a program for one, asked for.
pub(super) fn last_run(ledger: &Ledger) -> Result<String, ToolError> {
    let ends = ledger.query(&Filter {
        operation: Some("apply_end".to_owned()),
        limit: Some(LOOKED_AT),
        newest_first: true,
        ..Filter::default()
    })?;
    let asked = |end: &&Entry| end.metadata["actor"]["door"] != "daemon";
    let run = ends.iter().find(asked).and_then(run_of);
    run.ok_or_else(|| {
        ToolError::Refused(
            "the ledger has no run that could be taken back: nothing was applied on this host"
                .to_owned(),
        )
    })
}

/// The run that an entry belongs to.
pub(super) fn run_of(entry: &Entry) -> Option<String> {
    entry.metadata["run"].as_str().map(str::to_owned)
}

/// What a run did and left done, by resource, and the place of its last entry.
pub(super) fn of_run(ledger: &Ledger, run: &str) -> Result<(Vec<Past>, i64), ToolError> {
    let entries = ledger.query(&Filter {
        run: Some(run.to_owned()),
        since: began(run).map(|began| began - DAY),
        ..Filter::default()
    })?;
    let Some(last) = entries.last() else {
        return Err(ToolError::NotFound(format!(
            "the ledger knows no run {run}; `op-dbus ledger log --operation apply_end` shows those there are"
        )));
    };
    let has = |operation: &str| entries.iter().any(|entry| entry.operation == operation);
    if has("apply_rolled_back") {
        return Err(ToolError::Refused(format!(
            "run {run} was undone already: it left nothing to take back"
        )));
    }
    if !has("apply_end") && !has("apply_interrupted") {
        return Err(ToolError::Refused(format!(
            "run {run} has not ended: `op-dbus status` says where the host stands"
        )));
    }
    let mut done: BTreeMap<Key, Past> = BTreeMap::new();
    for entry in &entries {
        let Some(resource) = resource(entry) else {
            continue;
        };
        match entry.metadata["outcome"].as_str() {
            Some("done") => {
                let state = |key: &str| entry.metadata.get(key).cloned().unwrap_or(Value::Null);
                let past = Past {
                    resource: resource.clone(),
                    before: state("before"),
                    after: state("after"),
                };
                done.insert(resource, past);
            }
            Some("undone") => {
                done.remove(&resource);
            }
            _ => {}
        }
    }
    // What was taken over stays ours; its state was the same before and after.
    let changed = done.into_values().filter(|past| past.before != past.after);
    Ok((changed.collect(), last.id))
}

/// Which later runs changed a resource, newest last.
pub(super) fn later(
    ledger: &Ledger,
    after: i64,
    resources: &[Key],
) -> Result<BTreeMap<Key, String>, ToolError> {
    let mut found = BTreeMap::new();
    if resources.is_empty() {
        return Ok(found);
    }
    let entries = ledger.query(&Filter {
        after_id: Some(after),
        ..Filter::default()
    })?;
    for entry in &entries {
        if let (Some(key), Some(run)) = (resource(entry), run_of(entry))
            && resources.contains(&key)
        {
            found.insert(key, run);
        }
    }
    Ok(found)
}

fn resource(entry: &Entry) -> Option<Key> {
    entry.metadata["resource"].as_str()?.parse().ok()
}

/// When a run began, as its id says, in seconds since 1970-01-01 UTC.
fn began(run: &str) -> Option<i64> {
    let time = run.get(..15)?;
    let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", time).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use ledger::NewEntry;
    use serde_json::json;

    use super::*;

    const RUN: &str = "20260131-120000-0a1b2c";

    fn ledger(dir: &tempfile::TempDir, entries: &[(&str, Value)]) -> Ledger {
        let ledger = Ledger::open(dir.path().join("ledger.db")).unwrap();
        for (operation, metadata) in entries {
            let entry = NewEntry {
                operation: (*operation).to_owned(),
                target: "host".to_owned(),
                metadata: metadata.clone(),
            };
            ledger.append(&entry).unwrap();
        }
        ledger
    }

    #[test]
    fn what_was_undone_in_a_run_is_none_of_what_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let change = |resource: &str, outcome: &str| json!({ "run": RUN, "resource": resource, "before": null, "after": 1, "outcome": outcome });
        let ledger = ledger(
            &dir,
            &[
                ("apply_begin", json!({ "run": RUN })),
                ("x_create", change("a/1", "done")),
                ("x_create", change("a/2", "done")),
                ("x_create", change("a/2", "undone")),
                ("x_create", change("a/3", "failed")),
                ("apply_interrupted", json!({ "run": RUN })),
            ],
        );
        let (past, last) = of_run(&ledger, RUN).unwrap();
        let keys: Vec<_> = past.iter().map(|past| past.resource.to_string()).collect();
        assert_eq!(keys, ["a/1"]);
        assert_eq!(last, 6);
    }

    #[test]
    fn the_daemons_own_runs_are_not_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let end = |run: &str, door: &str| {
            (
                "apply_end",
                json!({ "run": run, "actor": { "door": door } }),
            )
        };
        let ledger = ledger(&dir, &[end("mine", "cli"), end("its", "daemon")]);
        assert_eq!(last_run(&ledger).unwrap(), "mine");
    }

    #[test]
    fn a_run_that_was_undone_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir, &[("apply_rolled_back", json!({ "run": RUN }))]);
        assert!(matches!(of_run(&ledger, RUN), Err(ToolError::Refused(_))));
        let unknown = "20250131-120000-0a1b2c";
        assert!(matches!(
            of_run(&ledger, unknown),
            Err(ToolError::NotFound(_))
        ));
    }
}
