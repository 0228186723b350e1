//! Why something was not done.

use std::io;
use std::path::{Path, PathBuf};

use reconcile::LockError;

use crate::name::Name;

/// What this crate gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be used as a base.
    #[error(
        "{0} cannot hold deployments: write an absolute path without `..`, commas, colons, backslashes and line breaks"
    )]
    BadBase(PathBuf),
    /// A file or directory cannot be used.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A subvolume cannot be used.
    #[error(transparent)]
    Btrfs(#[from] btrfs::Error),
    /// Somebody else deploys.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The manifest says something else than this program writes.
    #[error(
        "{path} is no manifest that this version reads ({reason}): move it away, then deploy anew"
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no such version.
    #[error("there is no version {0}")]
    NoVersion(Name),
    /// What was copied, or is kept, is not what it was.
    #[error("{path} has the sha256 {found}, and {expected} was expected: deploy it anew")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What it should have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// No regular file, or too large to be a program.
    #[error("{0} is no program: a regular file of at most 1 GiB is")]
    NoProgram(PathBuf),
}

/// For `map_err`: says what was being done to which path.
pub(crate) fn failed<E: Into<io::Error>>(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        doing,
        path,
        source: source.into(),
    }
}
