//! Turns what a run journals into ledger entries, and shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::{Filter, Ledger, NewEntry};
use reconcile::{Change, Ending, Record, Witness};
use serde_json::{Value, json};

use super::paths::Paths;
use super::restoring;
use crate::call::{Event, Kind};

type Failure = Box<dyn StdError + Send + Sync>;

/// Writes the ledger, and tells whoever listens.
///
/// The first run of a host makes the very subvolume that the ledger lives in: until it is there the entries
/// wait here, and in the journal in case of a crash.
pub struct LedgerWitness<'a> {
    paths: Paths,
    listener: &'a (dyn Fn(&Event) + Sync),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ledger: Option<Ledger>,
    runs: BTreeMap<String, Known>,
    waiting: Vec<NewEntry>,
    /// An entry was refused: the journal has to tell it again.
    missed: bool,
    /// When entries were last written.
    written: Option<Instant>,
    /// How many changes the run has done, and has.
    done: usize,
    total: usize,
}

/// Finished changes are written together at most this late. They are safe in the journal in the meantime, and a
/// commit for each would cost more than most changes.
const LATEST: Duration = Duration::from_secs(1);

/// How many changes of one transaction are told one by one.
const LISTED: usize = 20;

fn sentence(change: &Change) -> String {
    format!("{} {}", change.verb, change.key())
}

/// What must stand in every entry of a run, and which of its records the ledger has already.
#[derive(Default)]
struct Known {
    actor: Value,
    plan_hash: Value,
    kept: BTreeSet<u64>,
}

