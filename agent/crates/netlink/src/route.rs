//! Routes: what `ip route` shows and changes.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_core::{DecodeError, NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::answer::{Answer, Attributes, ip};
use crate::error::{Error, unless};
use crate::socket::Netlink;

// Numbers of `linux/rtnetlink.h`.
pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTMSG: usize = 12;
const RTNEXTHOP: usize = 8;
const RTNH_F_ONLINK: u8 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
pub(crate) const RTA_PRIORITY: u16 = 6;
pub(crate) const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
pub(crate) const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTPROT_STATIC: u8 = 4;

/// The table that ordinary routes are in (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;

/// A unicast route over one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads. `None` is the default route of the gateway's family, IPv4 without a gateway;
    /// a default route of the other family is written out as `0.0.0.0/0` or `::/0`.
    pub destination: Option<IpNet>,
    /// The next router; none when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The index of the link.
    pub link: u32,
    /// Which of several routes to one destination wins: the smallest. Without one the kernel takes
    /// 0 for IPv4 and 1024 for IPv6.
    pub metric: Option<u32>,
    /// The routing table, usually [`MAIN_TABLE`].
    pub table: u32,
    /// The source address that the kernel prefers for it.
    pub source: Option<IpAddr>,
    /// Who made it: `RTPROT_…` of `linux/rtnetlink.h` (2 kernel, 3 boot, 4 static, 9 router
    /// advertisement, 16 DHCP).
    pub protocol: u8,
    /// Whether the gateway counts as reachable although no other route says so.
    pub onlink: bool,
}

impl Route {
    /// A static route in the main table.
    pub fn new(destination: Option<IpNet>, gateway: Option<IpAddr>, link: u32) -> Self {
        Self {
            destination,
            gateway,
            link,
            metric: None,
            table: MAIN_TABLE,
            source: None,
            protocol: RTPROT_STATIC,
            onlink: false,
        }
    }

    /// Whether it leads everywhere.
    pub fn is_default(&self) -> bool {
        self.destination.is_none_or(|net| net.prefix_len() == 0)
    }

    /// Whether it is a route for IPv6.
    pub fn is_ipv6(&self) -> bool {
        match (self.destination, self.gateway) {
            (Some(net), _) => matches!(net, IpNet::V6(_)),
            (None, gateway) => gateway.is_some_and(|gateway| gateway.is_ipv6()),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(net) => write!(f, "{net}")?,
            None => write!(f, "default")?,
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " over link {}", self.link)
    }
}

