//! The three forms of a flow against each other.

use declaration::{Action, BridgeName, Declaration, Flow, LinkName, MacAddr, Match};
use ipnet::IpNet;
use openflow::{Port, PortNo, RawElement, RawField, VlanId, VlanMatch};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use reconcile::{Change, Plugin, Verb};
use serde_json::{Value, json};

use super::OpenflowPlugin;
use super::names::PortNames;
use super::rule::Rule;
use super::translate::MARK;

fn bridge() -> BridgeName {
    "br0".parse().unwrap()
}

/// Ports 1 to 4, called p1 to p4.
fn ports() -> PortNames {
    let ports: Vec<_> = (1..=4)
        .map(|number| Port {
            number: PortNo(number),
            name: format!("p{number}"),
            mac: [0; 6],
            link: true,
        })
        .collect();
    PortNames::new(&bridge(), &ports, [])
}

fn declared(flow: &Flow) -> Rule {
    Rule::declared(&bridge(), flow)
}

fn flow(matches: Match, actions: Vec<Action>) -> Flow {
    Flow {
        table: 3,
        priority: 7,
        matches,
        actions,
    }
}

#[test]
fn a_rule_is_named_in_the_terms_of_ovs_ofctl() {
    let cases = [
        (Match::default(), "br0/table=3,priority=7"),
        (
            Match {
                ip_dst: Some("10.0.0.11/32".parse().unwrap()),
                ..Match::default()
            },
            "br0/table=3,priority=7,ip,nw_dst=10.0.0.11",
        ),
        (
            Match {
                in_port: Some("eth0".parse().unwrap()),
                ip_src: Some("fd00::/8".parse().unwrap()),
                ip_proto: Some(6),
                tcp_dst: Some(80),
                ..Match::default()
            },
            "br0/table=3,priority=7,tcp6,in_port=eth0,ipv6_src=fd00::/8,tcp_dst=80",
        ),
        (
            Match {
                eth_type: Some(0x88cc),
                vlan: Some(10),
                eth_dst: Some(MacAddr([2, 0, 0, 0, 0, 1])),
                ..Match::default()
            },
            "br0/table=3,priority=7,dl_type=0x88cc,dl_vlan=10,dl_dst=02:00:00:00:00:01",
        ),
        (
            Match {
                arp_tpa: Some([10, 0, 0, 1].into()),
                ..Match::default()
            },
            "br0/table=3,priority=7,arp,arp_tpa=10.0.0.1",
        ),
        (
            Match {
                eth_type: Some(0x86dd),
                ip_proto: Some(58),
                ..Match::default()
            },
            "br0/table=3,priority=7,icmp6",
        ),
        (
            Match {
                ip_proto: Some(47),
                ip_src: Some("0.0.0.0/0".parse().unwrap()),
                ..Match::default()
            },
            "br0/table=3,priority=7,ip,nw_proto=47",
        ),
    ];
    for (matches, expected) in cases {
        let rule = declared(&flow(matches, vec![Action::Normal]));
        assert_eq!(rule.to_string(), expected);
    }
}

#[test]
fn a_state_reads_like_the_declaration() {
    let matches = Match {
        in_port: Some("p1".parse().unwrap()),
        ip_dst: Some("10.0.0.0/24".parse().unwrap()),
        ..Match::default()
    };
    let actions = vec![
        Action::Goto(10),
        Action::PushVlan(12),
        Action::Output("p2".parse().unwrap()),
        Action::Output("br0".parse().unwrap()),
    ];
    assert_eq!(
        declared(&flow(matches, actions)).state(),
        json!({
            "bridge": "br0",
            "table": 3,
            "priority": 7,
            "match": { "in_port": "p1", "eth_type": "ip", "ip_dst": "10.0.0.0/24" },
            "actions": [{ "push_vlan": 12 }, { "output": "p2" }, "local", { "goto": 10 }],
        })
    );
    let nothing = declared(&flow(Match::default(), vec![Action::Drop]));
    assert_eq!(nothing.state()["actions"], json!(["drop"]));
}

