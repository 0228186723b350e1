//! The web server: a process without rights that reaches the tools by the daemon's socket.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use api::Client;
use declaration::{Declaration, Mcp, Profile};
use mcp::Backend;
use mcp::aggregate::Aggregate;
use mcp::host::{Host, INSTRUCTIONS};
use mcp::profile::{Selection, select};
use mcp::server::{Options, Server};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use web::{Answers, Doors, Endpoints, Limits, Names};

use crate::cli;
use crate::failure::Failure;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(declaration: Declaration, options: &cli::Web) -> Result<u8, Failure> {
    if rustix::process::geteuid().is_root() {
        log::warn!(
            "the web server needs no rights: run it as a user of its own, in the group opdbus"
        );
    }
    // Programs of upstream servers run as the same user, and must not read tokens out of its memory.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("close the server's memory to others")?;
    let client = Client::via(&options.socket, "mcp");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("op-dbus-web")
        .enable_all()
        .build()
        .context("start the server's threads")?;
    let web = declaration.web.unwrap_or_default();
    let address = options.listen.unwrap_or(web.listen);
    runtime.block_on(async {
        let endpoints = endpoints(&client, &declaration.mcp, web.profile)?;
        let names = Names::of(&web);
        let doors = |end| Doors::new(names, client, endpoints, end);
        serve(address, "/mcp", Limits::default(), doors).await
    })?;
    Ok(0)
}

/// A server for each profile, and one for the path without a name, with the declared upstream servers joined. Begun
/// in the runtime that they run in.
fn endpoints(client: &Client, upstreams: &Mcp, usual: Profile) -> Result<Endpoints, Failure> {
    let host = Aggregate::joined_to(Arc::new(Host::through(client.clone())), upstreams);
    let mut endpoints = Endpoints::new();
    for profile in Profile::ALL {
        let server = server(&host, profile)?;
        if profile == usual {
            endpoints.insert(String::new(), server.clone());
        }
        endpoints.insert(profile.to_string(), server);
    }
    Ok(endpoints)
}

/// Serves at an address until SIGTERM or SIGINT; `path` is what to look at there.
pub(crate) async fn serve<A: Answers>(
    address: SocketAddr,
    path: &str,
    limits: Limits,
    answers: impl FnOnce(CancellationToken) -> A,
) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listen on {address}"))?;
    let bound = listener.local_addr().context("read the server's address")?;
    let end = CancellationToken::new();
    let answers = Arc::new(answers(end.clone()));
    let serving = tokio::spawn(web::serve(listener, answers, limits, end.clone()));
    anstream::eprintln!("op-dbus: serving http://{bound}{path}");
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("serving http://{bound}{path}")),
    ]);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tell(&[NotifyState::Stopping]);
    end.cancel();
    serving.await.context("end the server")?;
    Ok(())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd was not told: {error}");
    }
}

fn server(host: &Arc<dyn Backend>, profile: Profile) -> Result<Server, Failure> {
    let picked = select(Arc::clone(host), Selection::Profile(profile), false);
    let options = Options::new("op-dbus", "operation-dbus").instructions(INSTRUCTIONS);
    Ok(Server::new(picked, options).context("make the MCP server")?)
}
