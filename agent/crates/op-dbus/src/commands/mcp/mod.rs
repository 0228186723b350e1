//! mcp: serves AI clients.

mod serve;

use crate::cli::{self, Cli};
use crate::failure::Failure;

pub(super) fn run(cli: &Cli, options: &cli::Mcp) -> Result<u8, Failure> {
    serve::run(cli, options)
}
