//! Links: what `ip link` shows and changes.

use std::fmt;
use std::str::FromStr;

use netlink_packet_core::{DecodeError, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkHeader, LinkInfo, LinkMessage,
};
use rustix::io::Errno;

use crate::answer::{Answer, Attributes};
use crate::error::{Error, unless};
use crate::socket::Netlink;

// Numbers of `linux/rtnetlink.h` and `linux/if_link.h`.
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const IFINFOMSG: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in this namespace, from 1.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is set up (`IFF_UP`).
    pub up: bool,
    /// Whether the lower layer says that it is connected.
    pub carrier: bool,
    /// Whether it takes packets for any address (`IFF_PROMISC`), as a port of a switch does.
    pub promiscuous: bool,
    /// Its hardware address, when that has 6 bytes.
    pub mac: Option<[u8; 6]>,
    /// The largest packet it takes, in bytes without the link-layer header.
    pub mtu: u32,
    /// The text that an administrator or a program attached to it.
    pub alias: Option<String>,
    /// The kernel's name for its kind (`veth`, `bridge`, `tun`); none for hardware and loopback.
    pub kind: Option<String>,
    /// The link that it is a port of (`ip link` says `master`).
    pub controller: Option<u32>,
    /// The other end of a veth pair, or the link below; none when that is in another namespace.
    pub peer: Option<u32>,
}

/// A name that the kernel accepts for a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName(String);

