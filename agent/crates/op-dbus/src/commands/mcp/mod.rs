//! mcp: serves AI clients; and tools, call, servers, config of other servers.

mod call;
mod config;
mod reach;
mod serve;
mod servers;
mod tools;

use crate::cli::{Cli, Mcp, McpCommand};
use crate::failure::Failure;
use crate::screen::Screen;

pub(super) fn run(cli: &Cli, screen: &Screen, options: &Mcp) -> Result<u8, Failure> {
    let Some(command) = &options.command else {
        return serve::run(cli, &options.serve);
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
