//! What is not ours stays as it is.

use lab::run;
use reconcile::{Direction, Outcome, apply, plan};
use serde_json::json;

use crate::fixture::{Nobody, Rig};

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
    assert_eq!(rig.ovs.bridges(), "br0\ntheirs");
    // Its name alone does not make a bridge ours; adopting it does.
    let refused =
        plan(&rig.plugins("{theirs: {datapath: netdev}, br0: {datapath: netdev}}")).unwrap_err();
    assert!(refused.to_string().contains("adopt"), "{refused}");
    rig.apply("{theirs: {datapath: netdev, adopt: true}, br0: {datapath: netdev}}");
    assert_eq!(rig.get("bridge", "theirs", "external_ids:op-dbus"), "1");
}

#[test]
fn what_somebody_made_since_the_plan_survives_the_undo() {
    let Some(rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev}}");
    let wanted =
        "{br0: {datapath: netdev, ports: {p0: {type: internal}}}, br1: {datapath: netdev}}";
    let plugins = rig.plugins(wanted);
    let planned = plan(&plugins).unwrap();
    let kind = "type=internal";
    rig.ovs.vsctl(&[
        "add-port",
        "br0",
        "p0",
        "--",
        "set",
        "interface",
        "p0",
        kind,
    ]);
    let datapath = "datapath_type=netdev";
    rig.ovs
        .vsctl(&["add-br", "br1", "--", "set", "bridge", "br1", datapath]);
    let order = reconcile::Order {
        run: "raced".into(),
        actor: json!({}),
        window: None,
        journal: rig.journal(),
    };
    let outcome = apply(&plugins, &planned, &order, &Nobody).unwrap().outcome;
    let Outcome::RolledBack { error, undo_errors } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("not ours"), "{error}");
    assert!(undo_errors.is_empty(), "{undo_errors:?}");
    assert_eq!(rig.ovs.vsctl(&["list-ports", "br0"]).trim(), "p0");
    assert_eq!(rig.ovs.bridges(), "br0\nbr1");
}

#[test]
fn a_link_with_the_name_of_a_bridge_or_port_is_refused_and_stays() {
    let Some(rig) = Rig::new() else { return };
    run("ip", &["tuntap", "add", "dev", "taken", "mode", "tap"]);
    for bridges in [
        "{taken: {datapath: netdev}}",
        "{br0: {datapath: netdev, ports: {taken: {type: internal}}}}",
        "{br0: {datapath: netdev, ports: {taken: {type: veth}}}}",
        "{br0: {datapath: netdev, ports: {v0: {type: veth, peer: taken}}}}",
    ] {
        let outcome = rig.try_apply(bridges);
        let Outcome::RolledBack { error, undo_errors } = outcome else {
            panic!("{bridges}: {outcome:?}")
        };
        assert!(error.contains("`taken` is there"), "{bridges}: {error}");
        assert!(undo_errors.is_empty(), "{undo_errors:?}");
        assert!(run("ip", &["-d", "link", "show", "taken"]).contains("tun type tap"));
        assert_eq!(rig.ovs.bridges(), "");
        assert!(rig.link("v0").is_empty());
    }
}

#[test]
fn an_adoption_that_is_undone_leaves_no_mark() {
    let Some(rig) = Rig::new() else { return };
    lab::veth("eth0", "cable");
    run("ip", &["addr", "add", "192.0.2.10/24", "dev", "eth0"]);
    let set = ["set", "bridge", "theirs", "datapath_type=netdev"];
    let mut add = vec!["add-br", "theirs", "--", "add-port", "theirs", "eth0", "--"];
    add.extend(set);
    rig.ovs.vsctl(&add);
    let before = rig.link("eth0");
    // Adopting a bridge is adopting its uplinks.
    let changes =
        rig.plan("{theirs: {datapath: netdev, fail_mode: secure, uplinks: [eth0], adopt: true}}");
    assert_eq!(changes.len(), 2, "{changes:#?}");
    rig.carry_out(&changes, Direction::Forward);
    assert_eq!(rig.get("port", "eth0", "external_ids:op-dbus"), "1");
    assert!(rig.link("theirs").contains("192.0.2.10/24"));
    let back: Vec<_> = changes
        .iter()
        .rev()
        .map(reconcile::Change::inverse)
        .collect();
    rig.carry_out(&back, Direction::Undo);
    assert_eq!(rig.get("port", "eth0", "external_ids"), "{}");
    assert_eq!(rig.get("bridge", "theirs", "external_ids"), "{}");
    assert_eq!(rig.get("bridge", "theirs", "fail_mode"), "standalone");
    assert_eq!(
        rig.link("eth0").contains("192.0.2.10/24"),
        before.contains("192.0.2.10/24")
    );
    assert!(!rig.link("theirs").contains("192.0.2.10"));
}
