//! What can go wrong, in words that say what to do.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the ledger could not be opened, read or written.
///
/// An append that fails has written nothing. Cheap to clone: appends that share a commit share its error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file, or no directory to make it in.
    #[error("there is no ledger at {}: {detail}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// The file system, or the quota on it, is full.
    #[error("no space left for the ledger {}: free some or grow the file system; nothing was recorded", path.display())]
    DiskFull {
        /// The ledger.
        path: PathBuf,
    },
    /// Another program kept the ledger locked for all of the waiting time.
    #[error("the ledger {} is locked by another program (waited {seconds} s): end it, `fuser {}` names it", path.display(), path.display())]
    Locked {
        /// The ledger.
        path: PathBuf,
        /// How long this program waited.
        seconds: u64,
    },
    /// The ledger was opened for reading, or lies on a read-only file system.
    #[error("the ledger {} is read-only", path.display())]
    ReadOnly {
        /// The ledger.
        path: PathBuf,
    },
    /// The caller may not open the ledger.
    #[error("no permission to open the ledger {}: run as root or as a member of its group", path.display())]
    Denied {
        /// The ledger.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("the ledger {} is damaged: {detail}. It is left as it is: keep the file as evidence, move it aside and restore it from a snapshot or backup", path.display())]
    Corrupt {
        /// The ledger.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file is something else.
    #[error("{} is not a ledger: {detail}. It is left as it is: move it aside, or name another place for the ledger", path.display())]
    Foreign {
        /// What was opened.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file was moved or replaced while it was open.
    #[error("the ledger {} was moved or replaced while it was open; nothing was recorded. Put it back or start again", path.display())]
    Replaced {
        /// Where it was.
        path: PathBuf,
    },
    /// A row is not an entry: a column holds what this crate never writes.
    #[error("entry {id} of the ledger {} cannot be read: {detail}; verify the ledger", path.display())]
    Unreadable {
        /// The ledger.
        path: PathBuf,
        /// The row.
        id: i64,
        /// Which column, and what is wrong with it.
        detail: String,
    },
    /// The new entry cannot be stored.
    #[error("`{operation}` cannot be recorded: {detail}")]
    Refused {
        /// The operation of the entry.
        operation: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The expected head is not written as one.
    #[error(
        "`{given}` is not a head of a ledger: write its hash, 64 hexadecimal digits, or ID:HASH"
    )]
    NotAHead {
        /// What was given.
        given: String,
    },
    /// The operating system or SQLite said something else.
    #[error("the ledger {}: {detail}", path.display())]
    Failed {
        /// The ledger.
        path: PathBuf,
        /// What it said.
        detail: String,
    },
}
