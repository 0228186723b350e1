//! The command line, as clap sees it; the man page and the completions are made from it.

mod comeback;
mod deploy;
mod look;
mod mcp;
mod proof;
mod say;
mod snapshot;
mod witness;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use declaration::{BridgeName, ContainerName, Size, TemplateName};
use ipnet::IpNet;

pub(crate) use comeback::{Restore, Rollback};
pub(crate) use deploy::{Deploy, Standing};
pub(crate) use look::{Bus, Cache, Embed, Inspect, Introspect, Part, Search};
pub(crate) use mcp::{Mcp, McpClient, McpCommand, Reaching, Serve, Web, WebCommand};
pub(crate) use proof::{Consistency, Prove, Verify, VerifyProof};
pub(crate) use say::Say;
pub(crate) use snapshot::Snapshot;
pub(crate) use witness::{Witness, WitnessCommand};

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
        /// Where plugins made from D-Bus services are, instead of BASE/@plugins: for a check elsewhere than on
        /// the host
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
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
    /// Bring declaration and resources back to how they were before a run; undo at once what waits in a confirm window
    Rollback(Rollback),
    /// Write the host as one document from which it can be made again
    Export {
        /// Where to; standard output without it
        #[arg(value_name = "FILE")]
        path: Option<PathBuf>,
    },
    /// Make a host again from its export
    Restore(Restore),
    /// Say which declaration the host follows, and where it stands
    Status,
    /// Say whether the host is in its declared state; exit with 1 if not
    Verify,
    /// Show what the host has, by plugin
    Query {
        /// One plugin, such as btrfs or lxc
        plugin: Option<String>,
    },
    /// Look at what is on this machine: bus, hardware, software and so on; without a part, at all of it in short
    Introspect(Introspect),
    /// Make, see, run and remove containers
    #[command(subcommand)]
    Container(Container),
    /// See, build and remove container templates
    #[command(subcommand)]
    Template(Template),
    /// See, generate, enable and disable plugins made from D-Bus services
    #[command(subcommand)]
    Plugin(Plugin),
    /// Send snapshots to another btrfs file system, here or on another host
    Replicate {
        /// The target's name in the declaration
        target: String,
        /// This snapshot alone; without it, all that are newer than the newest one there
        #[arg(long, value_name = "NAME")]
        snapshot: Option<String>,
        /// Show what would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take in the snapshots that another host sends; `replicate` starts this at the far end
    Receive {
        /// The directory on btrfs that they go into
        #[arg(value_name = "DIR")]
        path: PathBuf,
        /// Remove nothing for the sending end, whatever it asks
        #[arg(long)]
        append_only: bool,
        /// The longest stream that is taken, such as 20GiB
        #[arg(long, value_name = "SIZE")]
        largest: Option<Size>,
        /// The public key of the ledger that is received, as `op-dbus ledger key` prints it there
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Read and verify the record of what was done
    #[command(subcommand)]
    Ledger(Ledger),
    /// Find what was done, by a question in words, such as “containers created last week”
    Search(Search),
    /// Say what a sentence means to the agent, and do it with `--run`
    Say(Say),
    /// Make, compare, bring back and remove snapshots of subvolumes
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// List, show and call the tools that every door serves
    #[command(subcommand)]
    Tool(Tool),
    /// Serve any D-Bus service by MCP on standard input and output, as dbus-mcp-bridge does
    Bridge(crate::commands::bridge::Bridge),
    /// Say what data is and looks like, whether it fits, and keep what was learned of it
    Inspect(Inspect),
    /// Submit, see and cancel the tasks of agents
    #[command(subcommand)]
    Task(Task),
    /// See the agents
    #[command(subcommand)]
    Agent(Agent),
    /// Keep the host in its declared state, and serve the tools
    Daemon(Daemon),
    /// Serve HTTP clients, without rights of its own; make tokens for them
    Web(Web),
    /// Watch over the ledgers of other hosts, and cosign what continues them
    Witness(Witness),
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
    /// See, clear and clean what is kept of what was computed
    #[command(subcommand)]
    Cache(Cache),
    /// Run the declared model for another process, by standard input and output
    #[command(hide = true)]
    Embed(Embed),
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

/// What a change may do.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Limits {
    /// Change only if the plan still has this hash (or its first 8 or more digits)
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Option<String>,
    /// Allow changes that destroy data
    #[arg(long)]
    pub(crate) allow_destroy: bool,
    /// Undo the changes unless confirmed within this time, such as 60s or 5m; 0 turns the window off.
    /// Without it, changes of the management path get 60s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) confirm: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) limits: Limits,
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

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// List the tasks that you submitted; all as an admin
    #[command(visible_alias = "ls")]
    List {
        /// Only those in this state, such as queued, running, done or failed
        #[arg(long)]
        state: Option<String>,
        /// Only those of this agent
        #[arg(long)]
        agent: Option<String>,
    },
    /// Show one task: its state, its result, each attempt at it
    Show {
        /// The task's number
        id: i64,
    },
    /// Take a task back
    Cancel {
        /// The task's number
        id: i64,
    },
    /// Give an agent a task, which is carried out even if you do not wait for it
    Submit(Submit),
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// What is to be done: a tool, or with --agent one of its short names
    pub(crate) operation: String,
    /// The arguments: KEY=VALUE, where a value that is JSON is taken as such; or one JSON object
    pub(crate) arguments: Vec<String>,
    /// The agent
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// The hash of the plan that was shown; what destroys needs it
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Option<String>,
    /// The higher the sooner, -10 to 10
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i8,
    /// It has to begin, and to end, within this time, such as 30s or 1h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// How often it may be tried again after a failure that may pass
    #[arg(long, default_value_t = 0)]
    pub(crate) retries: u8,
    /// Doing it twice is as good as doing it once: it may be run again after a crash
    #[arg(long)]
    pub(crate) idempotent: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List the agents, with their names on the bus and their operations
    #[command(visible_alias = "ls")]
    List,
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
    /// How long an access token of a web session lives, in seconds: for tests
    #[arg(long, hide = true, default_value_t = crate::doors::sessions::ACCESS)]
    pub(crate) access_seconds: u64,
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
pub(crate) enum Plugin {
    /// List the plugins
    #[command(visible_alias = "ls")]
    List,
    /// Show one plugin: its resources, what may be declared, and the digests of its interfaces
    Show {
        /// The plugin
        name: String,
    },
    /// Make the files of a plugin from what a service says of itself, and print them
    Generate {
        /// The service's name on the system bus, such as org.freedesktop.hostname1
        service: String,
        /// The plugin's name; without it the last part of the service's
        #[arg(long)]
        name: Option<String>,
        /// Put them into BASE/@plugins, disabled
        #[arg(long)]
        write: bool,
    },
    /// Put a plugin into use
    Enable {
        /// The plugin
        name: String,
    },
    /// Take a plugin out of use
    Disable {
        /// The plugin
        name: String,
    },
    /// Keep a plugin as it is as a read-only snapshot, and write that as a stream
    Export {
        /// The plugin
        name: String,
        /// The new file that the stream goes into; `-` for standard output. Without it only the snapshot is made
        #[arg(value_name = "FILE")]
        stream: Option<PathBuf>,
    },
    /// Take in the stream of a plugin; it is disabled until it is enabled here
    Import {
        /// The file with the stream; `-` for standard input
        #[arg(value_name = "FILE")]
        stream: PathBuf,
        /// Put it in the place of one of the same name, which is lost
        #[arg(long)]
        replace: bool,
        /// Show what it is and what it could do, and take in nothing
        #[arg(long)]
        dry_run: bool,
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
    /// Verify the whole chain, and all that was published of it
    Verify(Verify),
    /// Prove that an entry is in the ledger, in a file that anybody can check
    Prove(Prove),
    /// Check a proof, without a ledger and without a daemon
    VerifyProof(VerifyProof),
    /// Say, with a proof, whether one head is the beginning of another
    Consistency(Consistency),
    /// Print the newest checkpoint: the signed head of the ledger
    Checkpoint {
        /// Put aside the checkpoints of an old name or a lost key, and sign the ledger under the declared name
        #[arg(long)]
        new_origin: bool,
    },
    /// Print the ledger's public key
    Key,
    /// Bring a damaged ledger back: keep what verifies, quarantine the rest
    Recover {
        /// The ledger's public key, to know the checkpoints by where the host's own key is lost
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
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

/// Reads `60s`, `5m`, `1h`, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write 60s, 5m or 1h");
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let longest = 24 * 3600 * 1000;
    match number.checked_mul(unit).ok_or_else(wrong)? {
        milliseconds if milliseconds > longest => Err("the longest time is 24h".to_owned()),
        milliseconds => Ok(Duration::from_millis(milliseconds)),
    }
}
