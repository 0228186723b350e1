//! Making, pinning, deleting, restoring and rotating: what each would do, and doing it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reconcile::{Change, Key, Note, Plan, RunLock, Verb};
use serde_json::{Value, json};
use snapshots::{Class, Kind, Locked, NewSnapshot, Record, Restored, Schedule, schedule};

use super::look::word;
use super::{Create, Done, Named, Pin, Restore, name, of_site};
use crate::call::Call;
use crate::engine::publish::claim;
use crate::engine::snapshot_policy;
use crate::engine::snapshots::{known, tell_rolled_back, that_are_there, told};
use crate::error::ToolError;
use crate::registry::bind;

/// What changes are called in plans.
const PLUGIN: &str = "snapshots";
/// The ledger, and its index.
const LEDGER: [&str; 2] = ["@timing", "@vectors"];

fn change(resource: &str, verb: Verb, before: Value, after: Value, destroys: bool) -> Change {
    Change {
        destroys,
        ..Change::new(PLUGIN, resource, verb, before, after)
    }
}

fn plan(changes: Vec<Change>) -> Plan {
    Plan {
        changes,
        notes: Vec::new(),
    }
}

/// Inside the lock: what is done is what was shown, if something was, and there is a ledger for it.
fn may_carry_out(call: &Call<'_>, locked: &Locked<'_>, plan: &Plan) -> Result<(), ToolError> {
    call.site.can_record(false)?;
    told(call.site, locked)?;
    match call.options.plan.as_deref() {
        Some(shown) => bind(Some(shown), &plan.hash()),
        None => Ok(()),
    }
}

/// What a snapshot is to have: what is named, or what is declared and there.
fn wanted(call: &Call<'_>, input: &Create) -> Result<BTreeSet<String>, ToolError> {
    if !input.subvolumes.is_empty() {
        return Ok(input.subvolumes.iter().cloned().collect());
    }
    let declaration = call.site.declaration_if_any()?;
    let declared = declaration.snapshots.subvolumes.iter();
    let declared = declared.map(ToString::to_string).collect();
    Ok(that_are_there(&call.site.paths()?.base, &declared))
}

pub(super) fn creation(call: &Call<'_>, input: &Create) -> Result<Plan, ToolError> {
    let name = name(&input.name)?;
    let after = json!({ "subvolumes": wanted(call, input)?, "reason": input.reason });
    let create = change(name.as_str(), Verb::Create, Value::Null, after, false);
    Ok(plan(vec![create]))
}

pub(super) fn create(call: &Call<'_>, input: Create) -> Result<Done, ToolError> {
    let store = of_site(call)?;
    let locked = store.lock()?;
    may_carry_out(call, &locked, &creation(call, &input)?)?;
    let record = locked.create(&NewSnapshot {
        name: name(&input.name)?,
        class: Class::Manual,
        subvolumes: wanted(call, &input)?,
        reason: input.reason,
        now: Timestamp::now(),
    })?;
    Ok(Done {
        name: Some(record.name.to_string()),
        outcome: "done",
        subvolumes: record.subvolumes.keys().cloned().collect(),
        notes: without(&record),
        ..Done::default()
    })
}

/// What a snapshot does not have, in sentences.
fn without(record: &Record) -> Vec<String> {
    let with_inner = record.subvolumes.iter();
    with_inner
        .filter(|(_, taken)| !taken.without.is_empty())
        .map(|(name, taken)| {
            format!(
                "{name}: without the {} subvolumes in it, such as {}",
                taken.without.len(),
                taken.without[0]
            )
        })
        .collect()
}

pub(super) fn pinning(call: &Call<'_>, input: &Pin) -> Result<Plan, ToolError> {
    let record = of_site(call)?.show(&name(&input.name)?)?.record;
    if record.pinned == input.pinned {
        return Ok(Plan::default());
    }
    let pinned = |pinned: bool| json!({ "pinned": pinned });
    let (before, after) = (pinned(record.pinned), pinned(input.pinned));
    let update = change(record.name.as_str(), Verb::Update, before, after, false);
    Ok(plan(vec![update]))
}

pub(super) fn pin(call: &Call<'_>, input: Pin) -> Result<Done, ToolError> {
    let store = of_site(call)?;
    let locked = store.lock()?;
    may_carry_out(call, &locked, &pinning(call, &input)?)?;
    let changed = locked.pin(&name(&input.name)?, input.pinned)?;
    Ok(Done {
        name: Some(input.name),
        outcome: if changed { "done" } else { "unchanged" },
        ..Done::default()
    })
}

/// A snapshot in a plan that removes it.
fn gone(record: &Record) -> Change {
    let taken = record.subvolumes.iter();
    let uuids: serde_json::Map<_, _> = taken
        .map(|(name, taken)| (name.clone(), json!(taken.uuid)))
        .collect();
    let before = json!({
        "class": word(record),
        "created": record.created.to_string(),
        "subvolumes": uuids,
    });
    change(
        record.name.as_str(),
        Verb::Delete,
        before,
        Value::Null,
        true,
    )
}

