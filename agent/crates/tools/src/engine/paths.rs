//! Where the host's files are.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where things are, all derived from the base.
///
/// The journal and the lock stand beside the base and not in it, since a run may have to make, mount or
/// mend the base itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The base directory.
    pub base: PathBuf,
}

impl Paths {
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.base);
        path.push(suffix);
        PathBuf::from(path)
    }

    /// The engine's journal.
    pub fn journal(&self) -> PathBuf {
        self.beside(".journal")
    }

    /// The lock that one run at a time holds.
    pub fn lock(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// The lock that the daemon holds as long as it lives.
    pub fn keeper(&self) -> PathBuf {
        self.beside(".daemon")
    }

    /// The declaration under which an open confirm window was begun.
    pub fn guarded(&self) -> PathBuf {
        self.beside(".window.json")
    }

    /// What was undone since nobody confirmed it.
    pub fn undone(&self) -> PathBuf {
        self.beside(".undone.json")
    }

    /// The subvolume that holds the ledger.
    pub fn timing(&self) -> PathBuf {
        self.base.join("@timing")
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.timing().join("blockchain.db")
    }

    /// The subvolume that holds what was computed.
    pub fn cache(&self) -> PathBuf {
        self.base.join("@cache")
    }

    /// The subvolume that holds the search index.
    pub fn vectors(&self) -> PathBuf {
        self.base.join("@vectors")
    }

    /// The containers that were made by command.
    pub fn containers(&self) -> PathBuf {
        self.base.join("@state/containers.json")
    }

    /// When the host was last seen in its declared state.
    pub fn heartbeat(&self) -> PathBuf {
        self.base.join("@state/last-apply.json")
    }

    /// What was declared before each run.
    pub(crate) fn runs(&self) -> PathBuf {
        self.base.join("@state/runs")
    }

    /// What was last applied as a whole.
    pub(crate) fn declared(&self) -> PathBuf {
        self.base.join("@state/declared.json")
    }

    /// The host as one document, from which it can be made again.
    pub fn current_state(&self) -> PathBuf {
        self.base.join("@state/current-state.json")
    }

    /// A restore that has begun. It stands beside the base, which it may have to make.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.beside(".restore.json")
    }

    /// What the inspector learned.
    pub fn knowledge(&self) -> PathBuf {
        self.base.join("@state/knowledge.db")
    }

    /// The tasks of the agents.
    pub fn tasks(&self) -> PathBuf {
        self.base.join("@state/tasks.db")
    }

    /// The snapshots, and what was exported.
    pub fn snapshots(&self) -> PathBuf {
        self.base.join("@snapshots")
    }

    /// How the last transfer to each target ended.
    pub fn replication(&self) -> PathBuf {
        self.base.join("@state/replication.json")
    }

    /// What clients keep in the NonNet database.
    pub fn records(&self) -> PathBuf {
        self.base.join("@state/records.json")
    }

    /// The daemon's API socket.
    pub fn api_socket(&self) -> PathBuf {
        self.base.join("sockets/api/opdbus.sock")
    }
}
