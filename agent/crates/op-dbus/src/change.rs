//! The one way in which commands change the host: lock, recover, plan, ask, apply.

use std::collections::BTreeSet;
use std::time::Duration;

use declaration::Declaration;
use reconcile::{
    Key, Order, Outcome, Plan, PlanHash, Recovery, Report, RunLock, Verb, apply, plan, recover,
};
use serde_json::{Value, json};

use crate::actor::{actor, run_id};
use crate::cli::Apply;
use crate::failure::Failure;
use crate::host::{Host, Paths};
use crate::screen::{Screen, plan_text};
use crate::witness::LedgerWitness;
use crate::{guard, management};

/// The confirm window of changes of the management path where none is asked for.
const WINDOW: Duration = Duration::from_secs(60);

/// Chooses resources of a plan.
pub(crate) type Choice<'a> = dyn Fn(&Plan) -> BTreeSet<Key> + 'a;

/// A host under the lock, with nothing left behind by an earlier run.
pub(crate) struct Session<'a> {
    pub(crate) host: Host,
    screen: &'a Screen,
    command: String,
    recovered: bool,
    _lock: RunLock,
}

/// How a change came out, for people and machines.
pub(crate) struct Changed {
    run: String,
    outcome: &'static str,
    plan: Plan,
    hash: PlanHash,
    duration_ms: u64,
    error: Option<String>,
    undo_errors: Vec<String>,
    deadline_ms: Option<u64>,
}

impl<'a> Session<'a> {
    /// Takes the lock, mounts the base again if need be, and ends what an earlier run left.
    pub(crate) fn open(
        written: Declaration,
        screen: &'a Screen,
        command: &str,
    ) -> Result<Self, Failure> {
        require_root()?;
        let paths = Paths {
            base: written.plugins.btrfs.base.path.clone(),
        };
        if let Some(parent) = paths.base.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let witness = LedgerWitness::new(&paths, screen);
        let lock = RunLock::acquire(&paths.lock(), command).map_err(Failure::from);
        let lock = lock.inspect_err(|failure| {
            witness.refused(command, "host", &actor(), &failure.to_string());
        })?;
        Host::remount(&written)?;
        // Recovery works on what the journal says, with every plugin, declared or not.
        let every = plugins::all(&written);
        let recovery = recover(&every, &paths.journal(), &witness)?;
        let recovered = tell(&recovery, screen, &witness, command)?;
        Ok(Self {
            host: Host::new(written)?,
            screen,
            command: command.to_owned(),
            recovered,
            _lock: lock,
        })
    }

    /// Plans, asks, applies. `only` chooses resources of the plan: these and what they require are changed.
    pub(crate) fn change(
        &self,
        only: Option<&Choice<'_>>,
        options: &Apply,
    ) -> Result<Changed, Failure> {
        let witness = LedgerWitness::new(&self.host.paths, self.screen);
        let refuse = |failure: Failure| {
            witness.refused(&self.command, "host", &actor(), &failure.to_string());
            failure
        };
        let mut plan = plan(&self.host.plugins)
            .map_err(Failure::from)
            .map_err(|failure| match failure {
                Failure::Refused(_) => refuse(failure),
                other => other,
            })?;
        if let Some(only) = only {
            let wanted = only(&plan);
            plan = plan.only(&wanted);
        }
        let hash = plan.hash();
        let run = run_id();
        if let Some(wanted) = &options.plan
            && !hash.matches(wanted)
        {
            return Err(refuse(Failure::Refused(format!(
                "the plan is no longer {wanted} but {hash}: the machine or the declaration changed \
                 since. Look at the plan again"
            ))));
        }
        if plan.is_empty() {
            let outcome = if self.recovered {
                "recovered"
            } else {
                "unchanged"
            };
            self.host.heartbeat(&run, outcome, hash.as_str());
            return Ok(Changed::nothing(run, outcome, plan, hash));
        }
        self.permit(&plan, options).map_err(refuse)?;
        let window = self.window(&plan, options);
        let order = Order {
            run: run.clone(),
            actor: actor(),
            window,
            journal: self.host.paths.journal(),
        };
        if window.is_some() {
            // It must be there before the first change: the change may be what cuts us off.
            guard::start(&self.host, &run)?;
        }
        let report = apply(&self.host.plugins, &plan, &order, &witness)?;
        let changed = Changed::of(run, plan, hash, report, self.recovered);
        if changed.error.is_none() && changed.deadline_ms.is_none() {
            self.host
                .heartbeat(&changed.run, changed.outcome, changed.hash.as_str());
        }
        Ok(changed)
    }

