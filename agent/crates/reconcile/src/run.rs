//! Carries a plan out: journal, change, journal, verify; or undoes all of it.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::change::Change;
use crate::journal::{Ending, Journal, JournalError, Record, Timed};
use crate::plan::{Plan, PlanError};
use crate::plugin::{Context, Direction, Plugin, PluginError};
use crate::schedule::{Batch, Schedule};
use crate::verify::unmet;

/// Hears each record once it is in the journal: the ledger, and the screen.
pub trait Witness: Sync {
    /// Keeps a record. `place` counts the records of `run` from 0. After a crash the same record may come
    /// again; it must then be kept once. An error stops the run and undoes it.
    fn hear(
        &self,
        run: &str,
        place: u64,
        record: &Record,
        changes: &[Change],
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;

    /// Whether everything that was heard is kept, so that the journal may go.
    fn settled(&self) -> bool;

    /// Tells people how a change that takes long is getting on.
    fn progress(&self, change: &Change, text: &str) {
        let _ = (change, text);
    }
}

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The run's id.
    pub run: String,
    /// Who asked, through which door: passed through to the ledger.
    pub actor: Value,
    /// Undo everything unless it is confirmed within this time.
    pub window: Option<Duration>,
    /// Where the journal is.
    pub journal: PathBuf,
}

/// How a run came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done and verified.
    Applied,
    /// Done and verified; undone unless confirmed by then (milliseconds since 1970-01-01 UTC).
    Awaiting {
        /// The end of the confirm window.
        deadline_ms: u64,
    },
    /// It failed and was undone.
    RolledBack {
        /// The failure.
        error: String,
        /// What could not be undone; empty if the machine is as before.
        undo_errors: Vec<String>,
    },
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it came out.
    pub outcome: Outcome,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
}

/// Why a run could not be carried out or ended properly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal cannot be written; nothing more is changed without it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system could not be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The ledger did not take a record.
    #[error("the ledger did not take the record of this run: {0}")]
    Witness(Box<dyn StdError + Send + Sync>),
    /// A plugin failed.
    #[error("{change}: {source}")]
    Plugin {
        /// The resource, or the number of resources in the transaction.
        change: String,
        /// The plugin's reason.
        source: PluginError,
    },
    /// All changes were made, and the system does not show them.
    #[error("done, but the system does not show it: {0}")]
    Unverified(String),
    /// A plugin of the plan is not there.
    #[error("no plugin is called `{0}`")]
    NoPlugin(String),
    /// Nothing waits to be confirmed.
    #[error("nothing waits to be confirmed")]
    NothingToConfirm,
    /// The confirm window is over.
    #[error("the confirm window of run {0} is over; its changes are undone")]
    TooLate(String),
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A run under way: its journal, its plugins, its witness.
pub(crate) struct Run<'a> {
    pub(crate) plugins: &'a [Box<dyn Plugin>],
    pub(crate) witness: &'a dyn Witness,
    pub(crate) journal: Journal,
    pub(crate) run: String,
    pub(crate) changes: Vec<Change>,
    pub(crate) time_ms: u64,
    /// How many records of this run there are.
    pub(crate) place: u64,
}

/// Carries `plan` out. The plan must be that of the system as it is; the caller holds the lock and has
/// dealt with an earlier run's journal.
pub fn apply(
    plugins: &[Box<dyn Plugin>],
    plan: &Plan,
    order: &Order,
    witness: &dyn Witness,
) -> Result<Report, RunError> {
    let time_ms = now_ms();
    let mut run = Run {
        plugins,
        witness,
        journal: Journal::open(&order.journal)?,
        run: order.run.clone(),
        changes: plan.changes.clone(),
        time_ms,
        place: 0,
    };
    let begun = run.note(&Record::Intent {
        run: order.run.clone(),
        actor: order.actor.clone(),
        time_ms,
        plan_hash: plan.hash(),
        changes: plan.changes.clone(),
        window_s: order.window.map(|window| window.as_secs()),
    });
    if let Err(error @ RunError::Journal(_)) = begun {
        return Err(error);
    }
    let mut touched = Vec::new();
    let done = begun
        .and_then(|()| run.carry_out(&mut touched))
        .and_then(|()| run.verify());
    let outcome = match done {
        Ok(()) => match order.window {
            Some(window) => run.await_confirmation(window)?,
            None => {
                run.keep_all()?;
                Outcome::Applied
            }
        },
        Err(error) => {
            let undo_errors = run.roll_back(&error.to_string(), &touched);
            Outcome::RolledBack {
                error: error.to_string(),
                undo_errors,
            }
        }
    };
    Ok(Report {
        outcome,
        duration_ms: now_ms().saturating_sub(time_ms),
    })
}

