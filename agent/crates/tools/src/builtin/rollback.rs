//! Roll back: the declaration and the resources as they were before a run, or in a snapshot.

mod past;
mod way;

use std::time::Duration;

use declaration::Declaration;
use reconcile::{Change, Journal, Note, Plan, RunLock, Stage, Story, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kept::kept_anew;
use crate::call::Call;
use crate::caller::Role;
use crate::engine::mark::{self, Mark};
use crate::engine::past::{self as asked, Asked, Declared};
use crate::engine::place;
use crate::engine::{Changed, Ended, Host, LedgerWitness, Limits, Session};
use crate::error::ToolError;
use crate::tool::{Domain, Tool};
use way::{Back, Way};

#[derive(Default, Deserialize, JsonSchema)]
struct Rollback {
    /// The run to take back, by its id or by the number of a ledger entry of it; or the name of a snapshot whose
    /// declaration and containers are to be brought back. Without it: the run that waits to be confirmed, else the
    /// last run that somebody asked for.
    #[serde(default)]
    #[schemars(length(max = 255))]
    to: Option<String>,
    /// Only the run that waits to be confirmed, and nothing if none does.
    #[serde(default)]
    waiting: bool,
    /// Overwrite what was changed since.
    #[serde(default)]
    over_conflicts: bool,
    /// Allow changes that destroy data. Takes the role admin, and the plan's hash.
    #[serde(default)]
    allow_destroy: bool,
    /// Undo the rollback unless it is confirmed within so many seconds; 0 for no window. Without it, changes of the
    /// management path get 60.
    #[serde(default)]
    #[schemars(range(max = 86400))]
    confirm_s: Option<u64>,
}

/// How a rollback came out.
#[derive(Serialize, JsonSchema)]
struct RolledBack {
    /// The run that was taken back, or the snapshot that was gone back to.
    of: String,
    #[serde(flatten)]
    changed: Changed,
    /// What became of the declaration.
    declaration: Fate,
    /// What was changed since, and overwritten as asked.
    conflicts: Vec<Note>,
}

/// What became of the declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Fate {
    /// It had no part in this.
    Unchanged,
    /// The file is as it was before.
    PutBack,
    /// It still asks for what was rolled back: the daemon leaves that alone until somebody applies it again.
    HeldOff,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::write(
            Domain::State,
            "state_rollback",
            "Roll back",
            "Undoes the changes of the run that waits to be confirmed, at once. Else brings the declaration and the \
             resources back to how they were before a run, or in a snapshot. What was changed since is shown, and \
             left alone unless it is to be overwritten.",
            preview,
            roll_back,
        )
.says(&["undo that", "roll back the last run", "roll back to before-upgrade"])
        .binds()
        .example(json!({}))
        .example(json!({ "to": "20260131-120000-0a1b2c" })),
    ]
}

/// The run that waits to be confirmed.
fn awaiting(host: &Host) -> Result<Option<Story>, ToolError> {
    let records = Journal::read(&host.paths.journal())
        .map_err(|error| ToolError::failed("read the journal", error))?;
    let last = Story::all(&records).pop().map(|(story, _)| story);
    Ok(last.filter(|story| matches!(story.stage, Stage::Awaiting(_))))
}

/// The run that waits, if it is what is meant: by its id, or because nothing else is named.
fn waiting(call: &Call<'_>, input: &Rollback) -> Result<Option<Story>, ToolError> {
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    let meant = |story: &Story| input.to.as_ref().is_none_or(|to| *to == story.run);
    match awaiting(&host)?.filter(meant) {
        None if input.waiting => Err(ToolError::Refused(
            "no run waits to be confirmed".to_owned(),
        )),
        story => Ok(story),
    }
}

fn inverse(story: &Story) -> Plan {
    Plan {
        changes: story.changes.iter().rev().map(Change::inverse).collect(),
        notes: Vec::new(),
    }
}

