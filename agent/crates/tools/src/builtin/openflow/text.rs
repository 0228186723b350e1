//! Flows in the words of `ovs-ofctl dump-flows`.

use std::fmt::Display;

use ipnet::IpNet;
use openflow::{Action, Flow, PortNo, VlanMatch};

/// Ethernet types that have a word.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// Priority and match, each condition after a comma.
pub(super) fn matches(flow: &Flow) -> String {
    let matches = &flow.matches;
    let mut words = vec![format!("priority={}", flow.priority)];
    let word = protocol(matches.eth_type, matches.ip_proto);
    words.extend(word.map(str::to_owned));
    let mut add = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name}{value}")));
    };
    add("in_port=", matches.in_port.map(text));
    match matches.vlan {
        Some(VlanMatch::Untagged) => add("vlan_tci=", Some("0x0000/0x1fff".to_owned())),
        Some(VlanMatch::Id(vlan)) => add("dl_vlan=", Some(vlan.get().to_string())),
        None => {}
    }
    add("dl_src=", matches.eth_src.map(mac));
    add("dl_dst=", matches.eth_dst.map(mac));
    let bare = matches.eth_type.filter(|_| word.is_none());
    add("dl_type=", bare.map(|kind| format!("{kind:#06x}")));
    add("nw_src=", matches.ipv4_src.map(|net| network(net.into())));
    add("nw_dst=", matches.ipv4_dst.map(|net| network(net.into())));
    add("ipv6_src=", matches.ipv6_src.map(|net| network(net.into())));
    add("ipv6_dst=", matches.ipv6_dst.map(|net| network(net.into())));
    add("arp_tpa=", matches.arp_tpa.map(text));
    let proto = matches.ip_proto.filter(|_| !covers(word));
    add("nw_proto=", proto.map(text));
    add("tp_src=", matches.tcp_src.or(matches.udp_src).map(text));
    add("tp_dst=", matches.tcp_dst.or(matches.udp_dst).map(text));
    for field in &matches.raw {
        add("raw:", Some(hex::encode(field.as_bytes())));
    }
    words.join(",")
}

/// Type and protocol in one word, where there is one.
fn protocol(kind: Option<u16>, proto: Option<u8>) -> Option<&'static str> {
    Some(match (kind?, proto) {
        (IPV4, Some(1)) => "icmp",
        (IPV4, Some(6)) => "tcp",
        (IPV4, Some(17)) => "udp",
        (IPV4, Some(132)) => "sctp",
        (IPV6, Some(58)) => "icmp6",
        (IPV6, Some(6)) => "tcp6",
        (IPV6, Some(17)) => "udp6",
        (IPV6, Some(132)) => "sctp6",
        (IPV4, _) => "ip",
        (ARP, _) => "arp",
        (IPV6, _) => "ipv6",
        _ => return None,
    })
}

/// Whether the word for type and protocol stands for the protocol too.
fn covers(word: Option<&str>) -> bool {
    word.is_some_and(|word| !matches!(word, "ip" | "arp" | "ipv6"))
}

/// What is done, each after a comma; `drop` for nothing.
pub(super) fn actions(flow: &Flow) -> String {
    let mut words: Vec<_> = flow.actions.iter().map(action).collect();
    words.extend(flow.goto.map(|table| format!("goto_table:{table}")));
    let raw = flow.raw.iter();
    words.extend(raw.map(|raw| format!("raw_instruction:{}", hex::encode(raw.as_bytes()))));
    match words.is_empty() {
        true => "drop".to_owned(),
        false => words.join(","),
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Output(PortNo::CONTROLLER) => "CONTROLLER:65535".to_owned(),
        // The reserved ones stand alone.
        Action::Output(port) if port.0 >= PortNo::IN_PORT.0 => port.to_string(),
        Action::Output(port) => format!("output:{port}"),
        Action::SetEthSrc(bytes) => format!("set_field:{}->eth_src", mac(*bytes)),
        Action::SetEthDst(bytes) => format!("set_field:{}->eth_dst", mac(*bytes)),
        Action::PushVlan(kind) => format!("push_vlan:{kind:#06x}"),
        // With the bit that says that there is a tag.
        Action::SetVlan(vlan) => format!("set_field:{}->vlan_vid", 0x1000 | vlan.get()),
        Action::PopVlan => "pop_vlan".to_owned(),
        Action::Raw(raw) => format!("raw_action:{}", hex::encode(raw.as_bytes())),
    }
}

fn network(net: IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}

/// An Ethernet address in the usual form.
pub(super) fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn text(value: impl Display) -> String {
    value.to_string()
}