pub(super) fn deletion(call: &Call<'_>, input: &Named) -> Result<Plan, ToolError> {
    let record = of_site(call)?.show(&name(&input.name)?)?.record;
    if record.pinned {
        return Err(snapshots::Error::Pinned(record.name).into());
    }
    Ok(plan(vec![gone(&record)]))
}

pub(super) fn delete(call: &Call<'_>, input: Named) -> Result<Done, ToolError> {
    let store = of_site(call)?;
    let locked = store.lock()?;
    may_carry_out(call, &locked, &deletion(call, &input)?)?;
    locked.delete(&name(&input.name)?)?;
    Ok(Done {
        name: Some(input.name),
        outcome: "done",
        ..Done::default()
    })
}

/// What is brought back: subvolumes, or a path; and what is left as it is although the snapshot has it.
struct Chosen {
    subvolumes: BTreeSet<String>,
    left: Vec<String>,
}

fn chosen(record: &Record, input: &Restore) -> Result<Chosen, ToolError> {
    let of_ledger = |name: &str| LEDGER.contains(&name);
    let refused = || {
        ToolError::Refused(
            "@timing is the ledger: to bring it back is to lose what was recorded since, and witnesses will see that \
             it was. If that is what you want, allow it with --allow-rollback-of-ledger"
                .to_owned(),
        )
    };
    if let Some(path) = &input.path {
        if !input.subvolumes.is_empty() {
            return Err(ToolError::Invalid(
                "name a path or subvolumes, not both".to_owned(),
            ));
        }
        if path.split('/').next().is_some_and(of_ledger) {
            return Err(ToolError::Refused(
                "the ledger and its index are only brought back whole: name @timing".to_owned(),
            ));
        }
        return Ok(Chosen {
            subvolumes: BTreeSet::new(),
            left: Vec::new(),
        });
    }
    let has = |name: &&str| record.subvolumes.contains_key(*name);
    let allowed = input.allow_rollback_of_ledger;
    if input.subvolumes.is_empty() {
        let (left, subvolumes) = record
            .subvolumes
            .keys()
            .cloned()
            .partition::<BTreeSet<_>, _>(|name| of_ledger(name) && !allowed);
        if subvolumes.is_empty() {
            return Err(refused());
        }
        let left = left.into_iter().collect();
        return Ok(Chosen { subvolumes, left });
    }
    let mut subvolumes: BTreeSet<String> = input.subvolumes.iter().cloned().collect();
    if subvolumes.contains(LEDGER[0]) {
        if !allowed {
            return Err(refused());
        }
        // An index that knows of more than the ledger is of no use.
        subvolumes.extend(
            LEDGER
                .iter()
                .filter(|name| has(name))
                .map(|name| (*name).to_owned()),
        );
    }
    Ok(Chosen {
        subvolumes,
        left: Vec::new(),
    })
}

pub(super) fn restoring(call: &Call<'_>, input: &Restore) -> Result<Plan, ToolError> {
    let store = of_site(call)?;
    let record = store.show(&name(&input.name)?)?.record;
    let chosen = chosen(&record, input)?;
    let base = call.site.paths()?.base;
    let note = |text: String| Note {
        resource: Key::new(PLUGIN, record.name.to_string()),
        text,
    };
    let mut plan = Plan::default();
    let after = |uuid: Option<&str>| json!({ "snapshot": record.name, "uuid": uuid });
    if let Some(path) = &input.path {
        let update = change(path, Verb::Update, json!({}), after(None), true);
        plan.changes.push(update);
    }
    for subvolume in &chosen.subvolumes {
        let uuid = btrfs::info(base.join(subvolume))
            .ok()
            .and_then(|info| info.uuid);
        let before = json!({ "uuid": uuid.map(|uuid| uuid.to_string()) });
        let taken = record.subvolumes.get(subvolume);
        let after = after(taken.map(|taken| taken.uuid.as_str()));
        plan.changes
            .push(change(subvolume, Verb::Update, before, after, true));
    }
    if !chosen.left.is_empty() {
        plan.notes.push(note(format!(
            "{} stay as they are; --allow-rollback-of-ledger brings them back too",
            chosen.left.join(" and ")
        )));
    }
    Ok(plan)
}

