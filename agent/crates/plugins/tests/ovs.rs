//! Bridges, ports and uplinks on a real Open vSwitch with the userspace datapath.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use declaration::Declaration;
use lab::{Machine, Ovs, run};
use plugins::OvsPlugin;
use reconcile::{Change, Order, Outcome, Plugin, Record, Verb, Witness, apply, plan};
use serde_json::json;

struct Nobody;

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

struct Rig {
    machine: Machine,
    ovs: Ovs,
    runs: Cell<u32>,
}

impl Rig {
    fn new() -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let ovs = machine.ovs();
        Some(Self {
            machine,
            ovs,
            runs: Cell::new(0),
        })
    }

    fn plugins(&self, bridges: &str) -> Vec<Box<dyn Plugin>> {
        let text = format!(
            "version: 1\nplugins:\n  ovs:\n    run_dir: {}\n    bridges: {bridges}\n",
            self.ovs.run_dir().display()
        );
        vec![Box::new(OvsPlugin::new(
            &Declaration::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}")),
        ))]
    }

    fn try_apply(&self, bridges: &str) -> Outcome {
        let plugins = self.plugins(bridges);
        self.runs.set(self.runs.get() + 1);
        let order = Order {
            run: format!("run-{}", self.runs.get()),
            actor: json!({}),
            window: None,
            journal: self.machine.dir().join("journal"),
        };
        apply(&plugins, &plan(&plugins).unwrap(), &order, &Nobody)
            .unwrap()
            .outcome
    }

    #[track_caller]
    fn apply(&self, bridges: &str) {
        assert_eq!(self.try_apply(bridges), Outcome::Applied);
        let again = plan(&self.plugins(bridges)).unwrap();
        assert!(again.is_empty(), "{again:#?}");
    }

    fn get(&self, table: &str, row: &str, column: &str) -> String {
        self.ovs
            .vsctl(&["get", table, row, column])
            .trim()
            .trim_matches('"')
            .to_owned()
    }

    fn link(&self, name: &str) -> String {
        String::from_utf8(lab::output("ip", &["-o", "addr", "show", "dev", name]).stdout).unwrap()
    }
}

#[test]
fn bridges_and_ports_are_made_changed_and_removed() {
    let Some(rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev, addresses: [10.1.0.1/24], ports: {int0: {type: internal, tag: 10}}}}");
    assert_eq!(rig.get("bridge", "br0", "datapath_type"), "netdev");
    assert_eq!(rig.get("bridge", "br0", "external_ids:op-dbus"), "1");
    assert_eq!(rig.get("port", "int0", "tag"), "10");
    assert!(rig.link("br0").contains("10.1.0.1/24"));
    rig.apply("{br0: {datapath: netdev, fail_mode: secure, addresses: [10.2.0.1/24], ports: {int0: {type: internal}, int1: {type: internal, tag: 7}}}}");
    assert_eq!(rig.get("bridge", "br0", "fail_mode"), "secure");
    assert_eq!(rig.get("port", "int0", "tag"), "[]");
    let link = rig.link("br0");
    assert!(
        link.contains("10.2.0.1/24") && !link.contains("10.1.0.1/24"),
        "{link}"
    );
    rig.apply("{br0: {datapath: netdev, ports: {int1: {type: internal, tag: 7}}}, br1: {datapath: netdev}}");
    assert_eq!(rig.ovs.vsctl(&["list-ports", "br0"]).trim(), "int1");
    // A port moves to another bridge.
    rig.apply("{br0: {datapath: netdev}, br1: {datapath: netdev, ports: {int1: {type: internal, tag: 7}}}}");
    assert_eq!(rig.ovs.vsctl(&["port-to-br", "int1"]).trim(), "br1");
    rig.apply("{}");
    assert_eq!(rig.ovs.vsctl(&["list-br"]).trim(), "");
}

#[test]
fn drift_is_seen() {
    let Some(rig) = Rig::new() else { return };
    let bridges = "{br0: {datapath: netdev, addresses: [10.1.0.1/24], ports: {int0: {type: internal, tag: 10}}}}";
    rig.apply(bridges);
    for drift in [
        &["ovs-vsctl", "set", "port", "int0", "tag=11"][..],
        &["ovs-vsctl", "set-fail-mode", "br0", "secure"],
        &["ovs-vsctl", "del-port", "int0"],
        &["ip", "addr", "del", "10.1.0.1/24", "dev", "br0"],
    ] {
        match drift[0] {
            "ovs-vsctl" => drop(rig.ovs.vsctl(&drift[1..])),
            program => drop(run(program, &drift[1..])),
        }
        assert_eq!(
            plan(&rig.plugins(bridges)).unwrap().changes.len(),
            1,
            "{drift:?}"
        );
        rig.apply(bridges);
    }
}

