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
use web::{Answers, Doors, Endpoints, Limits, Setting, Source, Tls};

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
    let address = options.address(&web);
    let source = source(&web, address, options)?;
    let tls = source.as_ref().map(Tls::new).transpose();
    let tls = tls.context("set up TLS")?;
    runtime.block_on(async {
        let endpoints = endpoints(&client, &declaration.mcp, web.profile)?;
        let doors = |end| {
            Doors::new(Setting {
                declared: web.clone(),
                chat: declaration.chat.clone(),
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
            if options.address(&web) != address {
                log::warn!("it goes on at {address}: another address takes a restart");
            }
            let now = self::source(&web, address, options)?;
            match (&tls, &now) {
                (Some(tls), Some(source)) => tls.reload(source).context("read the certificate")?,
                (None, None) => {}
                _ => log::warn!("it goes on as it is: to begin or to end TLS takes a restart"),
            }
            let endpoints = self::endpoints(&client, &declaration.mcp, web.profile)?;
            Ok((web, declaration.chat, endpoints))
        };
        let reload = |doors: &Doors, status: &str| reload(doors, &again, status);
        let place = Place {
            address,
            tls: tls.clone(),
            path: "/chat.html",
        };
        serve(place, Limits::default(), doors, reload).await
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

/// What makes the connections TLS. Nobody else listens in on this host's own addresses; elsewhere they would.
fn source(web: &Web, address: SocketAddr, options: &cli::Web) -> Result<Option<Source>, Failure> {
    if web.tls.is_none() && !address.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "others than this host could listen in on {address}: declare `web.tls`, or take 127.0.0.1 or [::1]"
        )));
    }
    let listening = Web {
        listen: address,
        ..web.clone()
    };
    let source = Source::of(&listening, options.state.as_deref());
    source.map_err(|error| Failure::Usage(error.to_string()))
}

/// Where a server serves.
pub(crate) struct Place {
    /// The address with the port.
    pub(crate) address: SocketAddr,
    /// What makes it TLS.
    pub(crate) tls: Option<Tls>,
    /// What to look at there.
    pub(crate) path: &'static str,
}

/// Serves at an address until SIGTERM or SIGINT; SIGHUP has it reload.
pub(crate) async fn serve<A: Answers>(
    place: Place,
    limits: Limits,
    answers: impl FnOnce(CancellationToken) -> A,
    reload: impl Fn(&A, &str),
) -> Result<(), Failure> {
    let Place { address, tls, path } = place;
    let scheme = if tls.is_some() { "https" } else { "http" };
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
        tls,
        Arc::clone(&answers),
        limits,
        end.clone(),
    ));
    let status = format!("serving {scheme}://{bound}{path}");
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

/// Reads the declaration again: the sections of the web server and the chat, and the servers behind `/mcp`.
type Again<'a> = dyn Fn() -> Result<(Web, declaration::Chat, Endpoints), Failure> + 'a;

/// Leads to what is declared now. A bad declaration changes nothing.
fn reload(doors: &Doors, again: &Again<'_>, status: &str) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
    let status = match again() {
        Ok((declared, chat, endpoints)) => {
            doors.lead_to(&declared, &chat, endpoints);
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
