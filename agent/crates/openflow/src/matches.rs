//! What a packet has to be for a flow.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::flow::PortNo;

/// What a packet has to be; what is `None` does not matter.
///
/// A switch refuses a field without its prerequisite (ONF TS-006 §7.2.3.6): addresses need
/// [`eth_type`](Self::eth_type), ports of TCP and UDP need [`ip_proto`](Self::ip_proto). Networks
/// count without the bits behind their prefix; one of length 0 is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Match {
    /// The port that it came in by.
    pub in_port: Option<PortNo>,
    /// The Ethernet source address.
    pub eth_src: Option<[u8; 6]>,
    /// The Ethernet destination address.
    pub eth_dst: Option<[u8; 6]>,
    /// The Ethernet type behind any VLAN tags.
    pub eth_type: Option<u16>,
    /// The outer VLAN tag.
    pub vlan: Option<VlanMatch>,
    /// The protocol in IPv4 or IPv6.
    pub ip_proto: Option<u8>,
    /// The IPv4 source address.
    pub ipv4_src: Option<Ipv4Net>,
    /// The IPv4 destination address.
    pub ipv4_dst: Option<Ipv4Net>,
    /// The IPv6 source address.
    pub ipv6_src: Option<Ipv6Net>,
    /// The IPv6 destination address.
    pub ipv6_dst: Option<Ipv6Net>,
    /// The TCP source port.
    pub tcp_src: Option<u16>,
    /// The TCP destination port.
    pub tcp_dst: Option<u16>,
    /// The UDP source port.
    pub udp_src: Option<u16>,
    /// The UDP destination port.
    pub udp_dst: Option<u16>,
    /// The IPv4 address that ARP asks for.
    pub arp_tpa: Option<Ipv4Addr>,
    /// Conditions that this type has no field for, as they came from the switch.
    pub raw: Vec<RawField>,
}

/// A condition on the outer VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VlanMatch {
    /// There is none.
    Untagged,
    /// It is this one.
    Id(VlanId),
}

/// A VLAN, 0 to 4095 (IEEE 802.1Q §9.6; 0 and 4095 are reserved there but can be on the wire).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN of that number; `None` above 4095.
    pub fn new(number: u16) -> Option<Self> {
        (number <= 0x0fff).then_some(Self(number))
    }

    /// Its number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A match field as it is on the wire: OXM header and payload (ONF TS-006 §7.2.3.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawField(Vec<u8>);

impl RawField {
    /// One whole field; `None` if the length in the header is not that of the payload.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        let length = *bytes.get(3)?;
        (bytes.len() == 4 + usize::from(length)).then_some(Self(bytes))
    }

    /// Header and payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_field_has_the_length_that_its_header_says() {
        assert!(RawField::new([0x80, 0, 0x0a, 1, 9]).is_some());
        assert!(RawField::new([0x80, 0, 0x0a, 0]).is_some());
        for wrong in [&[][..], &[0x80, 0, 0x0a], &[0x80, 0, 0x0a, 2, 9]] {
            assert_eq!(RawField::new(wrong), None);
        }
    }

    #[test]
    fn a_vlan_has_twelve_bits() {
        assert_eq!(VlanId::new(4095).map(VlanId::get), Some(4095));
        assert_eq!(VlanId::new(4096), None);
    }
}
