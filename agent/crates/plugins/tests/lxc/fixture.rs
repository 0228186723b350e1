//! A machine with templates and containers, and the eyes of others on it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use declaration::Declaration;
use lab::{Machine, output, text};
use plugins::{BtrfsPlugin, LxcPlugin};
use reconcile::{
    Change, Context, Desired, Key, Observed, Order, Outcome, Owner, Plan, PlanError, Plugin,
    PluginError, Record, Witness,
};
use serde_json::{Value, json};

/// A machine with a base on btrfs; its containers end with it.
pub(crate) struct Host {
    pub(crate) base: PathBuf,
    agent: PathBuf,
    // Last, so that it goes when the containers are gone.
    pub(crate) machine: Machine,
}

impl Host {
    /// `None`, and the test counts as skipped, where there is no LXC or no root.
    pub(crate) fn new() -> Option<Self> {
        let missing = ["lxc-start", "mkfs.btrfs", "busybox"]
            .into_iter()
            .find(|program| !lab::has(program));
        if let Some(program) = missing {
            lab::skip(&format!("needs {program}"));
            return None;
        }
        let machine = Machine::new("needs root")?;
        let base = machine.btrfs(512);
        let agent = machine.dir().join("agent");
        // There is no switch that would take the ports in, and nothing to wait for.
        script(&agent, "exit 0");
        Some(Self {
            base,
            agent,
            machine,
        })
    }

    /// Has LXC's calls answered as the agent answers them.
    pub(crate) fn answer_lxc(&self) {
        let this = std::env::current_exe().unwrap();
        let call = format!(
            "shift\nARGUMENTS=\"$*\" exec {} --exact network::agent --ignored --nocapture >/dev/null",
            this.display()
        );
        script(&self.agent, &call);
    }

    /// The plugins for the section `lxc` of a declaration.
    pub(crate) fn plugins(&self, lxc: &str) -> Vec<Box<dyn Plugin>> {
        let declaration = self.declare(lxc);
        let ports = declaration
            .plugins
            .lxc
            .iter()
            .flat_map(|lxc| &lxc.containers);
        let ports = ports
            .filter_map(|(name, container)| name.port(container.network))
            .map(|port| format!("port:{port}"));
        let switch = Switch(ports.chain(["bridge:br0".to_owned()]).collect());
        let lxc = LxcPlugin::new(&declaration).with_agent(&self.agent);
        vec![
            Box::new(BtrfsPlugin::new(&declaration)),
            Box::new(switch),
            Box::new(lxc),
        ]
    }

    /// The same, and one container is to be started again.
    pub(crate) fn restarting(&self, lxc: &str, name: &str) -> Vec<Box<dyn Plugin>> {
        let mut plugins = self.plugins(lxc);
        plugins.pop();
        let plugin = LxcPlugin::new(&self.declare(lxc)).with_agent(&self.agent);
        plugins.push(Box::new(plugin.restarting(&name.parse().unwrap()).unwrap()));
        plugins
    }

