//! How a command ends: with an exit status that scripts can rely on.

use declaration::{Problems, ReadError};
use reconcile::{LockError, PlanError, RunError};
use serde_json::{Value, json};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit status 1: it failed, and the machine is as before.
    Failed(anyhow::Error),
    /// Exit status 2: the declaration is bad.
    Bad(Problems),
    /// Exit status 2: the command does not fit what there is.
    Usage(String),
    /// Exit status 3: not allowed, not confirmed, not ours, or somebody else runs.
    Refused(String),
}

impl Failure {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Bad(_) | Self::Usage(_) => 2,
            Self::Refused(_) => 3,
        }
    }

    /// `{"error": {"status", "message", "problems"}}`
    pub(crate) fn json(&self) -> Value {
        let mut error = json!({ "status": self.status(), "message": self.to_string() });
        if let Self::Bad(problems) = self {
            error["problems"] = json!(problems.iter().collect::<Vec<_>>());
        }
        json!({ "error": error })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(&whole(error)),
            Self::Bad(problems) => write!(f, "{problems}"),
            Self::Usage(text) | Self::Refused(text) => f.write_str(text),
        }
    }
}

/// An error and its causes; a cause that the error before it has told already is left out.
fn whole(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Bad(problems)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Bad { problems, .. } => Self::Bad(problems),
            unreadable @ ReadError::Unreadable { .. } => Self::Failed(unreadable.into()),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(_) => Self::Refused(error.to_string()),
            PlanError::Observe { .. } => Self::Failed(error.into()),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::NothingToConfirm | RunError::TooLate(_) => Self::Refused(error.to_string()),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::Refused(error.to_string()),
            LockError::Io { .. } => Self::Failed(error.into()),
        }
    }
}

impl From<ledger::Error> for Failure {
    fn from(error: ledger::Error) -> Self {
        match error {
            ledger::Error::NotAHead { .. } => Self::Usage(error.to_string()),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}
