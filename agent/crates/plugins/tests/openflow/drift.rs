//! What people and restarts do to our flows.

use crate::fixture::{add_port, converge, dump, switch, wait_for_bridge};

#[test]
fn what_was_changed_by_hand_is_seen_and_mended() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let flows = "{ br0: {} }";
    converge(&ovs, flows);
    let good = dump(&ovs);
    // Each edit and what mends it.
    let edits: [(&[&str], &str); 4] = [
        (
            &["del-flows", "br0", "table=20"],
            "create br0/table=20,priority=0",
        ),
        (
            &["mod-flows", "br0", "table=30,actions=drop"],
            "update br0/table=30,priority=0",
        ),
        (
            &[
                "add-flow",
                "br0",
                "cookie=0x6f70646200000009,table=9,priority=9,in_port=99,actions=drop",
            ],
            "delete br0/table=9,priority=9,in_port=99",
        ),
        (
            &[
                "add-flow",
                "br0",
                "cookie=0x6f70646200000000,priority=5,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
            ],
            "delete br0/table=0,priority=5,raw=8000070c010000000000010000000000",
        ),
    ];
    for (edit, mended) in edits {
        ovs.ofctl(edit);
        assert_ne!(dump(&ovs), good);
        assert_eq!(converge(&ovs, flows), [mended]);
        assert_eq!(dump(&ovs), good);
    }
}

#[test]
fn a_port_that_got_another_number_is_followed() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let flows = "{ br0: { standard_tables: false, flows: [ { match: { in_port: eth0 }, actions: [ { output: wg0 } ] } ] } }";
    converge(&ovs, flows);
    ovs.vsctl(&["del-port", "wg0"]);
    add_port(&ovs, "wg0", 16);
    assert_eq!(converge(&ovs, flows).len(), 1);
    let flow = "cookie=0x6f70646200000000, in_port=5 actions=output:16";
    assert!(dump(&ovs).contains(&flow.to_owned()), "{:?}", dump(&ovs));
    ovs.vsctl(&["del-port", "eth0"]);
    add_port(&ovs, "eth0", 15);
    assert_eq!(
        converge(&ovs, flows),
        [
            "delete br0/table=0,priority=32768,in_port=5",
            "create br0/table=0,priority=32768,in_port=eth0",
        ]
    );
    assert_eq!(converge(&ovs, flows), [""; 0]);
}

#[test]
fn a_restart_of_the_switch_loses_flows_and_they_come_back() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let mut ovs = switch(&machine);
    converge(&ovs, "{ br0: {} }");
    let good = dump(&ovs);
    ovs.kill_switch();
    ovs.start_switch();
    wait_for_bridge(&ovs, "br0", true);
    assert_ne!(dump(&ovs), good);
    assert_eq!(converge(&ovs, "{ br0: {} }").len(), 8);
    assert_eq!(dump(&ovs), good);
}
