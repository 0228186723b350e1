//! What the ledger's proofs take.

use std::path::PathBuf;

use clap::Args;

/// `op-dbus ledger verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A hash that must be in the chain: finds a cut tail
    #[arg(long, value_name = "HASH")]
    pub(crate) expect_head: Option<String>,
    /// A checkpoint that was kept elsewhere, or that a witness has: finds a history that was written anew
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The ledger's public key; without it the host's own
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The public key of a witness, beside those that are declared
    #[arg(long, value_name = "KEY")]
    pub(crate) witness_key: Vec<String>,
}

/// `op-dbus ledger prove`
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The entry's id
    pub(crate) id: i64,
    /// Where to write the proof; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `op-dbus ledger verify-proof`
#[derive(Debug, Args)]
pub(crate) struct VerifyProof {
    /// The proof
    pub(crate) proof: PathBuf,
    /// The ledger's public key, as `op-dbus ledger key` printed it on its host
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    /// The public key of a witness that must have cosigned
    #[arg(long, value_name = "KEY")]
    pub(crate) witness_key: Vec<String>,
}

/// `op-dbus ledger consistency`
#[derive(Debug, Args)]
pub(crate) struct Consistency {
    /// The older head: how many entries it has, or the file of its checkpoint
    pub(crate) old: String,
    /// The newer one; without it, the newest
    pub(crate) new: Option<String>,
}