fn preview(call: &Call<'_>, input: Rollback) -> Result<Plan, ToolError> {
    if let Some(story) = waiting(call, &input)? {
        return Ok(inverse(&story));
    }
    let mut way = Way::find(call, input.to.as_deref())?;
    let mut host = Host::new(&way.declaration)?;
    let wanted = way.prepare(&mut host, input.over_conflicts)?;
    let mut plan = reconcile::plan(&host.plugins)?;
    if let Some(wanted) = wanted {
        plan = plan.only(&wanted);
    }
    if plan.is_empty() {
        plan.changes = beside(&Host::new(&*call.site.declaration_if_any()?)?, &way);
    }
    let fate = match input.over_conflicts {
        true => "changed since, and overwritten",
        false => "conflict, left alone",
    };
    plan.notes.extend(way.conflicts.iter().map(|note| Note {
        resource: note.resource.clone(),
        text: format!("{fate}: {}", note.text),
    }));
    plan.notes.append(&mut way.notes);
    Ok(plan)
}

fn roll_back(call: &Call<'_>, input: Rollback) -> Result<RolledBack, ToolError> {
    if let Some(story) = waiting(call, &input)? {
        return end_window(call, &story.run);
    }
    let limits = Limits {
        allow_destroy: input.allow_destroy,
        confirm: input.confirm_s.map(Duration::from_secs),
        ..Limits::default()
    };
    let first = Way::find(call, input.to.as_deref())?;
    let mut session = Session::open(call, &first.declaration, "rollback")?;
    // Under the lock nothing more can come between.
    let mut way = Way::find(call, Some(&first.of))?;
    if way.declaration != first.declaration {
        return Err(ToolError::Refused(
            "the declaration was changed in the meantime: look at the plan again".to_owned(),
        ));
    }
    may_declare(call, &way)?;
    let wanted = way.prepare(&mut session.host, input.over_conflicts)?;
    if !input.over_conflicts && !way.conflicts.is_empty() {
        return Err(conflicting(&way));
    }
    for note in &way.notes {
        call.note(format!("{}: {}", note.resource, note.text));
    }
    let changed = carry_out(call, &mut session, &way, wanted, &limits)?;
    let fate = match (way.put_back.is_some(), still_asked_for(call)?) {
        (true, _) => Fate::PutBack,
        (false, true) => {
            let host = Host::new(&*call.site.declaration_if_any()?)?;
            mark::rolled_back(&host.paths, &host.declaration, &way.of)?;
            Fate::HeldOff
        }
        (false, false) => Fate::Unchanged,
    };
    Ok(RolledBack {
        of: way.of,
        changed,
        declaration: fate,
        conflicts: way.conflicts,
    })
}

/// Only who could write the declaration gives back rights, doors, witnesses or targets of an earlier time.
fn may_declare(call: &Call<'_>, way: &Way) -> Result<(), ToolError> {
    let now = call.site.declaration_if_any()?;
    let allowed = way.put_back.is_none()
        || call.caller.role >= Some(Role::Admin)
        || !is_more_than_resources(&now, &way.declaration);
    match allowed {
        true => Ok(()),
        false => Err(ToolError::Refused(format!(
            "the earlier declaration has other rights, doors or rules beside its resources, and to put that back \
             takes the role {}",
            Role::Admin
        ))),
    }
}

/// Whether two declarations differ in more than what the host has.
fn is_more_than_resources(now: &Declaration, then: &Declaration) -> bool {
    let mut then = then.clone();
    then.plugins = now.plugins.clone();
    then.derived = now.derived.clone();
    then != *now
}

/// What is put back beside the resources: the declaration's file, and the list of containers made by command.
fn beside(now: &Host, way: &Way) -> Vec<Change> {
    let mut changes = kept_anew(&now.by_command, &way.by_command);
    if let Some(path) = &way.put_back {
        let file = format!("file:{}", path.display());
        let after = json!({ "as_of": way.of });
        changes.push(Change::new(
            "declaration",
            file,
            Verb::Update,
            json!({}),
            after,
        ));
    }
    changes
}

