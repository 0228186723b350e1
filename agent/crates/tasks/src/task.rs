//! What a task is.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A moment, in milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// The number of a task; none is given twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct TaskId(pub i64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its turn, or for the next attempt.
    Queued,
    /// Somebody works on it.
    Running,
    /// It was done.
    Done,
    /// It was tried, and failed.
    Failed,
    /// It was taken back.
    Cancelled,
    /// The program ended while it ran; nobody knows how far it got, and it is not run again.
    Interrupted,
    /// Its deadline came before its turn.
    Expired,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
        Self::Expired,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Expired => "expired",
        }
    }

    /// Whether something is still to come.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.word() == text);
        known.ok_or_else(|| {
            format!(
                "`{text}` is no state of a task: there are {}",
                Self::ALL.map(Self::word).join(", ")
            )
        })
    }
}

/// A task that somebody wants to have done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Whose work it is.
    pub agent: String,
    /// What is to be called.
    pub tool: String,
    /// With which arguments; kept until the task has ended.
    pub arguments: Value,
    /// The arguments as they may be shown.
    pub shown: Value,
    /// Who asked, in words of the program that asks.
    pub caller: Value,
    /// Whose task it is; a text that the program chooses.
    pub owner: String,
    /// The hash of the plan that it is bound to.
    pub plan: Option<String>,
    /// The higher the sooner.
    pub priority: i8,
    /// It must have begun before.
    pub deadline: Option<Millis>,
    /// How often it may be tried again after a failure.
    pub retries: u8,
    /// Doing it twice is as good as doing it once.
    pub idempotent: bool,
    /// Only one such task runs at a time.
    pub exclusive: bool,
}

/// A task as the queue has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// Whose work it is.
    pub agent: String,
    /// What is called.
    pub tool: String,
    /// The arguments, without secrets and long texts.
    pub arguments: Value,
    /// Who asked.
    pub caller: Value,
    /// Whose task it is.
    pub owner: String,
    /// The hash of the plan that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The higher the sooner.
    pub priority: i8,
    /// It must have begun before; milliseconds since 1970-01-01 UTC, like the other times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// How often it may still be tried again.
    pub retries_left: u8,
    /// Doing it twice is as good as doing it once.
    pub idempotent: bool,
    /// Only one such task runs at a time.
    pub exclusive: bool,
    /// Where it is in its life.
    pub state: State,
    /// How often it was begun.
    pub attempts: u32,
    /// It is to be taken back as soon as that can be.
    pub cancel_asked: bool,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// How many bytes of JSON the result had, if that was too much to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u32>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// When it was accepted.
    pub accepted: Millis,
    /// It is not begun before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Millis>,
    /// When it was last begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Millis>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<Millis>,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Execution {
    /// The first is 1.
    pub attempt: u32,
    /// When it began.
    pub started: Millis,
    /// When it ended; none while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
    /// How it ended, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<State>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was done, with this result.
    Done(Value),
    /// It failed.
    Failed {
        /// Why.
        error: Value,
        /// Another attempt may go better.
        transient: bool,
        /// It is known that nothing was done.
        did_nothing: bool,
    },
    /// It was taken back.
    Cancelled(Value),
    /// The program ends, and stopped it.
    Stopped {
        /// It is known that nothing was done.
        did_nothing: bool,
    },
}
