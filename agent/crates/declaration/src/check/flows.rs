//! Flows: what they refer to, and whether a switch can have them.

use std::collections::{BTreeSet, HashMap};

use super::{Check, meant, path};
use crate::action::Action;
use crate::document::Plugins;
use crate::flow::{Flow, FlowTables, Match};
use crate::names::{BridgeName, LinkName};
use crate::numbers::{ARP, IPV4, IPV6, TCP, UDP};
use crate::problem::DocumentPath;

pub(super) fn check(plugins: &Plugins, check: &mut Check<'_>) {
    for (bridge, tables) in plugins
        .openflow
        .iter()
        .flat_map(|openflow| &openflow.bridges)
    {
        let place = path(["openflow", "bridges", bridge.as_str()]);
        let ports = Ports::of(plugins, bridge, check);
        if ports.is_none() && check.intact(&path(["ovs", "bridges", bridge.as_str()])) {
            let known = plugins.ovs.iter().flat_map(|ovs| ovs.bridges.keys());
            check.report(
                place.clone(),
                format!("`{bridge}`, which `plugins.ovs.bridges` does not declare"),
                "the name of a declared bridge",
                meant(bridge.as_str(), known.map(|name| name.as_str())),
            );
        }
        flow_tables(tables, ports.as_ref(), &place, check);
    }
}

fn flow_tables(
    tables: &FlowTables,
    ports: Option<&Ports<'_>>,
    place: &DocumentPath,
    check: &mut Check<'_>,
) {
    if let Some(mesh) = &tables.mesh {
        known_port(&mesh.port, ports, || place.key("mesh").key("port"), check);
    }
    let list = place.key("flows");
    let mut seen = HashMap::new();
    for (index, flow) in tables.flows.iter().enumerate() {
        let place = check.element(&list, index);
        if check.intact(&place) {
            let earlier = *seen.entry(identity(flow)).or_insert(index);
            if earlier != index {
                check.report(
                    place.clone(),
                    format!(
                        "the table, priority and match of {}",
                        check.element(&list, earlier)
                    ),
                    "no two flows with all three the same",
                    None,
                );
            }
        }
        if let Some(port) = &flow.matches.in_port {
            known_port(port, ports, || place.key("match").key("in_port"), check);
        }
        protocols(&flow.matches, &place.key("match"), check);
        actions(flow, ports, &place, check);
    }
}

/// What a switch tells flows apart by.
fn identity(flow: &Flow) -> (u8, u16, Match) {
    let matches = Match {
        eth_type: flow.matches.ether_type(),
        ..flow.matches.clone()
    };
    (flow.table, flow.priority, matches)
}

/// The ports of a bridge.
struct Ports<'a> {
    bridge: &'a BridgeName,
    names: BTreeSet<LinkName>,
    /// Whether there may be others, which could not be read.
    complete: bool,
}

impl<'a> Ports<'a> {
    fn of(plugins: &'a Plugins, bridge: &'a BridgeName, check: &Check<'_>) -> Option<Self> {
        let declared = plugins.ovs.as_ref()?.bridges.get(bridge)?;
        let containers = plugins
            .lxc
            .iter()
            .flat_map(|lxc| &lxc.containers)
            .filter(|(_, container)| container.bridge.as_ref() == Some(bridge))
            .filter_map(|(name, container)| name.port(container.network));
        let place = path(["ovs", "bridges", bridge.as_str()]);
        Some(Self {
            bridge,
            names: declared
                .ports
                .keys()
                .chain(&declared.uplinks)
                .cloned()
                .chain([bridge.into()])
                .chain(containers)
                .collect(),
            complete: check.intact(&place) && check.intact(&path(["lxc", "containers"])),
        })
    }
}