/// Declaration and containers made by command first, then the resources; all of it back if that fails.
fn carry_out(
    call: &Call<'_>,
    session: &mut Session<'_>,
    way: &Way,
    wanted: Option<std::collections::BTreeSet<reconcile::Key>>,
    limits: &Limits,
) -> Result<Changed, ToolError> {
    let before = Host::new(&*call.site.declaration_if_any()?)?;
    let back = Declared::new(way.text.clone(), &way.by_command);
    session.remember(Asked {
        before: Declared::new(
            way.text
                .as_ref()
                .map(|_| asked::written(call.site, &before)),
            &before.by_command,
        ),
        after: back.clone(),
    });
    let commands = before.by_command != way.by_command;
    let choice = wanted.map(|wanted| move |_: &Plan| wanted.clone());
    let choice = choice
        .as_ref()
        .map(|choice| choice as &crate::engine::Choice<'_>);
    let limits = Limits {
        beside: beside(&before, way),
        ..limits.clone()
    };
    let mut replaced = None;
    let done = (|| {
        if commands {
            session.host.save_by_command()?;
        }
        if let (Some(path), Some(text)) = (&way.put_back, &way.text) {
            replaced = Some(place::replace(path, text.as_bytes())?);
        }
        session.change(choice, &limits)
    })();
    match done {
        Ok(changed) => {
            if replaced.is_some() && changed.outcome != Ended::AwaitingConfirmation {
                asked::stands(&session.host.paths, &back);
            }
            Ok(changed)
        }
        Err(error) => {
            if let Some(replaced) = replaced {
                replaced.take_back()?;
            }
            if commands {
                before.save_by_command()?;
            }
            Err(error)
        }
    }
}

/// Whether the declaration asks for something else than there is now.
fn still_asked_for(call: &Call<'_>) -> Result<bool, ToolError> {
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    // What cannot be planned is not tried by a daemon either, until it can.
    Ok(!reconcile::plan(&host.plugins).is_ok_and(|plan| plan.is_empty()))
}

fn conflicting(way: &Way) -> ToolError {
    let lines: Vec<_> = way
        .conflicts
        .iter()
        .map(|note| format!("{}: {}", note.resource, note.text))
        .collect();
    let what = match way.back {
        Back::Run(_) => format!("run {}", way.of),
        Back::Whole => format!("snapshot {}", way.of),
    };
    ToolError::Refused(format!(
        "{what} is not rolled back, since this was changed after it:\n{}\nTo overwrite it, ask with \
         --over-conflicts",
        lines.join("\n")
    ))
}

/// Undoes the run that waits to be confirmed.
fn end_window(call: &Call<'_>, run: &str) -> Result<RolledBack, ToolError> {
    let _turn = call.site.turn(call)?;
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    let _lock = RunLock::acquire(&host.paths.lock(), "rollback")?;
    let Some(story) = awaiting(&host)?.filter(|story| story.run == run) else {
        return Err(ToolError::Refused(
            "the run that waited to be confirmed was ended in the meantime; `op-dbus status` says where the \
             host stands"
                .to_owned(),
        ));
    };
    let plan = inverse(&story);
    let hash = plan.hash();
    if let Some(shown) = &call.options.plan {
        crate::registry::bind(Some(shown), &hash)?;
    }
    let begun = std::time::Instant::now();
    let witness = LedgerWitness::new(&host.paths, call.listener);
    let reason = format!("{} took it back", call.caller.name);
    // What the journal tells is undone with every plugin, declared or not.
    let every = plugins::all(&host.declaration);
    let mark = Mark::of_window(&host.paths);
    reconcile::undo(&every, &host.paths.journal(), &reason, &witness)?;
    mark.keep(&story.run)?;
    let mut changed =
        Changed::nothing(story.run.clone(), Ended::RolledBack, plan, hash, Vec::new());
    changed.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(RolledBack {
        of: story.run,
        changed,
        declaration: Fate::HeldOff,
        conflicts: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use declaration::Format;

    use super::*;

    #[test]
    fn rights_and_rules_are_more_than_resources() {
        let parse = |text: &str| Declaration::parse(text, Format::Yaml).unwrap();
        let now = parse("version: \"1.0\"");
        let resources =
            parse("version: \"1.0\"\nplugins: {btrfs: {base: /b, subvolumes: {\"@extra\": {}}}}");
        assert!(!is_more_than_resources(&now, &resources));
        let rights = parse("version: \"1.0\"\naccess: {admin: {groups: [wheel]}}");
        assert!(is_more_than_resources(&now, &rights));
        let rules = parse("version: \"1.0\"\nsnapshots: {policies: [hourly]}");
        assert!(is_more_than_resources(&now, &rules));
    }
}