impl Netlink {
    /// The unicast routes of the main table, IPv4 before IPv6. A route over several next hops is
    /// given once for each.
    pub fn routes(&self) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            routes.extend(self.routes_of(family)?);
        }
        Ok(routes)
    }

    fn routes_of(&self, family: AddressFamily) -> Result<Vec<Route>, Error> {
        let doing = "list routes";
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        let answers = match self.dump(doing, &RouteNetlinkMessage::GetRoute(message)) {
            // The kernel makes the table with its first route.
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(Vec::new()),
            answers => answers?,
        };
        let mut routes = read(&answers).map_err(|error| Error::answer(doing, &error))?;
        // A kernel without IPv6 answers with all families.
        routes.retain(|route| {
            route.table == MAIN_TABLE && route.is_ipv6() == (family == AddressFamily::Inet6)
        });
        Ok(routes)
    }

    /// Adds a route, behind those to the same destination with the same metric. Succeeds when it is there.
    pub fn add_route(&self, route: &Route) -> Result<(), Error> {
        let mut message = about(route);
        message.header.scope = match route.gateway {
            None if !route.is_ipv6() => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        let added = self.order(
            &format!("add route {route}"),
            NLM_F_CREATE | NLM_F_APPEND,
            RouteNetlinkMessage::NewRoute(message),
        );
        unless(added, &[Errno::EXIST])
    }

    /// Deletes the route that agrees in every field that is given. Succeeds when it is gone.
    pub fn delete_route(&self, route: &Route) -> Result<(), Error> {
        let mut message = about(route);
        // Any scope.
        message.header.scope = RouteScope::NoWhere;
        let deleted = self.order(
            &format!("delete route {route}"),
            0,
            RouteNetlinkMessage::DelRoute(message),
        );
        unless(deleted, &[Errno::SRCH, Errno::NODEV])
    }

    /// The route that a packet to `address` takes now: its link, gateway and source, with the
    /// address itself as destination. `None` when it cannot be reached.
    pub fn route_to(&self, address: IpAddr) -> Result<Option<Route>, Error> {
        let doing = format!("look up the route to {address}");
        let mut message = RouteMessage::default();
        let host = IpNet::from(address);
        message.header.address_family = family(address);
        message.header.destination_prefix_length = host.prefix_len();
        message
            .attributes
            .push(RouteAttribute::Destination(wire(address)));
        match self.ask(&doing, 0, RouteNetlinkMessage::GetRoute(message)) {
            Ok(answers) => hops_of(&answers)
                .map(|mut routes| routes.pop())
                .map_err(|error| Error::answer(&doing, &error)),
            // No route, or one of the kinds unreachable, prohibit and blackhole.
            Err(error) if error.errno().is_some_and(|e| UNREACHABLE.contains(&e)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

const UNREACHABLE: [Errno; 5] = [
    Errno::NETUNREACH,
    Errno::HOSTUNREACH,
    Errno::ACCESS,
    Errno::INVAL,
    Errno::SRCH,
];

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv6() {
        AddressFamily::Inet6
    } else {
        AddressFamily::Inet
    }
}

fn wire(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

/// The request that names a route; the scope is the caller's.
fn about(route: &Route) -> RouteMessage {
    let ipv6 = route.is_ipv6();
    let mut message = RouteMessage::default();
    message.header.address_family = if ipv6 {
        AddressFamily::Inet6
    } else {
        AddressFamily::Inet
    };
    message.header.kind = RouteType::Unicast;
    message.header.protocol = route.protocol.into();
    if route.onlink {
        message.header.flags = RouteFlags::Onlink;
    }
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    attributes.push(RouteAttribute::Oif(route.link));
    if let Some(net) = route.destination.filter(|net| net.prefix_len() > 0) {
        message.header.destination_prefix_length = net.prefix_len();
        attributes.push(RouteAttribute::Destination(wire(net.network())));
    }
    if let Some(gateway) = route.gateway {
        attributes.push(if gateway.is_ipv6() == ipv6 {
            RouteAttribute::Gateway(wire(gateway))
        } else {
            RouteAttribute::Via(gateway.into())
        });
    }
    if let Some(metric) = route.metric {
        attributes.push(RouteAttribute::Priority(metric));
    }
    if let Some(source) = route.source {
        attributes.push(RouteAttribute::PrefSource(wire(source)));
    }
    message
}

/// The routes of a listing: unicast, and not learned on the way (redirects, path MTU).
fn read(answers: &[Answer]) -> Result<Vec<Route>, DecodeError> {
    let mut routes = Vec::new();
    for answer in answers.iter().filter(|a| a.kind == RTM_NEWROUTE) {
        let header = RouteHeader::parse(&answer.payload)?;
        if header.kind == RouteType::Unicast && !header.flags.contains(RouteFlags::Cloned) {
            routes.extend(parse(&header, &answer.payload)?);
        }
    }
    Ok(routes)
}

/// The answer to a look-up, of whatever kind (an address of this host is a local route).
fn hops_of(answers: &[Answer]) -> Result<Vec<Route>, DecodeError> {
    let mut routes = Vec::new();
    for answer in answers.iter().filter(|a| a.kind == RTM_NEWROUTE) {
        routes.extend(parse(
            &RouteHeader::parse(&answer.payload)?,
            &answer.payload,
        )?);
    }
    Ok(routes)
}

/// One route for each next hop of the message; none for one that leads over no link.
fn parse(header: &RouteHeader, payload: &[u8]) -> Result<Vec<Route>, DecodeError> {
    let attributes = Attributes::after(payload, RTMSG)?;
    let destination = destination(header, &attributes)?;
    let route = |hop: Hop| Route {
        destination: match destination {
            // See the field's documentation for why a default route is written out sometimes.
            net if net.prefix_len() == 0 && matches!(net, IpNet::V6(_)) == hop.is_ipv6() => None,
            net => Some(net),
        },
        gateway: hop.gateway,
        link: hop.link,
        metric: attributes.u32(RTA_PRIORITY).filter(|metric| *metric != 0),
        table: attributes.u32(RTA_TABLE).unwrap_or(header.table.into()),
        source: attributes.ip(RTA_PREFSRC),
        protocol: header.protocol.into(),
        onlink: hop.onlink,
    };
    let hops = hops(header, &attributes)?;
    Ok(hops.into_iter().map(route).collect())
}

/// The next hops of a route; none for one that leads over no link.
pub(crate) fn hops(
    header: &RouteHeader,
    attributes: &Attributes<'_>,
) -> Result<Vec<Hop>, DecodeError> {
    match attributes.bytes(RTA_MULTIPATH) {
        Some(bytes) => next_hops(bytes),
        None => Ok(attributes
            .u32(RTA_OIF)
            .map(|link| Hop {
                link,
                gateway: gateway(attributes),
                onlink: header.flags.contains(RouteFlags::Onlink),
            })
            .into_iter()
            .collect()),
    }
}

pub(crate) struct Hop {
    pub(crate) link: u32,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) onlink: bool,
}

impl Hop {
    fn is_ipv6(&self) -> bool {
        self.gateway.is_some_and(|gateway| gateway.is_ipv6())
    }
}

pub(crate) fn destination(
    header: &RouteHeader,
    attributes: &Attributes<'_>,
) -> Result<IpNet, DecodeError> {
    let everywhere = match header.address_family {
        AddressFamily::Inet6 => IpNet::V6(Ipv6Net::default()),
        _ => IpNet::V4(Ipv4Net::default()),
    };
    match attributes.ip(RTA_DST) {
        Some(address) => IpNet::new(address, header.destination_prefix_length)
            .map_err(|error| DecodeError::from(error.to_string())),
        None => Ok(everywhere),
    }
}

fn gateway(attributes: &Attributes<'_>) -> Option<IpAddr> {
    // `struct rtvia`: the family in 2 bytes, then the address.
    let via = || ip(attributes.bytes(RTA_VIA)?.get(2..)?);
    attributes.ip(RTA_GATEWAY).or_else(via)
}

/// The `struct rtnexthop`s of a multipath route: length (2 bytes), flags, weight, link, attributes.
fn next_hops(mut bytes: &[u8]) -> Result<Vec<Hop>, DecodeError> {
    let short = || DecodeError::from("a next hop that is cut off");
    let mut hops = Vec::new();
    while let [l0, l1, flags, _, i0, i1, i2, i3, ..] = *bytes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let hop = bytes.get(RTNEXTHOP..length).ok_or_else(short)?;
        hops.push(Hop {
            link: u32::from_ne_bytes([i0, i1, i2, i3]),
            gateway: gateway(&Attributes::read(hop)?),
            onlink: flags & RTNH_F_ONLINK != 0,
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::Emitable;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from),
        ]
    }

    fn net() -> impl Strategy<Value = IpNet> {
        (address(), 1u8..=128).prop_map(|(address, length)| {
            let length = if address.is_ipv4() {
                length.min(32)
            } else {
                length
            };
            IpNet::new(address, length).unwrap().trunc()
        })
    }

    prop_compose! {
        fn route()(
            destination in prop::option::of(net()),
            gateway in prop::option::of(address()),
            link in 1..u32::MAX,
            metric in prop::option::of(1..u32::MAX),
            table in 1..u32::MAX,
            protocol in any::<u8>(),
            onlink in any::<bool>(),
        ) -> Route {
            Route { destination, gateway, link, metric, table, source: None, protocol, onlink }
        }
    }

    proptest! {
        #[test]
        fn what_is_asked_for_reads_back_the_same(route in route()) {
            let message = about(&route);
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            let header = RouteHeader::parse(&bytes).unwrap();
            prop_assert_eq!(parse(&header, &bytes).unwrap(), vec![route]);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(header) = RouteHeader::parse(&bytes) {
                let _ = parse(&header, &bytes);
            }
            let _ = next_hops(&bytes);
        }
    }

    #[test]
    fn a_next_hop_shorter_than_its_header_is_refused() {
        assert!(next_hops(&[4, 0, 0, 0, 1, 0, 0, 0]).is_err());
        assert!(next_hops(&[0; 8]).is_err());
    }
}