pub(super) fn restore(call: &Call<'_>, input: Restore) -> Result<Done, ToolError> {
    let paths = call.site.paths()?;
    // The engine must not be at work on what changes its place.
    let _turn = call.site.turn(call)?;
    let _lock = RunLock::acquire(&paths.lock(), "snapshot restore")?;
    // A daemon that cannot be reached would go on with files that are no longer there.
    let _alone = call.site.alone(&paths, "snapshot restore")?;
    if paths.journal().exists() {
        return Err(ToolError::Refused(
            "a run was interrupted: `op-dbus apply` puts that in order first".to_owned(),
        ));
    }
    let store = of_site(call)?;
    let locked = store.lock()?;
    may_carry_out(call, &locked, &restoring(call, &input)?)?;
    let name = name(&input.name)?;
    let chosen = chosen(&store.show(&name)?.record, &input)?;
    let now = Timestamp::now();
    let restored = match &input.path {
        Some(path) => locked.restore_path(&name, path, now)?,
        None if chosen.subvolumes.contains(LEDGER[0]) => {
            let restored = with_ledger(call, |note| {
                Ok(locked.restore_noting(&name, &chosen.subvolumes, now, Some(note))?)
            })?;
            locked.settle()?;
            restored
        }
        None => locked.restore(&name, &chosen.subvolumes, now)?,
    };
    let subvolumes: Vec<String> = match restored.kind {
        Kind::Subvolumes(exchanges) => exchanges.into_keys().collect(),
        Kind::Path { path, .. } => vec![path],
    };
    let mut notes = vec![format!(
        "the state before is in snapshot {}",
        restored.before
    )];
    if subvolumes.iter().any(|name| name.starts_with("@state")) {
        notes.push(
            "the daemon goes on with the tasks and facts that are back; what clients keep in its NonNet database is from \
             before until `systemctl restart op-dbusd`"
                .to_owned(),
        );
    }
    if !chosen.left.is_empty() {
        notes.push(format!("{} stay as they are", chosen.left.join(" and ")));
    }
    Ok(Done {
        name: Some(input.name),
        outcome: "done",
        subvolumes,
        before: Some(restored.before.to_string()),
        notes,
        ..Done::default()
    })
}

/// Brings back the ledger: nobody writes or publishes the old one meanwhile, and the first entry of the one that is back says
/// what was left behind.
fn with_ledger(
    call: &Call<'_>,
    restore: impl FnOnce(Value) -> Result<Restored, ToolError>,
) -> Result<Restored, ToolError> {
    let ledger = call.site.ledger()?;
    // Else what is published of the old one could land in the one that is back, and contradict it for good.
    let _claim = claim(&ledger)?;
    let restored = call.site.while_unopened(|| {
        let head = ledger.head()?;
        restore(json!({ "actor": call.caller.actor(), "head_before": head }))
    })?;
    drop(ledger);
    let note = restored.note.clone().unwrap_or_default();
    tell_rolled_back(call.site, &restored, &note, false)?;
    Ok(restored)
}

/// What the declared policies are due for now.
fn due(call: &Call<'_>) -> Result<(Schedule, Plan, BTreeSet<String>), ToolError> {
    let declaration = call.site.declaration()?;
    let nothing = (Schedule::default(), Plan::default(), BTreeSet::new());
    if declaration.snapshots.policies.is_empty() {
        return Ok(nothing);
    }
    let policy = snapshot_policy(&declaration)?;
    let store = of_site(call)?;
    let records: Vec<_> = store.list()?.snapshots;
    let schedule = schedule(
        &known(&store, &declaration, &call.site.paths()?)?,
        Timestamp::now(),
        &policy,
    );
    let mut changes = Vec::new();
    for due in &schedule.make {
        let after = json!({ "subvolumes": policy.subvolumes });
        changes.push(change(
            due.name.as_str(),
            Verb::Create,
            Value::Null,
            after,
            false,
        ));
    }
    for name in &schedule.prune {
        let found = records.iter().find(|found| found.record.name == *name);
        changes.extend(found.map(|found| gone(&found.record)));
    }
    Ok((schedule, plan(changes), policy.subvolumes))
}

pub(super) fn rotation(call: &Call<'_>) -> Result<Plan, ToolError> {
    Ok(due(call)?.1)
}

pub(super) fn rotate(call: &Call<'_>) -> Result<Done, ToolError> {
    let store = of_site(call)?;
    let locked = store.lock()?;
    let (schedule, plan, subvolumes) = due(call)?;
    may_carry_out(call, &locked, &plan)?;
    let mut done = Done {
        outcome: if plan.is_empty() { "unchanged" } else { "done" },
        ..Done::default()
    };
    for due in schedule.make {
        let new = NewSnapshot {
            name: due.name,
            class: due.class,
            subvolumes: subvolumes.clone(),
            reason: None,
            now: Timestamp::now(),
        };
        // If one fails, nothing is removed: what there is may be all that there will be.
        done.made.push(locked.create(&new)?.name.to_string());
    }
    for name in schedule.prune {
        call.check()?;
        match locked.delete(&name) {
            Ok(()) => done.pruned.push(name.to_string()),
            // It goes next time, with those that are too many then.
            Err(error @ snapshots::Error::InUse(_)) => done.notes.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}
