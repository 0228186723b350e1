//! Going back, and coming back: `rollback`, `export`, `restore`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Limits, duration};

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// A run, the number of a ledger entry of one, or a snapshot; without it the run that waits to be confirmed, else the
    /// last one that somebody asked for
    #[arg(value_name = "RUN|ENTRY|SNAPSHOT")]
    pub(crate) to: Option<String>,
    /// Show the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Overwrite what was changed since
    #[arg(long)]
    pub(crate) over_conflicts: bool,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The export; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) export: PathBuf,
    /// Show the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the declaration in the export, and do nothing else
    #[arg(long)]
    pub(crate) print_declaration: bool,
    /// A copy of the old ledger, such as a received @timing: it is verified, and goes on here
    #[arg(long, value_name = "PATH")]
    pub(crate) ledger: Option<PathBuf>,
    /// The export has to have this sha256
    #[arg(long, value_name = "HASH")]
    pub(crate) expect_sha256: Option<String>,
    /// Go on although secret files are missing
    #[arg(long)]
    pub(crate) without_secrets: bool,
    /// Restore onto a host that has something already: what is not in the export goes
    #[arg(long)]
    pub(crate) onto_existing: bool,
    /// Change only if the plan still has this hash (or its first 8 or more digits)
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Option<String>,
    /// Undo the changes unless confirmed within this time, such as 60s or 5m; 0 turns the window off.
    /// Without it, changes of the management path get 60s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) confirm: Option<Duration>,
}
