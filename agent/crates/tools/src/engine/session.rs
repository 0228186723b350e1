//! The one way in which the host is changed by the engine: lock, recover, plan, compare, apply.

use std::collections::BTreeSet;
use std::time::Duration;

use declaration::Declaration;
use reconcile::{
    Change, Key, LockError, Note, Order, Outcome, Plan, PlanHash, Recovery, Report, RunLock,
    Summary, Verb, apply, plan, recover,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::Host;
use super::mark::{self, Mark};
use super::past::{self, Asked, ByCommand, Declared};
use super::paths::Paths;
use super::restoring;
use super::site::Turn;
use super::witness::LedgerWitness;
use super::{guard, management};
use crate::call::Call;
use crate::caller::{Door, Role};
use crate::error::ToolError;
use crate::registry::bind;

/// The confirm window of changes of the management path where none is asked for.
const WINDOW: Duration = Duration::from_secs(60);
/// Time between two looks whether another process has ended its run.
const PAUSE: Duration = Duration::from_millis(100);

/// Chooses resources of a plan.
pub type Choice<'a> = dyn Fn(&Plan) -> BTreeSet<Key> + 'a;

/// What a change may do without being asked.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Changes that destroy data; the plan's hash has to be given too.
    pub allow_destroy: bool,
    /// The confirm window; zero for none, `None` for the default.
    pub confirm: Option<Duration>,
    /// Nobody is there who could confirm: no window while the machine starts.
    pub unattended: bool,
    /// Leave alone what would destroy data or touch the management path.
    pub careful: bool,
    /// Leave these resources alone too.
    pub except: BTreeSet<Key>,
    /// What is written down anew beside the resources: the plan, where no resource has to be changed.
    pub beside: Vec<Change>,
}

/// A host under the lock, with nothing left behind by an earlier run.
pub struct Session<'a> {
    /// The host.
    pub host: Host,
    call: &'a Call<'a>,
    recovered: bool,
    /// The containers made by command, when the lock was taken.
    found: ByCommand,
    /// What is to be remembered as asked for, where it is not simply what is declared.
    asked: Option<Asked>,
    _lock: RunLock,
    _turn: Turn<'a>,
}

/// How a change came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// There was nothing to do.
    Unchanged,
    /// An earlier run was put in order first.
    Recovered,
    /// All changes are done.
    Applied,
    /// All changes are done, and undone unless they are confirmed.
    AwaitingConfirmation,
    /// It failed, and all changes were undone.
    RolledBack,
    /// It failed, and not all changes could be undone.
    Stuck,
}

/// What a change did, for people and machines.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The run's id.
    pub run: String,
    /// How it ended.
    pub outcome: Ended,
    /// The hash of the plan.
    pub plan_hash: PlanHash,
    /// The plan's changes, in order.
    pub changes: Vec<Change>,
    /// What people should know besides.
    pub notes: Vec<Note>,
    /// How many changes of each kind.
    pub summary: Summary,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What could not be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_errors: Option<Vec<String>>,
    /// Until when it waits to be confirmed, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// What was left alone since nobody was asked: it would destroy data, or touch the management path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Key>,
}

