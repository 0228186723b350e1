//! How a command ends: with an exit status that scripts can rely on.

use declaration::{Problems, ReadError};
use serde_json::{Value, json};
use tools::ToolError;
use tools::engine::Changed;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit status 1: it failed, and the machine is as before.
    Failed(anyhow::Error),
    /// Exit status 2: the command does not fit what there is.
    Usage(String),
    /// Exit status 3: not confirmed.
    Refused(String),
    /// A tool said why not: its code says which status.
    Tool {
        /// A word for programs.
        code: String,
        /// For people.
        message: String,
        /// All of it.
        error: Value,
    },
}

impl Failure {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::Tool { code, .. } => match code.as_str() {
                "bad-declaration" | "invalid" | "not-found" => 2,
                "refused" | "unconfirmed" | "plan-changed" => 3,
                _ => 1,
            },
        }
    }

    /// What the daemon answered instead of a result.
    pub(crate) fn of_daemon(error: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self::Tool {
            code: text(&error["data"]["code"]),
            message: text(&error["message"]),
            error: error["data"].clone(),
        }
    }

    /// Whether the plan is no longer the one that was looked at.
    pub(crate) fn is_other_plan(&self) -> bool {
        matches!(self, Self::Tool { code, .. } if code == "plan-changed")
    }

    /// The run that failed and was undone, if that is why.
    pub(crate) fn changed(&self) -> Option<Changed> {
        match self {
            Self::Tool { error, .. } => serde_json::from_value(error["changed"].clone()).ok(),
            _ => None,
        }
    }

    /// `{"error": {"status", "message", "problems"}}`
    pub(crate) fn json(&self) -> Value {
        let mut error = json!({ "status": self.status(), "message": self.to_string() });
        if let Self::Tool {
            code, error: all, ..
        } = self
        {
            error["code"] = json!(code);
            for key in ["problems", "plan_hash"] {
                if let Some(value) = all.get(key) {
                    error[key] = value.clone();
                }
            }
        }
        json!({ "error": error })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(&whole(error)),
            Self::Tool { message, .. } => f.write_str(message),
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

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Self::Tool {
            code: error.code().to_owned(),
            message: error.to_string(),
            error: error.json(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        ToolError::from(problems).into()
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        ToolError::from(error).into()
    }
}
