//! The daemon: keeps the host in its declared state, and opens the doors to the tools.

mod checkpoints;
mod index;
mod keeper;
mod listen;
mod memory;
mod notify;
pub(crate) mod orchestrator;
mod replication;
mod rota;
mod standing;
mod watch;
mod witnesses;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tools::engine::{SAMPLE_EVERY, Site};
use tools::{Cancel, Registry, ToolError};

pub(crate) use keeper::{Poke, Trigger};
pub(crate) use standing::{Report, Standing};

use checkpoints::Checkpoints;
use orchestrator::Orchestrator;

use crate::cli::{self, Cli};
use crate::doors::nonnet::NonNet;
use crate::doors::sessions::Sessions;
use crate::doors::{self, Hall};
use crate::failure::Failure;

/// How long calls that are on their way when the daemon ends may take to end themselves.
const GRACE: Duration = Duration::from_secs(3);
/// How long it may take to write down how tasks ended.
const SETTLE: Duration = Duration::from_secs(1);
/// How long those that did not may hold up the end.
const LAST: Duration = Duration::from_millis(100);
/// How many files and sockets the daemon may have open at once.
const FILES: u64 = 65_536;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(cli: &Cli, options: &cli::Daemon) -> Result<u8, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Refused(
            "the daemon keeps the host and needs root: `systemctl start op-dbusd`".to_owned(),
        ));
    }
    let site = crate::line::site(cli)?;
    if site.file().is_none() {
        return Err(Failure::Usage(
            "the daemon reads its declaration again and again: name a file".to_owned(),
        ));
    }
    raise_limit();
    memory::share();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .thread_stack_size(1 << 20)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_name("op-dbusd")
        .enable_all()
        .build()
        .context("start the daemon's threads")?;
    let ended = runtime.block_on(serve(site, options));
    runtime.shutdown_timeout(LAST);
    ended.map(|()| 0)
}

async fn serve(site: Site, options: &cli::Daemon) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;

    let registry = Arc::new(Registry::built_in(site));
    let standing = Arc::new(Standing::new());
    let (poke, pokes) = Poke::channel();
    let bell = poke.clone();
    registry
        .site()
        .set_bell(move || bell.send(Trigger::Event("a change was recorded")));
    let nonnet = Arc::new(NonNet::new().context("make the NonNet database")?);
    let hall = Arc::new(Hall::new(
        Arc::clone(&registry),
        Arc::clone(&standing),
        Arc::clone(&nonnet),
        poke.clone(),
        Sessions::new(options.access_seconds),
    ));

    let orchestrator = Orchestrator::new(&hall);

    // Whose lock, name or socket is taken has another daemon beside it: nothing must be done then.
    keep(registry.site())?;
    let bus = match options.no_bus {
        true => None,
        false => doors::dbus::open(&hall, &orchestrator).await?,
    };
    let mut listeners = listen::handed_over()?;
    listeners.add(&options.jsonrpc)?;
    if let Ok(paths) = registry.site().paths() {
        let api = paths.api_socket();
        // The base may still have to be made or mounted.
        match paths.timing().is_dir() {
            true => {
                open_api(registry.site(), &mut listeners)?;
                hall.load_records();
                open_tasks(&orchestrator);
            }
            false => listeners.expect(&api)?,
        }
    }
    tokio::spawn(Arc::clone(&orchestrator).distribute());
    let witnesses = witnesses::start(&registry, &standing);
    let keeper = keeper::start(
        Arc::clone(&registry),
        Arc::clone(&standing),
        nonnet,
        poke.clone(),
        pokes,
        options.every,
    )?;
    let replication = replication::Schedule::start(Arc::clone(&registry), standing.looks());
    let mut doors = doors::jsonrpc::Doors::new();
    doors.serve(&hall, listeners.take());
    notify::ready(&standing);
    let called = hall.called();
    let resting = Arc::clone(&registry);
    tokio::spawn(async move { memory::give_back(&called, || resting.site().rest()).await });
    let indexing = Cancel::default();
    tokio::spawn(index::keep(Arc::clone(&hall), indexing.clone()));
    tokio::spawn(rota::keep(Arc::clone(&registry), keeper.looks()));
    tokio::spawn(sample(Arc::clone(&registry)));
    let checkpoints = Checkpoints::new(&registry);
    let publishing = tokio::spawn(checkpoints.clone().run(standing.changes()));
    let watchdog = notify::watchdog(Arc::clone(&standing));
    let mut changes = standing.changes();
    changes.mark_changed();
    loop {
        tokio::select! {
            // The base may come with the first look, or be mounted later.
            _ = changes.changed(), if !listeners.is_complete() => {
                match open_api(registry.site(), &mut listeners) {
                    Ok(true) => {
                        doors.serve(&hall, listeners.take());
                        hall.load_records();
                        open_tasks(&orchestrator);
                    }
                    Ok(false) => {}
                    Err(failure) => log::warn!("the API socket is not open: {failure}"),
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                notify::reloading();
                poke.send(Trigger::Reload);
                notify::ready(&standing);
            }
        }
    }
    let begun = Instant::now();
    notify::stopping();
    indexing.cancel();
    orchestrator.stop();
    replication.stop();
    doors.abort();
    watchdog.abort();
    witnesses.abort();
    drop(bus);
    let keeper = tokio::task::spawn_blocking(move || keeper.stop());
    hall.end(GRACE).await;
    orchestrator.settle(SETTLE).await;
    let _ = keeper.await;
    publishing.abort();
    checkpoints.last().await;
    log::info!("ended after {} ms", begun.elapsed().as_millis());
    Ok(())
}

/// Keeps how busy the machine is.
async fn sample(registry: Arc<Registry>) {
    let mut time = tokio::time::interval(SAMPLE_EVERY);
    time.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        time.tick().await;
        registry.site().resources().sample();
    }
}

/// Goes on with the tasks of the time before.
fn open_tasks(orchestrator: &Orchestrator) {
    if let Err(error) = orchestrator.open() {
        log::error!("no tasks are taken in: {error}");
    }
}

/// Makes this the daemon of its host, if it can be known yet which that is.
fn keep(site: &Site) -> Result<(), Failure> {
    match site.keep() {
        Err(ToolError::Refused(why)) => Err(Failure::Refused(why)),
        Err(error) => {
            log::warn!("other daemons are not kept out yet: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Opens the socket in the base once that is there; whether it is open now.
fn open_api(site: &Site, listeners: &mut listen::Listeners) -> Result<bool, Failure> {
    let paths = site.paths()?;
    if !paths.timing().is_dir() {
        return Ok(false);
    }
    site.keep()?;
    listeners.add(&paths.api_socket())?;
    listeners.complete();
    Ok(true)
}

/// Each connection is an open file, and the usual limit is 1024.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(FILES).min(FILES);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        },
    );
    if let Err(error) = raised {
        log::warn!(
            "cannot have more than {:?} files open: {error}",
            limit.current
        );
    }
}
