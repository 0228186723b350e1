//! mcp: serves AI clients.

mod serve;

use crate::cli::{self, Cli};
use crate::failure::Failure;

pub(super) fn run(cli: &Cli, options: &cli::Mcp) -> Result<u8, Failure> {
    serve::run(cli, options)
}
//! mcp: tools, call, servers, config.

mod call;
mod config;
mod reach;
mod servers;
mod tools;

use crate::cli::{Cli, McpCommand};
use crate::failure::Failure;
use crate::screen::Screen;

pub(super) fn run(cli: &Cli, screen: &Screen, command: &McpCommand) -> Result<u8, Failure> {
    match command {
        McpCommand::Tools { server, how } => tools::run(cli, screen, server.as_deref(), how),
        McpCommand::Call { words, plan, how } => {
            call::run(cli, screen, words, plan.as_deref(), how)
        }
        McpCommand::Servers => servers::run(cli, screen),
        McpCommand::Config {
            client,
            profile,
            http,
        } => config::run(screen, *client, profile.as_deref(), http.as_deref()),
    }
}
