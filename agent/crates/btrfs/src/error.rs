//! What can go wrong, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path lies on another kind of file system.
    #[error("{} is not on a btrfs file system", path.display())]
    NotBtrfs {
        /// What was asked for.
        path: PathBuf,
    },
    /// There is something at the path, but it is no subvolume.
    #[error("{} is not a btrfs subvolume", path.display())]
    NotSubvolume {
        /// What was asked for.
        path: PathBuf,
    },
    /// There is nothing at the path.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// What is missing.
        path: PathBuf,
    },
    /// Something stands where a new thing should be.
    #[error("{} exists already", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// The subvolume has subvolumes in it; see [`crate::delete_recursive`].
    #[error("{} has other subvolumes in it", path.display())]
    NotEmpty {
        /// The outer subvolume.
        path: PathBuf,
    },
    /// The file system, or the quota on it, is full.
    #[error("no space left for {}; free some, or grow the file system", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The file system or the subvolume is read-only.
    #[error("{} is read-only", path.display())]
    ReadOnly {
        /// What was to be changed.
        path: PathBuf,
    },
    /// Only what cannot change can be sent, and so with what the stream builds on.
    #[error("{} cannot be sent: it and its parent have to be read-only", path.display())]
    Sendable {
        /// What was to be sent.
        path: PathBuf,
    },
    /// Something else is mounted where an image should be.
    #[error("{} is taken: {source_name} is mounted there; unmount it or choose another place", path.display())]
    Taken {
        /// The mount point.
        path: PathBuf,
        /// What is mounted there.
        source_name: String,
    },
    /// What is mounted there does not come from a file.
    #[error("{} is not mounted from an image file", path.display())]
    NotImage {
        /// The mount point.
        path: PathBuf,
    },
    /// The kernel does not resize to so little; see [`crate::image::SMALLEST_GROWN`].
    #[error("{} can be grown to 256 MiB or more, not to less", path.display())]
    TooSmall {
        /// The mount point.
        path: PathBuf,
    },
    /// `mkfs.btrfs` failed.
    #[error("cannot make a btrfs file system in {}: {reason}", image.display())]
    Mkfs {
        /// The image file.
        image: PathBuf,
        /// What the program said, or why it could not be started.
        reason: String,
    },
    /// Anything else that the system said.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, e.g. `create subvolume`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// The error for what the system said while `doing` something to `path`, e.g. `create subvolume`.
    pub fn new(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT) => Self::NotFound { path },
            Some(Errno::EXIST) => Self::Exists { path },
            Some(Errno::NOTEMPTY) => Self::NotEmpty { path },
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace { path },
            Some(Errno::ROFS) => Self::ReadOnly { path },
            // No other file system knows these requests.
            Some(Errno::NOTTY) => Self::NotBtrfs { path },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }
}

/// For `map_err`: the error of `doing` something to `path`.
pub(crate) fn failed<E: Into<io::Error>>(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> Error {
    move |source| Error::new(doing, path, source)
}
