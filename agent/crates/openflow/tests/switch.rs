//! Against a real Open vSwitch, with `ovs-ofctl` as the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use openflow::{
    Action, Connection, Cookie, Error, Flow, FlowFilter, FlowMod, Match, PortNo, VlanId, VlanMatch,
};

const PATIENCE: Duration = Duration::from_secs(60);
const OURS: u64 = 0x6f70_6462_0000_0000;

/// A switch with the bridge `br0`, which forwards nothing by itself and has the port `port-a` (7).
fn switch(machine: &lab::Machine) -> lab::Ovs {
    let ovs = machine.ovs();
    let bridge = "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure -- \
                  add-port br0 port-a -- set interface port-a type=internal ofport_request=7";
    ovs.vsctl(&bridge.split_whitespace().collect::<Vec<_>>());
    ovs
}

fn connect(ovs: &lab::Ovs) -> Connection {
    Connection::connect(ovs.run_dir().join("br0.mgmt"), PATIENCE).expect("connect")
}

/// The flows without counters, in the words of `ovs-ofctl`, sorted.
fn dump(ovs: &lab::Ovs) -> Vec<String> {
    let text = ovs.ofctl(&["dump-flows", "br0", "--no-stats"]);
    let mut lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

fn drop_at(priority: u16) -> Flow {
    Flow {
        priority,
        cookie: OURS,
        ..Flow::default()
    }
}

fn everything() -> Flow {
    Flow {
        table: 2,
        priority: 300,
        cookie: OURS | 5,
        matches: Match {
            in_port: Some(PortNo(7)),
            eth_src: Some([2, 0, 0, 0, 0, 1]),
            eth_dst: Some([2, 0, 0, 0, 0, 2]),
            eth_type: Some(0x0800),
            vlan: VlanId::new(12).map(VlanMatch::Id),
            ip_proto: Some(6),
            ipv4_src: Some("10.0.0.0/24".parse().unwrap()),
            ipv4_dst: Some("10.0.1.1/32".parse().unwrap()),
            tcp_dst: Some(80),
            ..Match::default()
        },
        actions: vec![
            Action::SetEthSrc([2, 0, 0, 0, 0, 3]),
            Action::PopVlan,
            Action::PushVlan(0x8100),
            Action::SetVlan(VlanId::new(13).unwrap()),
            Action::Output(PortNo::NORMAL),
            Action::Output(PortNo::CONTROLLER),
        ],
        goto: Some(9),
        raw: Vec::new(),
    }
}

#[test]
fn what_is_installed_is_read_back_by_both() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let mut connection = connect(&ovs);
    connection.bundle(&[FlowMod::Add(everything())]).unwrap();
    let flows = connection.flows(&FlowFilter::default()).unwrap();
    let flows: Vec<_> = flows.into_iter().map(|entry| entry.flow).collect();
    assert_eq!(flows, [everything()]);
    assert_eq!(
        dump(&ovs),
        [
            "cookie=0x6f70646200000005, table=2, priority=300,tcp,in_port=7,dl_vlan=12,\
             dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.0/24,nw_dst=10.0.1.1,tp_dst=80 \
             actions=set_field:02:00:00:00:00:03->eth_src,pop_vlan,push_vlan:0x8100,\
             set_field:4109->vlan_vid,NORMAL,CONTROLLER:65535,goto_table:9"
        ]
    );
}

#[test]
fn foreign_flows_come_through_whole() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    // Registers, connection tracking, groups of actions and masks that this crate has no types for.
    let texts = [
        "cookie=0x7, table=1, priority=9,ct_state=+est+trk,ip,reg0=0x3,nw_src=10.0.0.1/255.0.0.255 \
         actions=ct(commit,table=3),load:0x5->NXM_NX_REG1[],resubmit(,4)",
        "cookie=0x8, table=1, priority=8,ip,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 \
         actions=dec_ttl,CONTROLLER:128",
        "cookie=0x9, table=1, priority=7 actions=write_actions(output:7),write_metadata:0x1/0xf",
    ];
    for text in texts {
        let mut text = text.to_owned();
        text = text.replacen(" actions", ",actions", 1);
        ovs.ofctl(&["add-flow", "br0", &text]);
    }
    let before = dump(&ovs);
    assert_eq!(before.len(), texts.len());
    let mut connection = connect(&ovs);
    let mut flows = connection.flows(&FlowFilter::default()).unwrap();
    flows.sort_by_key(|entry| entry.flow.cookie);
    assert_eq!(flows.len(), texts.len());

    // Deleted and written again from what was read, they are what they were.
    let delete = FlowMod::Delete {
        table: None,
        matches: Match::default(),
        cookie: Cookie::ANY,
    };
    connection.bundle(&[delete]).unwrap();
    assert_eq!(dump(&ovs), [""; 0]);
    let again: Vec<_> = flows
        .into_iter()
        .map(|entry| FlowMod::Add(entry.flow))
        .collect();
    connection.bundle(&again).unwrap();
    assert_eq!(dump(&ovs), before);
}

