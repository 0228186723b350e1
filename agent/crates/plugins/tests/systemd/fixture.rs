//! A machine that a systemd of its own runs, and the eyes of others on it.

use std::collections::BTreeMap;
use std::error::Error;

use declaration::Declaration;
use lab::{Machine, Systemd};
use plugins::SystemdPlugin;
use reconcile::{
    Change, Context, Desired, Key, Observed, Order, Outcome, Plan, PlanError, Plugin, PluginError,
    Record, Witness,
};
use serde_json::{Value, json};

/// A machine with a few services, none of which runs.
pub(crate) struct Host {
    pub(crate) systemd: Systemd,
    pub(crate) machine: Machine,
}

/// A service that stays.
pub(crate) const STAYS: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep infinity\n\
                                [Install]\nWantedBy=lab.target\n";

impl Host {
    /// `None`, and the test counts as skipped, where no systemd can be run.
    pub(crate) fn new() -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let systemd = machine.systemd()?;
        systemd.unit("web.service", STAYS);
        Some(Self { systemd, machine })
    }

    pub(crate) fn plugins(&self, units: &str) -> Vec<Box<dyn Plugin>> {
        vec![Box::new(SystemdPlugin::new(&declare(units)))]
    }

    pub(crate) fn plan(&self, units: &str) -> Result<Plan, PlanError> {
        reconcile::plan(&self.plugins(units))
    }

    /// Applies, and checks that nothing is left to do.
    pub(crate) fn apply(&self, units: &str) -> Plan {
        let plugins = self.plugins(units);
        let plan = reconcile::plan(&plugins).unwrap();
        assert_eq!(self.carry_out(&plugins, &plan), Outcome::Applied);
        assert_eq!(steps(&self.plan(units).unwrap()), [""; 0]);
        plan
    }

    /// Applies in a run that fails after all of its changes were made.
    pub(crate) fn apply_and_fail(&self, units: &str) {
        let mut plugins = self.plugins(units);
        plugins.push(Box::new(NeverThere));
        match self.carry_out(&plugins, &reconcile::plan(&plugins).unwrap()) {
            Outcome::RolledBack { undo_errors, .. } => assert_eq!(undo_errors, [""; 0]),
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Applies what cannot be done, and gives the reason.
    pub(crate) fn fail(&self, units: &str) -> String {
        let plugins = self.plugins(units);
        match self.carry_out(&plugins, &reconcile::plan(&plugins).unwrap()) {
            Outcome::RolledBack {
                error, undo_errors, ..
            } => {
                assert_eq!(undo_errors, [""; 0]);
                error
            }
            outcome => panic!("{outcome:?}"),
        }
    }

    pub(crate) fn refusal(&self, units: &str) -> String {
        match self.plan(units) {
            Err(PlanError::Refused(list)) => list
                .iter()
                .map(|one| format!("{}: {}\n", one.resource, one.reason))
                .collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn carry_out(&self, plugins: &[Box<dyn Plugin>], plan: &Plan) -> Outcome {
        let order = Order {
            run: "r1".to_owned(),
            actor: Value::Null,
            window: None,
            journal: self.machine.dir().join("journal"),
        };
        reconcile::apply(plugins, plan, &order, &Nobody)
            .unwrap()
            .outcome
    }

    /// `active`, `inactive`, `failed` and so on, as systemctl says.
    pub(crate) fn active(&self, unit: &str) -> String {
        self.systemd.systemctl(&["is-active", unit])
    }

    /// `enabled`, `disabled`, `masked` and so on, as systemctl says.
    pub(crate) fn enabled(&self, unit: &str) -> String {
        self.systemd.systemctl(&["is-enabled", unit])
    }
}

pub(crate) fn declare(units: &str) -> Declaration {
    let text = format!("version: 1\nplugins: {{systemd: {{units: {{{units}}}}}}}\n");
    Declaration::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// `verb resource` of each change of this plugin.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let changes = plan
        .changes
        .iter()
        .filter(|change| change.plugin == "systemd");
    changes
        .map(|change| format!("{} {}", change.verb, change.resource))
        .collect()
}

/// A resource that can be made and is never seen: its run fails at the end.
pub(crate) struct NeverThere;

impl Plugin for NeverThere {
    fn name(&self) -> &'static str {
        "never"
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        BTreeMap::from([("there".to_owned(), Desired::ours(json!({})))])
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        Ok(BTreeMap::new())
    }

    fn requires(&self, _: &str, _: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn apply(&self, _: &[&Change], _: &Context<'_>) -> Result<(), PluginError> {
        Ok(())
    }
}

/// A ledger that forgets.
pub(crate) struct Nobody;

impl Witness for Nobody {
    fn hear(
        &self,
        _: &str,
        _: u64,
        _: &Record,
        _: &[Change],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    fn settled(&self) -> bool {
        true
    }
}
