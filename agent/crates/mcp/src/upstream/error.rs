//! Why an upstream server gives no answer.

use std::time::Duration;

use super::guard::Unreachable;
use crate::backend::Fault;

/// Why an upstream server gives no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// The program does not start.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        reason: String,
    },
    /// A file that holds a secret cannot be read.
    #[error("cannot read {path}: {reason}")]
    Secret {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The address is none that may be connected to.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// No session came about.
    #[error("no session: {0}")]
    Session(String),
    /// It broke a bound, or the connection.
    #[error("{0}")]
    Broken(String),
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The caller took the call back.
    #[error("the call was cancelled")]
    Cancelled,
    /// It failed shortly before; it is tried again later.
    #[error("{reason}; it is tried again in {} s", .wait.as_secs().max(1))]
    Resting {
        /// Why it failed.
        reason: String,
        /// When it is tried again.
        wait: Duration,
    },
    /// Too many calls are on their way.
    #[error("{0} calls are on their way already: try again when one has ended")]
    Busy(usize),
    /// It answered with an error.
    #[error("it says: {0}")]
    Said(String),
    /// The answer is not what it declared.
    #[error("its answer is not what its own schema declares: {0}")]
    Lied(String),
    /// The answer needs something that cannot be passed on.
    #[error("{0}")]
    Unsupported(String),
    /// There is no such tool.
    #[error("it has no tool `{0}`, or the tool is left out")]
    NoTool(String),
    /// The arguments do not fit the tool's schema.
    #[error("{0}")]
    Invalid(String),
}

impl UpstreamError {
    /// Whether the connection is of no more use.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Session(_))
    }

    /// As a backend says it, with the name of the upstream server.
    pub fn fault(&self, name: &str) -> Fault {
        let text = format!("the upstream server {name}: {self}");
        let failed = |code: &str| Fault::Failed {
            code: code.to_owned(),
            text: text.clone(),
        };
        match self {
            Self::Start { .. }
            | Self::Secret { .. }
            | Self::Unreachable(_)
            | Self::Session(_)
            | Self::Broken(_)
            | Self::Resting { .. }
            | Self::Busy(_) => Fault::Unavailable(text),
            Self::TimedOut(_) => failed("timed-out"),
            Self::Cancelled => failed("cancelled"),
            Self::Said(_) => failed("upstream"),
            Self::Lied(_) => failed("upstream-schema"),
            Self::Unsupported(_) => failed("upstream-unsupported"),
            Self::NoTool(_) => Fault::NotFound(text),
            Self::Invalid(_) => Fault::Invalid(self.to_string()),
        }
    }
}
