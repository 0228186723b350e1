//! What looks at the machine and at data: `introspect`, `inspect`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["source", "search", "show", "forget"]))]
pub(crate) struct Inspect {
    /// A file, `-`, https://…, dbus:NAME:/path or dbus:NAME:/path:interface, lxc:NAME or oci:PATH
    pub(crate) source: Option<String>,
    /// More examples of the same
    #[arg(long, value_name = "SOURCE", num_args = 1.., requires = "source")]
    pub(crate) examples: Vec<String>,
    /// Print a JSON Schema that all examples fit
    #[arg(long, requires = "source", conflicts_with_all = ["validate", "learn"])]
    pub(crate) schema: bool,
    /// Check it against what was learned under a name, or a JSON Schema in a file; exit with 1 if it does not fit
    #[arg(
        long,
        value_name = "NAME|FILE",
        requires = "source",
        conflicts_with = "learn"
    )]
    pub(crate) validate: Option<String>,
    /// Keep what it looks like under this name
    #[arg(long, value_name = "NAME", requires = "source")]
    pub(crate) learn: Option<String>,
    /// What it is about, kept with the name
    #[arg(long, value_name = "TEXT", requires = "learn")]
    pub(crate) note: Option<String>,
    /// A JSON Schema that values have to fit besides, kept with the name
    #[arg(long, value_name = "FILE", requires = "learn")]
    pub(crate) rules: Option<PathBuf>,
    /// Search what was learned; an empty text lists all of it
    #[arg(long, value_name = "WORDS")]
    pub(crate) search: Option<String>,
    /// Show what is known under a name: schema, rules, template, examples
    #[arg(long, value_name = "NAME")]
    pub(crate) show: Option<String>,
    /// With --show, print a value to begin with instead
    #[arg(long, requires = "show")]
    pub(crate) template: bool,
    /// Forget a name
    #[arg(long, value_name = "NAME")]
    pub(crate) forget: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Introspect {
    /// The part
    pub(crate) domain: Option<Part>,
    /// The message bus
    #[arg(long, default_value = "system")]
    pub(crate) bus: Bus,
    /// One service on the bus: its objects and their interfaces. It is not started
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// The object of the service where to begin
    #[arg(long, value_name = "PATH", requires = "service")]
    pub(crate) path: Option<String>,
    /// How many steps to go down at most
    #[arg(long, value_name = "N", requires = "service")]
    pub(crate) depth: Option<usize>,
    /// How many objects to look at, at most
    #[arg(long, value_name = "N", requires = "service")]
    pub(crate) objects: Option<usize>,
    /// Only objects with this interface, and what it can do
    #[arg(long, value_name = "NAME", requires = "service")]
    pub(crate) interface: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Names on the message bus, and the objects of services
    Dbus,
    /// What the machine is made of
    Hardware,
    /// Operating system, kernel, packages, programs
    Software,
    /// Mounts, how full they are, and btrfs
    Filesystems,
    /// Load, processes, control groups, namespaces, containers
    Runtime,
    /// Who is logged in
    Sessions,
    /// Links, addresses, routes, listening sockets
    Network,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bus {
    /// The bus of the machine
    System,
    /// Your own bus
    Session,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// What is looked for. Times (yesterday, last week, since Monday, 2026-01..2026-03), operations, targets, people and
    /// outcomes are filters; the rest is matched by words and by likeness
    #[arg(required_unless_present = "reindex", value_name = "WORD")]
    pub(crate) question: Vec<String>,
    /// How many entries at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) limit: u16,
    /// Take all entries into the index first, with the declared model; without words do that alone
    #[arg(long)]
    pub(crate) reindex: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Show how full it is, how useful, and on which NUMA nodes threads work
    Stats,
    /// Take everything out, or all of one kind
    Clear {
        /// Only embeddings, queries or blocks
        kind: Option<CacheKind>,
    },
    /// Take out what is too old or too much, what is damaged, and files that nothing refers to
    Clean {
        /// What was not used for so many days is too old, whatever the declaration says
        #[arg(long, value_name = "N")]
        days: Option<u32>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CacheKind {
    /// Vectors of texts
    Embeddings,
    /// Answers to questions
    Queries,
    /// Anything else
    Blocks,
}

/// The model's process.
#[derive(Debug, Args)]
pub(crate) struct Embed {
    /// The directory with the model
    #[arg(long)]
    pub(crate) model: PathBuf,
    /// How many texts are embedded side by side
    #[arg(long)]
    pub(crate) threads: usize,
    /// How many seconds nothing may be asked before it ends
    #[arg(long)]
    pub(crate) idle: u64,
    /// Strategy, policy and nodes
    #[arg(long)]
    pub(crate) numa: Option<String>,
}
