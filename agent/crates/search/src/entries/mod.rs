//! An index over the entries of a ledger, on disk: found by time, name, word and likeness together.
//!
//! An [`EntryIndex`] is a directory. It can be rebuilt from its [`Source`] at any time, and is whenever it is absent,
//! damaged, of another format, or of another chain. Nothing in it is believed: what it finds is read from the source.

mod answer;
mod code;
mod database;
mod file;
mod grow;
mod idset;
mod place;
mod question;
mod record;
mod scan;
mod without;

use std::path::{Path, PathBuf};

use crate::embedder::{EmbedError, ModelId};
use crate::embedding::Embedding;

pub use answer::{Answer, Hit, Likeness, Method, Understood, Why};
pub use grow::{Growth, Progress, Status};
pub use record::{Batch, Mark, Record, Source, SourceError};

use file::{Fault, VectorFile};
use place::Place;

/// Why the index could not be grown or asked.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// SQLite failed.
    #[error("the search index in {}: {source}", dir.display())]
    Database {
        /// The directory of the index.
        dir: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A file could not be read or written.
    #[error("the search index in {}: {detail}", dir.display())]
    File {
        /// The directory of the index.
        dir: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Somebody else holds it.
    #[error("the search index in {} has been in use by somebody else for {} s", dir.display(), place::PATIENCE.as_secs())]
    Busy {
        /// The directory of the index.
        dir: PathBuf,
    },
    /// There is no sound index, and the caller may not make one.
    #[error("there is no sound search index in {}, and no right to make one: run it as root, or start the daemon", dir.display())]
    Absent {
        /// The directory of the index.
        dir: PathBuf,
    },
    /// The entries could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A model could not be run.
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

/// An index over the entries of a ledger.
#[derive(Debug, Clone)]
pub struct EntryIndex {
    place: Place,
}

impl EntryIndex {
    /// The index in that directory, which need not hold one yet.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            place: Place::new(dir.as_ref()),
        }
    }

    fn database(&self) -> impl Fn(rusqlite::Error) -> EntryError + '_ {
        |source| EntryError::Database {
            dir: self.place.dir().to_owned(),
            source,
        }
    }

    /// What it means that a lock was not got.
    fn lock(&self) -> impl Fn(std::io::Error) -> EntryError + '_ {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, WouldBlock};
        |error| {
            let dir = self.place.dir().to_owned();
            match error.kind() {
                PermissionDenied | ReadOnlyFilesystem => EntryError::Absent { dir },
                WouldBlock => EntryError::Busy { dir },
                _ => self.file()(error),
            }
        }
    }

    fn file<E: std::fmt::Display>(&self) -> impl Fn(E) -> EntryError + '_ {
        |error| EntryError::File {
            dir: self.place.dir().to_owned(),
            detail: error.to_string(),
        }
    }
}

/// Vectors in a file, without an index around them: what a measurement compares with other ways to keep vectors.
#[derive(Debug)]
pub struct Vectors(VectorFile);

impl Vectors {
    /// Makes an empty file, in the place of what is there.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn create(path: &Path, model: &ModelId) -> std::io::Result<Self> {
        VectorFile::create(path, model).map(Self).map_err(other)
    }

    /// Adds vectors, whose ids ascend.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn append(&mut self, rows: &[(i64, Embedding)]) -> std::io::Result<()> {
        self.0.append(rows).map_err(other)
    }

    /// The `limit` vectors whose cosine with a question is greatest and above zero, greatest first.
    ///
    /// # Errors
    ///
    /// Those of reading, and damage.
    pub fn nearest(
        &self,
        question: &Embedding,
        limit: usize,
        threads: usize,
    ) -> std::io::Result<Vec<(i64, f64)>> {
        scan::nearest(&self.0, question, limit, None, threads).map_err(other)
    }
}

fn other(fault: Fault) -> std::io::Error {
    match fault {
        Fault::Io(error) => error,
        Fault::Damaged(detail) => std::io::Error::other(detail),
    }
}
