//! What cannot be done changes nothing, and says why.

use std::time::{Duration, Instant};

use reconcile::Plugin;

use crate::fixture::{carry_out, converge, dump, planned, plugin, switch};

#[test]
fn one_bad_flow_changes_nothing() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    converge(&ovs, "{ br0: {} }");
    let before = dump(&ovs);
    // There is no tag to take off.
    let flows = "{ br0: { flows: [ { priority: 7, actions: [ normal ] }, { priority: 8, actions: [ pop_vlan, normal ] } ] } }";
    let plan = planned(&ovs, flows).unwrap();
    assert_eq!(plan.changes.len(), 2);
    let error = carry_out(&ovs, &plan).unwrap_err().to_string();
    assert!(
        error.contains("write flow br0/table=0,priority=8"),
        "{error}"
    );
    assert!(
        error.contains("an action does not go with the match"),
        "{error}"
    );
    assert_eq!(dump(&ovs), before);
}

#[test]
fn a_port_that_is_not_there_is_named() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    ovs.vsctl(&["del-port", "wg0"]);
    let before = dump(&ovs);
    let flows = "{ br0: { mesh: { prefix: 10.0.5.0/24, port: wg0 } } }";
    let plan = planned(&ovs, flows).unwrap();
    let error = carry_out(&ovs, &plan).unwrap_err().to_string();
    assert!(error.contains("bridge br0 has no port wg0"), "{error}");
    assert_eq!(dump(&ovs), before);
}

#[test]
fn a_switch_that_is_down_is_named_with_the_remedy() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let mut ovs = switch(&machine);
    let plan = planned(&ovs, "{ br0: {} }").unwrap();
    ovs.kill_switch();
    let start = Instant::now();
    for error in [
        plugin(&ovs, "{ br0: {} }").observe().unwrap_err(),
        carry_out(&ovs, &plan).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("ovs-vswitchd does not run"), "{text}");
        assert!(
            text.contains("systemctl start openvswitch-switch"),
            "{text}"
        );
    }
    // A bridge that nobody asked for does not stop the rest.
    assert!(plugin(&ovs, "{}").observe().unwrap().is_empty());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_open_vswitch_there_are_no_flows() {
    let text = r#"{"version": "1.0", "plugins": {"ovs": {"run_dir": "/nonexistent"}}}"#;
    let declaration = declaration::Declaration::from_json(text).unwrap();
    let plugin = plugins::OpenflowPlugin::new(&declaration);
    assert!(plugin.desired().is_empty());
    assert!(plugin.observe().unwrap().is_empty());
}
