//! What tells that the host or its declaration may have changed.
//!
//! Each source is a task that sleeps until the kernel, a switch or a service has something to say. A source says
//! only that something happened: the next look finds out what.

mod database;
pub(super) mod files;
mod flows;
mod links;
mod processes;
mod units;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tools::engine::Host;

use super::keeper::Poke;

/// Time before the second attempt to reach what is not there; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Something that is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The declaration.
    File(PathBuf),
    /// Directories whose entries come and go.
    Directories(Vec<PathBuf>),
    /// Links, addresses, routes.
    Links,
    /// Open vSwitch's database.
    Database(PathBuf),
    /// The flows of a bridge, by its management socket.
    Flows(PathBuf),
    /// Units of systemd.
    Units(Vec<String>),
    /// A process that must not end.
    Process(i32),
}

/// All watches; each pokes the keeper.
pub(super) struct Watch {
    poke: Poke,
    runtime: Handle,
    file: BTreeMap<Source, JoinHandle<()>>,
    host: BTreeMap<Source, JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in self.file.values().chain(self.host.values()) {
            task.abort();
        }
    }
}

impl Watch {
    pub(super) fn new(poke: Poke, runtime: Handle) -> Self {
        Self {
            poke,
            runtime,
            file: BTreeMap::new(),
            host: BTreeMap::new(),
        }
    }

    /// Watches the declaration.
    pub(super) fn file(&mut self, file: Option<&Path>) {
        let wanted = file.map(|file| Source::File(file.to_owned()));
        follow(&mut self.file, wanted, &self.runtime, &self.poke);
    }

    /// Watches what the declaration is about.
    pub(super) fn host(&mut self, host: &Host) {
        let wanted = sources(host);
        follow(&mut self.host, wanted, &self.runtime, &self.poke);
    }
}

/// Starts what is newly wanted and ends what is not wanted any more.
fn follow(
    tasks: &mut BTreeMap<Source, JoinHandle<()>>,
    wanted: impl IntoIterator<Item = Source>,
    runtime: &Handle,
    poke: &Poke,
) {
    let mut old = std::mem::take(tasks);
    for source in wanted {
        // A task that ended has said so by poking: what it watched is there again, or it is not wanted.
        let task = match old.remove(&source).filter(|task| !task.is_finished()) {
            Some(task) => task,
            None => runtime.spawn(watch(source.clone(), poke.clone())),
        };
        tasks.insert(source, task);
    }
    for task in old.into_values() {
        task.abort();
    }
}

fn sources(host: &Host) -> Vec<Source> {
    let declaration = &host.declaration;
    let base = &host.paths.base;
    let directories = [
        base.clone(),
        base.join("@containers"),
        base.join("@templates"),
    ];
    let there = directories.into_iter().filter(|path| path.is_dir());
    let mut sources = vec![Source::Links, Source::Directories(there.collect())];
    if let Some(ovs) = &declaration.plugins.ovs {
        sources.push(Source::Database(ovs.run_dir.join("db.sock")));
        let bridges = declaration
            .plugins
            .openflow
            .iter()
            .flat_map(|it| it.bridges.keys());
        let sockets = bridges.map(|bridge| ovs.run_dir.join(format!("{bridge}.mgmt")));
        sources.extend(sockets.map(Source::Flows));
    }
    let units = units_of(host);
    if !units.is_empty() && Path::new("/run/systemd/system").is_dir() {
        sources.push(Source::Units(units));
    }
    let containers = base.join("@containers");
    sources.extend(
        processes::of_containers(&containers)
            .into_iter()
            .map(Source::Process),
    );
    sources
}

/// The units whose end or failure is drift.
fn units_of(host: &Host) -> Vec<String> {
    let (declaration, base) = (&host.declaration, &host.paths.base);
    let containers = declaration
        .plugins
        .lxc
        .iter()
        .flat_map(|lxc| lxc.containers.keys());
    let containers = containers.map(|name| plugins::lxc::unit_of(base, name));
    let declared = declaration
        .plugins
        .systemd
        .iter()
        .flat_map(|it| it.units.keys());
    containers
        .chain(declared.map(ToString::to_string))
        .collect()
}

/// Tells when a source has something to read. It has a descriptor of its own, which ends with it.
pub(super) fn readiness(source: &impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    let own = source.as_fd().try_clone_to_owned()?;
    #[allow(unsafe_code)]
    // SAFETY: an OwnedFd always gives the same descriptor, which is open until it is dropped.
    unsafe { AsyncFd::register(own) }.map_err(io::Error::from)
}

async fn watch(source: Source, poke: Poke) {
    let ended = match &source {
        Source::File(path) => files::entry(path, &poke).await,
        Source::Directories(paths) => files::directories(paths, &poke).await,
        Source::Links => links::run(&poke).await,
        Source::Database(path) => again_and_again(|| database::run(path, &poke)).await,
        Source::Flows(path) => again_and_again(|| flows::run(path, &poke)).await,
        Source::Units(names) => units::run(names, &poke).await,
        Source::Process(id) => processes::run(*id, &poke).await,
    };
    if let Err(error) = ended {
        log::warn!("{source:?} is not watched, only looked at now and then: {error}");
    }
}

/// Watches what may be away for a while, such as a switch that is started again.
async fn again_and_again<F: Future<Output = io::Result<()>>>(
    run: impl Fn() -> F,
) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = tokio::time::Instant::now();
        if let Err(error) = run().await {
            log::debug!("{error}");
        }
        if begun.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