impl Run<'_> {
    /// Journals a record, then tells the witness.
    pub(crate) fn note(&mut self, record: &Record) -> Result<(), RunError> {
        self.journal.append(record)?;
        let place = self.place;
        self.place += 1;
        self.witness
            .hear(&self.run, place, record, &self.changes)
            .map_err(RunError::Witness)
    }

    fn plugin_place(&self, change: &Change) -> Result<usize, RunError> {
        self.plugins
            .iter()
            .position(|plugin| plugin.name() == change.plugin)
            .ok_or_else(|| RunError::NoPlugin(change.plugin.clone()))
    }

    /// Does all changes. `touched` gets the steps in the order in which they ended, those that failed and
    /// may be half done included.
    fn carry_out(&mut self, touched: &mut Vec<usize>) -> Result<(), RunError> {
        for change in &self.changes {
            self.plugin_place(change)?;
        }
        let changes = self.changes.clone();
        let place = |change: &Change| self.plugin_place(change).unwrap_or_default();
        let mut schedule = Schedule::new(self.plugins, &changes, place);
        let run = self.run.clone();
        let (plugins, witness) = (self.plugins, self.witness);
        std::thread::scope(|scope| {
            let (sender, results) = mpsc::channel();
            let mut running = 0_usize;
            let mut failure = None;
            loop {
                if failure.is_none() {
                    let batches = schedule.next();
                    failure = self.announce(&batches).err();
                    // What could not be announced is not begun.
                    let begun = if failure.is_none() {
                        batches
                    } else {
                        Vec::new()
                    };
                    for batch in begun {
                        let (sender, changes, run) = (sender.clone(), &changes, &run);
                        running += 1;
                        scope.spawn(move || {
                            let start = Instant::now();
                            // A panic goes on in the run's own thread, which would wait for ever else.
                            let done = catch_unwind(AssertUnwindSafe(|| {
                                carry(plugins, changes, &batch, run, Direction::Forward, witness)
                            }));
                            let duration_ms = u64::try_from(start.elapsed().as_millis());
                            let _ = sender.send(Ended {
                                batch,
                                duration_ms: duration_ms.unwrap_or(u64::MAX),
                                done,
                            });
                        });
                    }
                }
                if running == 0 {
                    return failure.map_or(Ok(()), Err);
                }
                let ended: Vec<_> = results
                    .recv()
                    .into_iter()
                    .chain(results.try_iter())
                    .collect();
                running -= ended.len();
                if let Err(error) = self.account(ended, &mut schedule, touched) {
                    failure.get_or_insert(error);
                }
            }
        })?;
        debug_assert!(schedule.finished(), "the plan's order has no cycles");
        Ok(())
    }

    fn announce(&mut self, batches: &[Batch]) -> Result<(), RunError> {
        if batches.is_empty() {
            return Ok(());
        }
        let steps = batches.iter().flat_map(|batch| &batch.steps);
        self.note(&Record::Begin {
            steps: steps.copied().collect(),
        })
    }

    /// Journals how batches ended; the first failure comes back.
    fn account(
        &mut self,
        ended: Vec<Ended>,
        schedule: &mut Schedule,
        touched: &mut Vec<usize>,
    ) -> Result<(), RunError> {
        let mut timed = Vec::new();
        let mut failures = Vec::new();
        for Ended {
            batch,
            duration_ms,
            done,
        } in ended
        {
            touched.extend(&batch.steps);
            match done.unwrap_or_else(|panic| resume_unwind(panic)) {
                Ok(()) => {
                    schedule.done(&batch);
                    let steps = batch.steps.into_iter();
                    timed.extend(steps.map(|step| Timed { step, duration_ms }));
                }
                Err(source) => failures.push((batch, source)),
            }
        }
        let mut result = Ok(());
        if !timed.is_empty() {
            result = self.note(&Record::Done { steps: timed });
        }
        for (batch, source) in failures {
            let error = RunError::Plugin {
                change: describe(&self.changes, &batch),
                source,
            };
            let noted = self.note(&Record::Failed {
                steps: batch.steps,
                error: error.to_string(),
            });
            result = result.and(noted).and(Err(error));
        }
        result
    }

    fn verify(&self) -> Result<(), RunError> {
        let unmet = unmet(self.plugins, &self.changes)?;
        if unmet.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = unmet
            .iter()
            .map(|drift| {
                format!(
                    "{} should be {} and is {}",
                    drift.resource, drift.desired, drift.observed
                )
            })
            .collect();
        Err(RunError::Unverified(lines.join("; ")))
    }

    fn await_confirmation(&mut self, window: Duration) -> Result<Outcome, RunError> {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = now_ms().saturating_add(window);
        self.note(&Record::Awaiting { deadline_ms })?;
        Ok(Outcome::Awaiting { deadline_ms })
    }

    /// Takes back the given steps, last first, and says what could not be taken back. It goes on as far as
    /// it can whatever fails, the journal and the witness included: undoing twice does no harm.
    pub(crate) fn roll_back(&mut self, reason: &str, touched: &[usize]) -> Vec<String> {
        let _ = self.note(&Record::UndoBegin {
            reason: reason.to_owned(),
        });
        let errors = self.take_back(touched);
        if errors.is_empty() {
            let _ = self.end(Ending::RolledBack, Some(reason.to_owned()));
        }
        errors
    }

    /// Applies the inverse of each step, last first; steps that are to be kept are left.
    pub(crate) fn take_back(&mut self, touched: &[usize]) -> Vec<String> {
        let inverse: Vec<_> = self.changes.iter().map(Change::inverse).collect();
        let mut errors = Vec::new();
        for batch in self.backwards(touched) {
            let done = carry(
                self.plugins,
                &inverse,
                &batch,
                &self.run,
                Direction::Undo,
                self.witness,
            );
            for step in batch.steps {
                let record = match &done {
                    Ok(()) => Record::Undone { step },
                    Err(error) => {
                        let error = format!("{}: {error}", self.changes[step].key());
                        errors.push(error.clone());
                        Record::UndoFailed { step, error }
                    }
                };
                let _ = self.note(&record);
            }
        }
        errors
    }

    /// The steps from last to first; neighbours of one atomic plugin go as one transaction.
    fn backwards(&self, touched: &[usize]) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        for step in touched.iter().rev().copied() {
            let change = &self.changes[step];
            let Ok(plugin) = self.plugin_place(change) else {
                continue;
            };
            if change.keeps {
                continue;
            }
            match batches.last_mut() {
                Some(last) if last.plugin == plugin && self.plugins[plugin].atomic() => {
                    last.steps.push(step);
                }
                _ => batches.push(Batch {
                    plugin,
                    steps: vec![step],
                }),
            }
        }
        batches
    }

    /// Drops what was kept for undo, and ends the run well.
    pub(crate) fn keep_all(&mut self) -> Result<(), RunError> {
        let all: Vec<_> = (0..self.changes.len()).collect();
        self.commit(&all)?;
        self.end(Ending::Applied, None)
    }

    /// Drops what was kept to undo these steps.
    pub(crate) fn commit(&self, steps: &[usize]) -> Result<(), RunError> {
        for step in steps {
            let change = &self.changes[*step];
            self.plugins[self.plugin_place(change)?]
                .commit(change, &self.run)
                .map_err(|source| RunError::Plugin {
                    change: change.key().to_string(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Writes the outcome; once the witness has all of it the journal goes.
    pub(crate) fn end(&mut self, ending: Ending, error: Option<String>) -> Result<(), RunError> {
        self.note(&Record::Outcome {
            ending,
            duration_ms: now_ms().saturating_sub(self.time_ms),
            error,
        })?;
        if self.witness.settled() {
            self.journal.remove()?;
        }
        Ok(())
    }
}

/// A batch that a thread has carried out, or failed or panicked at.
struct Ended {
    batch: Batch,
    duration_ms: u64,
    done: std::thread::Result<Result<(), PluginError>>,
}

/// Hands a batch to its plugin.
fn carry(
    plugins: &[Box<dyn Plugin>],
    changes: &[Change],
    batch: &Batch,
    run: &str,
    direction: Direction,
    witness: &dyn Witness,
) -> Result<(), PluginError> {
    let list: Vec<&Change> = batch.steps.iter().map(|step| &changes[*step]).collect();
    let progress = |text: &str| {
        if let Some(change) = list.first() {
            witness.progress(change, text);
        }
    };
    let context = Context {
        run,
        direction,
        progress: &progress,
    };
    plugins[batch.plugin].apply(&list, &context)
}

fn describe(changes: &[Change], batch: &Batch) -> String {
    match batch.steps.as_slice() {
        [step] => format!("{} {}", changes[*step].verb, changes[*step].key()),
        steps => {
            let plugin = steps.first().map_or("", |step| &changes[*step].plugin);
            format!("{} changes of {plugin}", steps.len())
        }
    }
}
