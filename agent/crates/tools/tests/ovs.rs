//! Open vSwitch, with `ovs-vsctl` and `ovs-ofctl` as witnesses.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::time::Duration;

use fixture::{call, item, registry, texts};
use serde_json::{Value, json};
use tools::{Registry, Role, ToolError};

fn switch() -> Option<(lab::Machine, lab::Ovs, Registry)> {
    let machine = lab::Machine::new("needs root for Open vSwitch")?;
    let ovs = machine.ovs();
    let commands = "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure \
                    external_ids:owner=test -- add-port br0 port-a -- set interface port-a type=internal \
                    ofport_request=7 -- set port port-a tag=12 -- add-port br0 tun0 -- set interface tun0 \
                    type=vxlan options:remote_ip=10.0.0.9 options:key=5 options:psk=hunter2 \
                    -- add-br br1 -- set bridge br1 datapath_type=netdev \
                    protocols=OpenFlow13 -- set open_vswitch . external_ids:system-id=host-7";
    ovs.vsctl(&commands.split_whitespace().collect::<Vec<_>>());
    // Refers to a link that is not there.
    let broken = ["add-port", "br0", "nolink0"];
    let db = format!("--db=unix:{}", ovs.socket().display());
    let all: Vec<_> = [db.as_str(), "--timeout=60"]
        .into_iter()
        .chain(broken)
        .collect();
    lab::output("ovs-vsctl", &all);
    let declared = format!(
        "plugins: {{ ovs: {{ run_dir: {} }} }}",
        ovs.run_dir().display()
    );
    let registry = registry(machine.dir(), &declared);
    Some((machine, ovs, registry))
}