    /// What the plan may not do without being asked for.
    fn permit(&self, plan: &Plan, options: &Apply) -> Result<(), Failure> {
        let destroyed: Vec<_> = plan
            .changes
            .iter()
            .filter(|change| change.destroys)
            .map(|change| change.key().to_string())
            .collect();
        if !destroyed.is_empty() && !options.allow_destroy {
            return Err(Failure::Refused(format!(
                "the plan destroys data: {}. Look at it with `op-dbus plan`, then allow it with \
                 --allow-destroy",
                destroyed.join(", ")
            )));
        }
        if self.screen.interactive() && options.plan.is_none() {
            self.screen.say(&plan_text(plan));
            if !self.screen.agrees("Apply these changes?") {
                return Err(Failure::Refused("not applied".to_owned()));
            }
        }
        Ok(())
    }

    /// The confirm window: what is asked for, or a minute where the plan touches the management path.
    ///
    /// There is none while the machine starts and nobody is asked: nobody can have lost a way in, and nobody
    /// would confirm.
    fn window(&self, plan: &Plan, options: &Apply) -> Option<Duration> {
        if options.wait && management::machine_is_starting() {
            return None;
        }
        match options.confirm {
            Some(Duration::ZERO) => None,
            Some(window) => Some(window),
            None => {
                let touched = plan.disrupts(&management::links());
                (!touched.is_empty()).then(|| {
                    let touched: Vec<_> = touched.into_iter().collect();
                    self.screen.say(&format!(
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

    /// Ends a run that waits: a person who is there is asked at once.
    pub(crate) fn settle(self, changed: Changed) -> Result<Changed, Failure> {
        let Some(deadline_ms) = changed.deadline_ms else {
            return Ok(changed);
        };
        if !self.screen.interactive() {
            return Ok(changed);
        }
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        let left = Duration::from_millis(deadline_ms.saturating_sub(now));
        let witness = LedgerWitness::new(&self.host.paths, self.screen);
        let journal = self.host.paths.journal();
        let question = format!(
            "Keep these changes? They are undone in {} s.",
            left.as_secs()
        );
        match self.screen.agrees_within(&question, left) {
            Some(true) => {
                let (_, report) = reconcile::confirm(&self.host.plugins, &journal, &witness)?;
                Ok(Changed {
                    outcome: "applied",
                    duration_ms: report.duration_ms,
                    deadline_ms: None,
                    ..changed
                })
            }
            answer => {
                let reason = match answer {
                    Some(_) => "the answer was no",
                    None => "nobody answered in time",
                };
                reconcile::undo(&self.host.plugins, &journal, reason, &witness)?;
                Ok(Changed {
                    outcome: "rolled-back",
                    error: Some(reason.to_owned()),
                    deadline_ms: None,
                    ..changed
                })
            }
        }
    }
}

/// Says what was found of an earlier run; `true` if something was put in order.
fn tell(
    recovery: &Recovery,
    screen: &Screen,
    witness: &LedgerWitness<'_>,
    command: &str,
) -> Result<bool, Failure> {
    match recovery {
        Recovery::Nothing | Recovery::Told { .. } => Ok(false),
        Recovery::Interrupted { run, undone, kept } => {
            screen.say(&format!(
                "Found run {run} interrupted: {} finished changes are kept, {} in flight undone; going on.",
                kept.len(),
                undone.len()
            ));
            Ok(true)
        }
        Recovery::RolledBack { run, reason } => {
            screen.say(&format!("Undid run {run}: {reason}."));
            Ok(true)
        }
        Recovery::Awaiting { run, .. } => {
            let text = format!(
                "run {run} waits to be confirmed: `op-dbus confirm` keeps it, else it is undone when \
                 its window is over. Nothing else runs before"
            );
            witness.refused(command, "host", &actor(), &text);
            Err(Failure::Refused(text))
        }
        Recovery::Stuck { run, errors } => Err(Failure::Failed(anyhow::anyhow!(
            "run {run} could not be undone:\n{}\nMend that, then try again",
            errors.join("\n")
        ))),
    }
}

fn require_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::Refused(
        "this changes the host and needs root: run it with sudo".to_owned(),
    ))
}

impl Changed {
    fn nothing(run: String, outcome: &'static str, plan: Plan, hash: PlanHash) -> Self {
        Self {
            run,
            outcome,
            plan,
            hash,
            duration_ms: 0,
            error: None,
            undo_errors: Vec::new(),
            deadline_ms: None,
        }
    }

    fn of(run: String, plan: Plan, hash: PlanHash, report: Report, recovered: bool) -> Self {
        let mut changed = Self::nothing(run, "applied", plan, hash);
        changed.duration_ms = report.duration_ms;
        match report.outcome {
            Outcome::Applied if recovered => changed.outcome = "recovered",
            Outcome::Applied => {}
            Outcome::Awaiting { deadline_ms } => {
                changed.outcome = "awaiting-confirmation";
                changed.deadline_ms = Some(deadline_ms);
            }
            Outcome::RolledBack { error, undo_errors } => {
                changed.outcome = match undo_errors.is_empty() {
                    true => "rolled-back",
                    false => "stuck",
                };
                changed.error = Some(error);
                changed.undo_errors = undo_errors;
            }
        }
        changed
    }

    pub(crate) fn is_awaiting(&self) -> bool {
        self.deadline_ms.is_some()
    }

    /// Waits until the window is over, from outside of the lock. What the host is then says whether the
    /// changes were kept.
    pub(crate) fn wait(self, host: &Host) -> Result<Self, Failure> {
        guard::await_end(&host.paths, &self.run)?;
        let kept = plan(&host.plugins)?.is_empty();
        Ok(Self {
            outcome: if kept { "applied" } else { "rolled-back" },
            error: (!kept).then(|| "nobody confirmed it in time".to_owned()),
            deadline_ms: None,
            ..self
        })
    }

    /// Whether the host is now as was asked.
    pub(crate) fn succeeded(&self) -> bool {
        self.error.is_none()
    }

    pub(crate) fn json(&self) -> Value {
        let mut json = json!({
            "run": self.run,
            "outcome": self.outcome,
            "plan_hash": self.hash,
            "changes": self.plan.changes,
            "notes": self.plan.notes,
            "summary": self.plan.summary(),
            "duration_ms": self.duration_ms,
        });
        if let Some(error) = &self.error {
            json["error"] = json!(error);
            json["undo_errors"] = json!(self.undo_errors);
        }
        if let Some(deadline_ms) = self.deadline_ms {
            json["deadline_ms"] = json!(deadline_ms);
        }
        json
    }

    pub(crate) fn text(&self) -> String {
        let count = |verb| {
            self.plan
                .changes
                .iter()
                .filter(|change| change.verb == verb)
                .count()
        };
        let notes: String = self
            .plan
            .notes
            .iter()
            .map(|note| format!("note: {}: {}\n", note.resource, note.text))
            .collect();
        let end = match self.outcome {
            "unchanged" => "Nothing to do: the host is in its declared state.\n".to_owned(),
            "recovered" if self.plan.is_empty() => {
                "Recovered: the host is in its declared state.\n".to_owned()
            }
            "applied" | "recovered" => format!(
                "Applied: {} created, {} updated, {} deleted in {} ms (run {}).\n",
                count(Verb::Create),
                count(Verb::Update),
                count(Verb::Delete),
                self.duration_ms,
                self.run
            ),
            "awaiting-confirmation" => format!(
                "Applied, and undone unless it is confirmed: run `op-dbus confirm` (run {}).\n",
                self.run
            ),
            "rolled-back" => format!(
                "Failed, and everything was undone (run {}): {}\n",
                self.run,
                self.error.as_deref().unwrap_or_default()
            ),
            _ => format!(
                "Failed (run {}): {}\nNot everything could be undone:\n{}\nThe next run tries again.\n",
                self.run,
                self.error.as_deref().unwrap_or_default(),
                self.undo_errors.join("\n")
            ),
        };
        notes + &end
    }
}
