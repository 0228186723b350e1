//! The web server: a process without rights that reaches the tools by the daemon's socket.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use api::Client;
use declaration::{Declaration, Mcp, Profile, Web};
use mcp::Backend;
use mcp::aggregate::Aggregate;
use mcp::host::{Host, INSTRUCTIONS};
use mcp::profile::{Selection, select};
use mcp::server::{Options, Server};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use web::{Answers, Doors, Endpoints, Limits, Setting};

use crate::cli;
use crate::failure::Failure;

/// Reads the declaration.
pub(crate) type Read<'a> = dyn Fn() -> Result<Declaration, Failure> + 'a;

/// Runs until SIGTERM or SIGINT. SIGHUP has the declaration read again.
pub(crate) fn run(read: &Read<'_>, options: &cli::Web) -> Result<u8, Failure> {
    let declaration = read()?;
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
        let doors = |end| {
            Doors::new(Setting {
                declared: web.clone(),
                mcp: client.clone(),
                web: Client::via(&options.socket, "web"),
                endpoints,
                state: options.state.clone(),
                end,
            })
        };
        let again = || {
            let declaration = read()?;
            let web = declaration.web.unwrap_or_default();
            if options.listen.is_none() && web.listen != address {
                log::warn!("it goes on at {address}: another address takes a restart");
            }
            let endpoints = self::endpoints(&client, &declaration.mcp, web.profile)?;
            Ok((web, endpoints))
        };
        let reload = |doors: &Doors, status: &str| reload(doors, &again, status);
        serve(address, "/chat.html", Limits::default(), doors, reload).await
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

/// Serves at an address until SIGTERM or SIGINT; `path` is what to look at there, and SIGHUP has it reload.
pub(crate) async fn serve<A: Answers>(
    address: SocketAddr,
    path: &str,
    limits: Limits,
    answers: impl FnOnce(CancellationToken) -> A,
    reload: impl Fn(&A, &str),
) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listen on {address}"))?;
    let bound = listener.local_addr().context("read the server's address")?;
    let end = CancellationToken::new();
    let answers = Arc::new(answers(end.clone()));
    let serving = tokio::spawn(web::serve(
        listener,
        Arc::clone(&answers),
        limits,
        end.clone(),
    ));
    let status = format!("serving http://{bound}{path}");
    anstream::eprintln!("op-dbus: {status}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(&answers, &status),
        }
    }
    tell(&[NotifyState::Stopping]);
    end.cancel();
    serving.await.context("end the server")?;
    Ok(())
}

/// Leads to what is declared now. A bad declaration changes nothing.
fn reload(doors: &Doors, again: &dyn Fn() -> Result<(Web, Endpoints), Failure>, status: &str) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
    let status = match again() {
        Ok((declared, endpoints)) => {
            doors.lead_to(declared, endpoints);
            log::info!("the declaration was read again");
            status.to_owned()
        }
        Err(failure) => {
            log::error!("all stays as it was: {failure}");
            format!("{status}; the declaration could not be read again, all stays as it was")
        }
    };
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
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
