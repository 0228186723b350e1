//! Neighbours: who is on the other end of a link, what `ip neighbour` shows.

use std::net::IpAddr;

use netlink_packet_core::DecodeError;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::answer::{Answer, Attributes};
use crate::error::Error;
use crate::socket::Netlink;

// Numbers of `linux/rtnetlink.h` and `linux/neighbour.h`.
const RTM_NEWNEIGH: u16 = 28;
const NDMSG: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NTF_ROUTER: u8 = 0x80;

/// What the kernel knows of a neighbour (`NUD_…` of `linux/neighbour.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourState {
    /// Nothing.
    None,
    /// It was asked for and has not answered yet.
    Incomplete,
    /// It answered lately.
    Reachable,
    /// It answered some time ago.
    Stale,
    /// It is about to be asked again.
    Delay,
    /// It is being asked again.
    Probe,
    /// It does not answer.
    Failed,
    /// Nobody has to be asked, as on the loopback link and for multicast.
    Noarp,
    /// An administrator wrote it down.
    Permanent,
}

impl NeighbourState {
    fn of(bits: u16) -> Self {
        match bits {
            0x01 => Self::Incomplete,
            0x02 => Self::Reachable,
            0x04 => Self::Stale,
            0x08 => Self::Delay,
            0x10 => Self::Probe,
            0x20 => Self::Failed,
            0x40 => Self::Noarp,
            0x80 => Self::Permanent,
            _ => Self::None,
        }
    }

    /// The word that `ip neighbour` has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Noarp => "NOARP",
            Self::Permanent => "PERMANENT",
        }
    }
}

/// A host on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The index of the link.
    pub link: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, where it is known and has 6 bytes.
    pub mac: Option<[u8; 6]>,
    /// What is known of it.
    pub state: NeighbourState,
    /// Whether it says that it is a router (IPv6).
    pub router: bool,
}

impl Netlink {
    /// All neighbours of the namespace, by link and address, IPv4 before IPv6.
    pub fn neighbours(&self) -> Result<Vec<Neighbour>, Error> {
        let doing = "list neighbours";
        let mut neighbours = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = NeighbourMessage::default();
            message.header.family = family;
            let answers = self.dump(doing, &RouteNetlinkMessage::GetNeighbour(message))?;
            let listed = read(&answers, family.into());
            neighbours.extend(listed.map_err(|error| Error::answer(doing, &error))?);
        }
        neighbours.sort_by_key(|neighbour| (neighbour.link, neighbour.address));
        Ok(neighbours)
    }
}

fn read(answers: &[Answer], family: u8) -> Result<Vec<Neighbour>, DecodeError> {
    let told = answers.iter().filter(|a| a.kind == RTM_NEWNEIGH);
    let parsed = told.map(|answer| parse(&answer.payload, family));
    parsed.filter_map(Result::transpose).collect()
}

/// One neighbour; none for an entry of another family (a kernel without IPv6 tells of all) or without an
/// address.
fn parse(payload: &[u8], family: u8) -> Result<Option<Neighbour>, DecodeError> {
    // `struct ndmsg`: family, padding, link, state, flags, type.
    let [of, _, _, _, i0, i1, i2, i3, s0, s1, flags, _, ..] = *payload else {
        return Err(DecodeError::from("a neighbour that is cut off"));
    };
    let attributes = Attributes::after(payload, NDMSG)?;
    let address = attributes.ip(NDA_DST).filter(|_| of == family);
    Ok(address.map(|address| Neighbour {
        link: u32::from_ne_bytes([i0, i1, i2, i3]),
        address,
        mac: attributes
            .bytes(NDA_LLADDR)
            .and_then(|bytes| bytes.try_into().ok()),
        state: NeighbourState::of(u16::from_ne_bytes([s0, s1])),
        router: flags & NTF_ROUTER != 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes, 2);
        }
    }
}
