//! What is declared is what the switch has.

use declaration::wiring;

use crate::fixture::{
    add_port, carry_out, converge, declaration, dump, ours, planned, plugin, switch, take_back,
};

/// The number of a container's port.
fn port_number(ovs: &lab::Ovs, port: &str) -> u16 {
    let numbers = wiring::ofports(&declaration(ovs, "{}"), &"br0".parse().unwrap());
    numbers[port]
}

#[test]
fn the_standard_tables_are_made_once() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    assert_eq!(converge(&ovs, "{ br0: {} }").len(), 8);
    let (web, mail) = (
        port_number(&ovs, "sock_web"),
        port_number(&ovs, "mesh_mail"),
    );
    let cookie = "cookie=0x6f70646200000000,";
    let mac = |name: &str| wiring::mac(&name.parse().unwrap());
    let (web_mac, mail_mac) = (mac("web"), mac("mail"));
    let mut expected = vec![
        // Made by the bridge itself; it stays.
        "priority=0 actions=NORMAL".to_owned(),
        format!("{cookie} priority=50 actions=goto_table:30"),
        format!("{cookie} priority=100,ip,nw_dst=10.0.0.11 actions=goto_table:10"),
        format!("{cookie} priority=100,ipv6,ipv6_dst=fd00::12 actions=goto_table:10"),
        format!("{cookie} table=10, priority=0 actions=goto_table:30"),
        format!(
            "{cookie} table=10, priority=100,ip,nw_dst=10.0.0.11 \
             actions=set_field:{web_mac}->eth_dst,output:{web}"
        ),
        format!(
            "{cookie} table=10, priority=100,ipv6,ipv6_dst=fd00::12 \
             actions=set_field:{mail_mac}->eth_dst,output:{mail}"
        ),
        format!("{cookie} table=20, priority=0 actions=goto_table:30"),
        format!("{cookie} table=30, priority=0 actions=NORMAL"),
    ];
    expected.sort();
    assert_eq!(dump(&ovs), expected);
    assert_eq!(converge(&ovs, "{ br0: {} }"), [""; 0]);

    // The container's port comes up later and changes nothing.
    add_port(&ovs, "sock_web", web);
    assert_eq!(converge(&ovs, "{ br0: {} }"), [""; 0]);
}

#[test]
fn packets_go_where_the_tables_say() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let web = port_number(&ovs, "sock_web");
    add_port(&ovs, "sock_web", web);
    converge(
        &ovs,
        "{ br0: { mesh: { prefix: 10.0.0.0/16, port: wg0 } } }",
    );
    let control = ovs.run_dir().join("ovs-vswitchd.ctl");
    let trace = |to: &str| {
        let packet = format!("in_port=5,ip,nw_dst={to},dl_dst=02:00:00:00:00:99");
        let control = control.to_str().unwrap();
        let arguments = ["-t", control, "ofproto/trace", "br0", &packet];
        lab::run("ovs-appctl", &arguments)
    };
    let to_container = trace("10.0.0.11");
    assert!(
        to_container.contains(&format!("output:{web}")),
        "{to_container}"
    );
    assert!(!to_container.contains("NORMAL"), "{to_container}");
    let to_mesh = trace("10.0.5.1");
    assert!(to_mesh.contains("output:6"), "{to_mesh}");
    let elsewhere = trace("192.0.2.1");
    assert!(elsewhere.contains("NORMAL"), "{elsewhere}");
}

