//! Bridges: made, changed, removed, and drift.

use lab::run;
use reconcile::plan;

use crate::fixture::Rig;

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
    assert_eq!(rig.ovs.bridges(), "");
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
fn somebody_elses_address_survives_the_removal_of_ours() {
    let Some(rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev, addresses: [10.1.0.1/24]}}");
    // To the kernel a second address of the same prefix depends on the first.
    run("ip", &["addr", "add", "10.1.0.77/24", "dev", "br0"]);
    run(
        "ip",
        &["route", "add", "203.0.113.0/24", "via", "10.1.0.99"],
    );
    rig.apply("{br0: {datapath: netdev, addresses: [10.1.0.2/24]}}");
    let link = rig.link("br0");
    assert!(link.contains("10.1.0.77/24") && link.contains("10.1.0.2/24"));
    assert!(!link.contains("10.1.0.1/24"), "{link}");
    assert!(run("ip", &["route"]).contains("203.0.113.0/24"));
}

#[test]
fn what_others_note_on_our_rows_stays() {
    let Some(rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev, ports: {int0: {type: internal}}}}");
    for (table, row) in [("bridge", "br0"), ("port", "int0")] {
        rig.ovs
            .vsctl(&["set", table, row, "external_ids:theirs=kept"]);
    }
    rig.apply("{br0: {datapath: netdev, fail_mode: secure, addresses: [10.1.0.1/24], ports: {int0: {type: internal, tag: 3}}}}");
    for (table, row) in [("bridge", "br0"), ("port", "int0")] {
        assert_eq!(rig.get(table, row, "external_ids:theirs"), "kept");
        assert_eq!(rig.get(table, row, "external_ids:op-dbus"), "1");
    }
}

#[test]
fn an_empty_section_without_a_switch_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = crate::fixture::plugins(dir.path(), "{}");
    assert!(plan(&plugins).unwrap().is_empty());
}