#[test]
fn a_rule_names_the_ports_that_it_needs_but_not_its_bridge() {
    let matches = Match {
        in_port: Some("p1".parse().unwrap()),
        ..Match::default()
    };
    let output = |name: &str| Action::Output(name.parse().unwrap());
    let rule = declared(&flow(
        matches,
        vec![output("p2"), output("p1"), output("br0")],
    ));
    let names: Vec<_> = rule.ports().into_iter().map(LinkName::as_str).collect();
    assert_eq!(names, ["p1", "p2"]);
}

#[test]
fn a_port_that_is_not_there_is_named() {
    let rule = declared(&flow(
        Match::default(),
        vec![Action::Output("gone".parse().unwrap())],
    ));
    let error = rule.flow(&ports()).unwrap_err().to_string();
    assert!(error.contains("bridge br0 has no port gone"), "{error}");
}

#[test]
fn only_the_flows_of_a_container_are_harmless() {
    let yaml = r#"
version: "1.0"
plugins:
  ovs: { bridges: { br0: { datapath: netdev } } }
  openflow: { bridges: { br0: { flows: [ { match: { ip_dst: 10.0.0.7 }, actions: [ drop ] } ] } } }
  lxc:
    templates: { busybox: { recipe: busybox } }
    containers: { web: { template: busybox, network: socket, bridge: br0, address: 10.0.0.11/24 } }
"#;
    let plugin = OpenflowPlugin::new(&Declaration::from_yaml(yaml).unwrap());
    let harmless: Vec<_> = plugin
        .desired()
        .into_iter()
        .filter(|(resource, desired)| {
            let change = Change {
                plugin: "openflow".to_owned(),
                resource: resource.clone(),
                verb: Verb::Create,
                before: Value::Null,
                after: desired.state.clone(),
                requires: Vec::new(),
                adopts: false,
                destroys: false,
                keeps: false,
                disrupts: Vec::new(),
            };
            let disrupts = plugin.effects(&change).disrupts;
            assert_eq!(disrupts, plugin.effects(&change.inverse()).disrupts);
            disrupts.is_empty()
        })
        .map(|(resource, _)| resource)
        .collect();
    assert_eq!(
        harmless,
        [
            "br0/table=0,priority=100,ip,nw_dst=10.0.0.11",
            "br0/table=10,priority=100,ip,nw_dst=10.0.0.11",
        ]
    );
}

#[test]
fn a_state_that_no_rule_gave_is_refused() {
    let good = declared(&flow(Match::default(), vec![Action::Normal])).state();
    for (place, wrong) in [
        ("/bridge", json!("a/b")),
        ("/table", json!(256)),
        ("/match", json!({ "eth_type": "0xzz" })),
        ("/match", json!({ "raw": ["abc"] })),
        ("/match", json!({ "raw": ["é"] })),
        ("/actions", json!(["explode"])),
    ] {
        let mut state = good.clone();
        *state.pointer_mut(place).unwrap() = wrong;
        assert!(Rule::from_state(&state).is_err(), "{state}");
    }
    let mut state = good;
    state["match"] = json!({ "raw": ["8000"] });
    let rule = Rule::from_state(&state).unwrap();
    assert!(rule.flow(&ports()).is_err());
}

fn links() -> impl Strategy<Value = LinkName> {
    prop_oneof![
        (1..=4_u8).prop_map(|number| format!("p{number}").parse().unwrap()),
        Just("br0".parse().unwrap()),
    ]
}

fn macs() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn networks() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(address, length)| IpNet::new(
            address.into(),
            length
        )
        .unwrap()),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(address, length)| IpNet::new(
            address.into(),
            length
        )
        .unwrap()),
    ]
}

prop_compose! {
    fn declared_matches()(
        ethernet in (of(links()), of(macs()), of(macs()), of(any::<u16>()), of(1..4095_u16)),
        network in (of(any::<u8>()), of(networks()), of(networks()), of(any::<[u8; 4]>())),
        transport in proptest::array::uniform4(of(any::<u16>())),
    ) -> Match {
        let (in_port, eth_src, eth_dst, eth_type, vlan) = ethernet;
        let (ip_proto, ip_src, ip_dst, arp_tpa) = network;
        let [tcp_src, tcp_dst, udp_src, udp_dst] = transport;
        Match {
            in_port, eth_src, eth_dst, eth_type, vlan, ip_proto, ip_src, ip_dst,
            tcp_src, tcp_dst, udp_src, udp_dst, arp_tpa: arp_tpa.map(Into::into),
        }
    }
}