impl<'a> LedgerWitness<'a> {
    /// A witness of runs below these paths.
    pub fn new(paths: &Paths, listener: &'a (dyn Fn(&Event) + Sync)) -> Self {
        Self {
            paths: paths.clone(),
            listener,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that waits, if the ledger has its place.
    fn write(&self, state: &mut State) -> Result<(), Failure> {
        if state.ledger.is_none() {
            let timing: PathBuf = self.paths.timing();
            if !btrfs::is_subvolume(&timing).unwrap_or(false) {
                return Ok(());
            }
            state.ledger = Some(restoring::open_ledger(&self.paths)?);
        }
        if let Some(ledger) = &state.ledger
            && !state.waiting.is_empty()
        {
            ledger.append_all(&state.waiting)?;
            state.waiting.clear();
            state.written = Some(Instant::now());
        }
        Ok(())
    }

    fn say(&self, state: &mut State, kind: Kind, text: String) {
        (self.listener)(&Event {
            kind,
            text,
            done: state.done,
            total: state.total,
        });
    }

    /// Tells a record in words.
    fn tell(&self, state: &mut State, record: &Record, changes: &[Change]) {
        match record {
            Record::Intent { changes, .. } => {
                (state.done, state.total) = (0, changes.len());
                self.say(state, Kind::Begin, String::new());
            }
            Record::Begin { steps } => {
                if let Some(step) = steps.first() {
                    self.say(state, Kind::Doing, sentence(&changes[*step]));
                }
            }
            Record::Done { steps } => {
                for (place, timed) in steps.iter().enumerate() {
                    state.done += 1;
                    if place < LISTED {
                        let text = sentence(&changes[timed.step]);
                        let text = format!("{text} ({} ms)", timed.duration_ms);
                        self.say(state, Kind::Done, text);
                    }
                }
                if steps.len() > LISTED {
                    let text = format!("… and {} more", steps.len() - LISTED);
                    self.say(state, Kind::Done, text);
                }
            }
            Record::Failed { error, .. } => self.say(state, Kind::Failed, error.clone()),
            Record::UndoBegin { reason } => {
                self.say(state, Kind::Undoing, format!("all changes: {reason}"));
            }
            Record::Undone { step } => self.say(state, Kind::Undone, sentence(&changes[*step])),
            Record::UndoFailed { error, .. } => self.say(state, Kind::NotUndone, error.clone()),
            Record::Awaiting { .. } | Record::Outcome { .. } => {
                self.say(state, Kind::End, String::new());
            }
        }
    }

    /// Meets a run for the first time: learns what the ledger has of it.
    fn meet(&self, state: &mut State, run: &str, record: &Record) -> Result<(), Failure> {
        if state.runs.contains_key(run) {
            return Ok(());
        }
        let mut known = Known::default();
        let mut since = 0;
        if let Record::Intent {
            actor,
            plan_hash,
            time_ms,
            ..
        } = record
        {
            known.actor = actor.clone();
            known.plan_hash = json!(plan_hash);
            since = i64::try_from(time_ms / 1000).unwrap_or_default() - 1;
        }
        self.write(state)?;
        if let Some(ledger) = &state.ledger {
            let filter = Filter {
                run: Some(run.to_owned()),
                since: Some(since),
                ..Filter::default()
            };
            let entries = ledger.query(&filter)?;
            let places = entries
                .iter()
                .filter_map(|entry| entry.metadata["place"].as_u64());
            known.kept = places.collect();
        }
        state.runs.insert(run.to_owned(), known);
        Ok(())
    }
}

impl Witness for LedgerWitness<'_> {
    fn hear(
        &self,
        run: &str,
        place: u64,
        record: &Record,
        changes: &[Change],
    ) -> Result<(), Failure> {
        let mut state = self.state();
        self.tell(&mut state, record, changes);
        let kept = self.meet(&mut state, run, record).and_then(|()| {
            let Some(known) = state.runs.get_mut(run) else {
                return Ok(());
            };
            if !known.kept.insert(place) {
                return Ok(());
            }
            let common = json!({
                "run": run,
                "place": place,
                "actor": known.actor,
                "plan_hash": known.plan_hash,
            });
            state.waiting.extend(entries(record, changes, &common));
            let may_wait = matches!(record, Record::Done { .. } | Record::Undone { .. });
            let recent = state.written.is_some_and(|at| at.elapsed() < LATEST);
            if may_wait && recent {
                return Ok(());
            }
            self.write(&mut state)
        });
        if kept.is_err() {
            state.missed = true;
            state.waiting.clear();
        }
        kept
    }

    fn settled(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && !state.missed
    }

    fn progress(&self, change: &Change, text: &str) {
        let mut state = self.state();
        let text = format!("{}: {text}", change.key());
        self.say(&mut state, Kind::Doing, text);
    }
}

/// The ledger entries of one record.
fn entries(record: &Record, changes: &[Change], common: &Value) -> Vec<NewEntry> {
    match record {
        Record::Intent {
            changes, window_s, ..
        } => {
            let list: Vec<_> = changes
                .iter()
                .map(|change| json!({ "resource": change.key(), "verb": change.verb }))
                .collect();
            let more = json!({ "changes": list, "confirm_window_s": window_s });
            vec![whole("apply_begin", common, more)]
        }
        Record::Begin { .. } => Vec::new(),
        Record::Done { steps } => {
            let entry = |timed: &reconcile::Timed| {
                let more = json!({ "outcome": "done", "duration_ms": timed.duration_ms });
                of_change(&changes[timed.step], common, more)
            };
            steps.iter().map(entry).collect()
        }
        Record::Failed { steps, error } => {
            let more = json!({ "outcome": "failed", "error": error });
            let entry = |step: &usize| of_change(&changes[*step], common, more.clone());
            steps.iter().map(entry).collect()
        }
        Record::UndoBegin { reason } => {
            vec![whole("apply_undo", common, json!({ "reason": reason }))]
        }
        Record::Undone { step } => {
            vec![of_change(
                &changes[*step],
                common,
                json!({ "outcome": "undone" }),
            )]
        }
        Record::UndoFailed { step, error } => {
            let more = json!({ "outcome": "undo-failed", "error": error });
            vec![of_change(&changes[*step], common, more)]
        }
        Record::Awaiting { deadline_ms } => {
            let more = json!({ "deadline_ms": deadline_ms });
            vec![whole("apply_await_confirmation", common, more)]
        }
        Record::Outcome {
            ending,
            duration_ms,
            error,
        } => {
            let more = json!({ "outcome": ending, "duration_ms": duration_ms, "error": error });
            let operation = match ending {
                Ending::Applied => "apply_end",
                Ending::RolledBack => "apply_rolled_back",
                Ending::Interrupted => "apply_interrupted",
            };
            vec![whole(operation, common, more)]
        }
    }
}

/// An entry about a run as a whole.
fn whole(operation: &str, common: &Value, more: Value) -> NewEntry {
    NewEntry {
        operation: operation.to_owned(),
        target: "host".to_owned(),
        metadata: joined(common, more),
    }
}

/// An entry about one change: `container_create` of `web-01`.
fn of_change(change: &Change, common: &Value, more: Value) -> NewEntry {
    let (kind, target) = match (change.plugin.as_str(), change.resource.split_once(':')) {
        ("openflow", _) => ("flow", change.resource.as_str()),
        (_, Some((kind, name))) => (kind, name),
        ("btrfs", None) if change.resource != "base" => ("subvolume", change.resource.as_str()),
        (_, None) => (change.resource.as_str(), change.resource.as_str()),
    };
    let mut state = json!({
        "resource": change.key(),
        "before": change.before,
        "after": change.after,
    });
    if change.adopts {
        state["adopts"] = json!(true);
    }
    NewEntry {
        operation: format!("{kind}_{}", change.verb),
        target: target.to_owned(),
        metadata: joined(&joined(common, state), more),
    }
}

fn joined(common: &Value, more: Value) -> Value {
    let mut all = common.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    all
}
