//! Containers and the templates that they are made from.

use clap::{Args, Subcommand, ValueEnum};
use declaration::{BridgeName, ContainerName, Size, TemplateName};
use ipnet::IpNet;

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
    /// Stop a container and start it again; start it if it does not run
    Restart {
        /// The container
        name: ContainerName,
    },
    /// Show what a container wrote to its console last
    Log {
        /// The container
        name: ContainerName,
        /// How many lines at most
        #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        lines: u32,
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
    /// The template; the declaration's only one if there is one
    #[arg(long, short)]
    pub(crate) template: Option<TemplateName>,
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
