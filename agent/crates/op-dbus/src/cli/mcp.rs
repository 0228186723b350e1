//! What serves AI clients and uses their servers: `web`, `mcp`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use declaration::{Profile, Scope, TokenName};

use super::{Deploy, Standing, duration};

#[derive(Debug, Args)]
pub(crate) struct Web {
    /// Where to listen, instead of the declaration's `web.listen`: an address with a port, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Another port than that of the address
    #[arg(long, env = "MCP_CHAT_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The daemon's socket
    #[arg(long, value_name = "PATH", default_value = api::SOCKET)]
    pub(crate) socket: PathBuf,
    /// Read the declaration as the server does, say where it would listen, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Where what has to outlive the web server is kept, instead of systemd's state directory
    #[arg(long, value_name = "DIRECTORY", env = "STATE_DIRECTORY")]
    pub(crate) state: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<WebCommand>,
}

impl Web {
    /// Where the server listens, by what is declared and what the command line says.
    pub(crate) fn address(&self, web: &declaration::Web) -> SocketAddr {
        let mut address = self.listen.unwrap_or(web.listen);
        if let Some(port) = self.port {
            address.set_port(port);
        }
        address
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebCommand {
    /// Print a link that logs in once, within five minutes
    Login {
        /// What the session may do, instead of all that you may: viewer, operator or admin
        #[arg(long, value_parser = ["viewer", "operator", "admin"])]
        role: Option<String>,
        /// Where your browser finds the server, such as `https://host.example.org` behind a proxy
        #[arg(long, value_name = "URL", value_parser = site)]
        at: Option<String>,
    },
    /// Make a token, and say how it is declared
    Token {
        /// What it is called in the ledger, such as laptop
        name: TokenName,
        /// Where its secret is kept, instead of /etc/op-dbus/tokens/NAME
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// What it may do: mcp:read, mcp:write or mcp:destroy; each includes those before it
        #[arg(long = "scope", value_name = "SCOPE", default_value = "mcp:read")]
        scopes: Vec<Scope>,
    },
    /// Install a version beside those there are, switch to it, and go back by itself if it does not serve
    Deploy(Deploy),
    /// Return to the version that was deployed before
    Rollback(Standing),
    /// List the versions
    Deployments(Standing),
    /// Make the version that serves reachable again, as after a restart of the machine
    #[command(hide = true)]
    Mount(Standing),
    /// Ask the declared language model something, and say what it can do and how long it takes
    Model,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Mcp {
    #[command(flatten)]
    pub(crate) serve: Serve,
    #[command(subcommand)]
    pub(crate) command: Option<McpCommand>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Which tools: minimal, safe (what only reads), developer, sysadmin, or full (all, in compact mode)
    #[arg(long, value_name = "NAME", default_value_t = Profile::Safe, conflicts_with = "groups")]
    pub(crate) profile: Profile,
    /// The tools of these domains instead, such as containers,journal
    #[arg(long, value_name = "DOMAINS", value_delimiter = ',')]
    pub(crate) groups: Vec<String>,
    /// List four tools only, which find and call the others
    #[arg(long)]
    pub(crate) compact: bool,
    /// The daemon's socket, instead of the one in the base
    #[arg(long, value_name = "PATH", conflicts_with = "here")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// List the tools of a server
    Tools {
        /// A prefix of the declaration, a name that `op-dbus mcp servers` shows, or a URL
        #[arg(required_unless_present = "program")]
        server: Option<String>,
        #[command(flatten)]
        how: Reaching,
    },
    /// Call a tool of a server: `SERVER TOOL [ARGUMENTS]`, or `TOOL [ARGUMENTS] -- PROGRAM …`
    Call {
        /// The server (a prefix of the declaration, a name that `op-dbus mcp servers` shows, or a URL), the
        /// tool, and its arguments: one JSON object, `-` for standard input, or KEY=VALUE
        #[arg(required = true, value_name = "WORD")]
        words: Vec<String>,
        /// Call only if the plan still has this hash; what destroys needs it, or a yes
        #[arg(long, value_name = "HASH")]
        plan: Option<String>,
        #[command(flatten)]
        how: Reaching,
    },
    /// List the servers that the declaration and the programs on this machine know of
    Servers,
    /// Print the configuration by which a program uses this host's server
    Config {
        /// The program
        #[arg(long)]
        client: McpClient,
        /// The profile of tools that it gets
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// By HTTP with a token, at this URL, instead of starting it
        #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "http://127.0.0.1:8080/mcp")]
        http: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Reaching {
    /// Give up after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    pub(crate) timeout: Duration,
    /// The file with the token that a URL wants
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The program to start as a server, with its arguments
    #[arg(last = true)]
    pub(crate) program: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum McpClient {
    /// Claude Desktop and Claude Code
    Claude,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
}

/// Scheme, host and port of a web site.
fn site(text: &str) -> Result<String, String> {
    let site = text.trim_end_matches('/');
    let known = |url: &http::Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.path_and_query().is_none_or(|path| path == "/")
    };
    match site.parse().is_ok_and(|url| known(&url)) && !site.contains('@') {
        true => Ok(site.to_owned()),
        false => {
            Err("write http:// or https://, the host, its port if any, and no path".to_owned())
        }
    }
}

/// Reads an address with a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no address with a port, such as 127.0.0.1:8080"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_link_leads_to_a_site() {
        for good in [
            "https://chat.example.org",
            "http://127.0.0.1:8080/",
            "https://[::1]:8443",
        ] {
            assert_eq!(site(good).as_deref(), Ok(good.trim_end_matches('/')));
        }
        for bad in [
            "",
            "nonsense",
            "chat.example.org:8080",
            "ftp://host",
            "https://host/chat",
            "https://a@b",
        ] {
            assert!(site(bad).is_err(), "{bad}");
        }
    }
}