impl LinkName {
    /// The longest name in bytes: `IFNAMSIZ` of `linux/if.h` less the NUL.
    pub const LONGEST: usize = 15;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LinkName {
    type Err = Error;

    /// Follows `dev_valid_name` of the kernel.
    fn from_str(text: &str) -> Result<Self, Error> {
        // The kernel takes bytes for Latin-1: 0x0b and 0xa0 are spaces to it too.
        let bad = |byte: u8| matches!(byte, 0 | b'/' | b':' | 9..=13 | b' ' | 0xa0);
        let fits = (1..=Self::LONGEST).contains(&text.len());
        if !fits || text == "." || text == ".." || text.bytes().any(bad) {
            return Err(Error::Name(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Netlink {
    /// All links of the namespace, by index.
    pub fn links(&self) -> Result<Vec<Link>, Error> {
        let doing = "list links";
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        read(doing, &self.dump(doing, &request)?)
    }

    /// The link of that name, if there is one. A name that no link can have is not there.
    pub fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        let Ok(name) = name.parse::<LinkName>() else {
            return Ok(None);
        };
        let doing = format!("look up link {name}");
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.0));
        match self.ask(&doing, 0, RouteNetlinkMessage::GetLink(message)) {
            Ok(answers) => Ok(read(&doing, &answers)?.pop()),
            Err(error) if error.errno() == Some(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a link up.
    pub fn set_up(&self, index: u32) -> Result<(), Error> {
        self.set_flag(index, LinkFlags::Up, &format!("set link {index} up"))
    }

    /// Sets a link down. The kernel forgets its routes and, on most kinds, its IPv6 addresses.
    pub fn set_down(&self, index: u32) -> Result<(), Error> {
        self.set_flag(index, LinkFlags::empty(), &format!("set link {index} down"))
    }

    /// Attaches a text of at most 255 bytes to a link; an empty one takes the text away.
    pub fn set_alias(&self, index: u32, alias: &str) -> Result<(), Error> {
        let mut message = about(index);
        message
            .attributes
            .push(LinkAttribute::IfAlias(alias.to_owned()));
        self.order(
            &format!("set the alias of link {index}"),
            0,
            RouteNetlinkMessage::SetLink(message),
        )
    }

    /// Creates a pair of virtual Ethernet links, both down. Succeeds when this very pair exists.
    pub fn create_veth(&self, one: &str, other: &str) -> Result<(), Error> {
        let (one, other) = (one.parse::<LinkName>()?, other.parse::<LinkName>()?);
        let mut peer = LinkMessage::default();
        peer.attributes.push(LinkAttribute::IfName(other.0.clone()));
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(one.0.clone()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
            ]),
        ];
        let made = self.order(
            &format!("create veth pair {one} and {other}"),
            NLM_F_CREATE | NLM_F_EXCL,
            RouteNetlinkMessage::NewLink(message),
        );
        match made {
            Err(error) if error.errno() == Some(Errno::EXIST) => {
                let pair = self.link(one.as_str())?.zip(self.link(other.as_str())?);
                match pair {
                    Some((a, b)) if are_peers(&a, &b) => Ok(()),
                    _ => Err(error),
                }
            }
            made => made,
        }
    }

    /// Deletes a link, and with one end of a veth pair the other. Succeeds when it is gone.
    pub fn delete_link(&self, index: u32) -> Result<(), Error> {
        let deleted = self.order(
            &format!("delete link {index}"),
            0,
            RouteNetlinkMessage::DelLink(about(index)),
        );
        unless(deleted, &[Errno::NODEV])
    }

    fn set_flag(&self, index: u32, flags: LinkFlags, doing: &str) -> Result<(), Error> {
        let mut message = about(index);
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        self.order(doing, 0, RouteNetlinkMessage::SetLink(message))
    }
}

fn about(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn are_peers(a: &Link, b: &Link) -> bool {
    let veth = |link: &Link| link.kind.as_deref() == Some("veth");
    veth(a) && veth(b) && a.peer == Some(b.index) && b.peer == Some(a.index)
}

fn read(doing: &str, answers: &[Answer]) -> Result<Vec<Link>, Error> {
    let mut links = answers
        .iter()
        .filter(|answer| answer.kind == RTM_NEWLINK)
        .map(|answer| parse(&answer.payload))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::answer(doing, &error))?;
    links.sort_by_key(|link| link.index);
    Ok(links)
}

pub(crate) fn parse(payload: &[u8]) -> Result<Link, DecodeError> {
    let header = LinkHeader::parse(payload)?;
    let attributes = Attributes::after(payload, IFINFOMSG)?;
    let kind = match attributes.bytes(IFLA_LINKINFO) {
        Some(info) => Attributes::read(info)?.text(IFLA_INFO_KIND),
        None => None,
    };
    let elsewhere = attributes.bytes(IFLA_LINK_NETNSID).is_some();
    Ok(Link {
        index: header.index,
        name: attributes
            .text(IFLA_IFNAME)
            .ok_or(DecodeError::from("a link without a name"))?,
        up: header.flags.contains(LinkFlags::Up),
        carrier: attributes.u8(IFLA_CARRIER) == Some(1),
        promiscuous: header.flags.contains(LinkFlags::Promisc),
        mac: attributes
            .bytes(IFLA_ADDRESS)
            .and_then(|bytes| bytes.try_into().ok()),
        mtu: attributes.u32(IFLA_MTU).unwrap_or_default(),
        alias: attributes
            .text(IFLA_IFALIAS)
            .filter(|alias| !alias.is_empty()),
        kind,
        controller: attributes.u32(IFLA_MASTER),
        peer: attributes.u32(IFLA_LINK).filter(|_| !elsewhere),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_that_the_kernel_takes() {
        for good in ["a", "eth0", "sock_web-01", "fifteen-bytes-x", "ü"] {
            assert_eq!(good.parse::<LinkName>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "a\0",
            "sixteen-bytes-xx",
            "à",
        ] {
            assert!(bad.parse::<LinkName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn hostile_attributes_never_panic(
            pairs in prop::collection::vec((0u16..40, prop::collection::vec(any::<u8>(), 0..20)), 0..8),
            cut in 0usize..8,
        ) {
            let mut bytes = vec![0; IFINFOMSG];
            for (kind, value) in pairs {
                bytes.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
                bytes.extend(kind.to_ne_bytes());
                bytes.extend(value);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = parse(&bytes);
        }
    }
}
