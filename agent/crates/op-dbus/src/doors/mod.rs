//! The daemon's doors: how programs on this host reach the tools.

mod crowd;
pub(crate) mod dbus;
pub(crate) mod frame;
pub(crate) mod jsonrpc;
pub(crate) mod nonnet;
mod ovsdb;
pub(crate) mod sessions;
pub(crate) mod tokens;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, watch};
use tools::{Accounts, Caller, Cancel, Door, Effect, Event, Options, Registry, ToolError};

use crate::daemon::{Poke, Standing};
use crowd::Crowd;
use nonnet::NonNet;
use sessions::Sessions;
use tokens::Tokens;

/// How many calls that read are carried out at once; the others wait.
const READS: usize = 8;
/// How many questions for rights are answered at once, whatever reads meanwhile.
const DECISIONS: usize = 8;
/// How many calls that change something are on their way at once; they take turns inside.
const CHANGES: usize = 24;
/// How long a call may take where its caller does not say: an hour, since templates are downloaded.
const LONGEST: Duration = Duration::from_secs(3600);

/// What all doors share.
pub(crate) struct Hall {
    pub(crate) registry: Arc<Registry>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) nonnet: Arc<NonNet>,
    /// The schema of the switch's database as clients were told it.
    announced: tokio::sync::Mutex<Option<Value>>,
    /// Whether the records of the NonNet database were taken in.
    loaded: std::sync::Mutex<bool>,
    crowd: Crowd,
    tokens: Tokens,
    sessions: Sessions,
    poke: Poke,
    reads: Arc<Semaphore>,
    decisions: Arc<Semaphore>,
    changes: Arc<Semaphore>,
    /// What takes back the calls on their way.
    calls: Mutex<HashMap<u64, Cancel>>,
    counted: AtomicU64,
    ending: AtomicBool,
    called: Arc<Notify>,
    bell: watch::Sender<u64>,
    begun: Instant,
}

/// How a call comes out of a door.
pub(crate) struct Request {
    pub(crate) caller: Caller,
    pub(crate) name: String,
    pub(crate) arguments: Value,
    pub(crate) options: Options,
    pub(crate) cancel: Cancel,
}

impl Hall {
    pub(crate) fn new(
        registry: Arc<Registry>,
        standing: Arc<Standing>,
        nonnet: Arc<NonNet>,
        poke: Poke,
        sessions: Sessions,
    ) -> Self {
        Self {
            registry,
            standing,
            nonnet,
            announced: tokio::sync::Mutex::default(),
            loaded: std::sync::Mutex::default(),
            crowd: Crowd::default(),
            tokens: Tokens::default(),
            sessions,
            poke,
            reads: Arc::new(Semaphore::new(READS)),
            decisions: Arc::new(Semaphore::new(DECISIONS)),
            changes: Arc::new(Semaphore::new(CHANGES)),
            calls: Mutex::default(),
            counted: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            called: Arc::new(Notify::new()),
            bell: watch::channel(0).0,
            begun: Instant::now(),
        }
    }

