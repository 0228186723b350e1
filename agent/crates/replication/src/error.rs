//! What can go wrong, in words that say what to do.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was not sent or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// btrfs refused.
    #[error(transparent)]
    Btrfs(#[from] btrfs::Error),
    /// The stream is not one, or is damaged.
    #[error(transparent)]
    Stream(#[from] btrfs::stream::StreamError),
    /// The far end could not be started or reached.
    #[error("cannot reach the far end: {0}")]
    Unreachable(String),
    /// The far end ended in the middle of something.
    #[error("the far end went away: {0}")]
    Gone(String),
    /// The far end said why it did not do it.
    #[error("the far end: {0}")]
    Far(String),
    /// What came is not of this protocol.
    #[error("the other end does not speak this protocol: {0}")]
    Protocol(String),
    /// What was received is not what was sent.
    #[error("{0}")]
    Unverified(String),
    /// It cannot be done as things are; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// There is no such snapshot.
    #[error("{0}")]
    NotFound(String),
    /// It takes more room, or time, than it may.
    #[error("{0}")]
    TooMuch(String),
    /// It was taken back.
    #[error("stopped")]
    Stopped,
    /// What the system said.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, e.g. `list`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// For `map_err`: the error of `doing` something to `path`.
pub(crate) fn failed<E: Into<std::io::Error>>(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(E) -> Error {
    move |source| Error::Io {
        doing,
        path: path.to_owned(),
        source: source.into(),
    }
}
