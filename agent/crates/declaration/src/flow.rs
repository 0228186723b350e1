//! The section `openflow`: flow tables of the bridges.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::Action;
use crate::builtin::In;
use crate::define::record;
use crate::form::{Rejected, Text};
use crate::names::{BridgeName, LinkName};
use crate::numbers::{ARP, EtherType, IPV4, IPV6, IpProtocol};
use crate::tree::quote;
use crate::values::Prefix;

record! {
    /// Flow tables of the bridges.
    pub struct Openflow: Default {
        /// Flow tables by the name of their bridge, which has to be declared in `ovs`.
        bridges: BTreeMap<BridgeName, FlowTables> = BTreeMap::new(),
    }
}

record! {
    /// The flow tables of one bridge.
    pub struct FlowTables: Default {
        /// Make the four tables: 0 classifies, 10 forwards between containers of this bridge, 20
        /// forwards into the mesh, 30 is a learning switch.
        standard_tables: bool = true,
        /// What table 20 sends into the mesh.
        mesh: Option<MeshPath> = None,
        /// Further flows. One with the table, priority and match of a standard flow replaces it.
        flows: Vec<Flow> = Vec::new(),
    }
}

record! {
    /// The network that is reached through the mesh, and the port of its interface.
    pub struct MeshPath {
        /// The network.
        prefix: IpNet as Prefix,
        /// The port on this bridge.
        port: LinkName,
    }
}

record! {
    /// One flow: what to do with the packets that match.
    pub struct Flow {
        /// The table, 0 to 254 (OpenFlow 1.3 §A.3.4.1: 255 stands for all).
        table: u8 as In<0, 254> = 0,
        /// Flows of a higher priority are tried first. The default is that of ovs-ofctl(8).
        priority: u16 as In<0, 65535> = 32768,
        /// What packets it is for; all, if it is empty.
        matches ("match"): Match = Match::default(),
        /// What is done, in this order: `normal`, `local`, `flood`, `drop`, `pop_vlan`, or a map with
        /// one of the keys `output`, `goto`, `set_eth_src`, `set_eth_dst`, `push_vlan`. `goto` comes
        /// last; `drop` stands alone.
        actions: Vec<Action>,
    }
}

record! {
    /// What a packet has to be for a flow. What is not named does not matter.
    pub struct Match: Default {
        /// The port that it came in by.
        in_port: Option<LinkName> = None,
        /// The Ethernet source address.
        eth_src: Option<MacAddr> = None,
        /// The Ethernet destination address.
        eth_dst: Option<MacAddr> = None,
        /// The Ethernet type: `ip`, `arp`, `ipv6` or a number from 0x600. Addresses imply it.
        eth_type: Option<u16> as Option<EtherType> = None,
        /// The VLAN, 1 to 4094.
        vlan: Option<u16> as Option<In<1, 4094>> = None,
        /// The protocol in IP: `icmp`, `tcp`, `udp`, `icmpv6`, `sctp` or a number.
        ip_proto: Option<u8> as Option<IpProtocol> = None,
        /// The network of the IP source address.
        ip_src: Option<IpNet> as Option<Prefix> = None,
        /// The network of the IP destination address.
        ip_dst: Option<IpNet> as Option<Prefix> = None,
        /// The TCP source port; needs `ip_proto: tcp`.
        tcp_src: Option<u16> as Option<In<0, 65535>> = None,
        /// The TCP destination port; needs `ip_proto: tcp`.
        tcp_dst: Option<u16> as Option<In<0, 65535>> = None,
        /// The UDP source port; needs `ip_proto: udp`.
        udp_src: Option<u16> as Option<In<0, 65535>> = None,
        /// The UDP destination port; needs `ip_proto: udp`.
        udp_dst: Option<u16> as Option<In<0, 65535>> = None,
        /// The IPv4 address that ARP asks for; implies `eth_type: arp`.
        arp_tpa: Option<Ipv4Addr> = None,
    }
}

impl Match {
    /// The Ethernet type that it asks for, or that its addresses imply.
    pub fn ether_type(&self) -> Option<u16> {
        self.eth_type
            .or_else(|| self.implied_ether_types().into_iter().flatten().next())
    }

    /// What `ip_src`, `ip_dst` and `arp_tpa` imply, in this order.
    pub(crate) fn implied_ether_types(&self) -> [Option<u16>; 3] {
        let family = |net: IpNet| if net.addr().is_ipv4() { IPV4 } else { IPV6 };
        [
            self.ip_src.map(family),
            self.ip_dst.map(family),
            self.arp_tpa.map(|_| ARP),
        ]
    }
}

/// An Ethernet address, written as six pairs of hexadecimal digits: `02:00:00:00:00:01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an Ethernet address such as 02:00:00:00:00:01", quote(.0))]
pub struct MacAddrError(String);

impl FromStr for MacAddr {
    type Err = MacAddrError;

    fn from_str(text: &str) -> Result<Self, MacAddrError> {
        let error = || MacAddrError(text.to_owned());
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().ok_or_else(error)?;
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        match pairs.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(error()),
        }
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Text<MacAddr> for MacAddr {
    const ACCEPTED: &'static str = "an Ethernet address such as 02:00:00:00:00:01";
    const PATTERN: &'static str = "^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$";

    fn read(text: &str) -> Result<MacAddr, Rejected> {
        text.parse().map_err(|_| Rejected::default())
    }

    fn write(value: &MacAddr) -> String {
        value.to_string()
    }
}