fn declared_actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        links().prop_map(Action::Output),
        Just(Action::Normal),
        Just(Action::Local),
        Just(Action::Flood),
        macs().prop_map(Action::SetEthSrc),
        macs().prop_map(Action::SetEthDst),
        (1..4095_u16).prop_map(Action::PushVlan),
        Just(Action::PopVlan),
    ]
}

fn raw_elements() -> impl Strategy<Value = RawElement> {
    any::<u32>().prop_map(|content| {
        let content = content.to_be_bytes();
        RawElement::new([&[255, 255, 0, 8][..], &content].concat()).unwrap()
    })
}

fn switch_actions() -> impl Strategy<Value = openflow::Action> {
    let vlan = (0..4096_u16).prop_map(|vlan| VlanId::new(vlan).unwrap());
    let ports = prop_oneof![0..6_u32, 0xffff_fff0_u32..=u32::MAX];
    prop_oneof![
        ports.prop_map(|port| openflow::Action::Output(PortNo(port))),
        any::<[u8; 6]>().prop_map(openflow::Action::SetEthSrc),
        any::<[u8; 6]>().prop_map(openflow::Action::SetEthDst),
        prop_oneof![Just(0x8100), Just(0x88a8)].prop_map(openflow::Action::PushVlan),
        vlan.prop_map(openflow::Action::SetVlan),
        Just(openflow::Action::PopVlan),
        raw_elements().prop_map(openflow::Action::Raw),
    ]
}

prop_compose! {
    fn switch_flows()(
        place in (any::<u8>(), any::<u16>()),
        in_port in of(prop_oneof![0..6_u32, 0xffff_fff0_u32..=u32::MAX]),
        mac in of(any::<[u8; 6]>()),
        eth_type in of(any::<u16>()),
        vlan in of(prop_oneof![
            Just(VlanMatch::Untagged),
            (0..4096_u16).prop_map(|vlan| VlanMatch::Id(VlanId::new(vlan).unwrap())),
        ]),
        network in of(networks()),
        raw in vec(any::<[u8; 2]>(), 0..3),
        actions in vec(switch_actions(), 0..6),
        goto in of(any::<u8>()),
        instructions in vec(raw_elements(), 0..2),
    ) -> openflow::Flow {
        let network = network.filter(|network| network.prefix_len() > 0);
        let mut matches = openflow::Match {
            in_port: in_port.map(PortNo),
            eth_src: mac,
            eth_type,
            vlan,
            raw: raw.iter().map(|value| RawField::new([&[0, 1, 0, 2][..], value].concat()).unwrap()).collect(),
            ..openflow::Match::default()
        };
        match network.map(|network| network.trunc()) {
            Some(IpNet::V4(network)) => matches.ipv4_src = Some(network),
            Some(IpNet::V6(network)) => matches.ipv6_dst = Some(network),
            None => {}
        }
        openflow::Flow {
            table: place.0, priority: place.1, cookie: MARK, matches, actions, goto, raw: instructions,
        }
    }
}

proptest! {
    /// What makes the second plan empty.
    #[test]
    fn a_declared_flow_is_observed_as_it_was_declared(
        matches in declared_matches(),
        mut actions in vec(declared_actions(), 0..6),
        goto in of(1..255_u8),
    ) {
        actions.extend(goto.map(Action::Goto));
        let rule = declared(&flow(matches, actions));
        let ports = ports();
        let observed = Rule::observed(&bridge(), &rule.flow(&ports).unwrap(), &ports);
        prop_assert_eq!(observed.state(), rule.state());
        prop_assert_eq!(observed.to_string(), rule.to_string());
        prop_assert_eq!(Rule::from_state(&rule.state()).unwrap(), rule);
    }

    /// What makes undo exact.
    #[test]
    fn a_flow_of_the_switch_survives_its_state(flow in switch_flows()) {
        let ports = ports();
        let state = Rule::observed(&bridge(), &flow, &ports).state();
        let text = state.to_string();
        let again = Rule::from_state(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(again.flow(&ports).unwrap(), flow);
    }
}
