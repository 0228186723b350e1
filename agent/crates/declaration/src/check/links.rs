//! Links: there is one name space for bridges, ports and the links of the machine.

use std::collections::BTreeMap;

use super::{Check, path};
use crate::document::Plugins;
use crate::names::LinkName;
use crate::network::{Bridge, PortType};
use crate::problem::DocumentPath;

pub(super) fn check(plugins: &Plugins, check: &mut Check<'_>) {
    let bridges = plugins.ovs.iter().flat_map(|ovs| &ovs.bridges);
    let mut links = Links::of_the_system();
    for (name, _) in bridges.clone() {
        let place = path(["ovs", "bridges", name.as_str()]);
        links.claim(&name.into(), "a bridge".to_owned(), place, check);
    }
    for (name, container) in plugins.lxc.iter().flat_map(|lxc| &lxc.containers) {
        let place = path(["lxc", "containers", name.as_str()]);
        if let Some(port) = name.port(container.network) {
            links.claim(&port, format!("the port of container {name}"), place, check);
        }
    }
    for (name, bridge) in bridges {
        let place = path(["ovs", "bridges", name.as_str()]);
        claim_ports(name.as_str(), bridge, &place, &mut links, check);
    }
}

fn claim_ports(
    name: &str,
    bridge: &Bridge,
    place: &DocumentPath,
    links: &mut Links,
    check: &mut Check<'_>,
) {
    let uplinks = place.key("uplinks");
    for (index, uplink) in bridge.uplinks.iter().enumerate() {
        let place = check.element(&uplinks, index);
        links.claim(uplink, format!("an uplink of {name}"), place, check);
    }
    for (port, declared) in &bridge.ports {
        let place = place.key("ports").key(port);
        links.claim(port, format!("a port of {name}"), place.clone(), check);
        let Some(peer) = &declared.peer else { continue };
        let peer_place = place.key("peer");
        links.claim(
            peer,
            format!("the peer of {port}"),
            peer_place.clone(),
            check,
        );
        if declared.kind != PortType::Veth && check.intact(&place.key("type")) {
            check.report(
                peer_place,
                format!("a peer of a port of type `{}`", declared.kind),
                "`peer` only with `type: veth`",
                None,
            );
        }
    }
}

/// What each link is, and the name of none twice.
struct Links(BTreeMap<LinkName, String>);

impl Links {
    /// The links that are never ours.
    fn of_the_system() -> Self {
        let taken = [
            ("lo", "the loopback link"),
            ("ovs-system", "a link of Open vSwitch's own"),
            ("ovs-netdev", "a link of Open vSwitch's own"),
        ];
        let links = taken.into_iter();
        Self(
            links
                .filter_map(|(name, what)| Some((name.parse().ok()?, what.to_owned())))
                .collect(),
        )
    }

    fn claim(&mut self, link: &LinkName, what: String, place: DocumentPath, check: &mut Check<'_>) {
        match self.0.get(link) {
            Some(taken) => check.report(
                place,
                format!("the name `{link}`, which is taken by {taken}"),
                "a name that no other bridge, port or link has",
                None,
            ),
            None => {
                self.0.insert(link.clone(), what);
            }
        }
    }
}
