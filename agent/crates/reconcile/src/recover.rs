//! Ends what another run left: after a crash, or when a confirm window is over.
//!
//! A run that stopped while it was doing changes has its changes in flight taken back, since nobody knows
//! how far they got, and its finished ones kept: each is a piece of the declaration in its final state,
//! and the next apply goes on from there. A run that was being undone, or that touched the management path
//! and was not confirmed, is undone to its start.

use std::path::Path;

use crate::journal::{Ending, Journal};
use crate::key::Key;
use crate::plugin::Plugin;
use crate::run::{Outcome, Report, Run, RunError, Witness, now_ms};
use crate::story::{Progress, Stage, Story};

/// What was found, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// No run was left behind.
    Nothing,
    /// The last run had ended; the ledger has heard of it now.
    Told {
        /// The run.
        run: String,
    },
    /// A run was interrupted: what was in flight is undone, what was finished is kept.
    Interrupted {
        /// The run.
        run: String,
        /// The resources whose change was taken back.
        undone: Vec<Key>,
        /// The resources whose change was finished and is kept.
        kept: Vec<Key>,
    },
    /// A run is undone to its start.
    RolledBack {
        /// The run.
        run: String,
        /// Why.
        reason: String,
    },
    /// A run waits to be confirmed; nothing else may run before.
    Awaiting {
        /// The run.
        run: String,
        /// The end of its window, in milliseconds since 1970-01-01 UTC.
        deadline_ms: u64,
    },
    /// Something could not be undone; it is tried again next time.
    Stuck {
        /// The run.
        run: String,
        /// What could not be undone, and why.
        errors: Vec<String>,
    },
}

/// The last run of a journal, ready to go on.
fn resume<'a>(
    plugins: &'a [Box<dyn Plugin>],
    path: &Path,
    witness: &'a dyn Witness,
) -> Result<Option<(Run<'a>, Story)>, RunError> {
    let Some((journal, records)) = Journal::load(path)? else {
        return Ok(None);
    };
    let mut last = None;
    for (story, told) in Story::all(&records) {
        for (place, record) in (0..).zip(told) {
            witness
                .hear(&story.run, place, record, &story.changes)
                .map_err(RunError::Witness)?;
        }
        last = Some((story, told.len() as u64));
    }
    Ok(last.map(|(story, place)| {
        let run = Run {
            plugins,
            witness,
            journal,
            run: story.run.clone(),
            changes: story.changes.clone(),
            time_ms: story.time_ms,
            place,
        };
        (run, story)
    }))
}

/// Ends what an earlier run left. The caller holds the lock.
pub fn recover(
    plugins: &[Box<dyn Plugin>],
    path: &Path,
    witness: &dyn Witness,
) -> Result<Recovery, RunError> {
    let Some((run, story)) = resume(plugins, path, witness)? else {
        return Ok(Recovery::Nothing);
    };
    match story.stage {
        Stage::Ended(ending) => {
            // It may have stopped before it dropped what it had kept for undo.
            if ending != Ending::RolledBack {
                run.commit(&story.with(Progress::Done))?;
            }
            if witness.settled() {
                run.journal.remove()?;
            }
            Ok(Recovery::Told { run: story.run })
        }
        Stage::Awaiting(deadline_ms) if now_ms() < deadline_ms => Ok(Recovery::Awaiting {
            run: story.run,
            deadline_ms,
        }),
        Stage::Awaiting(_) => roll_back(run, &story, "it was not confirmed in time"),
        Stage::Undoing => {
            let reason = story.reason.clone().unwrap_or_default();
            roll_back(run, &story, &reason)
        }
        Stage::Applying if story.window_s.is_some() => roll_back(
            run,
            &story,
            "it was interrupted while it changed the management path",
        ),
        Stage::Applying => interrupted(run, &story),
    }
}

/// Takes back the changes in flight and keeps the finished ones.
fn interrupted(mut run: Run<'_>, story: &Story) -> Result<Recovery, RunError> {
    let in_flight = story.with(Progress::InFlight);
    let errors = run.take_back(&in_flight);
    if !errors.is_empty() {
        return Ok(Recovery::Stuck {
            run: story.run.clone(),
            errors,
        });
    }
    let done = story.with(Progress::Done);
    run.commit(&done)?;
    run.end(Ending::Interrupted, None)?;
    let keys = |steps: &[usize]| {
        steps
            .iter()
            .map(|step| story.changes[*step].key())
            .collect()
    };
    Ok(Recovery::Interrupted {
        run: story.run.clone(),
        undone: keys(&in_flight),
        kept: keys(&done),
    })
}

fn roll_back(mut run: Run<'_>, story: &Story, reason: &str) -> Result<Recovery, RunError> {
    let left: Vec<_> = story
        .order
        .iter()
        .copied()
        .filter(|step| story.steps.get(step) != Some(&Progress::Undone))
        .collect();
    let errors = run.roll_back(reason, &left);
    let run = story.run.clone();
    Ok(if errors.is_empty() {
        Recovery::RolledBack {
            run,
            reason: reason.to_owned(),
        }
    } else {
        Recovery::Stuck { run, errors }
    })
}

/// Keeps the run that waits for it.
pub fn confirm(
    plugins: &[Box<dyn Plugin>],
    path: &Path,
    witness: &dyn Witness,
) -> Result<(String, Report), RunError> {
    let Some((mut run, story)) = resume(plugins, path, witness)? else {
        return Err(RunError::NothingToConfirm);
    };
    match story.stage {
        Stage::Awaiting(deadline_ms) if now_ms() < deadline_ms => {
            run.keep_all()?;
            let report = Report {
                outcome: Outcome::Applied,
                duration_ms: now_ms().saturating_sub(story.time_ms),
            };
            Ok((story.run, report))
        }
        Stage::Awaiting(_) => {
            roll_back(run, &story, "it was not confirmed in time")?;
            Err(RunError::TooLate(story.run))
        }
        _ => Err(RunError::NothingToConfirm),
    }
}

/// Undoes the run that waits to be confirmed, without waiting for the end of its window.
pub fn undo(
    plugins: &[Box<dyn Plugin>],
    path: &Path,
    reason: &str,
    witness: &dyn Witness,
) -> Result<Recovery, RunError> {
    match resume(plugins, path, witness)? {
        Some((run, story)) if matches!(story.stage, Stage::Awaiting(_)) => {
            roll_back(run, &story, reason)
        }
        _ => Err(RunError::NothingToConfirm),
    }
}
