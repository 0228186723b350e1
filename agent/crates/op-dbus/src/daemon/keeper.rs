//! Keeps the host in its declared state: looks when something happened and now and then, and mends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use declaration::{Declaration, Reconcile};
use reconcile::{Key, Plan, RunLock};
use serde_json::json;
use tokio::sync::watch;
use tools::engine::{Changed, Host, Paths, Why};
use tools::{Caller, Cancel, Door, Options, Registry, ToolError};

use super::standing::{Report, Standing, State};
use super::watch::Watch;
use crate::doors::nonnet::NonNet;
use crate::failure::Failure;

mod patience;

use patience::Patience;

/// How long it has to be quiet after an event before the daemon looks.
const QUIET: Duration = Duration::from_millis(100);
/// How long a look may be put off by further events.
const LATEST: Duration = Duration::from_millis(500);

/// How long after the end of a confirm window its guard may take to undo the run, in milliseconds.
const GUARD_MS: u64 = 3000;

/// Why the daemon looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Something happened to the host.
    Event(&'static str),
    /// The declaration changed.
    Declaration,
    /// SIGHUP: as if everything were new.
    Reload,
    /// The daemon ends.
    Stop,
}

/// Pokes the keeper.
#[derive(Debug, Clone)]
pub(crate) struct Poke(Sender<Trigger>);

impl Poke {
    pub(super) fn channel() -> (Self, Receiver<Trigger>) {
        let (sender, receiver) = channel();
        (Self(sender), receiver)
    }

    /// Asks for a look. After the keeper's end nobody listens, and nobody has to.
    pub(crate) fn send(&self, trigger: Trigger) {
        let _ = self.0.send(trigger);
    }
}

/// The keeper's thread.
pub(super) struct Keeper {
    poke: Poke,
    cancel: Cancel,
    looks: watch::Receiver<u64>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Rings after each look at another declaration than the one before.
    pub(super) fn looks(&self) -> watch::Receiver<u64> {
        self.looks.clone()
    }

    /// Ends it between two looks. One that hangs in the system is left to the end of the process.
    pub(super) fn stop(self) {
        self.cancel.cancel();
        self.poke.send(Trigger::Stop);
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < super::GRACE {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.thread.is_finished() && self.thread.join().is_err() {
            log::error!("the keeper ended by a panic");
        }
    }
}

/// Starts the keeper; its first look comes at once.
pub(super) fn start(
    registry: Arc<Registry>,
    standing: Arc<Standing>,
    nonnet: Arc<NonNet>,
    poke: Poke,
    pokes: Receiver<Trigger>,
    every: Duration,
) -> Result<Keeper, Failure> {
    let cancel = Cancel::default();
    let runtime = tokio::runtime::Handle::current();
    let (bell, looks) = watch::channel(0);
    let mut room = Room {
        registry,
        standing,
        nonnet,
        watch: Watch::new(poke.clone(), runtime),
        patience: Patience::default(),
        cancel: cancel.clone(),
        mended: 0,
        hold: None,
        said: None,
        followed: None,
        bell,
    };
    let thread = std::thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || room.keep(&pokes, every))
        .context("start the keeper's thread")?;
    Ok(Keeper {
        poke,
        cancel,
        looks,
        thread,
    })
}

/// What the keeper works with.
struct Room {
    registry: Arc<Registry>,
    standing: Arc<Standing>,
    nonnet: Arc<NonNet>,
    watch: Watch,
    patience: Patience,
    cancel: Cancel,
    mended: u64,
    /// How long events are not looked at, after a failure.
    hold: Option<Duration>,
    /// What was last written into the log.
    said: Option<String>,
    /// The declaration that was last looked at.
    followed: Option<Arc<Declaration>>,
    bell: watch::Sender<u64>,
}

/// What one look came to.
struct Found {
    state: State,
    text: String,
    drift: Vec<String>,
    /// When to look again at the latest.
    again: Option<Duration>,
}

impl Found {
    fn new(state: State, text: impl Into<String>) -> Self {
        Self {
            state,
            text: text.into(),
            drift: Vec::new(),
            again: None,
        }
    }
}

