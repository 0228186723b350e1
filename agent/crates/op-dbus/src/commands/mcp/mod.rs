//! mcp: serves AI clients; tools, call, servers, config use other servers.

mod call;
mod config;
mod reach;
mod serve;
mod servers;
mod tools;

use crate::cli::{self, Cli, McpCommand};
use crate::failure::Failure;
use crate::screen::Screen;

pub(super) fn run(cli: &Cli, screen: &Screen, options: &cli::Mcp) -> Result<u8, Failure> {
    let Some(command) = &options.command else {
        return serve::run(cli, options);
    };
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
