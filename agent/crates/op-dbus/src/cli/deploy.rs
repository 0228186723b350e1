//! The deployment of the web server: `web deploy`, `web rollback`, `web deployments`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use declaration::UnitName;

use super::duration;

/// Where versions are kept unless a command says otherwise.
const DIRECTORY: &str = "/opt/op-dbus/chat";

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The program, instead of this one
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) from: Option<PathBuf>,
    /// Keep so many versions; the one that serves and the one before always stay
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) keep: u32,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) standing: Standing,
}

#[derive(Debug, Args)]
pub(crate) struct Standing {
    /// Where versions are kept
    #[arg(long, value_name = "DIRECTORY", default_value = DIRECTORY)]
    pub(crate) directory: PathBuf,
    /// The unit that serves
    #[arg(long, value_name = "UNIT", default_value = "op-dbus-web.service")]
    pub(crate) unit: UnitName,
    /// How long it may take until it serves
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(crate) within: Duration,
}