    /// Tells of each call that may have changed something.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// Says that something may have been recorded.
    fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }

    /// Tells clients of OVSDB what has changed about the switch's database.
    async fn announce_switch(&self, name: &str, schema: Option<Value>) {
        let mut announced = self.announced.lock().await;
        if *announced != schema {
            self.nonnet.announce(name, schema.as_ref());
            *announced = schema;
        }
    }

    /// Takes in what others kept in the NonNet database, once the base is there. Before that nothing may be
    /// written, since it would take its place.
    fn ensure_records(&self) -> Result<(), String> {
        let mut loaded = self
            .loaded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *loaded {
            return Ok(());
        }
        let site = self.registry.site();
        let paths = site.paths().map_err(|error| error.to_string())?;
        if !paths.timing().is_dir() {
            return Err("the base is not there yet, and records could not be kept".to_owned());
        }
        let path = paths.records();
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
            Ok(text) => {
                let saved = serde_json::from_slice(&text);
                let saved = saved.map_err(|error| format!("{}: {error}", path.display()))?;
                self.nonnet.load(&saved);
            }
        }
        *loaded = true;
        Ok(())
    }

    /// Shows what others kept, as soon as it can be read.
    pub(crate) fn load_records(&self) {
        if let Err(error) = self.ensure_records() {
            log::warn!("records of the NonNet database are not there: {error}");
        }
    }

    /// Saves what others keep in the NonNet database, after a transaction that wrote to it.
    fn records_changed(&self, database: &str) {
        if database != nonnet::NAME {
            return;
        }
        let saved = self.registry.site().paths().and_then(|paths| {
            let text = self.nonnet.records().to_string();
            tools::engine::write_whole(&paths.records(), text.as_bytes())
        });
        if let Err(error) = saved {
            log::error!("records of the NonNet database are not saved: {error}");
        }
    }

    /// Rings at the end of each call.
    pub(crate) fn called(&self) -> Arc<Notify> {
        Arc::clone(&self.called)
    }

    /// Who is behind a uid that the kernel vouches for.
    pub(crate) fn caller(&self, uid: u32, door: Door) -> Caller {
        let access = self.registry.site().access();
        Caller::of_uid(uid, door, &access, &Accounts::read())
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Cancel>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the registry itself something that takes its time, on a thread that may wait.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> T + Send + 'static,
    ) -> Result<T, ToolError> {
        self.ask_in(&self.reads, work).await
    }

    /// The same for what decides whether a caller may begin: it does not wait for what reads.
    pub(crate) async fn decide<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> T + Send + 'static,
    ) -> Result<T, ToolError> {
        self.ask_in(&self.decisions, work).await
    }

    async fn ask_in<T: Send + 'static>(
        &self,
        room: &Arc<Semaphore>,
        work: impl FnOnce(&Registry) -> T + Send + 'static,
    ) -> Result<T, ToolError> {
        let permit = Arc::clone(room).acquire_owned().await;
        let permit = permit.map_err(|_| ToolError::Cancelled)?;
        let registry = Arc::clone(&self.registry);
        let work = move || {
            let _permit = permit;
            work(&registry)
        };
        let ended = tokio::task::spawn_blocking(work).await;
        self.called.notify_one();
        ended.map_err(|error| ToolError::failed("carry out the call", error))
    }

    /// Carries a call out on a thread that may wait.
    pub(crate) async fn call(
        &self,
        request: Request,
        listener: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Value, ToolError> {
        let registry = Arc::clone(&self.registry);
        let effect = registry.tool(&request.name)?.effect;
        let Request {
            caller,
            name,
            arguments,
            mut options,
            cancel,
        } = request;
        let deadline = *options
            .deadline
            .get_or_insert_with(|| Instant::now() + LONGEST);
        let room = match effect {
            Effect::Read => &self.reads,
            Effect::Write | Effect::Destroy => &self.changes,
        };
        let waited = tokio::time::timeout_at(deadline.into(), Arc::clone(room).acquire_owned());
        let permit = waited.await.map_err(|_| ToolError::TimedOut)?;
        let permit = permit.map_err(|_| ToolError::Cancelled)?;
        let number = self.counted.fetch_add(1, Ordering::Relaxed);
        self.calls().insert(number, cancel.clone());
        // After the entry, so that the end sees either the entry or nothing begun.
        if self.ending.load(Ordering::SeqCst) {
            return Err(ToolError::Cancelled);
        }
        let changes = effect != Effect::Read && !options.dry_run;
        let work = move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _permit = permit;
            registry.call(&caller, &name, arguments, options, &cancel, &listener)
        };
        let ended = tokio::task::spawn_blocking(work).await;
        self.calls().remove(&number);
        self.called.notify_one();
        if changes {
            self.ring();
            self.poke
                .send(crate::daemon::Trigger::Event("a tool changed something"));
        }
        ended.unwrap_or_else(|error| Err(ToolError::failed("carry out the call", error)))
    }

    /// How the daemon stands.
    pub(crate) fn status(&self) -> Value {
        let site = self.registry.site();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_s": self.begun.elapsed().as_secs(),
            "declaration": site.file(),
            "host": self.standing.report(),
        })
    }

    /// Takes all calls back, and waits until they have ended: a run that has begun is brought to its end.
    pub(crate) async fn end(&self, limit: Duration) {
        self.ending.store(true, Ordering::SeqCst);
        for cancel in self.calls().values() {
            cancel.cancel();
        }
        let all = async {
            let reads = u32::try_from(READS).unwrap_or(u32::MAX);
            let changes = u32::try_from(CHANGES).unwrap_or(u32::MAX);
            let _ = self.reads.acquire_many(reads).await;
            let _ = self.changes.acquire_many(changes).await;
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            log::warn!(
                "calls were still on their way at the end; the next start puts in order what they left"
            );
        }
    }
}