impl<'a> Session<'a> {
    /// Waits for its turn, takes the lock, mounts the base again if need be, and ends what an earlier run left.
    pub fn open(
        call: &'a Call<'a>,
        written: &Declaration,
        command: &str,
    ) -> Result<Self, ToolError> {
        let turn = call.site.turn(call)?;
        let paths = Paths {
            base: written.plugins.btrfs.base.path.clone(),
        };
        if let Some(parent) = paths.base.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| ToolError::failed(&format!("make {}", parent.display()), error))?;
        }
        let witness = LedgerWitness::new(&paths, call.listener);
        let lock = acquire(call, &paths, command)?;
        Host::remount(written)?;
        super::snapshots::end_restore_at(call.site, &paths)?;
        // Recovery works on what the journal says, with every plugin, declared or not.
        let every = plugins::all(written);
        let mark = Mark::of_window(&paths);
        let recovery = recover(&every, &paths.journal(), &witness)?;
        mark.keep_if_undone(&recovery)?;
        let recovered = tell(&recovery, call)?;
        let host = Host::new(written)?;
        restoring::settle(&host)?;
        Ok(Self {
            found: host.by_command.clone(),
            asked: None,
            host,
            call,
            recovered,
            _lock: lock,
            _turn: turn,
        })
    }

    /// Plans, compares with the plan that was shown, applies. `only` chooses resources of the plan: these and
    /// what they require are changed.
    pub fn change(&self, only: Option<&Choice<'_>>, limits: &Limits) -> Result<Changed, ToolError> {
        let mut plan = plan(&self.host.plugins)?;
        if let Some(only) = only {
            let wanted = only(&plan);
            plan = plan.only(&wanted);
        }
        let mut left = Vec::new();
        if limits.careful || !limits.except.is_empty() {
            (plan, left) = careful(plan, limits);
        }
        let unchanged = plan.is_empty();
        if unchanged {
            plan.changes.clone_from(&limits.beside);
        }
        let hash = plan.hash();
        let run = run_id();
        if let Some(shown) = &self.call.options.plan {
            bind(Some(shown), &hash)?;
        }
        if unchanged {
            let outcome = match (self.recovered, plan.is_empty()) {
                (true, _) => Ended::Recovered,
                (false, true) => Ended::Unchanged,
                (false, false) => Ended::Applied,
            };
            if only.is_none() && left.is_empty() {
                self.host.heartbeat(&run, outcome, hash.as_str());
                past::converged(self.call.site, &self.host);
                self.call.site.unchanged(&self.host);
            }
            return Ok(Changed::nothing(run, outcome, plan, hash, left));
        }
        self.permit(&plan, &hash, limits)?;
        let window = self.window(&plan, limits);
        let order = Order {
            run: run.clone(),
            actor: self.call.caller.actor(),
            window,
            journal: self.host.paths.journal(),
        };
        super::snapshots::before_run(self.call, &self.host, &run)?;
        if window.is_some() {
            // It must be there before the first change: the change may be what cuts us off.
            guard::start(&self.host, &run)?;
        }
        let witness = LedgerWitness::new(&self.host.paths, self.call.listener);
        if self.call.caller.door != Door::Daemon {
            mark::forget(&self.host.paths);
        }
        let asked = self.asked(only.is_none());
        let remembered = asked.keep(&self.host.paths, &run);
        let report = apply(&self.host.plugins, &plan, &order, &witness)?;
        // The first run makes the place.
        if !remembered {
            asked.keep(&self.host.paths, &run);
        }
        let changed = Changed::of(
            Changed::nothing(run, Ended::Applied, plan, hash, left),
            report,
        );
        let changed = match changed.outcome {
            Ended::Applied if self.recovered => Changed {
                outcome: Ended::Recovered,
                ..changed
            },
            _ => changed,
        };
        match changed.outcome {
            Ended::RolledBack | Ended::Stuck => Err(ToolError::RolledBack(Box::new(changed))),
            Ended::AwaitingConfirmation => Ok(changed),
            outcome => {
                if only.is_none() && changed.left.is_empty() {
                    let hash = changed.plan_hash.as_str();
                    self.host.heartbeat(&changed.run, outcome, hash);
                    past::converged(self.call.site, &self.host);
                }
                Ok(changed)
            }
        }
    }

    /// Says what is to be remembered as asked for before the next change, and by it.
    pub(crate) fn remember(&mut self, asked: Asked) {
        self.asked = Some(asked);
    }

    /// What is asked for by this run, and was before it; the declaration has a part in runs of the whole plan.
    fn asked(&self, whole: bool) -> Asked {
        if let Some(asked) = &self.asked {
            return asked.clone();
        }
        let text = whole.then(|| past::written(self.call.site, &self.host));
        let before = past::standing(&self.host.paths).and_then(|declared| declared.text);
        Asked {
            before: Declared::new(before.filter(|_| whole), &self.found),
            after: Declared::new(text, &self.host.by_command),
        }
    }

    /// What the plan may not do without being asked for.
    fn permit(&self, plan: &Plan, hash: &PlanHash, limits: &Limits) -> Result<(), ToolError> {
        let destroyed: Vec<_> = plan
            .changes
            .iter()
            .filter(|change| change.destroys)
            .map(|change| change.key().to_string())
            .collect();
        if destroyed.is_empty() {
            return Ok(());
        }
        if !limits.allow_destroy {
            return Err(ToolError::Refused(format!(
                "the plan destroys data: {}. Look at it with `op-dbus plan`, then allow it with \
                 --allow-destroy",
                destroyed.join(", ")
            )));
        }
        if self.call.caller.role < Some(Role::Admin) {
            return Err(ToolError::Refused(format!(
                "the plan destroys data, which takes the role {}: {}",
                Role::Admin,
                destroyed.join(", ")
            )));
        }
        bind(self.call.options.plan.as_deref(), hash)
    }

    /// The confirm window: what is asked for, or a minute where the plan touches the management path.
    ///
    /// There is none while the machine starts and nobody is asked: nobody can have lost a way in, and nobody
    /// would confirm.
    fn window(&self, plan: &Plan, limits: &Limits) -> Option<Duration> {
        if limits.unattended && management::machine_is_starting() {
            return None;
        }
        match limits.confirm {
            Some(Duration::ZERO) => None,
            Some(window) => Some(window),
            None => {
                let links = management::links(self.call.options.ssh_client);
                let disrupted = plan.changes.iter().flat_map(|change| &change.disrupts);
                let touched = management::touched(disrupted, links.as_ref());
                (!touched.is_empty()).then(|| {
                    let touched: Vec<_> = touched.into_iter().collect();
                    self.call.note(format!(
                        "This touches the management path ({}): it is undone in {} s unless it is \
                         confirmed with `op-dbus confirm`.",
                        touched.join(", "),
                        WINDOW.as_secs()
                    ));
                    WINDOW
                })
            }
        }
    }
}

