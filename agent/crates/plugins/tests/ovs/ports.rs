//! Ports: pairs, changes of type, and those of containers.

use std::time::Duration;

use declaration::{ContainerName, Declaration, wiring};
use lab::run;
use plugins::OvsPlugin;
use reconcile::{Outcome, Plugin, Verb, plan};

use crate::fixture::Rig;

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
    lab::veth("v0", "elsewhere");
    assert!(matches!(rig.try_apply(bridges), Outcome::RolledBack { .. }));
    run("ip", &["link", "show", "v0"]);
}

#[test]
fn the_far_end_of_a_pair_may_live_elsewhere() {
    let Some(rig) = Rig::new() else { return };
    let bridges = "{br0: {datapath: netdev, ports: {v0: {type: veth, peer: v0-far}}}}";
    rig.apply(bridges);
    let mut elsewhere = std::process::Command::new("unshare")
        .args(["--net", "sleep", "60"])
        .spawn()
        .unwrap();
    let pid = elsewhere.id().to_string();
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    lab::wait_for("another namespace", Duration::from_secs(60), || {
        let other = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
        (other != own).then_some(())
    });
    run("ip", &["link", "set", "v0-far", "netns", &pid]);
    assert_eq!(rig.plan(bridges), []);
    rig.apply("{br0: {datapath: netdev}}");
    assert!(rig.link("v0").is_empty());
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
}

#[test]
fn a_port_becomes_another_kind_of_link() {
    let Some(rig) = Rig::new() else { return };
    let kinds = [
        "{type: internal}",
        "{type: veth, peer: far}",
        "{type: veth, peer: farther}",
        "{type: internal, tag: 9}",
        "{type: veth}",
    ];
    for kind in kinds {
        rig.apply(&format!(
            "{{br0: {{datapath: netdev, ports: {{p0: {kind}}}}}}}"
        ));
    }
    assert!(rig.link("far").is_empty() && rig.link("farther").is_empty());
    assert!(!rig.link("p0-p").is_empty());
    assert!(run("ip", &["-d", "link", "show", "p0"]).contains("veth"));
}

#[test]
fn a_port_that_is_down_is_drift() {
    let Some(rig) = Rig::new() else { return };
    let bridges = "{br0: {datapath: netdev, ports: {v0: {type: veth}}}}";
    rig.apply(bridges);
    run("ip", &["link", "set", "v0", "down"]);
    assert_eq!(rig.plan(bridges).len(), 1);
    rig.apply(bridges);
}

#[test]
fn the_port_of_a_container_waits_for_it_with_its_number() {
    let Some(rig) = Rig::new() else { return };
    let text = format!(
        "version: 1
plugins:
  ovs: {{ run_dir: {}, bridges: {{ br0: {{ datapath: netdev }} }} }}
  lxc:
    templates: {{ busybox: {{ recipe: busybox }} }}
    containers:
      web: {{ template: busybox, network: socket, bridge: br0 }}
      mute: {{ template: busybox, network: none }}
",
        rig.ovs.run_dir().display()
    );
    let declaration = Declaration::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let plugins: Vec<Box<dyn Plugin>> = vec![Box::new(OvsPlugin::new(&declaration))];
    let name: ContainerName = "web".parse().unwrap();
    let port = name.port(declaration::Network::Socket).unwrap();
    let number = wiring::ofports(&declaration, &"br0".parse().unwrap())[&port].to_string();
    let order = reconcile::Order {
        run: "r".into(),
        actor: serde_json::json!({}),
        window: None,
        journal: rig.journal(),
    };
    let done = reconcile::apply(
        &plugins,
        &plan(&plugins).unwrap(),
        &order,
        &crate::fixture::Nobody,
    );
    assert_eq!(done.unwrap().outcome, Outcome::Applied);
    assert!(plan(&plugins).unwrap().is_empty());
    assert_eq!(rig.ovs.vsctl(&["list-ports", "br0"]).trim(), "sock_web");
    assert_eq!(
        rig.get("port", "sock_web", "external_ids:op-dbus-container"),
        "web"
    );
    // The container starts.
    lab::veth("sock_web", "inside");
    lab::wait_for("the switch takes the link", Duration::from_secs(10), || {
        (rig.get("interface", "sock_web", "ofport") == number).then_some(())
    });
}