fn ask(registry: &Registry, name: &str, arguments: Value) -> Value {
    call(registry, Role::Viewer, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_database_is_what_ovs_vsctl_shows() {
    let Some((_machine, ovs, registry)) = switch() else {
        return;
    };
    let get = |table: &str, row: &str, column: &str| {
        let text = ovs.vsctl(&["get", table, row, column]);
        text.trim().trim_matches('"').to_owned()
    };
    let shown = ask(&registry, "ovs_show", json!({}));
    assert_eq!(shown["bridges"], json!(["br0", "br1"]));
    assert_eq!(shown["system_id"], "host-7");
    assert_eq!(
        shown["ovs_version"].as_str().unwrap_or("[]"),
        get("open", ".", "ovs_version")
    );
    assert_eq!(
        shown["db_version"].as_str().unwrap_or("[]"),
        get("open", ".", "db_version")
    );
    assert_eq!(shown["cur_cfg"], shown["next_cfg"]);
    assert!(
        shown["interface_types"]
            .as_array()
            .unwrap()
            .contains(&json!("vxlan"))
    );

    let listed = ask(&registry, "ovs_list_bridges", json!({}));
    let bridge = item(&listed["bridges"], "name", "br0");
    assert_eq!(bridge["datapath_type"], "netdev");
    assert_eq!(bridge["fail_mode"], "secure");
    assert_eq!(
        bridge["datapath_id"].as_str().unwrap(),
        get("bridge", "br0", "datapath_id")
    );
    assert_eq!(bridge["ports"], json!(["br0", "nolink0", "port-a", "tun0"]));
    assert_eq!(bridge["external_ids"], json!({ "owner": "test" }));
    assert_eq!(
        item(&listed["bridges"], "name", "br1")["protocols"],
        json!(["OpenFlow13"])
    );

    let listed = ask(&registry, "ovs_list_ports", json!({}));
    assert_eq!(
        texts(&listed["ports"], "name"),
        ["br0", "nolink0", "port-a", "tun0", "br1"]
    );
    assert_eq!(item(&listed["ports"], "name", "port-a")["tag"], 12);
    let listed = ask(&registry, "ovs_list_ports", json!({ "bridge": "br1" }));
    assert_eq!(texts(&listed["ports"], "bridge"), ["br1"]);

    let listed = ask(&registry, "ovs_list_interfaces", json!({ "bridge": "br0" }));
    let interfaces = &listed["interfaces"];
    let port = item(interfaces, "name", "port-a");
    assert_eq!(
        (&port["ofport"], &port["type"]),
        (&json!(7), &json!("internal"))
    );
    assert_eq!(
        port["mac_in_use"].as_str().unwrap(),
        get("interface", "port-a", "mac_in_use")
    );
    assert_eq!(
        port["link_state"].as_str().unwrap(),
        get("interface", "port-a", "link_state")
    );
    let tunnel = item(interfaces, "name", "tun0");
    assert_eq!(
        tunnel["options"],
        json!({ "remote_ip": "10.0.0.9", "key": "5" })
    );
    let broken = item(interfaces, "name", "nolink0");
    assert_eq!(broken["ofport"], -1);
    assert_eq!(
        broken["error"].as_str().unwrap(),
        get("interface", "nolink0", "error")
    );
    let counted = lab::wait_for("statistics", Duration::from_secs(15), || {
        let listed = ask(&registry, "ovs_list_interfaces", json!({ "bridge": "br0" }));
        let port = item(&listed["interfaces"], "name", "port-a").clone();
        port["statistics"]["rx_packets"].is_u64().then_some(port)
    });
    assert!(counted["statistics"]["tx_bytes"].is_u64());
}

/// The flows in the words of `ovs-ofctl`, without counters, sorted.
fn dumped(ovs: &lab::Ovs) -> Vec<String> {
    let text = ovs.ofctl(&["dump-flows", "br0", "--no-stats"]);
    let mut lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn flows_are_in_the_words_of_ovs_ofctl() {
    let Some((_machine, ovs, registry)) = switch() else {
        return;
    };
    for flow in [
        "cookie=0x6f70646200000001,table=2,priority=300,tcp,in_port=7,dl_vlan=12,dl_src=02:00:00:00:00:01,\
         nw_src=10.0.0.0/24,nw_dst=10.0.1.1,tp_dst=80,actions=mod_dl_src:02:00:00:00:00:03,strip_vlan,\
         push_vlan:0x8100,mod_vlan_vid:13,NORMAL,CONTROLLER,goto_table:9",
        "cookie=0x6f70646200000002,table=2,priority=400,arp,arp_tpa=10.0.0.9,actions=LOCAL",
        "table=2,priority=400,ipv6,ipv6_dst=2001:db8::/32,actions=output:7,FLOOD",
        "table=0,priority=5,udp6,tp_src=53,actions=drop",
        "table=0,priority=6,icmp,actions=ALL",
        "table=0,priority=7,vlan_tci=0/0x1fff,dl_type=0x88cc,actions=IN_PORT",
        "table=0,priority=8,ip,nw_proto=99,ipv6_src=::/0,actions=goto_table:2",
    ] {
        let flow = flow.replace(",ipv6_src=::/0", "");
        ovs.ofctl(&["add-flow", "br0", &flow]);
    }
    let listed = ask(&registry, "ovs_dump_flows", json!({ "bridge": "br0" }));
    let mut ours: Vec<_> = listed["flows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| {
            let text = |key: &str| flow[key].as_str().unwrap();
            // Zero cookies and tables are left out, or written otherwise.
            let cookie = match text("cookie") {
                "0x0" => String::new(),
                cookie => format!("cookie={cookie}, "),
            };
            let table = match flow["table"].as_u64().unwrap() {
                0 => String::new(),
                table => format!("table={table}, "),
            };
            format!(
                "{cookie}{table}{} actions={}",
                text("match"),
                text("actions")
            )
        })
        .collect();
    ours.sort();
    let theirs: Vec<_> = dumped(&ovs)
        .iter()
        .map(|line| line.replace("cookie=0x0, ", ""))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(listed["total"], 7);

    let only = |arguments: Value| ask(&registry, "ovs_dump_flows", arguments);
    let table = only(json!({ "bridge": "br0", "table": 2 }));
    let flows = table["flows"].as_array().unwrap();
    // The highest priority first.
    assert_eq!(flows.len(), 3);
    assert!(
        flows[2]["match"]
            .as_str()
            .unwrap()
            .starts_with("priority=300")
    );
    let mark = "0x6f70646200000000/0xffffffff00000000";
    let marked = only(json!({ "bridge": "br0", "cookie": mark }));
    assert_eq!(marked["flows"].as_array().unwrap().len(), 2);
    let page = only(json!({ "bridge": "br0", "limit": 3 }));
    assert_eq!(
        (&page["total"], &page["next_cursor"]),
        (&json!(7), &json!("3"))
    );

    let counts = ask(
        &registry,
        "openflow_flow_counts",
        json!({ "bridge": "br0", "table": 2 }),
    );
    assert_eq!(counts["flows"], 3);
    let tables = ask(
        &registry,
        "openflow_list_tables",
        json!({ "bridge": "br0" }),
    );
    let active: Vec<_> = tables["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| {
            (
                table["table"].as_u64().unwrap(),
                table["active"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(active, [(0, 4), (2, 3)]);
    let ports = ask(&registry, "openflow_list_ports", json!({ "bridge": "br0" }));
    let names = texts(&ports["ports"], "name");
    assert!(names.contains(&"port-a".to_owned()) && names.contains(&"br0".to_owned()));
    let port = item(&ports["ports"], "name", "port-a");
    assert_eq!(port["number"], 7);
    assert!(port["received"]["packets"].is_u64());
}

#[test]
fn what_is_not_there_is_said() {
    let Some((_machine, mut ovs, registry)) = switch() else {
        return;
    };
    for tool in [
        "ovs_list_ports",
        "ovs_list_interfaces",
        "ovs_dump_flows",
        "openflow_list_ports",
        "openflow_list_tables",
        "openflow_flow_counts",
    ] {
        for bridge in ["nobr0", "../br0", "", "br0/../br0"] {
            let error =
                call(&registry, Role::Viewer, tool, json!({ "bridge": bridge })).unwrap_err();
            assert!(matches!(error, ToolError::NotFound(_)), "{tool}: {error}");
        }
    }
    for cookie in ["x", "1/", "0x", "-1"] {
        let arguments = json!({ "bridge": "br0", "cookie": cookie });
        let error = call(&registry, Role::Viewer, "ovs_dump_flows", arguments).unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{error}");
    }
    ovs.kill_switch();
    let error = call(
        &registry,
        Role::Viewer,
        "ovs_dump_flows",
        json!({ "bridge": "br0" }),
    )
    .unwrap_err();
    assert!(matches!(error, ToolError::Unavailable(_)), "{error}");
    // The database goes on without it.
    ask(&registry, "ovs_list_bridges", json!({}));
    ovs.kill_database();
    let error = call(&registry, Role::Viewer, "ovs_show", json!({})).unwrap_err();
    assert!(matches!(error, ToolError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("openvswitch-switch"), "{error}");
}
