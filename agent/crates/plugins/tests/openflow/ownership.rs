//! Flows that are not ours.

use reconcile::{Owner, Plan, PlanError, Plugin, Verb};

use crate::fixture::{
    add_bridge, carry_out, converge, dump, ours, planned, plugin, switch, wait_for_bridge,
};

const FOREIGN: &str = "cookie=0x7,table=0,priority=300,ip,nw_src=192.0.2.1,actions=drop";

#[test]
fn foreign_flows_are_neither_seen_nor_touched() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    ovs.ofctl(&["add-flow", "br0", FOREIGN]);
    let foreign = dump(&ovs);
    assert_eq!(foreign.len(), 2);
    converge(&ovs, "{ br0: {} }");
    let seen = plugin(&ovs, "{ br0: {} }").observe().unwrap();
    assert!(seen.values().all(|found| found.owner == Owner::Ours));
    assert_eq!(seen.len(), ours(&ovs).len());
    // All of ours go, all of the others stay.
    assert_eq!(converge(&ovs, "{}").len(), 8);
    assert_eq!(dump(&ovs), foreign);
}

#[test]
fn a_foreign_flow_in_our_place_is_not_overwritten() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    // Planned while the place was free, carried out when it is not.
    let early: Plan = planned(&ovs, "{ br0: {} }").unwrap();
    ovs.ofctl(&[
        "add-flow",
        "br0",
        "cookie=0x7,table=30,priority=0,actions=drop",
    ]);
    let before = dump(&ovs);
    let error = carry_out(&ovs, &early).unwrap_err().to_string();
    assert!(
        error.contains("write flow br0/table=30,priority=0"),
        "{error}"
    );
    assert!(error.contains("not ours"), "{error}");
    assert_eq!(dump(&ovs), before);

    match planned(&ovs, "{ br0: {} }").unwrap_err() {
        PlanError::Refused(refusals) => {
            let names: Vec<_> = refusals.iter().map(|r| r.resource.to_string()).collect();
            assert_eq!(names, ["openflow/br0/table=30,priority=0"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_foreign_flow_that_took_our_place_is_not_deleted() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    converge(&ovs, "{ br0: {} }");
    let plan = planned(&ovs, "{}").unwrap();
    assert!(
        plan.changes
            .iter()
            .all(|change| change.verb == Verb::Delete)
    );
    ovs.ofctl(&[
        "add-flow",
        "br0",
        "cookie=0x7,table=30,priority=0,actions=drop",
    ]);
    carry_out(&ovs, &plan).unwrap();
    assert_eq!(ours(&ovs), [""; 0]);
    let foreign = "cookie=0x7, table=30, priority=0 actions=drop".to_owned();
    assert!(dump(&ovs).contains(&foreign));
}

#[test]
fn our_flows_on_a_bridge_that_is_no_longer_declared_go() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    add_bridge(&ovs, "br1");
    ovs.ofctl(&["add-flow", "br1", FOREIGN]);
    let left = "cookie=0x6f70646200000000,table=3,priority=4,actions=drop";
    ovs.ofctl(&["add-flow", "br1", left]);
    assert_eq!(converge(&ovs, "{}"), ["delete br1/table=3,priority=4"]);
    let rest = ovs.ofctl(&["dump-flows", "br1", "--no-stats"]);
    assert!(rest.contains("cookie=0x7"), "{rest}");
    assert!(!rest.contains("cookie=0x6f706462"), "{rest}");
}

#[test]
fn a_bridge_that_went_took_its_flows_along() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    converge(&ovs, "{ br0: {} }");
    let delete = planned(&ovs, "{}").unwrap();
    ovs.vsctl(&["del-br", "br0"]);
    wait_for_bridge(&ovs, "br0", false);
    let plugin = plugin(&ovs, "{ br0: {} }");
    assert!(plugin.observe().unwrap().is_empty());
    carry_out(&ovs, &delete).unwrap();
    // But flows need their bridge.
    let error = carry_out(&ovs, &planned(&ovs, "{ br0: {} }").unwrap()).unwrap_err();
    assert!(error.to_string().contains("br0.mgmt"), "{error}");
    assert!(error.to_string().contains("ovs-vsctl show"), "{error}");
}
