//! `say`.

use clap::Args;

/// Sentences, and whether to carry them out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  op-dbus say show me all containers
  op-dbus say \"create debian container named db-01 with netmaker mesh\"
  op-dbus say --run \"restart nginx and show its logs\"
  op-dbus say help with snapshots")]
pub(crate) struct Say {
    /// What is wanted, in words
    #[arg(required = true, value_name = "WORDS")]
    pub(crate) words: Vec<String>,
    /// Go on: read what is asked for, show the plan of what would change and ask
    #[arg(long)]
    pub(crate) run: bool,
}
