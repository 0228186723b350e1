//! A switch with one bridge, and the plugin over it.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use declaration::Declaration;
use plugins::OpenflowPlugin;
use reconcile::{
    Change, Context, Desired, Direction, Key, Observed, Owner, Plan, PlanError, Plugin,
    PluginError, plan,
};
use serde_json::{Value, json};

/// What the plugin of the bridges would have made: `br0` with the ports `eth0` (5) and `wg0` (6).
pub(crate) fn switch(machine: &lab::Machine) -> lab::Ovs {
    let ovs = machine.ovs();
    add_bridge(&ovs, "br0");
    for (port, number) in [("eth0", 5), ("wg0", 6)] {
        add_port(&ovs, port, number);
    }
    ovs
}

pub(crate) fn add_bridge(ovs: &lab::Ovs, name: &str) {
    let kind = "datapath_type=netdev";
    ovs.vsctl(&["add-br", name, "--", "set", "bridge", name, kind]);
}

pub(crate) fn add_port(ovs: &lab::Ovs, name: &str, number: u16) {
    let request = format!("ofport_request={number}");
    let kind = "type=internal";
    ovs.vsctl(&[
        "add-port",
        "br0",
        name,
        "--",
        "set",
        "interface",
        name,
        kind,
        &request,
    ]);
}

/// A declaration whose flows are `flows` (the content of `openflow.bridges`).
pub(crate) fn declaration(ovs: &lab::Ovs, flows: &str) -> Declaration {
    let run_dir = ovs.run_dir().display();
    let text = format!(
        r#"
version: "1.0"
plugins:
  ovs:
    run_dir: {run_dir}
    bridges:
      br0: {{ datapath: netdev, ports: {{ eth0: {{ type: internal }}, wg0: {{ type: internal }} }} }}
  openflow: {{ bridges: {flows} }}
  lxc:
    templates: {{ busybox: {{ recipe: busybox }} }}
    containers:
      web: {{ template: busybox, network: socket, bridge: br0, address: 10.0.0.11/24 }}
      mail: {{ template: busybox, network: mesh, bridge: br0, address: "fd00::12/64" }}
      alone: {{ template: busybox, network: none }}
"#
    );
    Declaration::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The plugin for those flows.
pub(crate) fn plugin(ovs: &lab::Ovs, flows: &str) -> OpenflowPlugin {
    OpenflowPlugin::new(&declaration(ovs, flows))
}

/// What is to be done for those flows.
pub(crate) fn planned(ovs: &lab::Ovs, flows: &str) -> Result<Plan, PlanError> {
    let plugins: [Box<dyn Plugin>; 2] = [Box::new(Bridges), Box::new(plugin(ovs, flows))];
    plan(&plugins)
}

/// Does it, in the order of the plan.
pub(crate) fn carry_out(ovs: &lab::Ovs, plan: &Plan) -> Result<(), PluginError> {
    go(ovs, &plan.changes, Direction::Forward)
}

/// Takes it back.
pub(crate) fn take_back(ovs: &lab::Ovs, plan: &Plan) -> Result<(), PluginError> {
    let inverse: Vec<_> = plan.changes.iter().rev().map(Change::inverse).collect();
    go(ovs, &inverse, Direction::Undo)
}

fn go(ovs: &lab::Ovs, changes: &[Change], direction: Direction) -> Result<(), PluginError> {
    let context = Context {
        run: "run",
        direction,
        progress: &|_| {},
    };
    let changes: Vec<_> = changes.iter().collect();
    plugin(ovs, "{}").apply(&changes, &context)
}

/// Plans and does it; what was done, as resources.
pub(crate) fn converge(ovs: &lab::Ovs, flows: &str) -> Vec<String> {
    let plan = planned(ovs, flows).unwrap();
    carry_out(ovs, &plan).unwrap();
    let changes = plan.changes.into_iter();
    changes
        .map(|change| format!("{} {}", change.verb, change.resource))
        .collect()
}

/// The flows of `br0` without counters, in the words of `ovs-ofctl`, sorted.
pub(crate) fn dump(ovs: &lab::Ovs) -> Vec<String> {
    let text = ovs.ofctl(&["dump-flows", "br0", "--no-stats"]);
    let mut lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

/// Those of them that carry our mark.
pub(crate) fn ours(ovs: &lab::Ovs) -> Vec<String> {
    let mut lines = dump(ovs);
    lines.retain(|line| line.starts_with("cookie=0x6f706462"));
    lines
}

/// Waits until a bridge answers, or until it is gone.
pub(crate) fn wait_for_bridge(ovs: &lab::Ovs, name: &str, there: bool) {
    let socket = ovs.run_dir().join(format!("{name}.mgmt"));
    lab::wait_for("the bridge", Duration::from_secs(10), || {
        let answers = UnixStream::connect(&socket).is_ok();
        (answers == there).then_some(())
    });
}

/// Stands for the plugin of the bridges, which has made all that flows need.
struct Bridges;

impl Bridges {
    fn all() -> impl Iterator<Item = String> {
        let ports = ["eth0", "wg0", "sock_web", "mesh_mail"];
        let ports = ports.into_iter().map(|port| format!("port:{port}"));
        ["br0", "br1"]
            .map(|bridge| format!("bridge:{bridge}"))
            .into_iter()
            .chain(ports)
    }
}

impl Plugin for Bridges {
    fn name(&self) -> &'static str {
        "ovs"
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        Self::all()
            .map(|name| (name, Desired::ours(json!({}))))
            .collect()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let there = || Observed {
            state: json!({}),
            owner: Owner::Ours,
        };
        Ok(Self::all().map(|name| (name, there())).collect())
    }

    fn requires(&self, _resource: &str, _state: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn apply(&self, _changes: &[&Change], _context: &Context<'_>) -> Result<(), PluginError> {
        unreachable!("there is nothing to change")
    }
}