#[test]
fn what_is_foreign_stays() {
    let Some(rig) = Rig::new() else { return };
    rig.ovs.vsctl(&[
        "add-br",
        "theirs",
        "--",
        "set",
        "bridge",
        "theirs",
        "datapath_type=netdev",
    ]);
    rig.apply("{br0: {datapath: netdev}}");
    rig.ovs.vsctl(&[
        "add-port",
        "br0",
        "guest",
        "--",
        "set",
        "interface",
        "guest",
        "type=internal",
    ]);
    run("ip", &["addr", "add", "10.9.9.9/24", "dev", "br0"]);
    rig.apply("{br0: {datapath: netdev, addresses: [10.1.0.1/24]}}");
    rig.apply("{br0: {datapath: netdev}}");
    assert_eq!(rig.ovs.vsctl(&["list-ports", "br0"]).trim(), "guest");
    assert!(rig.link("br0").contains("10.9.9.9/24"));
    // A bridge with somebody else's port on it does not go.
    assert!(matches!(rig.try_apply("{}"), Outcome::RolledBack { .. }));
    assert_eq!(
        rig.ovs
            .vsctl(&["list-br"])
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["br0", "theirs"]
    );
    // Its name alone does not make a bridge ours; adopting it does.
    let refused =
        plan(&rig.plugins("{theirs: {datapath: netdev}, br0: {datapath: netdev}}")).unwrap_err();
    assert!(refused.to_string().contains("adopt"), "{refused}");
    rig.apply("{theirs: {datapath: netdev, adopt: true}, br0: {datapath: netdev}}");
    assert_eq!(rig.get("bridge", "theirs", "external_ids:op-dbus"), "1");
}

#[test]
fn a_veth_pair_comes_and_goes_with_its_port() {
    let Some(rig) = Rig::new() else { return };
    let bridges = "{br0: {datapath: netdev, ports: {v0: {type: veth, peer: v0-far}}}}";
    rig.apply(bridges);
    assert!(run("ip", &["link", "show", "v0-far"]).contains("op-dbus"));
    run("ip", &["link", "set", "v0", "down"]);
    assert_eq!(
        plan(&rig.plugins(bridges)).unwrap().changes[0].verb,
        Verb::Update
    );
    rig.apply(bridges);
    run("ip", &["link", "del", "v0"]);
    assert_eq!(
        plan(&rig.plugins(bridges)).unwrap().changes[0].verb,
        Verb::Update
    );
    rig.apply(bridges);
    rig.apply("{br0: {datapath: netdev}}");
    assert!(rig.link("v0").is_empty());
    // Links of that name that are not ours are left alone.
    run(
        "ip",
        &[
            "link",
            "add",
            "v0",
            "type",
            "veth",
            "peer",
            "name",
            "elsewhere",
        ],
    );
    assert!(matches!(rig.try_apply(bridges), Outcome::RolledBack { .. }));
    run("ip", &["link", "show", "v0"]);
}

#[test]
fn an_uplink_brings_its_addresses_and_routes_and_takes_them_back() {
    let Some(rig) = Rig::new() else { return };
    run(
        "ip",
        &[
            "link", "add", "eth0", "type", "veth", "peer", "name", "cable",
        ],
    );
    run("ip", &["link", "set", "eth0", "up"]);
    run("ip", &["link", "set", "cable", "up"]);
    run("ip", &["addr", "add", "192.0.2.10/24", "dev", "eth0"]);
    run(
        "ip",
        &[
            "route",
            "add",
            "default",
            "via",
            "192.0.2.1",
            "dev",
            "eth0",
            "metric",
            "100",
        ],
    );
    run(
        "ip",
        &[
            "route",
            "add",
            "198.51.100.0/24",
            "via",
            "192.0.2.2",
            "dev",
            "eth0",
        ],
    );
    let routes = || run("ip", &["route", "show", "proto", "boot"]);
    let before = routes();
    let bridges = "{br0: {datapath: netdev, uplinks: [eth0]}}";
    let first = plan(&rig.plugins(bridges)).unwrap();
    let touched: Vec<_> = first
        .changes
        .iter()
        .flat_map(|change| change.disrupts.clone())
        .collect();
    assert!(touched.contains(&"eth0".to_owned()), "{touched:?}");
    rig.apply(bridges);
    assert!(rig.link("br0").contains("192.0.2.10/24") && !rig.link("eth0").contains("192.0.2.10"));
    assert_eq!(routes(), before.replace("dev eth0", "dev br0"));
    rig.apply("{br0: {datapath: netdev}}");
    assert!(rig.link("eth0").contains("192.0.2.10/24") && !rig.link("br0").contains("192.0.2.10"));
    assert_eq!(routes(), before);
    // And with the bridge at once.
    rig.apply(bridges);
    rig.apply("{}");
    assert!(rig.link("eth0").contains("192.0.2.10/24"));
    assert_eq!(routes(), before);
    // An uplink that is not there changes nothing.
    assert!(matches!(
        rig.try_apply("{br0: {datapath: netdev, uplinks: [nonesuch]}}"),
        Outcome::RolledBack { .. }
    ));
    assert_eq!(rig.ovs.vsctl(&["list-br"]).trim(), "");
}

#[test]
fn the_kernel_datapath_is_refused_with_the_remedy_where_it_is_not_there() {
    if std::path::Path::new("/sys/module/openvswitch").exists() {
        return lab::skip("this kernel has the Open vSwitch module");
    }
    let Some(rig) = Rig::new() else { return };
    let Outcome::RolledBack { error, undo_errors } = rig.try_apply("{br0: {datapath: system}}")
    else {
        panic!()
    };
    assert!(error.contains("datapath: netdev"), "{error}");
    assert!(undo_errors.is_empty(), "{undo_errors:?}");
    assert_eq!(rig.ovs.vsctl(&["list-br"]).trim(), "");
}

#[test]
fn a_switch_that_is_away_is_explained_in_time() {
    let Some(mut rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev}}");
    rig.ovs.kill_switch();
    rig.ovs.kill_database();
    let error = plan(&rig.plugins("{br0: {datapath: netdev}}"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("systemctl start openvswitch-switch"),
        "{error}"
    );
    rig.ovs.start_database();
    rig.ovs.start_switch();
    rig.apply("{br0: {datapath: netdev}}");
}