fn known_port(
    port: &LinkName,
    ports: Option<&Ports<'_>>,
    place: impl Fn() -> DocumentPath,
    check: &mut Check<'_>,
) {
    let Some(ports) = ports.filter(|ports| ports.complete) else {
        return;
    };
    if !ports.names.contains(port) {
        check.report(
            place(),
            format!("`{port}`, which is no port of bridge {}", ports.bridge),
            "a port or uplink of the bridge, or the port of a container on it",
            meant(port.as_str(), ports.names.iter().map(|name| name.as_str())),
        );
    }
}

/// The prerequisites of OpenFlow 1.3 §A.2.3.8: a field can be matched only in packets that have it.
fn protocols(matches: &Match, place: &DocumentPath, check: &mut Check<'_>) {
    let ether_type = matches.ether_type();
    let implied = ["ip_src", "ip_dst", "arp_tpa"]
        .into_iter()
        .zip(matches.implied_ether_types());
    for (key, implied) in implied {
        if implied.is_some_and(|implied| Some(implied) != ether_type) {
            check.report(
                place.key(key),
                format!(
                    "a field of {} in a match for {}",
                    packets(implied),
                    packets(ether_type)
                ),
                "fields of one kind of packet",
                None,
            );
        }
    }
    let ip = matches!(ether_type, Some(IPV4 | IPV6));
    if matches.ip_proto.is_some() && !ip && check.intact(&place.key("eth_type")) {
        check.report(
            place.key("ip_proto"),
            format!(
                "a field of IP packets in a match for {}",
                packets(ether_type)
            ),
            "`ip_proto` only with `eth_type: ip` or `eth_type: ipv6`, or with an IP address",
            "add `eth_type: ip`".to_owned(),
        );
    }
    let transport = [
        ("tcp_src", matches.tcp_src, "tcp", TCP),
        ("tcp_dst", matches.tcp_dst, "tcp", TCP),
        ("udp_src", matches.udp_src, "udp", UDP),
        ("udp_dst", matches.udp_dst, "udp", UDP),
    ];
    for (key, port, protocol, number) in transport {
        if port.is_none()
            || matches.ip_proto == Some(number)
            || !check.intact(&place.key("ip_proto"))
        {
            continue;
        }
        let found = match matches.ip_proto {
            Some(other) => format!("`{key}` beside the IP protocol {other}"),
            None => format!("`{key}` without `ip_proto`"),
        };
        let accepted = format!("`{key}` only with `ip_proto: {protocol}`");
        let hint = matches
            .ip_proto
            .is_none()
            .then(|| format!("add `ip_proto: {protocol}`"));
        check.report(place.key(key), found, accepted, hint);
    }
}

fn packets(ether_type: Option<u16>) -> String {
    match ether_type {
        Some(IPV4) => "IPv4".to_owned(),
        Some(IPV6) => "IPv6".to_owned(),
        Some(ARP) => "ARP".to_owned(),
        Some(other) => format!("Ethernet type 0x{other:04x}"),
        None => "any kind of packet".to_owned(),
    }
}

fn actions(flow: &Flow, ports: Option<&Ports<'_>>, place: &DocumentPath, check: &mut Check<'_>) {
    let list = place.key("actions");
    if flow.actions.is_empty() && check.intact(&list) {
        check.report(
            list.clone(),
            "an empty list",
            "at least one action",
            "write `[drop]` to drop packets".to_owned(),
        );
    }
    let last = flow.actions.len().saturating_sub(1);
    for (index, action) in flow.actions.iter().enumerate() {
        let place = check.element(&list, index);
        match action {
            Action::Output(port) => known_port(port, ports, || place.key("output"), check),
            Action::Goto(table) => {
                if *table <= flow.table {
                    check.report(
                        place.key("goto"),
                        format!("table {table} from a flow of table {}", flow.table),
                        format!(
                            "a later table, from {} to 254",
                            flow.table.saturating_add(1)
                        ),
                        None,
                    );
                }
                if index < last {
                    check.report(
                        place,
                        "`goto` before other actions",
                        "`goto` as the last action",
                        None,
                    );
                }
            }
            Action::Drop if last > 0 => {
                check.report(place, "`drop` beside other actions", "`drop` alone", None);
            }
            _ => {}
        }
    }
}
