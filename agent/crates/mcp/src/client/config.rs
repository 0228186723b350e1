//! The configuration by which other programs use this host's server.

use std::path::Path;

use serde_json::{Map, Value, json};

/// The name of this host's server in other programs' files.
const NAME: &str = "operation-dbus";

/// The variable, or the input, that holds the token.
const TOKEN: &str = "OP_DBUS_TOKEN";

/// A program that uses servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Claude Desktop and Claude Code.
    Claude,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    Vscode,
}

/// How the server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door<'a> {
    /// The program starts it on the same host.
    Stdio {
        /// The absolute path of `op-dbus`.
        program: &'a Path,
    },
    /// By HTTP, with a token.
    Http {
        /// The URL of its endpoint.
        url: &'a str,
    },
}

impl Client {
    /// Where the configuration belongs.
    pub fn file(self, door: &Door<'_>) -> &'static str {
        match (self, door) {
            (Self::Claude, Door::Stdio { .. }) => {
                "claude_desktop_config.json (Claude Desktop), or .mcp.json in a project (Claude Code)"
            }
            (Self::Claude, Door::Http { .. }) => {
                ".mcp.json in a project, or ~/.claude.json (Claude Code). Claude Desktop takes no URL in its file"
            }
            (Self::Cursor, _) => "~/.cursor/mcp.json, or .cursor/mcp.json in a project",
            (Self::Vscode, _) => {
                ".vscode/mcp.json in a project, or the command \"MCP: Open User Configuration\""
            }
        }
    }

    /// How the token gets there without standing in the file.
    pub fn token(self) -> String {
        match self {
            Self::Claude | Self::Cursor => {
                format!(
                    "set the variable {TOKEN} in the environment that the program is started from"
                )
            }
            Self::Vscode => {
                "VS Code asks for the token when the server is first used, and keeps it".to_owned()
            }
        }
    }
}

/// What to put into the program's file. A token is never in it, only where it comes from.
pub fn configuration(client: Client, door: &Door<'_>, profile: Option<&str>) -> Value {
    let server = match door {
        Door::Stdio { program } => stdio(client, program, profile),
        Door::Http { url } => http(client, url, profile),
    };
    let servers: Map<_, _> = [(NAME.to_owned(), server)].into_iter().collect();
    match (client, door) {
        (Client::Vscode, Door::Http { .. }) => json!({
            "inputs": [{
                "type": "promptString",
                "id": "op-dbus-token",
                "description": "Token of operation-dbus",
                "password": true,
            }],
            "servers": servers,
        }),
        (Client::Vscode, Door::Stdio { .. }) => json!({ "servers": servers }),
        _ => json!({ "mcpServers": servers }),
    }
}

fn stdio(client: Client, program: &Path, profile: Option<&str>) -> Value {
    let mut arguments = vec!["mcp"];
    if let Some(profile) = profile {
        arguments.extend(["--profile", profile]);
    }
    let mut server = json!({ "command": program, "args": arguments });
    if client == Client::Vscode {
        server["type"] = json!("stdio");
    }
    server
}

fn http(client: Client, url: &str, profile: Option<&str>) -> Value {
    let url = match profile {
        Some(profile) => format!("{}/{profile}", url.trim_end_matches('/')),
        None => url.to_owned(),
    };
    let token = match client {
        Client::Claude => format!("${{{TOKEN}}}"),
        Client::Cursor => format!("${{env:{TOKEN}}}"),
        Client::Vscode => "${input:op-dbus-token}".to_owned(),
    };
    let mut server =
        json!({ "url": url, "headers": { "Authorization": format!("Bearer {token}") } });
    if client != Client::Cursor {
        server["type"] = json!("http");
    }
    server
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_gets_its_own_form() {
        let stdio = Door::Stdio {
            program: Path::new("/usr/bin/op-dbus"),
        };
        let http = Door::Http {
            url: "http://127.0.0.1:8080/mcp",
        };
        let claude = configuration(Client::Claude, &stdio, Some("safe"));
        assert_eq!(
            claude["mcpServers"][NAME],
            json!({ "command": "/usr/bin/op-dbus", "args": ["mcp", "--profile", "safe"] })
        );
        let claude = configuration(Client::Claude, &http, None);
        assert_eq!(
            claude["mcpServers"][NAME]["headers"]["Authorization"],
            "Bearer ${OP_DBUS_TOKEN}"
        );
        assert_eq!(claude["mcpServers"][NAME]["type"], "http");
        let cursor = configuration(Client::Cursor, &http, Some("safe"));
        assert_eq!(
            cursor["mcpServers"][NAME]["url"],
            "http://127.0.0.1:8080/mcp/safe"
        );
        assert_eq!(
            cursor["mcpServers"][NAME]["headers"]["Authorization"],
            "Bearer ${env:OP_DBUS_TOKEN}"
        );
        let vscode = configuration(Client::Vscode, &http, None);
        let input = vscode["inputs"][0]["id"].as_str().unwrap();
        assert_eq!(
            vscode["servers"][NAME]["headers"]["Authorization"],
            format!("Bearer ${{input:{input}}}")
        );
        assert_eq!(
            configuration(Client::Vscode, &stdio, None)["servers"][NAME]["type"],
            "stdio"
        );
    }
}
