//! Why a tool did not do what was asked.

use declaration::{Problems, ReadError};
use reconcile::{LockError, PlanError, PlanHash, PluginError, RunError};
use serde_json::{Value, json};

use crate::engine::Changed;

/// Why a call has no result. The text says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no such tool, or the thing that it should work on is not there.
    #[error("{0}")]
    NotFound(String),
    /// The arguments do not fit the tool's schema, or contradict each other.
    #[error("{0}")]
    Invalid(String),
    /// The declaration is bad.
    #[error("{0}")]
    Declaration(Problems),
    /// Rights, lock, or what is not ours.
    #[error("{0}")]
    Refused(String),
    /// What would be done has to be confirmed by the hash of its plan.
    #[error("{text}")]
    Unconfirmed {
        /// What to do.
        text: String,
        /// The hash of the plan as it is now.
        plan: PlanHash,
    },
    /// What would be done is no longer what was shown.
    #[error(
        "the plan is no longer {shown} but {plan}: the machine or the declaration changed since. Look at the plan again"
    )]
    PlanChanged {
        /// The hash that came with the call.
        shown: String,
        /// The hash of the plan as it is now.
        plan: PlanHash,
    },
    /// What the tool needs is not on this machine; the text names the remedy.
    #[error("{0}")]
    Unavailable(String),
    /// The system refused or failed, in its own words.
    #[error("{0}")]
    Failed(String),
    /// A run failed, and was undone as far as that went.
    #[error("{}", .0.error.as_deref().unwrap_or("the run failed"))]
    RolledBack(Box<Changed>),
    /// The caller took the call back.
    #[error("the call was cancelled")]
    Cancelled,
    /// The deadline came first.
    #[error("not done before the deadline")]
    TimedOut,
    /// The answer is larger than a door may carry.
    #[error("the answer has {0} bytes, more than {max}: ask for less with `limit` or a filter", max = crate::registry::LARGEST_ANSWER)]
    TooLarge(usize),
}

impl ToolError {
    /// A failure with what was being done.
    pub fn failed(doing: &str, source: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{doing}: {source}"))
    }

    /// A word for programs, stable over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Invalid(_) => "invalid",
            Self::Declaration(_) => "bad-declaration",
            Self::Refused(_) => "refused",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::PlanChanged { .. } => "plan-changed",
            Self::Unavailable(_) => "unavailable",
            Self::Failed(_) => "failed",
            Self::RolledBack(_) => "rolled-back",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
            Self::TooLarge(_) => "too-large",
        }
    }

    /// Whether nothing was tried, for want of a right or a confirmation.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Unconfirmed { .. } | Self::PlanChanged { .. }
        )
    }

    /// `{"code", "message", …}`, as every door gives it.
    pub fn json(&self) -> Value {
        let mut json = json!({ "code": self.code(), "message": self.to_string() });
        match self {
            Self::Declaration(problems) => {
                json["problems"] = json!(problems.iter().collect::<Vec<_>>());
            }
            Self::Unconfirmed { plan, .. } | Self::PlanChanged { plan, .. } => {
                json["plan_hash"] = json!(plan)
            }
            Self::RolledBack(changed) => json["changed"] = json!(changed),
            _ => {}
        }
        json
    }
}

impl From<Problems> for ToolError {
    fn from(problems: Problems) -> Self {
        Self::Declaration(problems)
    }
}

impl From<ReadError> for ToolError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Bad { problems, .. } => Self::Declaration(problems),
            unreadable @ ReadError::Unreadable { .. } => Self::Failed(unreadable.to_string()),
        }
    }
}

impl From<PlanError> for ToolError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(_) => Self::Refused(error.to_string()),
            PlanError::Observe { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<PluginError> for ToolError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            PluginError::Failed { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<RunError> for ToolError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::NothingToConfirm | RunError::TooLate(_) => Self::Refused(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<LockError> for ToolError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } | LockError::Kept { .. } => Self::Refused(error.to_string()),
            LockError::Io { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<ledger::Error> for ToolError {
    fn from(error: ledger::Error) -> Self {
        match error {
            ledger::Error::NotAHead { .. } => Self::Invalid(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<dbus::Error> for ToolError {
    fn from(error: dbus::Error) -> Self {
        match error {
            dbus::Error::Unreachable(_) | dbus::Error::NoSession(_) => {
                Self::Unavailable(error.to_string())
            }
            dbus::Error::TimedOut(_) => Self::TimedOut,
            other => Self::Failed(other.to_string()),
        }
    }
}
