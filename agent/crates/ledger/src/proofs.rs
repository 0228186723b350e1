//! What makes a ledger provable to others: a Merkle tree over its entries, and signed checkpoints of it.
//!
//! Entry `id` is the leaf at index `id`, and the leaf's data is exactly the canonical JSON that `current_hash` is
//! made of. Beside the database, in its directory, lie
//!
//! ```text
//! tiles/                 the tree, as any web server can serve it (C2SP tlog-tiles)
//! checkpoint             the newest signed head (C2SP tlog-checkpoint)
//! checkpoint.cosigned    the newest one that a witness cosigned
//! ```
//!
//! All of it can be made again from the database, also a tile that was cut off; but a tile or checkpoint that says
//! something else than the database is a finding, and is never overwritten. What a witness cosigned binds the next
//! checkpoint also where all else is gone.

mod audit;
mod published;
mod publisher;
mod rows;

use std::io;
use std::path::{Path, PathBuf};

use tlog::{CheckpointError, KeyName, TileError};

pub use audit::{Audit, Expectations, Finding, Guarantee};
pub use published::{Consistency, Published};
pub use publisher::{Claim, Publisher};

use crate::error::Error;
use crate::ledger::Ledger;
use crate::recover;

/// Why something cannot be proved or published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The ledger itself.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// The tiles.
    #[error("the tree of the ledger: {0}")]
    Tile(#[from] TileError),
    /// A checkpoint.
    #[error("{what}: {source}")]
    Checkpoint {
        /// Which.
        what: String,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// A file beside the ledger.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no checkpoint yet.
    #[error(
        "there is no checkpoint yet: the daemon makes one within a second of a write, and `op-dbus ledger checkpoint` as root where none runs"
    )]
    NoCheckpoint,
    /// The newest checkpoint does not speak of the entry.
    #[error(
        "entry {id} is not covered by a checkpoint yet: the newest one is of {size} entries. The daemon makes one within a second of a write"
    )]
    NotCovered {
        /// The entry.
        id: i64,
        /// How many entries the checkpoint is of.
        size: u64,
    },
    /// There are fewer entries than were published.
    #[error(
        "the ledger has {entries} entries, but its checkpoint is of {size}: the database was cut off or put back to an older state"
    )]
    RolledBack {
        /// Entries in the database.
        entries: u64,
        /// Entries that the checkpoint speaks of.
        size: u64,
    },
    /// An entry is not the one that was published.
    #[error(
        "entry {id} is not the one that was published: the database was changed since. `op-dbus ledger verify` says more"
    )]
    Rewritten {
        /// The first one that is seen to differ.
        id: i64,
    },
    /// The entries do not make the root that was signed.
    #[error(
        "the entries do not make the tree of {size} that was signed: the database was changed since"
    )]
    Root {
        /// Leaves of the tree.
        size: u64,
    },
    /// The chain is broken where the tree should grow.
    #[error("entry {id} does not continue the chain: nothing is published from there on")]
    Broken {
        /// The entry.
        id: i64,
    },
    /// Another process publishes.
    #[error("another process publishes this ledger")]
    Busy,
}

impl ProofError {
    /// Whether the ledger contradicts what was published before, rather than something being out of reach.
    pub fn is_finding(&self) -> bool {
        matches!(
            self,
            Self::RolledBack { .. }
                | Self::Rewritten { .. }
                | Self::Root { .. }
                | Self::Broken { .. }
                | Self::Checkpoint { .. }
                | Self::Tile(TileError::Contradiction { .. } | TileError::Root { .. })
        )
    }
}

/// The files of the tree in the directory of a ledger.
#[derive(Debug, Clone)]
struct Files {
    directory: PathBuf,
}

impl Files {
    fn beside(ledger: &Path) -> Self {
        let directory = ledger.parent().unwrap_or(Path::new("."));
        Self {
            directory: directory.to_owned(),
        }
    }

    fn tiles(&self) -> tlog::Tiles {
        tlog::Tiles::at(self.directory.join("tiles"))
    }

    fn checkpoint(&self) -> PathBuf {
        self.directory.join("checkpoint")
    }

    fn cosigned(&self) -> PathBuf {
        self.directory.join("checkpoint.cosigned")
    }
}

impl Ledger {
    /// What the log of this ledger is called if its host calls it `base`: a chain that was begun anew after damage
    /// is another log, lest witnesses take it for a fork of the old one.
    ///
    /// # Errors
    ///
    /// Those of reading; [`Error::Failed`] if the name gets too long.
    pub fn origin(&self, base: &KeyName) -> Result<KeyName, Error> {
        let Some(generation) = self.generation()? else {
            return Ok(base.clone());
        };
        let name = format!("{base}/{generation}");
        name.parse()
            .map_err(|error: tlog::KeyError| self.database.failed(error.to_string()))
    }

    /// A short name of a chain that was begun anew after damage; none of one that goes back to its first start.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn generation(&self) -> Result<Option<String>, Error> {
        let first = self.get(1)?;
        let anew = first.filter(|entry| entry.operation == recover::OPERATION);
        Ok(anew.map(|entry| entry.current_hash.to_string()[..8].to_owned()))
    }
}
