//! Addresses: what `ip address` shows and changes.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{DecodeError, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeader, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::answer::{Answer, Attributes};
use crate::error::{Error, unless};
use crate::socket::Netlink;

// Numbers of `linux/rtnetlink.h` and `linux/if_addr.h`.
const RTM_NEWADDR: u16 = 20;
const IFADDRMSG: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address with the length of its prefix.
    pub net: IpNet,
    /// Whether it is good beyond the link: not link-local, not of the host alone.
    pub scope_global: bool,
    /// Whether it stays until it is deleted: not leased (DHCP) or announced by a router (SLAAC).
    pub permanent: bool,
}

/// An address with everything that `ip address` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressEntry {
    /// The index of the link that has it.
    pub link: u32,
    /// The address with the length of its prefix.
    pub net: IpNet,
    /// The other end's address on a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The broadcast address of its network.
    pub broadcast: Option<IpAddr>,
    /// How far it is good: 0 everywhere, 253 on the link, 254 on the host alone.
    pub scope: u8,
    /// The name under which old programs know it, IPv4 only.
    pub label: Option<String>,
    /// For how many seconds more it is good; `None` for ever.
    pub valid: Option<u32>,
    /// For how many seconds more it is used for new connections; `None` for ever.
    pub preferred: Option<u32>,
    /// It was made at random for privacy (RFC 8981).
    pub temporary: bool,
    /// It is no longer used for new connections.
    pub deprecated: bool,
    /// The kernel still looks whether somebody else has it.
    pub tentative: bool,
    /// Somebody else has it.
    pub duplicate: bool,
}

impl Netlink {
    /// All addresses of the namespace, by link, IPv4 before IPv6.
    pub fn all_addresses(&self) -> Result<Vec<AddressEntry>, Error> {
        let doing = "list addresses";
        let mut entries = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = AddressMessage::default();
            message.header.family = family;
            let answers = self.dump(doing, &RouteNetlinkMessage::GetAddress(message))?;
            let listed = entries_of(&answers, family);
            entries.extend(listed.map_err(|error| Error::answer(doing, &error))?);
        }
        // Stable: within a link they stay in the kernel's order, which says which is primary.
        entries.sort_by_key(|entry| entry.link);
        Ok(entries)
    }

    /// The addresses of a link, IPv4 before IPv6, in the kernel's order. Fails when the link is gone.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>, Error> {
        let mut addresses = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            addresses.extend(self.addresses_of(index, family)?);
        }
        Ok(addresses)
    }

    fn addresses_of(&self, index: u32, family: AddressFamily) -> Result<Vec<Address>, Error> {
        let doing = format!("list the addresses of link {index}");
        let mut message = AddressMessage::default();
        message.header.family = family;
        message.header.index = index;
        let answers = self.dump(&doing, &RouteNetlinkMessage::GetAddress(message))?;
        read(&answers, index, family).map_err(|error| Error::answer(&doing, &error))
    }

    /// Gives a link an address. Succeeds when it has it.
    pub fn add_address(&self, index: u32, net: IpNet) -> Result<(), Error> {
        let added = self.order(
            &format!("add address {net} to link {index}"),
            NLM_F_CREATE | NLM_F_EXCL,
            RouteNetlinkMessage::NewAddress(about(index, net)),
        );
        unless(added, &[Errno::EXIST])
    }

    /// Takes an address from a link, and with it the routes that use it. Succeeds when it is gone.
    ///
    /// The kernel takes the secondary addresses of the same IPv4 prefix along unless the sysctl
    /// `promote_secondaries` is set.
    pub fn delete_address(&self, index: u32, net: IpNet) -> Result<(), Error> {
        let deleted = self.order(
            &format!("delete address {net} from link {index}"),
            0,
            RouteNetlinkMessage::DelAddress(about(index, net)),
        );
        unless(deleted, &[Errno::ADDRNOTAVAIL, Errno::NODEV])
    }
}

