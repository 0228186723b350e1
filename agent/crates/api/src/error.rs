//! Why there is no answer.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::bounds::Excess;

/// The daemon's word for why a tool did not do what was asked (`data.code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// There is no such tool, or not the thing that it should work on.
    NotFound,
    /// The arguments are wrong.
    Invalid,
    /// The declaration has errors.
    BadDeclaration,
    /// No role, another run goes on, or the thing is not ours.
    Refused,
    /// It loses data and takes the plan's hash.
    Unconfirmed,
    /// The plan is no longer the one with that hash.
    PlanChanged,
    /// The machine lacks what it takes.
    Unavailable,
    /// The system said no.
    Failed,
    /// The run failed and was undone.
    RolledBack,
    /// Somebody took it back.
    Cancelled,
    /// It was not done in time.
    TimedOut,
    /// The answer is too large.
    TooLarge,
    /// The token is none of those that are declared.
    Unauthenticated,
    /// Too many wrong tokens came lately.
    RateLimited,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens, or this process may not connect.
    #[error("the daemon cannot be reached at {}: {source}. `systemctl status op-dbusd` says how it stands", .path.display())]
    Away {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer: whether the call was carried out is not known; the ledger is.
    #[error("the daemon went away before it answered; `op-dbus ledger log` shows what was done")]
    Gone,
    /// The answer is larger than any that the daemon should give.
    #[error("the daemon sent a message of more than {0} bytes")]
    TooLarge(usize),
    /// The request is more than the daemon takes; it was not sent.
    #[error("the request is too large for the daemon: {0}")]
    TooMuch(#[from] Excess),
    /// The daemon did not answer in time.
    #[error("the daemon did not answer in time")]
    TimedOut,
    /// The daemon said why not.
    #[error("{message}")]
    Tool {
        /// In a word.
        code: Code,
        /// In sentences, with what to do.
        message: String,
        /// All of it: `code`, `message`, and what belongs to the code.
        data: Value,
    },
    /// The daemon does not know the request, or its answer is not what was agreed.
    #[error("the daemon does not understand this client; are they of one version? {0}")]
    Protocol(String),
}

impl Error {
    /// The daemon's word, if it was the daemon that said no.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Tool { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The hash of the plan as it is now, where the call has to be confirmed.
    pub fn plan_hash(&self) -> Option<&str> {
        match self {
            Self::Tool { data, .. } => data["plan_hash"].as_str(),
            _ => None,
        }
    }

    /// Whether the daemon was not there, so that nothing was done and trying later makes sense.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// From the `error` of an answer.
    pub(crate) fn of_answer(error: &Value) -> Self {
        let message = error["message"].as_str().unwrap_or_default().to_owned();
        match error["data"]["code"].as_str() {
            Some(_) => Self::Tool {
                code: Code::deserialize(&error["data"]["code"]).unwrap_or(Code::Unknown),
                message,
                data: error["data"].clone(),
            },
            None => Self::Protocol(message),
        }
    }
}