impl Room {
    fn keep(&mut self, pokes: &Receiver<Trigger>, every: Duration) {
        if let Err(error) = tools::engine::end_restore(self.registry.site()) {
            log::error!("a restore that was interrupted is not ended: {error}");
        }
        loop {
            let again = self.look();
            let wait = again.map_or(every, |again| again.min(every));
            // What failed makes events itself: until it is time, only news from people count.
            let not_before = Instant::now() + self.hold.take().unwrap_or_default();
            loop {
                let left = not_before.saturating_duration_since(Instant::now());
                match wait_for(pokes, wait.max(left)) {
                    Trigger::Stop => return,
                    Trigger::Reload => self.patience = Patience::default(),
                    Trigger::Declaration => log::debug!("looking: the declaration changed"),
                    Trigger::Event(_) if Instant::now() < not_before => continue,
                    Trigger::Event(what) => log::debug!("looking: {what}"),
                }
                break;
            }
            if self.cancel.is_cancelled() {
                return;
            }
        }
    }

    /// Looks, mends what may be mended, and reports; how soon to look again.
    fn look(&mut self) -> Option<Duration> {
        let mut mode = Reconcile::default();
        let found = self.find(&mut mode).unwrap_or_else(|error| match error {
            ToolError::Declaration(_) | ToolError::NotFound(_) => {
                Found::new(State::Undeclared, error.to_string())
            }
            error => {
                tools::export::keep(self.registry.site());
                let pause = self.patience.failed();
                self.hold = Some(pause);
                Found {
                    again: Some(pause),
                    ..Found::new(State::Failing, error.to_string())
                }
            }
        });
        if self.said.as_ref() != Some(&found.text) {
            match found.state {
                State::Converged => log::info!("{}", found.text),
                _ => log::warn!("{}", found.text),
            }
            self.said = Some(found.text.clone());
        }
        let report = Report {
            state: found.state,
            text: found.text,
            drift: found.drift,
            backed_off: self.patience.backed_off(),
            reconcile: mode.to_string(),
            time_ms: jiff::Timestamp::now().as_millisecond(),
            mended: self.mended,
            // They are the witnesses'.
            alarms: BTreeMap::new(),
        };
        self.nonnet.show_host(&report, self.registry.site().file());
        self.standing.set(report);
        self.ring();
        found.again
    }

    /// Tells those who go by the declaration if it is another one.
    fn ring(&mut self) {
        let declaration = self.registry.site().declaration().ok();
        if declaration != self.followed {
            self.followed = declaration;
            self.bell.send_modify(|count| *count += 1);
        }
    }

    fn find(&mut self, mode: &mut Reconcile) -> Result<Found, ToolError> {
        let site = self.registry.site();
        let file = site.file().map(std::path::Path::to_owned);
        // Watched even while it is bad or missing: that is when it will change.
        self.watch.file(file.as_deref());
        let declaration = site.declaration()?;
        *mode = declaration.reconcile;
        if let Some(deadline_ms) = tools::engine::awaiting(&site.paths()?)? {
            let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
            let left = Duration::from_millis(deadline_ms.saturating_sub(now));
            tools::export::keep(site);
            if now > deadline_ms + GUARD_MS {
                // Its guard ended with the machine, or was killed.
                tools::engine::expire(&site.paths()?, &declaration)?;
                return Ok(Found {
                    again: Some(QUIET),
                    ..Found::new(State::Awaiting, "undid a run that nobody confirmed in time")
                });
            }
            return Ok(Found {
                again: Some(left + Duration::from_secs(1)),
                ..Found::new(
                    State::Awaiting,
                    "a run waits to be confirmed: `op-dbus confirm` keeps it",
                )
            });
        }
        let host = Host::new(&declaration)?;
        self.watch.host(&host);
        let plan = self.observe(&host)?;
        if plan.is_empty() && (*mode == Reconcile::Observe || !left_behind(&host.paths)) {
            self.patience.rested();
            tools::engine::converged(site, &host);
            return Ok(Found::new(
                State::Converged,
                "the host is in its declared state",
            ));
        }
        if *mode == Reconcile::Observe {
            return Ok(drifted(&plan, State::Drifted, "only reported, as declared"));
        }
        if !plan.is_empty()
            && let Some(undone) = tools::engine::undone(&host.paths, &host.declaration)
        {
            let what = match undone.why {
                Why::Unconfirmed => {
                    format!("run {} was undone since nobody confirmed it", undone.run)
                }
                Why::RolledBack => format!("{} was rolled back", undone.run),
            };
            let why = format!("left alone: {what}. `op-dbus apply` tries again");
            return Ok(drifted(&plan, State::Held, &why));
        }
        self.mend(&plan, &declaration)
    }

    /// Reads the system, shows it, and plans.
    fn observe(&self, host: &Host) -> Result<Plan, ToolError> {
        let world = reconcile::observe(&host.plugins)?;
        let plan = reconcile::difference(&host.plugins, &world)?;
        let names = host.plugins.iter().map(|plugin| plugin.name());
        self.nonnet
            .show_resources(&names.zip(&world).collect(), &plan);
        tools::export::keep_seen(self.registry.site(), host, &world);
        Ok(plan)
    }

