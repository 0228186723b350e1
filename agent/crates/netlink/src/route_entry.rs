//! Routes of all kinds and tables, as `ip route show table all` lists them.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::DecodeError;
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::answer::{Answer, Attributes};
use crate::error::Error;
use crate::route::{RTA_PREFSRC, RTA_PRIORITY, RTA_TABLE, RTM_NEWROUTE, RTMSG, destination, hops};
use crate::socket::Netlink;

/// A route, or one next hop of it where it has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where it leads; everywhere is `0.0.0.0/0` or `::/0`.
    pub destination: IpNet,
    /// What is done with the packets: `RTN_…` of `linux/rtnetlink.h` (1 unicast, 2 local, 3 broadcast,
    /// 4 anycast, 5 multicast, 6 blackhole, 7 unreachable, 8 prohibit, 9 throw).
    pub kind: u8,
    /// The next router; none when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The index of the link; none for a route that leads nowhere.
    pub link: Option<u32>,
    /// Which of several routes to one destination wins: the smallest.
    pub metric: u32,
    /// The routing table.
    pub table: u32,
    /// The source address that the kernel prefers for it.
    pub source: Option<IpAddr>,
    /// Who made it: `RTPROT_…` of `linux/rtnetlink.h`.
    pub protocol: u8,
    /// How far away the destination is: `RT_SCOPE_…` (0 everywhere, 253 on the link, 254 on the host).
    pub scope: u8,
    /// Whether the gateway counts as reachable although no other route says so.
    pub onlink: bool,
}

impl Netlink {
    /// All routes of all tables: by table, IPv4 before IPv6, in the kernel's order.
    pub fn all_routes(&self) -> Result<Vec<RouteEntry>, Error> {
        let doing = "list routes";
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let answers = match self.dump(doing, &RouteNetlinkMessage::GetRoute(message)) {
                // No table yet.
                Err(error) if error.errno() == Some(Errno::NOENT) => continue,
                answers => answers?,
            };
            let listed = read(&answers, family);
            routes.extend(listed.map_err(|error| Error::answer(doing, &error))?);
        }
        routes.sort_by_key(|route| route.table);
        Ok(routes)
    }
}

fn read(answers: &[Answer], family: AddressFamily) -> Result<Vec<RouteEntry>, DecodeError> {
    let mut routes = Vec::new();
    for answer in answers.iter().filter(|a| a.kind == RTM_NEWROUTE) {
        let header = RouteHeader::parse(&answer.payload)?;
        // A kernel without IPv6 answers with all families.
        if header.address_family == family && !header.flags.contains(RouteFlags::Cloned) {
            routes.extend(parse(&header, &answer.payload)?);
        }
    }
    Ok(routes)
}

fn parse(header: &RouteHeader, payload: &[u8]) -> Result<Vec<RouteEntry>, DecodeError> {
    let attributes = Attributes::after(payload, RTMSG)?;
    let nowhere = RouteEntry {
        destination: destination(header, &attributes)?,
        kind: header.kind.into(),
        gateway: None,
        link: None,
        metric: attributes.u32(RTA_PRIORITY).unwrap_or_default(),
        table: attributes.u32(RTA_TABLE).unwrap_or(header.table.into()),
        source: attributes.ip(RTA_PREFSRC),
        protocol: header.protocol.into(),
        scope: header.scope.into(),
        onlink: false,
    };
    let hops = hops(header, &attributes)?;
    if hops.is_empty() {
        return Ok(vec![nowhere]);
    }
    let over = |hop: crate::route::Hop| RouteEntry {
        gateway: hop.gateway,
        link: Some(hop.link),
        onlink: hop.onlink,
        ..nowhere.clone()
    };
    Ok(hops.into_iter().map(over).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(header) = RouteHeader::parse(&bytes) {
                let _ = parse(&header, &bytes);
            }
        }
    }
}
