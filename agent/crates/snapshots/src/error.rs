//! What can go wrong, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::name::{NameError, SnapshotName};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A bad name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name that belongs to a schedule, or to exported plugins.
    #[error(
        "names that begin with `{prefix}` are given by {owner}: choose another name than `{name}`"
    )]
    Claimed {
        /// The name that was asked for.
        name: SnapshotName,
        /// What it begins with.
        prefix: String,
        /// Whose names begin so.
        owner: &'static str,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot `{0}`: `op-dbus snapshot list` shows those there are")]
    NoSnapshot(SnapshotName),
    /// There is one of that name already, ours or not.
    #[error(
        "there is something called `{0}` among the snapshots already: choose another name, or delete it first"
    )]
    Taken(SnapshotName),
    /// A subvolume is not there.
    #[error("there is no subvolume {0}")]
    NoSubvolume(String),
    /// A snapshot does not have what is asked for.
    #[error("snapshot `{snapshot}` does not have {what}")]
    NotInSnapshot {
        /// The snapshot.
        snapshot: SnapshotName,
        /// A subvolume, or a path.
        what: String,
    },
    /// Not one of ours, which is left alone.
    #[error("{0} is not ours, and is left alone")]
    Foreign(String),
    /// Something that must not be snapshotted or brought back, and why.
    #[error("{what}: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not, and what to do instead.
        why: String,
    },
    /// A snapshot is not as it was made.
    #[error("snapshot `{name}` is damaged: {damage}")]
    Damaged {
        /// The snapshot.
        name: SnapshotName,
        /// What is wrong with it.
        damage: String,
    },
    /// It is pinned.
    #[error("snapshot `{0}` is pinned: `op-dbus snapshot unpin {0}` first")]
    Pinned(SnapshotName),
    /// It is being sent, or another one is that builds on it.
    #[error("snapshot `{0}` is in use by a transfer: try again when that has ended")]
    InUse(SnapshotName),
    /// What an interrupted restore left cannot be understood.
    #[error("{} tells of a restore that did not end, and cannot be used: {reason}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file system is full.
    #[error("no space left for {}: free some, or delete snapshots that are not needed", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// What the file system said.
    #[error(transparent)]
    Btrfs(btrfs::Error),
    /// Anything else that the system said.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<btrfs::Error> for Error {
    fn from(error: btrfs::Error) -> Self {
        match error {
            btrfs::Error::NoSpace { path } => Self::NoSpace { path },
            other => Self::Btrfs(other),
        }
    }
}

/// For `map_err`: the error of `doing` something to `path`.
pub(crate) fn failed<E: Into<io::Error>>(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> Error {
    move |source| {
        let source = source.into();
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Error::NoSpace { path },
            _ => Error::Io {
                doing,
                path,
                source,
            },
        }
    }
}
