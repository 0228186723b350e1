//! The daemon's doors: how programs on this host reach the tools.

pub(crate) mod dbus;
pub(crate) mod frame;
pub(crate) mod jsonrpc;
pub(crate) mod nonnet;
mod ovsdb;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tools::{Accounts, Caller, Cancel, Door, Effect, Event, Options, Registry, ToolError};

use crate::daemon::{Poke, Standing};
use nonnet::NonNet;

/// How many calls that read are carried out at once; the others wait.
const READS: usize = 8;
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
    poke: Poke,
    reads: Arc<Semaphore>,
    changes: Arc<Semaphore>,
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
    ) -> Self {
        Self {
            registry,
            standing,
            nonnet,
            announced: tokio::sync::Mutex::default(),
            poke,
            reads: Arc::new(Semaphore::new(READS)),
            changes: Arc::new(Semaphore::new(CHANGES)),
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

    /// Takes in what others kept in the NonNet database.
    pub(crate) fn load_records(&self) {
        let Ok(paths) = self.registry.site().paths() else {
            return;
        };
        let Ok(text) = std::fs::read(paths.records()) else {
            return;
        };
        match serde_json::from_slice(&text) {
            Ok(saved) => self.nonnet.load(&saved),
            Err(error) => log::error!("{}: {error}", paths.records().display()),
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

    /// Who is behind a uid that the kernel vouches for.
    pub(crate) fn caller(&self, uid: u32, door: Door) -> Caller {
        let access = self.registry.site().access();
        Caller::of_uid(uid, door, &access, &Accounts::read())
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
        let changes = effect != Effect::Read && !options.dry_run;
        let work = move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _permit = permit;
            registry.call(&caller, &name, arguments, options, &cancel, &listener)
        };
        let ended = tokio::task::spawn_blocking(work).await;
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

    /// Waits until all calls have ended, at most so long.
    pub(crate) async fn end(&self, limit: Duration) {
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
