//! Addresses: one owner each, and networks that do not run into each other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Check, path};
use crate::document::Plugins;
use crate::lxc::Container;
use crate::names::ContainerName;
use crate::network::Bridge;
use crate::problem::DocumentPath;

pub(super) fn check(plugins: &Plugins, check: &mut Check<'_>) {
    let mut owners = Owners::default();
    let mut networks = Vec::new();
    for (name, bridge) in plugins.ovs.iter().flat_map(|ovs| &ovs.bridges) {
        let list = path(["ovs", "bridges", name.as_str(), "addresses"]);
        for (index, address) in bridge.addresses.iter().enumerate() {
            let place = check.element(&list, index);
            owners.claim(address.addr(), format!("bridge {name}"), &place, check);
            networks.push((address.trunc(), name.as_str(), place));
        }
    }
    overlaps(networks, check);
    for (name, container) in plugins.lxc.iter().flat_map(|lxc| &lxc.containers) {
        let place = path(["lxc", "containers", name.as_str()]);
        if let Some(address) = container.address {
            let place = place.key("address");
            owners.claim(address.addr(), format!("container {name}"), &place, check);
            inside_bridge(plugins, name, container, address, check);
        }
        gateway(container, &place, check);
    }
}

/// Who has an address.
#[derive(Default)]
struct Owners(BTreeMap<IpAddr, String>);

impl Owners {
    fn claim(&mut self, address: IpAddr, who: String, place: &DocumentPath, check: &mut Check<'_>) {
        match self.0.get(&address) {
            Some(owner) => check.report(
                place.clone(),
                format!("{address}, which {owner} has already"),
                "an address that nothing else has",
                None,
            ),
            None => {
                self.0.insert(address, who);
            }
        }
    }
}

/// Finds networks of different bridges that overlap. Prefixes are nested or apart, so in their
/// order each has to be compared only with the one that it lies in.
fn overlaps(mut networks: Vec<(IpNet, &str, DocumentPath)>, check: &mut Check<'_>) {
    networks.sort_by_key(|(network, ..)| (network.network(), network.prefix_len()));
    let mut around: Vec<(IpNet, &str)> = Vec::new();
    for (network, bridge, place) in networks {
        while around
            .last()
            .is_some_and(|(outer, _)| !outer.contains(&network))
        {
            around.pop();
        }
        if let Some((outer, other)) = around.last().filter(|(_, other)| *other != bridge) {
            check.report(
                place,
                format!("the network {network}, which overlaps {outer} of bridge {other}"),
                "a network apart from those of the other bridges",
                None,
            );
        }
        around.push((network, bridge));
    }
}

/// The container's address lies in a network of its bridge, if that has any of the same family.
fn inside_bridge(
    plugins: &Plugins,
    name: &ContainerName,
    container: &Container,
    address: IpNet,
    check: &mut Check<'_>,
) {
    let found = container.bridge.as_ref().and_then(|bridge| {
        let bridges = &plugins.ovs.as_ref()?.bridges;
        bridges.get_key_value(bridge)
    });
    let Some((bridge, declared)) = found else {
        return;
    };
    let list = path(["ovs", "bridges", bridge.as_str(), "addresses"]);
    let networks = networks(declared, address);
    let outside = !networks.is_empty()
        && !networks
            .iter()
            .any(|network| network.contains(&address.addr()));
    if outside && check.intact(&list) {
        let networks: Vec<_> = networks.iter().map(IpNet::to_string).collect();
        check.report(
            path(["lxc", "containers", name.as_str(), "address"]),
            format!("{address}, which is in no network of bridge {bridge}"),
            format!("an address in {}", networks.join(" or ")),
            None,
        );
    }
}

/// The bridge's networks of the same family as an address.
fn networks(bridge: &Bridge, address: IpNet) -> Vec<IpNet> {
    bridge
        .addresses
        .iter()
        .filter(|network| network.addr().is_ipv4() == address.addr().is_ipv4())
        .map(IpNet::trunc)
        .collect()
}

/// A gateway is another address in the container's own network.
fn gateway(container: &Container, place: &DocumentPath, check: &mut Check<'_>) {
    let Some(gateway) = container.gateway else {
        return;
    };
    let place = [place.key("gateway"), place.key("address")];
    if !check.intact(&place[1]) {
        return;
    }
    let [place, _] = place;
    match container.address {
        None => check.report(
            place,
            "a gateway without an address",
            "`gateway` only beside `address`",
            None,
        ),
        Some(address) if address.addr() == gateway => check.report(
            place,
            format!("{gateway}, the container's own address"),
            format!("another address in {}", address.trunc()),
            None,
        ),
        // RFC 4861 §4.2: IPv6 routers are known by their link-local addresses.
        Some(address) if address.addr().is_ipv6() && is_link_local(gateway) => {}
        Some(address) if !address.contains(&gateway) => check.report(
            place,
            format!("{gateway}, which is not in the container's network"),
            format!("an address in {}", address.trunc()),
            None,
        ),
        Some(_) => {}
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