#[test]
fn each_command_does_what_it_says() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let ours = Cookie {
        value: OURS,
        mask: 0xffff_ffff << 32,
    };
    ovs.ofctl(&["add-flow", "br0", "cookie=0x1,priority=1,actions=drop"]);
    ovs.ofctl(&["add-flow", "br0", "cookie=0x1,priority=5,actions=drop"]);
    let mut connection = connect(&ovs);
    let mut changed = drop_at(2);
    changed.actions.push(Action::Output(PortNo::NORMAL));
    connection
        .bundle(&[
            FlowMod::Add(drop_at(2)),
            FlowMod::Add(drop_at(3)),
            FlowMod::Add(drop_at(4)),
            FlowMod::ModifyStrict(changed, ours),
            FlowMod::DeleteStrict {
                table: 0,
                priority: 3,
                matches: Match::default(),
                cookie: ours,
            },
            // Not ours: stays.
            FlowMod::DeleteStrict {
                table: 0,
                priority: 1,
                matches: Match::default(),
                cookie: ours,
            },
        ])
        .unwrap();
    assert_eq!(
        dump(&ovs),
        [
            "cookie=0x1, priority=1 actions=drop",
            "cookie=0x1, priority=5 actions=drop",
            "cookie=0x6f70646200000000, priority=2 actions=NORMAL",
            "cookie=0x6f70646200000000, priority=4 actions=drop",
        ]
    );
    let filter = FlowFilter {
        table: Some(0),
        cookie: ours,
    };
    let mut seen: Vec<_> = connection.flows(&filter).unwrap();
    seen.sort_by_key(|entry| entry.flow.priority);
    let seen: Vec<_> = seen.iter().map(|entry| entry.flow.priority).collect();
    assert_eq!(seen, [2, 4]);
    let delete = FlowMod::Delete {
        table: Some(0),
        matches: Match::default(),
        cookie: ours,
    };
    connection.bundle(&[delete]).unwrap();
    connection.barrier().unwrap();
    assert_eq!(dump(&ovs).len(), 2);
}

#[test]
fn one_bad_change_spoils_the_bundle_and_is_named() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let mut connection = connect(&ovs);
    let mut bad = drop_at(3);
    // An address without its Ethernet type.
    bad.matches.ipv4_dst = Some("10.0.0.1/32".parse().unwrap());
    let mut back = drop_at(4);
    back.table = 5;
    back.goto = Some(5);
    for (index, bad, reason) in [
        (2, bad, "prerequisite"),
        (1, back, "no such table to go to"),
    ] {
        let mut changes = vec![
            FlowMod::Add(drop_at(1)),
            FlowMod::Add(drop_at(2)),
            FlowMod::Add(drop_at(5)),
        ];
        changes.insert(index, FlowMod::Add(bad));
        match connection.bundle(&changes).unwrap_err() {
            Error::Rejected {
                index: found,
                error,
            } => {
                assert_eq!(found, index);
                assert!(error.to_string().contains(reason), "{error}");
            }
            other => panic!("{other}"),
        }
        assert_eq!(dump(&ovs), [""; 0]);
        // The connection serves on.
        connection.barrier().unwrap();
    }
    let mut long = drop_at(1);
    long.actions = vec![Action::PopVlan; 9000];
    let long = [FlowMod::Add(drop_at(2)), FlowMod::Add(long)];
    let error = connection.bundle(&long).unwrap_err();
    assert!(matches!(error, Error::TooLong { index: 1 }), "{error}");
    connection.bundle(&[FlowMod::Add(drop_at(1))]).unwrap();
    assert_eq!(dump(&ovs).len(), 1);
}

#[test]
fn thousands_of_errors_do_not_clog_the_connection() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let mut connection = connect(&ovs);
    let mut bad = drop_at(1);
    bad.matches.tcp_dst = Some(80);
    let changes = vec![FlowMod::Add(bad); 20_000];
    let error = connection.bundle(&changes).unwrap_err();
    assert!(matches!(error, Error::Rejected { index: 0, .. }), "{error}");
    connection.barrier().unwrap();
    assert_eq!(dump(&ovs), [""; 0]);
}

