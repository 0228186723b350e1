//! A switch of one's own, and the plugin under the engine.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use declaration::Declaration;
use lab::{Machine, Ovs};
use plugins::OvsPlugin;
use reconcile::{Change, Context, Direction, Order, Outcome, Plugin, Record, Witness, apply, plan};
use serde_json::json;

pub(crate) struct Nobody;

impl Witness for Nobody {
    fn hear(
        &self,
        _: &str,
        _: u64,
        _: &Record,
        _: &[Change],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    fn settled(&self) -> bool {
        true
    }
}

pub(crate) struct Rig {
    pub(crate) machine: Machine,
    pub(crate) ovs: Ovs,
    runs: Cell<u32>,
}

impl Rig {
    pub(crate) fn new() -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let ovs = machine.ovs();
        Some(Self {
            machine,
            ovs,
            runs: Cell::new(0),
        })
    }

    pub(crate) fn plugins(&self, bridges: &str) -> Vec<Box<dyn Plugin>> {
        plugins(self.ovs.run_dir(), bridges)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.machine.dir().join("journal")
    }

    pub(crate) fn plan(&self, bridges: &str) -> Vec<Change> {
        plan(&self.plugins(bridges)).unwrap().changes
    }

    /// Hands changes to the plugin, without the engine.
    pub(crate) fn carry_out(&self, changes: &[Change], direction: Direction) {
        let changes: Vec<_> = changes.iter().collect();
        let context = Context {
            run: "by hand",
            direction,
            progress: &|_| {},
        };
        self.plugins("{}")[0].apply(&changes, &context).unwrap();
    }

    pub(crate) fn try_apply(&self, bridges: &str) -> Outcome {
        let plugins = self.plugins(bridges);
        self.runs.set(self.runs.get() + 1);
        let order = Order {
            run: format!("run-{}", self.runs.get()),
            actor: json!({}),
            window: None,
            journal: self.journal(),
        };
        apply(&plugins, &plan(&plugins).unwrap(), &order, &Nobody)
            .unwrap()
            .outcome
    }

    #[track_caller]
    pub(crate) fn apply(&self, bridges: &str) {
        assert_eq!(self.try_apply(bridges), Outcome::Applied);
        let again = plan(&self.plugins(bridges)).unwrap();
        assert!(again.is_empty(), "{again:#?}");
    }

    pub(crate) fn get(&self, table: &str, row: &str, column: &str) -> String {
        self.ovs
            .vsctl(&["get", table, row, column])
            .trim()
            .trim_matches('"')
            .to_owned()
    }

    pub(crate) fn link(&self, name: &str) -> String {
        String::from_utf8(lab::output("ip", &["-o", "addr", "show", "dev", name]).stdout).unwrap()
    }
}

/// The plugin for the content of `plugins.ovs.bridges`.
pub(crate) fn plugins(run_dir: &Path, bridges: &str) -> Vec<Box<dyn Plugin>> {
    let run_dir = run_dir.display();
    let text =
        format!("version: 1\nplugins:\n  ovs:\n    run_dir: {run_dir}\n    bridges: {bridges}\n");
    let declaration = Declaration::from_yaml(&text);
    let declaration = declaration.unwrap_or_else(|problems| panic!("{problems}"));
    vec![Box::new(OvsPlugin::new(&declaration))]
}
