//! The ledger.

use clap::{Args, Subcommand};

use super::{Consistency, Prove, Verify, VerifyProof};

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// List entries
    Log(Log),
    /// Show one entry, whole
    Show {
        /// The entry's id
        id: i64,
    },
    /// Verify the whole chain, and all that was published of it
    Verify(Verify),
    /// Prove that an entry is in the ledger, in a file that anybody can check
    Prove(Prove),
    /// Check a proof, without a ledger and without a daemon
    VerifyProof(VerifyProof),
    /// Say, with a proof, whether one head is the beginning of another
    Consistency(Consistency),
    /// Print the newest checkpoint: the signed head of the ledger
    Checkpoint {
        /// Put aside the checkpoints of an old name or a lost key, and sign the ledger under the declared name
        #[arg(long)]
        new_origin: bool,
    },
    /// Print the ledger's public key
    Key,
    /// Bring a damaged ledger back: keep what verifies, quarantine the rest
    Recover {
        /// The ledger's public key, to know the checkpoints by where the host's own key is lost
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Not before this time (2026-01-31, 2026-01-31T12:00:00Z, or 2h, 3d ago)
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Before this time
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// Only this operation
    #[arg(long)]
    pub(crate) operation: Option<String>,
    /// Only this target
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only this run
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// The last N entries; 0 for all
    #[arg(short = 'n', long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Go on printing as entries come
    #[arg(long)]
    pub(crate) follow: bool,
}