/// Takes the lock. A caller that has a deadline waits for another process to end its run; others are told.
fn acquire(call: &Call<'_>, paths: &Paths, command: &str) -> Result<RunLock, ToolError> {
    loop {
        match RunLock::acquire(&paths.lock(), command) {
            Err(LockError::Held { .. }) if call.options.deadline.is_some() => {
                call.check()?;
                std::thread::sleep(PAUSE);
            }
            lock => return Ok(lock?),
        }
    }
}

/// The part of a plan that nobody has to be asked for, and the resources that are left alone.
fn careful(plan: Plan, limits: &Limits) -> (Plan, Vec<Key>) {
    let protected = match limits.careful {
        true => management::links(None),
        false => Some(BTreeSet::new()),
    };
    // What hangs together with something that would be destroyed goes with it, or not at all.
    let destroys = limits.careful && plan.changes.iter().any(|change| change.destroys);
    let mut kept = BTreeSet::new();
    let mut left = Vec::new();
    for change in &plan.changes {
        let touches = !management::touched(&change.disrupts, protected.as_ref()).is_empty();
        let harmful = (destroys && change.verb == Verb::Delete) || touches;
        // Requirements come earlier in the list: what needs something that is left alone is left alone too.
        if !harmful
            && !limits.except.contains(&change.key())
            && change.requires.iter().all(|key| kept.contains(key))
        {
            kept.insert(change.key());
        } else {
            left.push(change.key());
        }
    }
    (plan.only(&kept), left)
}

/// A new run's id: its time, and enough randomness that no two are alike.
pub(crate) fn run_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{now}-{:06x}", random & 0xff_ffff)
}

/// Says what was found of an earlier run; `true` if something was put in order.
fn tell(recovery: &Recovery, call: &Call<'_>) -> Result<bool, ToolError> {
    match recovery {
        Recovery::Nothing | Recovery::Told { .. } => Ok(false),
        Recovery::Interrupted { run, undone, kept } => {
            call.note(format!(
                "Found run {run} interrupted: {} finished changes are kept, {} in flight undone; going on.",
                kept.len(),
                undone.len()
            ));
            Ok(true)
        }
        Recovery::RolledBack { run, reason } => {
            call.note(format!("Undid run {run}: {reason}."));
            Ok(true)
        }
        Recovery::Awaiting { run, .. } => {
            let text = format!(
                "run {run} waits to be confirmed: `op-dbus confirm` keeps it, else it is undone when \
                 its window is over. Nothing else runs before"
            );
            Err(ToolError::Refused(text))
        }
        Recovery::Stuck { run, errors } => Err(ToolError::Failed(format!(
            "run {run} could not be undone:\n{}\nMend that, then try again",
            errors.join("\n")
        ))),
    }
}

impl Changed {
    pub(crate) fn nothing(
        run: String,
        outcome: Ended,
        plan: Plan,
        plan_hash: PlanHash,
        left: Vec<Key>,
    ) -> Self {
        Self {
            run,
            outcome,
            plan_hash,
            summary: plan.summary(),
            changes: plan.changes,
            notes: plan.notes,
            duration_ms: 0,
            error: None,
            undo_errors: None,
            deadline_ms: None,
            left,
        }
    }

    fn of(mut changed: Self, report: Report) -> Self {
        changed.duration_ms = report.duration_ms;
        match report.outcome {
            Outcome::Applied => {}
            Outcome::Awaiting { deadline_ms } => {
                changed.outcome = Ended::AwaitingConfirmation;
                changed.deadline_ms = Some(deadline_ms);
            }
            Outcome::RolledBack { error, undo_errors } => {
                changed.outcome = match undo_errors.is_empty() {
                    true => Ended::RolledBack,
                    false => Ended::Stuck,
                };
                changed.error = Some(error);
                changed.undo_errors = Some(undo_errors);
            }
        }
        changed
    }
}
