//! `snapshot`: making, looking at and bringing back snapshots.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Make a snapshot
    Create {
        /// Its name: letters, digits and `_.:+-`
        name: String,
        /// What it is to have, such as @state; without it what the declaration says
        subvolumes: Vec<String>,
        /// What for, in words
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List the snapshots
    #[command(visible_alias = "ls")]
    List,
    /// Show one snapshot
    Show {
        /// The snapshot
        name: String,
    },
    /// Name the files that were added, changed or removed
    Diff {
        /// The snapshot to begin with
        before: String,
        /// The snapshot to compare it with; the present state without it
        after: Option<String>,
        /// How many to name at most
        #[arg(short = 'n', long, default_value_t = 1000)]
        limit: usize,
    },
    /// Bring a snapshot back; the present state is snapshotted first
    Restore(Restore),
    /// Delete a snapshot
    #[command(visible_alias = "rm")]
    Delete {
        /// The snapshot
        name: String,
    },
    /// Keep a snapshot from being pruned and deleted
    Pin {
        /// The snapshot
        name: String,
    },
    /// Let a snapshot be pruned and deleted again
    Unpin {
        /// The snapshot
        name: String,
    },
    /// Make and remove what the declared policies are due for, as the daemon does by itself
    Rotate,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The snapshot
    pub(crate) name: String,
    /// Which of its subvolumes; without it all but the ledger (@timing, @vectors)
    #[arg(conflicts_with = "path")]
    pub(crate) subvolumes: Vec<String>,
    /// One file or directory instead, such as @state/containers.json
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Bring back the ledger too: what was recorded since is then no longer in it
    #[arg(long)]
    pub(crate) allow_rollback_of_ledger: bool,
}