fn about(index: u32, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.index = index;
    message.header.prefix_len = net.prefix_len();
    // For IPv6 the kernel derives the scope itself.
    message.header.scope = match net.addr() {
        IpAddr::V4(v4) if v4.is_loopback() => AddressScope::Host,
        IpAddr::V4(v4) if v4.is_link_local() => AddressScope::Link,
        _ => AddressScope::Universe,
    };
    message.attributes = vec![
        AddressAttribute::Local(net.addr()),
        AddressAttribute::Address(net.addr()),
    ];
    message
}

fn read(
    answers: &[Answer],
    index: u32,
    family: AddressFamily,
) -> Result<Vec<Address>, DecodeError> {
    let mut addresses = Vec::new();
    for answer in answers.iter().filter(|a| a.kind == RTM_NEWADDR) {
        let header = AddressHeader::parse(&answer.payload)?;
        // A kernel without IPv6 answers with all families, an old one with all links.
        if header.index == index && header.family == family {
            addresses.push(parse(&header, &answer.payload)?);
        }
    }
    Ok(addresses)
}

fn parse(header: &AddressHeader, payload: &[u8]) -> Result<Address, DecodeError> {
    let attributes = Attributes::after(payload, IFADDRMSG)?;
    // On a point-to-point link the first is the other end's.
    let address = attributes
        .ip(IFA_LOCAL)
        .or_else(|| attributes.ip(IFA_ADDRESS))
        .ok_or(DecodeError::from("an address message without an address"))?;
    let net = IpNet::new(address, header.prefix_len)
        .map_err(|error| DecodeError::from(error.to_string()))?;
    Ok(Address {
        net,
        scope_global: header.scope == AddressScope::Universe,
        permanent: header.flags.contains(AddressHeaderFlags::Permanent),
    })
}

fn entries_of(answers: &[Answer], family: AddressFamily) -> Result<Vec<AddressEntry>, DecodeError> {
    let mut entries = Vec::new();
    for answer in answers.iter().filter(|a| a.kind == RTM_NEWADDR) {
        let header = AddressHeader::parse(&answer.payload)?;
        if header.family == family {
            entries.push(parse_entry(&header, &answer.payload)?);
        }
    }
    Ok(entries)
}

fn parse_entry(header: &AddressHeader, payload: &[u8]) -> Result<AddressEntry, DecodeError> {
    let net = parse(header, payload)?.net;
    let attributes = Attributes::after(payload, IFADDRMSG)?;
    // `struct ifa_cacheinfo` begins with the two lifetimes; all bits set is for ever.
    let lifetime = |place: usize| {
        let bytes = attributes.bytes(IFA_CACHEINFO)?.get(place..place + 4)?;
        let seconds = u32::from_ne_bytes(bytes.try_into().ok()?);
        (seconds != u32::MAX).then_some(seconds)
    };
    let flags = attributes.u32(IFA_FLAGS).unwrap_or_default();
    let has = |flag: u32| flags & flag != 0;
    Ok(AddressEntry {
        link: header.index,
        net,
        peer: attributes
            .ip(IFA_ADDRESS)
            .filter(|peer| *peer != net.addr()),
        broadcast: attributes.ip(IFA_BROADCAST),
        scope: header.scope.into(),
        label: attributes.text(IFA_LABEL),
        valid: lifetime(4),
        preferred: lifetime(0),
        // The same bit means "secondary" for IPv4.
        temporary: has(IFA_F_TEMPORARY) && net.addr().is_ipv6(),
        deprecated: has(IFA_F_DEPRECATED),
        tentative: has(IFA_F_TENTATIVE),
        duplicate: has(IFA_F_DADFAILED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(header) = AddressHeader::parse(&bytes) {
                let _ = parse(&header, &bytes);
                let _ = parse_entry(&header, &bytes);
            }
        }
    }
}