    /// Whether what is to be mended is no longer what it was at the look.
    fn overtaken(&self, looked_at: &Declaration) -> bool {
        let site = self.registry.site();
        let Ok(now) = site.declaration() else {
            return false;
        };
        let undone = |host: Host| tools::engine::undone(&host.paths, &host.declaration).is_some();
        *now != *looked_at || Host::new(&now).is_ok_and(undone)
    }

    fn mend(&mut self, plan: &Plan, declaration: &Declaration) -> Result<Found, ToolError> {
        let except = self.patience.held_back(plan);
        let caller = Caller {
            uid: 0,
            name: "op-dbusd".to_owned(),
            door: Door::Daemon,
            role: Some(tools::Role::Operator),
            refusal: None,
            interactive: false,
            on_behalf_of: None,
        };
        let arguments =
            json!({ "careful": true, "unattended": true, "confirm_s": 0, "except": except });
        let listener = |event: &tools::Event| log::debug!("{}", event.text);
        let answer = self.registry.call(
            &caller,
            "state_apply",
            arguments,
            Options::default(),
            &self.cancel,
            &listener,
        );
        let answer = match answer {
            // What there was to mend was rolled back, or declared anew, while this waited for its turn.
            Err(ToolError::Refused(text)) if self.overtaken(declaration) => {
                return Ok(Found {
                    again: Some(QUIET),
                    ..Found::new(State::Held, text)
                });
            }
            answer => answer?,
        };
        let changed: Changed = serde_json::from_value(answer)
            .map_err(|error| ToolError::failed("read what was changed", error))?;
        let mended: Vec<Key> = changed.changes.iter().map(reconcile::Change::key).collect();
        self.patience.mended(&mended);
        self.mended += u64::try_from(mended.len()).unwrap_or_default();
        if !mended.is_empty() {
            log::info!("mended {}", names(&mended));
        }
        // Creating bridges and containers gives more to watch.
        let host = Host::new(&*self.registry.site().declaration()?)?;
        self.watch.host(&host);
        self.observe(&host)?;
        if changed.left.is_empty() {
            return Ok(Found::new(
                State::Converged,
                "the host is in its declared state",
            ));
        }
        let left: BTreeSet<String> = changed.left.iter().map(Key::to_string).collect();
        let again = self.patience.next();
        let why = match again {
            None => {
                "left alone, since it would destroy data or touch the management path: look at \
                     `op-dbus plan`, then apply it by hand"
            }
            Some(_) => "left alone for a while, since it does not stay mended",
        };
        Ok(Found {
            drift: left.iter().cloned().collect(),
            again,
            ..Found::new(State::Held, format!("{}: {why}", names(&changed.left)))
        })
    }
}

/// Whether a run that was killed left its journal, and nobody is putting it in order.
fn left_behind(paths: &Paths) -> bool {
    paths.journal().exists() && RunLock::is_free(&paths.lock())
}

fn drifted(plan: &Plan, state: State, why: &str) -> Found {
    let keys: Vec<Key> = plan.changes.iter().map(reconcile::Change::key).collect();
    Found {
        drift: keys.iter().map(Key::to_string).collect(),
        ..Found::new(state, format!("{} not as declared: {why}", names(&keys)))
    }
}

/// A few of the names, and how many more there are.
fn names(keys: &[Key]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = keys.iter().take(SHOWN).map(Key::to_string).collect();
    match keys.len() {
        0..=SHOWN => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - SHOWN),
    }
}

/// Waits for something to happen, and then until it is quiet, so that one burst is one look.
fn wait_for(pokes: &Receiver<Trigger>, limit: Duration) -> Trigger {
    let first = match pokes.recv_timeout(limit) {
        Ok(trigger) => trigger,
        Err(RecvTimeoutError::Timeout) => Trigger::Event("it is time"),
        Err(RecvTimeoutError::Disconnected) => Trigger::Stop,
    };
    let begun = Instant::now();
    let mut most = first;
    while most != Trigger::Stop && begun.elapsed() < LATEST {
        match pokes.recv_timeout(QUIET) {
            Ok(Trigger::Stop) => most = Trigger::Stop,
            Ok(Trigger::Reload) => most = Trigger::Reload,
            Ok(Trigger::Declaration) if most != Trigger::Reload => most = Trigger::Declaration,
            Ok(Trigger::Declaration | Trigger::Event(_)) => {}
            Err(_) => break,
        }
    }
    most
}
