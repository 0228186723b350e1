//! What the kernel tells, in words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink::{AddressEntry, Link, Neighbour, Netlink, RouteEntry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failed;
use crate::error::ToolError;

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Links {
    /// The links, by index.
    pub(super) links: Vec<LinkItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// A network interface.
#[derive(Serialize, JsonSchema)]
pub(super) struct LinkItem {
    /// Its name.
    pub(super) name: String,
    /// Its number in this network namespace.
    pub(super) index: u32,
    /// The kernel's name for its kind; null for hardware and the loopback link.
    pub(super) kind: Option<String>,
    /// Its hardware address.
    pub(super) mac: Option<String>,
    /// The largest packet it takes, in bytes without the link-layer header.
    pub(super) mtu: u32,
    /// Whether it is set up.
    pub(super) up: bool,
    /// Its state (RFC 2863): UP, DOWN, UNKNOWN where the driver does not say, and so on.
    pub(super) state: &'static str,
    /// Whether the lower layer says that it is connected.
    pub(super) carrier: bool,
    /// Whether it takes packets for any address.
    pub(super) promiscuous: bool,
    /// The text that somebody attached to it.
    pub(super) alias: Option<String>,
    /// The link that it is a port of.
    pub(super) controller: Option<String>,
    /// The other end of a veth pair, or the link below; null when that is in another namespace.
    pub(super) peer: Option<String>,
    /// What it has carried since it is there.
    pub(super) statistics: Option<Statistics>,
}

/// What a link has carried.
#[derive(Serialize, JsonSchema)]
pub(super) struct Statistics {
    /// Packets received.
    pub(super) rx_packets: u64,
    /// Bytes received.
    pub(super) rx_bytes: u64,
    /// Bad packets received.
    pub(super) rx_errors: u64,
    /// Received packets that were not processed.
    pub(super) rx_dropped: u64,
    /// Packets sent.
    pub(super) tx_packets: u64,
    /// Bytes sent.
    pub(super) tx_bytes: u64,
    /// Packets that could not be sent.
    pub(super) tx_errors: u64,
    /// Packets dropped on their way out.
    pub(super) tx_dropped: u64,
    /// Multicast packets received.
    pub(super) multicast: u64,
    /// Collisions while sending.
    pub(super) collisions: u64,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Addresses {
    /// The addresses, by link, IPv4 before IPv6.
    pub(super) addresses: Vec<AddressItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// An address of a link.
#[derive(Serialize, JsonSchema)]
pub(super) struct AddressItem {
    /// The address with the length of its prefix.
    pub(super) address: String,
    /// Its version of IP.
    pub(super) family: Family,
    /// The link that has it.
    pub(super) link: String,
    /// `global`, `site`, `link` or `host`: how far it is good.
    pub(super) scope: String,
    /// The other end's address on a point-to-point link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<IpAddr>,
    /// The broadcast address of its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broadcast: Option<IpAddr>,
    /// For how many seconds more it is good; null for ever.
    pub(super) valid_seconds: Option<u32>,
    /// For how many seconds more it is used for new connections; null for ever.
    pub(super) preferred_seconds: Option<u32>,
    /// What else is true of it: `temporary`, `deprecated`, `tentative`, `duplicate`.
    pub(super) flags: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Routes {
    /// The routes, by table, IPv4 before IPv6, in the kernel's order. One over several next hops is given
    /// once for each.
    pub(super) routes: Vec<RouteItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// A route.
#[derive(Serialize, JsonSchema)]
pub(super) struct RouteItem {
    /// Where it leads; everywhere is 0.0.0.0/0 or ::/0.
    pub(super) destination: String,
    /// Its version of IP.
    pub(super) family: Family,
    /// `unicast`, `local`, `broadcast`, `blackhole`, `unreachable` and so on.
    pub(super) kind: String,
    /// The next router; null when the destination is on the link.
    pub(super) gateway: Option<IpAddr>,
    /// The link that it leads over; null for one that leads nowhere.
    pub(super) link: Option<String>,
    /// Which of several routes to one destination wins: the smallest.
    pub(super) metric: u32,
    /// The routing table's number.
    pub(super) table: u32,
    /// Who made it: `kernel`, `boot`, `static`, `ra`, `dhcp`, `bird` and so on, or a number.
    pub(super) protocol: String,
    /// How far away the destination is: `global`, `site`, `link`, `host`, or a number.
    pub(super) scope: String,
    /// The source address that the kernel prefers for it.
    pub(super) source: Option<IpAddr>,
    /// Whether the gateway counts as reachable although no other route says so.
    pub(super) onlink: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Neighbours {
    /// The neighbours, by link and address.
    pub(super) neighbours: Vec<NeighbourItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// A host on a link.
#[derive(Serialize, JsonSchema)]
pub(super) struct NeighbourItem {
    /// Its address.
    pub(super) address: IpAddr,
    /// Its version of IP.
    pub(super) family: Family,
    /// The link.
    pub(super) link: String,
    /// Its hardware address, where it is known.
    pub(super) mac: Option<String>,
    /// What the kernel knows: REACHABLE, STALE, DELAY, PROBE, INCOMPLETE, FAILED, PERMANENT.
    pub(super) state: &'static str,
    /// Whether it says that it is a router (IPv6).
    pub(super) router: bool,
}

/// The names of links by index.
pub(super) struct Names(BTreeMap<u32, String>);

impl Names {
    pub(super) fn read(netlink: &Netlink) -> Result<Self, ToolError> {
        let links = netlink.links().map_err(failed)?;
        Ok(Self::of(links.iter()))
    }

    pub(super) fn of<'a>(links: impl Iterator<Item = &'a Link>) -> Self {
        Self(links.map(|link| (link.index, link.name.clone())).collect())
    }

    /// The name, or the number of a link that went away in between.
    pub(super) fn name(&self, index: u32) -> String {
        let name = self.0.get(&index).cloned();
        name.unwrap_or_else(|| index.to_string())
    }

    /// The index of a link that a filter names.
    pub(super) fn index(&self, wanted: Option<&String>) -> Result<Option<u32>, ToolError> {
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let found = self.0.iter().find(|(_, name)| *name == wanted);
        found.map(|(index, _)| Some(*index)).ok_or_else(|| {
            ToolError::NotFound(format!(
                "there is no link `{wanted}`: net_list_links shows those there are"
            ))
        })
    }
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

pub(super) fn link(
    names: &Names,
    link: Link,
    state: netlink::OperState,
    statistics: Option<netlink::LinkStatistics>,
) -> LinkItem {
    LinkItem {
        index: link.index,
        kind: link.kind,
        mac: link.mac.map(mac),
        mtu: link.mtu,
        up: link.up,
        state: state.word(),
        carrier: link.carrier,
        promiscuous: link.promiscuous,
        alias: link.alias,
        controller: link.controller.map(|index| names.name(index)),
        peer: link.peer.map(|index| names.name(index)),
        statistics: statistics.map(carried),
        name: link.name,
    }
}

fn carried(counted: netlink::LinkStatistics) -> Statistics {
    Statistics {
        rx_packets: counted.rx_packets,
        rx_bytes: counted.rx_bytes,
        rx_errors: counted.rx_errors,
        rx_dropped: counted.rx_dropped,
        tx_packets: counted.tx_packets,
        tx_bytes: counted.tx_bytes,
        tx_errors: counted.tx_errors,
        tx_dropped: counted.tx_dropped,
        multicast: counted.multicast,
        collisions: counted.collisions,
    }
}

pub(super) fn address(names: &Names, entry: &AddressEntry) -> AddressItem {
    let flags = [
        ("temporary", entry.temporary),
        ("deprecated", entry.deprecated),
        ("tentative", entry.tentative),
        ("duplicate", entry.duplicate),
    ];
    AddressItem {
        address: entry.net.to_string(),
        family: Family::of(entry.net.addr()),
        link: names.name(entry.link),
        scope: scope(entry.scope),
        peer: entry.peer,
        broadcast: entry.broadcast,
        valid_seconds: entry.valid,
        preferred_seconds: entry.preferred,
        flags: flags
            .into_iter()
            .filter_map(|(word, is)| is.then_some(word))
            .collect(),
    }
}

pub(super) fn route(names: &Names, entry: &RouteEntry) -> RouteItem {
    RouteItem {
        destination: entry.destination.to_string(),
        family: Family::of(entry.destination.addr()),
        kind: kind(entry.kind),
        gateway: entry.gateway,
        link: entry.link.map(|index| names.name(index)),
        metric: entry.metric,
        table: entry.table,
        protocol: protocol(entry.protocol),
        scope: scope(entry.scope),
        source: entry.source,
        onlink: entry.onlink,
    }
}

/// `RTN_…` of `linux/rtnetlink.h`.
fn kind(number: u8) -> String {
    let words = [
        "unspec",
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
        "nat",
    ];
    let word = words.get(usize::from(number));
    word.map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// `RTPROT_…` of `linux/rtnetlink.h`.
fn protocol(number: u8) -> String {
    let word = match number {
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        number => return number.to_string(),
    };
    word.to_owned()
}

/// `RT_SCOPE_…` of `linux/rtnetlink.h`.
fn scope(number: u8) -> String {
    let word = match number {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        255 => "nowhere",
        number => return number.to_string(),
    };
    word.to_owned()
}

pub(super) fn neighbour(names: &Names, entry: &Neighbour) -> NeighbourItem {
    NeighbourItem {
        address: entry.address,
        family: Family::of(entry.address),
        link: names.name(entry.link),
        mac: entry.mac.map(mac),
        state: entry.state.word(),
        router: entry.router,
    }
}
