//! What a journal tells: how far its run got.

use std::collections::BTreeMap;

use crate::change::Change;
use crate::journal::{Ending, Record};
use crate::plan::PlanHash;

/// How far one step got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Begun; how it ended is not known, or it failed.
    InFlight,
    /// Done.
    Done,
    /// Taken back.
    Undone,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It was doing changes when it stopped.
    Applying,
    /// It was taking changes back.
    Undoing,
    /// It waits to be confirmed until this time (milliseconds since 1970-01-01 UTC).
    Awaiting(u64),
    /// It ended; only the witness may not have heard of it.
    Ended(Ending),
}

/// A run as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The run's id.
    pub run: String,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The hash of its plan.
    pub plan_hash: PlanHash,
    /// Its plan.
    pub changes: Vec<Change>,
    /// The confirm window in seconds, if it has one.
    pub window_s: Option<u64>,
    /// The steps that were begun.
    pub steps: BTreeMap<usize, Progress>,
    /// The steps in the order in which they were done; those in flight come last.
    pub order: Vec<usize>,
    /// Where it stands.
    pub stage: Stage,
    /// Why it is being undone.
    pub reason: Option<String>,
}

impl Story {
    /// The runs that a journal tells of, each with its records, in order.
    pub fn all(records: &[Record]) -> Vec<(Self, &[Record])> {
        let starts = records.iter().enumerate();
        let starts = starts.filter(|(_, record)| matches!(record, Record::Intent { .. }));
        let mut starts: Vec<_> = starts.map(|(line, _)| line).collect();
        starts.push(records.len());
        let runs = starts.windows(2).map(|pair| &records[pair[0]..pair[1]]);
        runs.filter_map(|told| Some((Self::read(told)?, told)))
            .collect()
    }

    /// Reads the records of one run; `None` if they do not start with an intent.
    pub fn read(records: &[Record]) -> Option<Self> {
        let Some(Record::Intent {
            run,
            time_ms,
            plan_hash,
            changes,
            window_s,
            ..
        }) = records.first()
        else {
            return None;
        };
        let mut story = Self {
            run: run.clone(),
            time_ms: *time_ms,
            plan_hash: plan_hash.clone(),
            changes: changes.clone(),
            window_s: *window_s,
            steps: BTreeMap::new(),
            order: Vec::new(),
            stage: Stage::Applying,
            reason: None,
        };
        records.iter().for_each(|record| story.hear(record));
        let in_flight = story.with(Progress::InFlight);
        story.order.extend(in_flight);
        Some(story)
    }

    fn hear(&mut self, record: &Record) {
        match record {
            Record::Intent { .. } => {}
            Record::Begin { steps } | Record::Failed { steps, .. } => {
                for step in steps.iter().filter(|step| **step < self.changes.len()) {
                    self.steps.insert(*step, Progress::InFlight);
                }
            }
            Record::Done { steps } => {
                for timed in steps.iter().filter(|timed| timed.step < self.changes.len()) {
                    self.steps.insert(timed.step, Progress::Done);
                    self.order.push(timed.step);
                }
            }
            Record::UndoBegin { reason } => {
                self.stage = Stage::Undoing;
                self.reason = Some(reason.clone());
            }
            Record::Undone { step } => {
                self.steps.insert(*step, Progress::Undone);
            }
            Record::UndoFailed { .. } => {}
            Record::Awaiting { deadline_ms } => self.stage = Stage::Awaiting(*deadline_ms),
            Record::Outcome { ending, .. } => self.stage = Stage::Ended(*ending),
        }
    }

    /// The steps that got exactly that far.
    pub fn with(&self, progress: Progress) -> Vec<usize> {
        self.steps
            .iter()
            .filter(|(_, has)| **has == progress)
            .map(|(step, _)| *step)
            .collect()
    }
}
