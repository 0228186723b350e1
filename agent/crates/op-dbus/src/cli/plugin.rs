//! Plugins made from D-Bus services.

use std::path::PathBuf;

use clap::Subcommand;

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
