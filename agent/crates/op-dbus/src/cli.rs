//! The command line, as clap sees it; the man page and the completions are made from it.

mod comeback;
mod container;
mod deploy;
mod ledger;
mod look;
mod mcp;
mod plugin;
mod proof;
mod say;
mod snapshot;
mod task;
mod witness;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use declaration::Size;

pub(crate) use comeback::{Restore, Rollback};
pub(crate) use container::{Container, Template};
pub(crate) use deploy::{Deploy, Standing};
pub(crate) use ledger::{Ledger, Log};
pub(crate) use look::{Bus, Cache, Embed, Inspect, Introspect, Part, Search};
pub(crate) use mcp::{Mcp, McpClient, McpCommand, Reaching, Serve, Web, WebCommand};
pub(crate) use plugin::Plugin;
pub(crate) use proof::{Consistency, Prove, Verify, VerifyProof};
pub(crate) use say::Say;
pub(crate) use snapshot::Snapshot;
pub(crate) use task::{Agent, Submit, Task};
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