#[test]
fn every_declared_flow_is_read_back_as_it_was_declared() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let flows = r#"
{ br0: { standard_tables: false, flows: [
  { table: 0, priority: 1, match: {}, actions: [drop] },
  { table: 0, priority: 2, match: { in_port: eth0, vlan: 10 }, actions: [pop_vlan, { push_vlan: 12 }, { output: wg0 }] },
  { table: 0, priority: 3, match: { in_port: br0 }, actions: [{ set_eth_src: "02:00:00:00:00:01" }, local, flood] },
  { table: 0, priority: 4, match: { eth_type: ip, ip_proto: tcp, tcp_dst: 80 }, actions: [normal] },
  { table: 0, priority: 5, match: { eth_type: ipv6, ip_proto: udp, udp_src: 53 }, actions: [{ goto: 7 }] },
  { table: 0, priority: 6, match: { ip_src: 10.0.0.0/8, ip_dst: 10.1.2.3 }, actions: [{ output: eth0 }, { goto: 7 }] },
  { table: 0, priority: 7, match: { ip_src: "fd00::/8", ip_proto: icmpv6 }, actions: [normal] },
  { table: 0, priority: 8, match: { arp_tpa: 10.0.0.1 }, actions: [{ set_eth_dst: "02:00:00:00:00:01" }, normal] },
  { table: 0, priority: 9, match: { eth_type: 0x88cc, eth_dst: "01:80:c2:00:00:0e" }, actions: [drop] },
  { table: 0, priority: 10, match: { ip_dst: 0.0.0.0/0, eth_src: "02:00:00:00:00:07" }, actions: [drop] },
  { table: 0, priority: 11, match: { eth_type: ip, ip_proto: sctp }, actions: [drop] },
  { table: 0, priority: 12, match: { eth_type: ip, ip_proto: 47 }, actions: [drop] },
  { table: 7, match: {}, actions: [normal] },
] } }
"#;
    assert_eq!(converge(&ovs, flows).len(), 13);
    assert_eq!(ours(&ovs).len(), 13);
    assert_eq!(converge(&ovs, flows), [""; 0]);

    // Each is the flow that its name says: the switch deletes them one by one by that text.
    let desired = reconcile::Plugin::desired(&plugin(&ovs, flows));
    for (resource, left) in desired.keys().zip((0..13).rev()) {
        let text = resource
            .trim_start_matches("br0/")
            .replace("in_port=eth0", "in_port=5")
            .replace("in_port=br0", "in_port=LOCAL");
        ovs.ofctl(&["del-flows", "br0", &text, "--strict"]);
        assert_eq!(ours(&ovs).len(), left, "{text}");
    }
}

#[test]
fn a_declared_flow_replaces_a_standard_one() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let flows = "{ br0: { flows: [ { table: 30, priority: 0, actions: [drop] } ] } }";
    converge(&ovs, flows);
    let dropped = "cookie=0x6f70646200000000, table=30, priority=0 actions=drop";
    assert!(ours(&ovs).contains(&dropped.to_owned()), "{:?}", ours(&ovs));
    assert_eq!(ours(&ovs).len(), 8);
    // And gives it its place back.
    assert_eq!(
        converge(&ovs, "{ br0: {} }"),
        ["update br0/table=30,priority=0"]
    );
}

#[test]
fn undo_gives_back_what_was() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    converge(&ovs, "{ br0: {} }");
    // Edited by hand, with things that cannot be declared.
    let edit = "cookie=0x6f70646200000000,table=30,priority=0,actions=load:0x5->NXM_NX_REG1[],CONTROLLER:128,output:77";
    ovs.ofctl(&["add-flow", "br0", edit]);
    let extra = "cookie=0x6f70646200000000,table=1,priority=3,ip,reg0=0x3,actions=dec_ttl,write_metadata:0x1/0xf";
    ovs.ofctl(&["add-flow", "br0", extra]);
    let before = dump(&ovs);

    let flows = "{ br0: { mesh: { prefix: 10.0.5.0/24, port: wg0 } } }";
    let plan = planned(&ovs, flows).unwrap();
    let summary = plan.summary();
    assert_eq!((summary.create, summary.update, summary.delete), (1, 2, 1));
    carry_out(&ovs, &plan).unwrap();
    let after = dump(&ovs);
    assert_ne!(after, before);
    // Doing it twice is doing it once, and so is undoing it.
    carry_out(&ovs, &plan).unwrap();
    assert_eq!(dump(&ovs), after);
    take_back(&ovs, &plan).unwrap();
    assert_eq!(dump(&ovs), before);
    take_back(&ovs, &plan).unwrap();
    assert_eq!(dump(&ovs), before);
}
