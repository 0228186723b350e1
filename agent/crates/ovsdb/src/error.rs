//! What can go wrong between a client and its database.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::value::ValueError;

/// Why one operation, or the commit of all, was refused (RFC 7047, section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {place}: {kind}{}{}", if .details.is_empty() { "" } else { ": " }, .details)]
pub struct Refusal {
    /// The operation, from 0; the number of operations if it was the commit.
    pub place: usize,
    /// The database's word for it, such as `constraint violation`.
    pub kind: String,
    /// Its explanation; may be empty.
    pub details: String,
}

/// Why the client could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no database answers at {}: {source}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The server went away. Whether a transaction under way was done is not known.
    #[error("the database at {} closed the connection", .0.display())]
    Gone(PathBuf),
    /// What came is not the protocol.
    #[error("the database sent what cannot be understood: {0}")]
    Garbage(String),
    /// No answer in time. Whether a transaction was done, or still will be, is not known.
    #[error("the database did not answer {what} within {limit:?}")]
    TimedOut {
        /// What was asked.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The server refused a request as a whole.
    #[error("the database refused {what}: {reason}")]
    Request {
        /// What was asked.
        what: String,
        /// Its reason.
        reason: String,
    },
    /// A transaction was refused; nothing of it was done.
    #[error("the database refused the transaction: {0}")]
    Refused(Refusal),
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::Garbage(error.to_string())
    }
}
