//! What watches over the ledgers of other hosts: `witness`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// Where it keeps its key and what it has seen
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/lib/op-dbus-witness"
    )]
    pub(crate) state: PathBuf,
    #[command(subcommand)]
    pub(crate) command: WitnessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Serve the ledgers of the declaration's `ledger.witness`, without rights of its own
    Serve {
        /// Where to listen, instead of the declaration's `ledger.witness.listen`
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Print the public key, by which other hosts declare this witness
    Key,
}
