//! `op-dbus bridge`, which is also `dbus-mcp-bridge`: a service of the bus by MCP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser};
use dbus::mapping::Mode;
use mcp::bridge::{Allow, Bridge as Bridged, BridgeError, Options, Overrides, Which};
use mcp::server::{Options as ServerOptions, Server};
use tokio_util::sync::CancellationToken;
use zbus::OwnedObjectPath;
use zbus::names::OwnedBusName;

use crate::cli;
use crate::failure::Failure;

/// Any D-Bus service as an MCP server on standard input and output.
///
/// Methods become tools, properties are read and set by two general ones, signals are resources that clients
/// may subscribe to. Without --allow-write nothing is called that may change something.
#[derive(Debug, Parser)]
#[command(name = "dbus-mcp-bridge", version, max_term_width = 100)]
pub(crate) struct Standalone {
    #[command(flatten)]
    pub(crate) bridge: Bridge,
    /// Say more of what is done, on standard error; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Args)]
pub(crate) struct Bridge {
    /// The service's name, such as org.freedesktop.systemd1
    #[arg(long, value_name = "NAME", value_parser = service)]
    service: OwnedBusName,
    /// On the system bus, as it is without this too
    #[arg(long, conflicts_with = "session")]
    system: bool,
    /// On the user's session bus
    #[arg(long)]
    session: bool,
    /// Only objects at or below this path
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: OwnedObjectPath,
    /// Allow calls and property changes that may change something: all, or those whose INTERFACE.MEMBER the
    /// pattern fits (* stands for any text, ? for one character). May be given several times
    #[arg(long, value_name = "PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    allow_write: Vec<String>,
    /// Show variants with their types, and all bytes in base64
    #[arg(long)]
    raw: bool,
    /// Start the service if it does not run
    #[arg(long)]
    activate: bool,
    /// Never let the service ask a person for a password
    #[arg(long)]
    no_interactive: bool,
    /// How long a call may take, such as 30s or 2m
    #[arg(long, value_name = "TIME", value_parser = cli::duration, default_value = "50s")]
    timeout: Duration,
    /// How many objects are looked at when the bridge starts
    #[arg(long, value_name = "N", default_value_t = 2000)]
    objects: usize,
    /// What methods do, by interface, in TOML: wins over what is built in
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
}

fn service(text: &str) -> Result<OwnedBusName, String> {
    OwnedBusName::try_from(text).map_err(|_| {
        format!("`{text}` is not a name on the bus: they look like org.freedesktop.hostname1")
    })
}

fn path(text: &str) -> Result<OwnedObjectPath, String> {
    OwnedObjectPath::try_from(text)
        .map_err(|_| format!("`{text}` is not an object path: they look like /org/freedesktop"))
}

impl Bridge {
    fn options(&self) -> Result<Options, Failure> {
        let mut overrides = Overrides::built_in().context("built-in overrides")?;
        if let Some(file) = &self.overrides {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
            let own = text.parse::<Overrides>();
            let own = own.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
            overrides.extend(own);
        }
        Ok(Options {
            service: self.service.clone(),
            bus: if self.session { Which::Session } else { Which::System },
            root: self.path.clone(),
            allow: Allow::new(self.allow_write.iter().cloned()),
            mode: if self.raw { Mode::Tagged } else { Mode::Plain },
            activate: self.activate,
            interactive: !self.no_interactive,
            limit: self.timeout,
            objects: self.objects,
            overrides,
        })
    }
}

/// Serves until standard input ends.
pub(crate) fn run(bridge: &Bridge) -> Result<u8, Failure> {
    let options = bridge.options()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let bridged = Bridged::connect(options).await.map_err(advised)?;
        let title = format!("D-Bus service {}", bridged.service());
        let options = ServerOptions::new("dbus-mcp-bridge", title).instructions(bridged.instructions());
        let server = Server::new(Arc::new(bridged), options).context("cannot serve")?;
        let served = mcp::stdio::serve(server, CancellationToken::new()).await;
        served.context("the connection to the client ended")?;
        Ok(0)
    })
}

/// An error with what to do about it.
fn advised(error: BridgeError) -> Failure {
    let advice = match &error {
        BridgeError::Walk(introspect::dbus::WalkError::NotRunning(_)) => {
            "; start it, or give --activate to have it started"
        }
        BridgeError::Bus {
            bus: Which::Session,
            ..
        } => "; the session bus is the one that DBUS_SESSION_BUS_ADDRESS names",
        _ => "",
    };
    Failure::Failed(anyhow::anyhow!("{error}{advice}"))
}
