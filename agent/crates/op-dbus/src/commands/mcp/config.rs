//! mcp config: what to put into another program's file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mcp::client::{Client, Door, configuration};
use serde_json::Value;

use crate::cli::McpClient;
use crate::failure::Failure;
use crate::screen::Screen;

/// Where NixOS has the program, whatever its version.
const SYSTEM: &str = "/run/current-system/sw/bin/op-dbus";

pub(super) fn run(
    screen: &Screen,
    client: McpClient,
    profile: Option<&str>,
    http: Option<&str>,
) -> Result<u8, Failure> {
    let client = match client {
        McpClient::Claude => Client::Claude,
        McpClient::Cursor => Client::Cursor,
        McpClient::Vscode => Client::Vscode,
    };
    let program = program()?;
    let door = match http {
        Some(url) => Door::Http { url },
        None => Door::Stdio { program: &program },
    };
    let answer: Value = configuration(client, &door, profile);
    screen.aside(&format!("put this into {}", client.file(&door)));
    if http.is_some() {
        screen.aside(&client.token());
    }
    screen.result(&answer, || format!("{answer:#}\n"));
    Ok(0)
}

/// The path of this program that stays the same when a new version comes.
fn program() -> Result<PathBuf, Failure> {
    match Path::new(SYSTEM).exists() {
        true => Ok(PathBuf::from(SYSTEM)),
        false => Ok(std::env::current_exe().context("find this program")?),
    }
}