    pub(crate) fn declare(&self, lxc: &str) -> Declaration {
        let text = format!(
            "version: 1\nplugins:\n  btrfs: {{base: {}}}\n  \
             ovs: {{bridges: {{br0: {{datapath: netdev, addresses: [10.0.0.1/24]}}}}}}\n  \
             lxc: {{{lxc}}}\n",
            self.base.display()
        );
        Declaration::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(crate) fn plan(&self, lxc: &str) -> Result<Plan, PlanError> {
        reconcile::plan(&self.plugins(lxc))
    }

    /// Applies, and checks that nothing is left to do.
    pub(crate) fn apply(&self, lxc: &str) -> Plan {
        let plugins = self.plugins(lxc);
        let plan = reconcile::plan(&plugins).unwrap();
        let outcome = self.carry_out(&plugins, &plan);
        assert_eq!(outcome, Outcome::Applied);
        assert_eq!(steps(&self.plan(lxc).unwrap()), [""; 0]);
        plan
    }

    /// Applies in a run that fails after all of its changes were made.
    pub(crate) fn apply_and_fail(&self, lxc: &str) {
        let mut plugins = self.plugins(lxc);
        plugins.push(Box::new(NeverThere));
        match self.carry_out(&plugins, &reconcile::plan(&plugins).unwrap()) {
            Outcome::RolledBack { undo_errors, .. } => assert_eq!(undo_errors, [""; 0]),
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Applies what cannot be done, and gives the reason.
    pub(crate) fn fail(&self, lxc: &str) -> String {
        let plugins = self.plugins(lxc);
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

    pub(crate) fn refusal(&self, lxc: &str) -> String {
        match self.plan(lxc) {
            Err(PlanError::Refused(list)) => list
                .iter()
                .map(|one| format!("{}: {}\n", one.resource, one.reason))
                .collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What the plugin sees of one resource.
    pub(crate) fn observed(&self, lxc: &str, resource: &str) -> Option<Observed> {
        let plugin = self.plugins(lxc).pop().unwrap();
        plugin.observe().unwrap().remove(resource)
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.base.join("@containers")
    }

    pub(crate) fn container(&self, name: &str) -> PathBuf {
        self.containers().join(name)
    }

    pub(crate) fn template(&self, name: &str) -> PathBuf {
        self.base.join("@templates").join(name)
    }

    /// A program of LXC on one container, or on all if the name is empty.
    pub(crate) fn lxc(&self, program: &str, name: &str, arguments: &[&str]) -> Output {
        let containers = self.containers();
        let mut all = vec!["-P", text(&containers)];
        if !name.is_empty() {
            all.extend(["-n", name]);
        }
        all.extend(arguments);
        output(program, &all)
    }

    /// `RUNNING`, `STOPPED` and so on, as LXC says.
    pub(crate) fn state(&self, name: &str) -> String {
        said(&self.lxc("lxc-info", name, &["-s", "-H"]))
            .trim()
            .to_owned()
    }

    /// The process id of a container's init.
    pub(crate) fn init(&self, name: &str) -> u32 {
        let pid = said(&self.lxc("lxc-info", name, &["-p", "-H"]));
        pid.trim()
            .parse()
            .unwrap_or_else(|_| panic!("{name} has no init: {pid}"))
    }

    /// Runs a command in a container, through LXC's own program.
    pub(crate) fn inside(&self, name: &str, argv: &[&str]) -> Output {
        let mut arguments = vec!["--clear-env", "--"];
        arguments.extend(argv);
        self.lxc("lxc-attach", name, &arguments)
    }

    /// The same, which must succeed; what it said.
    pub(crate) fn ask(&self, name: &str, argv: &[&str]) -> String {
        let output = self.inside(name, argv);
        assert!(output.status.success(), "{argv:?}: {output:?}");
        said(&output)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.containers().exists() {
            return;
        }
        for name in said(&self.lxc("lxc-ls", "", &["--active", "-1"])).lines() {
            self.lxc("lxc-stop", name.trim(), &["-k"]);
        }
    }
}

/// Writes a program.
fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A switch that has whatever is asked of it.
struct Switch(Vec<String>);

impl Plugin for Switch {
    fn name(&self) -> &'static str {
        "ovs"
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        let list = self.0.iter();
        list.map(|name| (name.clone(), Desired::ours(json!({}))))
            .collect()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let there = || Observed {
            state: json!({}),
            owner: Owner::Ours,
        };
        Ok(self.0.iter().map(|name| (name.clone(), there())).collect())
    }

    fn requires(&self, _: &str, _: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn apply(&self, _: &[&Change], _: &Context<'_>) -> Result<(), PluginError> {
        Ok(())
    }
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

/// A ledger that forgets.
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

/// `verb resource` of each change of this plugin, with `!` after those that destroy.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let changes = plan.changes.iter().filter(|change| change.plugin == "lxc");
    let step = |change: &Change| {
        let warning = if change.destroys { "!" } else { "" };
        format!("{} {}{warning}", change.verb, change.resource)
    };
    changes.map(step).collect()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The templates of most tests.
pub(crate) const BUSYBOX: &str = "templates: {busybox: {recipe: busybox}}";

/// A declaration with the template `busybox` and these containers.
pub(crate) fn with(containers: &str) -> String {
    format!("{BUSYBOX}, containers: {{{containers}}}")
}

/// The same with one container `a` without a network.
pub(crate) fn with_a(extra: &str) -> String {
    with(&format!(
        "a: {{template: busybox, network: none, memory: 64MiB{extra}}}"
    ))
}
