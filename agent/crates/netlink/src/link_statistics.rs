//! What links have carried, and how they are: what `ip -s link` shows.

use netlink_packet_core::DecodeError;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;

use crate::answer::Attributes;
use crate::error::Error;
use crate::link::{self, IFINFOMSG, Link, RTM_NEWLINK};
use crate::socket::Netlink;

// Numbers of `linux/if_link.h`.
const IFLA_OPERSTATE: u16 = 16;
const IFLA_STATS64: u16 = 23;

/// The state of a link as RFC 2863 has it (`IF_OPER_…` of `linux/if.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperState {
    /// The driver does not say.
    Unknown,
    /// A part of it is missing.
    NotPresent,
    /// It is not set up, or has no carrier.
    Down,
    /// A link below it is down.
    LowerLayerDown,
    /// It is being tested.
    Testing,
    /// It waits for something, such as authentication.
    Dormant,
    /// It can be used.
    Up,
}

impl OperState {
    fn of(number: Option<u8>) -> Self {
        match number {
            Some(1) => Self::NotPresent,
            Some(2) => Self::Down,
            Some(3) => Self::LowerLayerDown,
            Some(4) => Self::Testing,
            Some(5) => Self::Dormant,
            Some(6) => Self::Up,
            _ => Self::Unknown,
        }
    }

    /// The word that `ip link` has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::NotPresent => "NOTPRESENT",
            Self::Down => "DOWN",
            Self::LowerLayerDown => "LOWERLAYERDOWN",
            Self::Testing => "TESTING",
            Self::Dormant => "DORMANT",
            Self::Up => "UP",
        }
    }
}

/// What a link has carried since it is there (`struct rtnl_link_stats64`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Received packets that were not processed, for want of room or of a protocol.
    pub rx_dropped: u64,
    /// Packets dropped on their way out.
    pub tx_dropped: u64,
    /// Multicast packets received.
    pub multicast: u64,
    /// Collisions while sending.
    pub collisions: u64,
}

impl LinkStatistics {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.as_chunks::<8>().0.iter().copied();
        let mut next = || numbers.next().map(u64::from_ne_bytes);
        Some(Self {
            rx_packets: next()?,
            tx_packets: next()?,
            rx_bytes: next()?,
            tx_bytes: next()?,
            rx_errors: next()?,
            tx_errors: next()?,
            rx_dropped: next()?,
            tx_dropped: next()?,
            multicast: next()?,
            collisions: next()?,
        })
    }
}

type Described = (Link, OperState, Option<LinkStatistics>);

impl Netlink {
    /// All links of the namespace by index, with their state and what they have carried.
    pub fn link_statistics(&self) -> Result<Vec<Described>, Error> {
        let doing = "list links";
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.dump(doing, &request)?;
        let mut links = answers
            .iter()
            .filter(|answer| answer.kind == RTM_NEWLINK)
            .map(|answer| parse(&answer.payload))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::answer(doing, &error))?;
        links.sort_by_key(|(link, ..)| link.index);
        Ok(links)
    }
}

fn parse(payload: &[u8]) -> Result<Described, DecodeError> {
    let link = link::parse(payload)?;
    let attributes = Attributes::after(payload, IFINFOMSG)?;
    let statistics = attributes.bytes(IFLA_STATS64);
    Ok((
        link,
        OperState::of(attributes.u8(IFLA_OPERSTATE)),
        statistics.and_then(LinkStatistics::read),
    ))
}
