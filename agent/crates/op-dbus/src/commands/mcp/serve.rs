//! MCP on standard input and output.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use declaration::Mcp;
use mcp::aggregate::Aggregate;
use mcp::host::{Host, INSTRUCTIONS};
use mcp::profile::{Selection, select};
use mcp::server::{Options, Server};
use mcp::{Backend, Speaker};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tools::{Accounts, Caller, Door, Registry};

use crate::cli::{self, Cli};
use crate::client::Client;
use crate::failure::Failure;
use crate::line::site;

/// How long threads may take to end after a signal. A run that does not is found in its journal by the next one.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn run(cli: &Cli, options: &cli::Serve) -> Result<u8, Failure> {
    let host: Arc<dyn Backend> = Arc::new(host(cli, options)?);
    let upstreams = upstreams(cli);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the server")?;
    let end = CancellationToken::new();
    let served = runtime.block_on(serve(host, upstreams, options, end.clone()));
    match end.is_cancelled() {
        true => runtime.shutdown_timeout(GRACE),
        // Waits for calls in this process that cannot be left in the middle.
        false => drop(runtime),
    }
    served.map(|()| 0)
}

/// The way to the tools: the daemon's socket, or this process where it has the rights and no daemon runs.
fn host(cli: &Cli, options: &cli::Serve) -> Result<Host, Failure> {
    let through = |path: PathBuf| Host::through(api::Client::via(path, "mcp"));
    if let Some(path) = &options.socket {
        return Ok(through(path.clone()));
    }
    let site = site(cli)?;
    if !cli.here
        && Client::find(&site)?.is_some()
        && let Ok(paths) = site.paths()
    {
        return Ok(through(paths.api_socket()));
    }
    let uid = rustix::process::getuid();
    if !cli.here && !uid.is_root() {
        // The declaration may be closed to this user; the daemon knows what they may.
        return Ok(through(PathBuf::from(api::SOCKET)));
    }
    let mut caller = Caller::of_uid(uid.as_raw(), Door::Mcp, &site.access(), &Accounts::read());
    // In this process the kernel decides what may be read and changed.
    caller.role = Some(tools::Role::Admin);
    caller.on_behalf_of = ["SUDO_USER", "DOAS_USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    Ok(Host::here(Registry::built_in(site), caller))
}

/// The declared servers whose tools are passed on. Who may not read the declaration has none.
fn upstreams(cli: &Cli) -> Mcp {
    let declaration = site(cli).and_then(|site| Ok(site.declaration_if_any()?));
    match declaration {
        Ok(declaration) => declaration.mcp.clone(),
        Err(error) => {
            log::info!("no other servers are joined: {error}");
            Mcp::default()
        }
    }
}

async fn serve(
    host: Arc<dyn Backend>,
    upstreams: Mcp,
    options: &cli::Serve,
    end: CancellationToken,
) -> Result<(), Failure> {
    let selection = match options.groups.is_empty() {
        true => Selection::Profile(options.profile),
        false => {
            check(&*host, &upstreams, &options.groups).await?;
            Selection::Groups(options.groups.clone())
        }
    };
    let backend = Aggregate::joined_to(host, &upstreams);
    let backend = select(backend, selection, options.compact);
    let about = Options::new("op-dbus", "operation-dbus").instructions(INSTRUCTIONS);
    let server = Server::new(backend, about).context("make the server")?;
    let mut terminated = signal(SignalKind::terminate()).context("wait for signals")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("wait for signals")?;
    let ended = end.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        ended.cancel();
    });
    mcp::stdio::serve(server, end).await.context("serve MCP")?;
    Ok(())
}

/// A domain that has no tool, and is no other server's prefix, is a slip of the pen. Where the daemon is away, nobody can tell.
async fn check(host: &dyn Backend, upstreams: &Mcp, groups: &[String]) -> Result<(), Failure> {
    let Ok(all) = host.tools(&Speaker::default()).await else {
        return Ok(());
    };
    let prefixes = upstreams.upstreams.keys().map(|prefix| prefix.as_str());
    let domains = all.iter().map(|tool| tool.domain.as_str());
    let known: BTreeSet<&str> = domains.chain(prefixes).collect();
    match groups.iter().find(|group| !known.contains(group.as_str())) {
        None => Ok(()),
        Some(group) => Err(Failure::Usage(format!(
            "no tool is about `{group}`: there are {}",
            Vec::from_iter(known).join(", ")
        ))),
    }
}
