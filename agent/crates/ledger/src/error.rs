//! What can go wrong with a ledger.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the ledger could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is damaged, or was never a ledger. It is left as it is.
    #[error(
        "{path} is not a sound ledger: {reason}. It is left as it is. Look at it with \
         `op-dbus ledger verify`; to go on, move it and its -wal and -shm files aside and put a snapshot \
         of @timing in their place, or start a new one"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk is full.
    #[error("no space left for the ledger {0}: free some, then try again")]
    Full(PathBuf),
    /// Somebody else holds it for too long.
    #[error("the ledger {0} is locked by another program")]
    Locked(PathBuf),
    /// It cannot be written.
    #[error("the ledger {0} cannot be written: the file or its file system is read-only")]
    ReadOnly(PathBuf),
    /// The metadata cannot be written in a form that everybody reads alike.
    #[error("metadata has no canonical form: {0}")]
    Metadata(String),
    /// The system refused.
    #[error("ledger {path}: {source}")]
    Io {
        /// The database.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("ledger {path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

impl Error {
    pub(crate) fn sqlite(path: &std::path::Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt {
                path,
                reason: source.to_string(),
            },
            Some(ErrorCode::DiskFull) => Self::Full(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(path),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(path),
            _ => Self::Sqlite { path, source },
        }
    }
}
