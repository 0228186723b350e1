//! Runs of the plugin, and a ledger that forgets.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use declaration::Declaration;
use lab::Machine;
use plugins::PackagekitPlugin;
use reconcile::{
    Change, Context, Desired, Key, Observed, Order, Outcome, Plan, PlanError, Plugin, PluginError,
    Record, Witness,
};
use serde_json::{Value, json};

/// Carries declarations of packages out.
pub(crate) struct Runs {
    journal: PathBuf,
}

impl Runs {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            journal: machine.dir().join("journal"),
        }
    }

    pub(crate) fn plan(&self, packages: &str) -> Result<Plan, PlanError> {
        reconcile::plan(&plugins(packages))
    }

    /// Applies, and checks that nothing is left to do.
    pub(crate) fn apply(&self, packages: &str) -> Plan {
        let plugins = plugins(packages);
        let plan = reconcile::plan(&plugins).unwrap();
        assert_eq!(self.carry_out(&plugins, &plan), Outcome::Applied);
        assert!(self.plan(packages).unwrap().is_empty());
        plan
    }

    /// Applies in a run that fails after all of its changes were made.
    pub(crate) fn apply_and_fail(&self, packages: &str) {
        let mut plugins = plugins(packages);
        plugins.push(Box::new(NeverThere));
        match self.carry_out(&plugins, &reconcile::plan(&plugins).unwrap()) {
            Outcome::RolledBack { undo_errors, .. } => assert_eq!(undo_errors, [""; 0]),
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Applies what cannot be done, and gives the reason.
    pub(crate) fn fail(&self, packages: &str) -> String {
        let plugins = plugins(packages);
        match self.carry_out(&plugins, &reconcile::plan(&plugins).unwrap()) {
            Outcome::RolledBack { error, .. } => error,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Why there is no plan.
    pub(crate) fn refusal(&self, packages: &str) -> String {
        self.plan(packages)
            .map(|plan| plan.changes)
            .unwrap_err()
            .to_string()
    }

    fn carry_out(&self, plugins: &[Box<dyn Plugin>], plan: &Plan) -> Outcome {
        let order = Order {
            run: "r1".to_owned(),
            actor: Value::Null,
            window: None,
            journal: self.journal.clone(),
        };
        reconcile::apply(plugins, plan, &order, &Nobody)
            .unwrap()
            .outcome
    }
}

fn plugins(packages: &str) -> Vec<Box<dyn Plugin>> {
    let text = format!("version: 1\nplugins: {{packagekit: {{packages: {{{packages}}}}}}}\n");
    let declaration = Declaration::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}"));
    vec![Box::new(PackagekitPlugin::new(&declaration))]
}

/// `verb resource` of each change.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let changes = plan.changes.iter();
    changes
        .map(|change| format!("{} {}", change.verb, change.resource))
        .collect()
}

/// A resource that can be made and is never seen: its run fails at the end.
struct NeverThere;

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

struct Nobody;

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