#[test]
fn the_switch_names_itself_and_its_ports() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let mut connection = connect(&ovs);
    let features = connection.features().unwrap();
    let datapath = ovs.vsctl(&["get", "bridge", "br0", "datapath_id"]);
    assert_eq!(format!("\"{:016x}\"", features.datapath), datapath.trim());
    assert_eq!(features.tables, 254);
    let mut ports = connection.ports().unwrap();
    ports.sort_by_key(|port| port.number);
    let names: Vec<_> = ports
        .iter()
        .map(|port| (port.number, port.name.as_str()))
        .collect();
    assert_eq!(names, [(PortNo(7), "port-a"), (PortNo::LOCAL, "br0")]);
}

#[test]
fn a_bridge_without_openflow_1_3_says_so() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    ovs.vsctl(&["set", "bridge", "br0", "protocols=OpenFlow10"]);
    let error = Connection::connect(ovs.run_dir().join("br0.mgmt"), PATIENCE).unwrap_err();
    assert!(matches!(error, Error::Version), "{error}");
}

#[test]
fn a_switch_that_dies_is_an_error_and_not_a_wait() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let mut ovs = switch(&machine);
    let mut connection = connect(&ovs);
    ovs.kill_switch();
    let start = Instant::now();
    let error = connection.bundle(&[FlowMod::Add(drop_at(1))]).unwrap_err();
    assert!(matches!(error, Error::PeerGone), "{error}");
    let error = Connection::connect(ovs.run_dir().join("br0.mgmt"), PATIENCE).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn ten_thousand_flows_go_as_one_bundle() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let changes: Vec<_> = (0..10_000_u32)
        .map(|number| {
            let mut flow = drop_at(100);
            flow.matches.eth_type = Some(0x0800);
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            flow.matches.ipv4_dst = Some(address.into());
            FlowMod::Add(flow)
        })
        .collect();
    let mut connection = connect(&ovs);
    connection.bundle(&changes).unwrap();
    let flows = connection.flows(&FlowFilter::default()).unwrap();
    assert_eq!(flows.len(), changes.len());
    assert_eq!(dump(&ovs).len(), changes.len());
}

#[test]
fn counters_are_those_that_ovs_ofctl_shows() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    ovs.ofctl(&[
        "add-flow",
        "br0",
        "cookie=0x7,table=2,priority=3,actions=drop",
    ]);
    ovs.ofctl(&[
        "add-flow",
        "br0",
        "cookie=0x8,table=2,priority=4,actions=drop",
    ]);
    ovs.ofctl(&["add-flow", "br0", "table=0,priority=5,actions=goto_table:2"]);
    lab::run("ip", &["link", "set", "port-a", "up"]);
    // What the kernel sends on its own (neighbour discovery) is counted.
    let mut connection = connect(&ovs);
    lab::wait_for("a packet", PATIENCE, || {
        let totals = connection.flow_totals(&FlowFilter::default()).unwrap();
        (totals.packets > 0).then_some(())
    });
    let tables = connection.table_stats().unwrap();
    let of = |number| *tables.iter().find(|table| table.table == number).unwrap();
    assert_eq!((of(0).active, of(2).active, of(7).active), (1, 2, 0));
    assert!(of(0).lookups > 0 && of(0).matched > 0);
    assert!(tables.len() > 200);

    let only = FlowFilter {
        table: Some(2),
        cookie: Cookie {
            value: 7,
            mask: u64::MAX,
        },
    };
    assert_eq!(connection.flow_totals(&only).unwrap().flows, 1);
    assert_eq!(
        connection
            .flow_totals(&FlowFilter::default())
            .unwrap()
            .flows,
        3
    );

    // So that nothing more is counted.
    lab::run("ip", &["link", "set", "port-a", "down"]);
    let ports = connection.port_stats().unwrap();
    let numbers: Vec<_> = ports.iter().map(|port| port.number).collect();
    assert_eq!(numbers, [PortNo(7), PortNo::LOCAL]);
    let shown = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let line = |traffic: openflow::Traffic| {
        format!(
            "pkts={}, bytes={}, drop={}, errs={},",
            shown(traffic.packets),
            shown(traffic.bytes),
            shown(traffic.dropped),
            shown(traffic.errors)
        )
    };
    let text = ovs.ofctl(&["dump-ports", "br0", "7"]);
    for part in [
        format!("rx {}", line(ports[0].received)),
        format!("tx {}", line(ports[0].sent)),
        format!("coll={}", shown(ports[0].collisions)),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
}
