//! The command line, as clap sees it; the man page and the completions are made from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use declaration::{BridgeName, ContainerName, Profile, Scope, Size, TemplateName, TokenName};
use ipnet::IpNet;

/// Keep an infrastructure host in its declared state.
///
/// One declaration says what btrfs subvolumes, Open vSwitch bridges, OpenFlow tables, LXC templates and
/// containers a host should have; `plan` shows what would change, `apply` makes it so, and the ledger keeps
/// every change.
#[derive(Debug, Parser)]
#[command(name = "op-dbus", version, max_term_width = 100, after_help = EXIT_STATUS)]
pub(crate) struct Cli {
    /// The declaration, JSON or YAML; `-` reads standard input
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/op-dbus/state.json"
    )]
    pub(crate) file: PathBuf,
    /// The base directory, instead of the one in the declaration
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Say more of what is done; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Work in this process, even where the daemon runs
    #[arg(long, global = true)]
    pub(crate) here: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 done or nothing to do; 1 failed, the machine is as before; \
    2 bad declaration or usage; 3 refused (rights, lock, confirmation, what is not ours).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a declaration and report every problem in it
    Check {
        /// The declaration, instead of --file
        #[arg(value_name = "FILE")]
        path: Option<PathBuf>,
    },
    /// Print the declaration's JSON Schema
    Schema,
    /// Show what apply would change
    #[command(visible_alias = "diff")]
    Plan {
        /// Exit with 4 if there are changes
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Bring the host to its declared state
    Apply(Apply),
    /// Keep the changes that wait in a confirm window
    Confirm,
    /// Undo the changes that wait in a confirm window, at once
    Rollback,
    /// Say which declaration the host follows, and where it stands
    Status,
    /// Say whether the host is in its declared state; exit with 1 if not
    Verify,
    /// Show what the host has, by plugin
    Query {
        /// One plugin, such as btrfs or lxc
        plugin: Option<String>,
    },
    /// Make, see, run and remove containers
    #[command(subcommand)]
    Container(Container),
    /// See, build and remove container templates
    #[command(subcommand)]
    Template(Template),
    /// Read and verify the record of what was done
    #[command(subcommand)]
    Ledger(Ledger),
    /// List, show and call the tools that every door serves
    #[command(subcommand)]
    Tool(Tool),
    /// Keep the host in its declared state, and serve the tools
    Daemon(Daemon),
    /// Serve HTTP clients, without rights of its own; make tokens for them
    Web(Web),
    /// Serve the tools to AI clients: MCP on standard input and output; and use other such servers
    Mcp(Mcp),
    /// Say what this machine has and lacks, with the fix for each
    Doctor,
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man,
    /// Undo an unconfirmed run when its window is over
    #[command(hide = true)]
    Guard {
        /// The run
        run: String,
    },
    /// Prepare a container's link; LXC calls it when a container starts
    #[command(hide = true)]
    ContainerStarted {
        /// What LXC appends
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Apply {
    /// Apply only if the plan still has this hash (or its first 8 or more digits)
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Option<String>,
    /// Allow changes that destroy data
    #[arg(long)]
    pub(crate) allow_destroy: bool,
    /// Undo the changes unless confirmed within this time, such as 60s or 5m; 0 turns the window off.
    /// Without it, changes of the management path get 60s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) confirm: Option<Duration>,
    /// Where nobody can be asked: wait for the end of the confirm window, and fail if the changes were
    /// undone. While the machine starts there is no window
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// List the tools
    #[command(visible_alias = "ls")]
    List {
        /// Only those about this, such as containers or network
        #[arg(long)]
        domain: Option<String>,
    },
    /// Show one tool: what it takes and gives, and examples
    Show {
        /// The tool
        name: String,
    },
    /// Call a tool
    Call {
        /// The tool
        name: String,
        /// Its arguments: KEY=VALUE, where a value that is JSON is taken as such; or one JSON object
        arguments: Vec<String>,
        /// Show the plan and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Change only if the plan still has this hash; what destroys needs it
        #[arg(long, value_name = "HASH")]
        plan: Option<String>,
        /// Give up after this time, such as 30s or 5m
        #[arg(long, value_name = "TIME", value_parser = duration)]
        timeout: Option<Duration>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// The socket of the JSON-RPC door beside the one in the base
    #[arg(long, value_name = "PATH", default_value = "/run/op-dbus/jsonrpc.sock")]
    pub(crate) jsonrpc: PathBuf,
    /// Do without the system bus
    #[arg(long)]
    pub(crate) no_bus: bool,
    /// Look at the whole host at least this often, such as 5m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub(crate) every: Duration,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Web {
    /// Where to listen, instead of the declaration's `web.listen`: a loopback address with a port
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    pub(crate) listen: Option<SocketAddr>,
    /// The daemon's socket
    #[arg(long, value_name = "PATH", default_value = api::SOCKET)]
    pub(crate) socket: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Option<WebCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebCommand {
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
pub(crate) enum Container {
    /// Make a container from a template, and start it
    Create(Create),
    /// List the containers
    #[command(visible_alias = "ls")]
    List,
    /// Show one container
    Show {
        /// The container
        name: ContainerName,
    },
    /// Start a container
    Start {
        /// The container
        name: ContainerName,
    },
    /// Stop a container
    Stop {
        /// The container
        name: ContainerName,
    },
    /// Run a command in a container
    Exec {
        /// The container
        name: ContainerName,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Remove a container and all its data
    #[command(visible_alias = "rm")]
    Destroy {
        /// The container
        name: ContainerName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The container's name
    pub(crate) name: ContainerName,
    /// The template
    #[arg(long, short)]
    pub(crate) template: TemplateName,
    /// How it is reached: by the bridge and Unix sockets, by the mesh, or not at all
    #[arg(long, short, default_value = "socket")]
    pub(crate) network: Network,
    /// The bridge; the declaration's only one if there is one
    #[arg(long)]
    pub(crate) bridge: Option<BridgeName>,
    /// Its address with prefix length, such as 10.0.0.11/24
    #[arg(long)]
    pub(crate) address: Option<IpNet>,
    /// Its default gateway
    #[arg(long)]
    pub(crate) gateway: Option<std::net::IpAddr>,
    /// CPU cores
    #[arg(long, default_value_t = 2)]
    pub(crate) cores: u32,
    /// Memory, in MiB or with a unit (2GiB)
    #[arg(long, default_value = "2048")]
    pub(crate) memory: Size,
    /// Swap, in MiB or with a unit
    #[arg(long, default_value = "512")]
    pub(crate) swap: Size,
    /// Run it with the host's user ids
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Make it, but do not start it
    #[arg(long)]
    pub(crate) stopped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// The bridge, and the sockets of the containers on this host
    Socket,
    /// The mesh
    Mesh,
    /// Nothing but loopback
    None,
}

impl Network {
    /// As tools and the declaration write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Mesh => "mesh",
            Self::None => "none",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Template {
    /// List the templates
    #[command(visible_alias = "ls")]
    List,
    /// Build a declared template, or rebuild it from its recipe
    Build {
        /// The template
        name: TemplateName,
    },
    /// Remove a template that nothing declares any more
    #[command(visible_alias = "rm")]
    Destroy {
        /// The template
        name: TemplateName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// List entries
    Log(Log),
    /// Show one entry, whole
    Show {
        /// The entry's id
        id: i64,
    },
    /// Verify the whole chain
    Verify {
        /// A hash that must be in the chain: finds a cut tail
        #[arg(long, value_name = "HASH")]
        expect_head: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Not before this time (2026-01-31, 2026-01-31T12:00:00Z, or 2h, 3d ago)
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Before this time
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// Only this operation
    #[arg(long)]
    pub(crate) operation: Option<String>,
    /// Only this target
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only this run
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// The last N entries; 0 for all
    #[arg(short = 'n', long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Go on printing as entries come
    #[arg(long)]
    pub(crate) follow: bool,
}

/// Reads an address that only this host reaches.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("`{text}` is no address with a port, such as 127.0.0.1:8080"))?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(format!(
            "others than this host could listen in on {address}, since there is no TLS yet: take 127.0.0.1 or [::1]"
        )),
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Mcp {
    #[command(flatten)]
    pub(crate) serve: Serve,
    #[command(subcommand)]
    pub(crate) command: Option<McpCommand>,
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

/// Reads `60s`, `5m`, `1h`, or a bare number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write 60s, 5m or 1h");
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(unit).ok_or_else(wrong)?;
    if seconds > 24 * 3600 {
        return Err("the longest time is 24h".to_owned());
    }
    Ok(Duration::from_secs(seconds))
}
