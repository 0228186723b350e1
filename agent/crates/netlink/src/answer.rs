//! The kernel's messages, read as far as they are needed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, NLA_HEADER_SIZE, NetlinkDeserializable, NetlinkHeader, NlasIterator,
};

/// One message: its `RTM_…` number and what follows the netlink header.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) kind: u16,
    pub(crate) payload: Vec<u8>,
}

impl NetlinkDeserializable for Answer {
    type Error = std::convert::Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self {
            kind: header.message_type,
            payload: payload.to_vec(),
        })
    }
}

/// Attributes by number. One of an unexpected length counts as absent.
#[derive(Debug)]
pub(crate) struct Attributes<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Attributes<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        NlasIterator::new(bytes)
            .map(|nla| {
                let nla = nla?;
                let end = usize::from(nla.length());
                Ok((nla.kind(), &nla.into_inner()[NLA_HEADER_SIZE..end]))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The attributes that follow a fixed header of `header` bytes.
    pub(crate) fn after(payload: &'a [u8], header: usize) -> Result<Self, DecodeError> {
        Self::read(payload.get(header..).unwrap_or_default())
    }

    pub(crate) fn bytes(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(k, _)| *k == kind).map(|(_, v)| *v)
    }

    pub(crate) fn u8(&self, kind: u16) -> Option<u8> {
        match self.bytes(kind)? {
            [value] => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn u16(&self, kind: u16) -> Option<u16> {
        Some(u16::from_ne_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    pub(crate) fn u32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// Text up to its NUL; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self, kind: u16) -> Option<String> {
        let bytes = self.bytes(kind)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    pub(crate) fn ip(&self, kind: u16) -> Option<IpAddr> {
        ip(self.bytes(kind)?)
    }
}

/// An IPv4 or IPv6 address, by its length.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
}
