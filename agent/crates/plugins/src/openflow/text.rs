//! Rules as text, in the terms of `ovs-ofctl`, and the texts inside of their states.

use std::fmt;

use ipnet::IpNet;

use super::rule::{Conditions, EtherType, Hex, PortRef, Rule};

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bridge, table, priority) = (&self.bridge, self.table, self.priority);
        write!(f, "{bridge}/table={table},priority={priority}")?;
        self.conditions.fmt(f)
    }
}

impl fmt::Display for Conditions {
    /// Each condition after a comma, in the order of `ovs-ofctl dump-flows`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        protocol(f, self.eth_type, self.ip_proto)?;
        item(f, "in_port=", self.in_port.as_ref())?;
        item(f, "dl_vlan=", self.vlan.as_ref())?;
        item(f, "", self.untagged.then_some("vlan_tci=0x0000").as_ref())?;
        item(f, "dl_src=", self.eth_src.as_ref())?;
        item(f, "dl_dst=", self.eth_dst.as_ref())?;
        network(f, "src=", self.ip_src)?;
        network(f, "dst=", self.ip_dst)?;
        item(f, "arp_tpa=", self.arp_tpa.as_ref())?;
        item(f, "tcp_src=", self.tcp_src.as_ref())?;
        item(f, "tcp_dst=", self.tcp_dst.as_ref())?;
        item(f, "udp_src=", self.udp_src.as_ref())?;
        item(f, "udp_dst=", self.udp_dst.as_ref())?;
        let mut raw = self.raw.iter();
        raw.try_for_each(|field| item(f, "raw=", Some(&String::from(field.clone()))))
    }
}

/// Type and protocol: one word for both where `ovs-ofctl` has one.
fn protocol(f: &mut fmt::Formatter<'_>, kind: Option<EtherType>, proto: Option<u8>) -> fmt::Result {
    let word = match (kind, proto) {
        (Some(EtherType::IPV4), Some(1)) => "icmp",
        (Some(EtherType::IPV4), Some(6)) => "tcp",
        (Some(EtherType::IPV4), Some(17)) => "udp",
        (Some(EtherType::IPV4), Some(132)) => "sctp",
        (Some(EtherType::IPV6), Some(58)) => "icmp6",
        (Some(EtherType::IPV6), Some(6)) => "tcp6",
        (Some(EtherType::IPV6), Some(17)) => "udp6",
        (Some(EtherType::IPV6), Some(132)) => "sctp6",
        _ => {
            match kind.map(String::from) {
                Some(number) if number.starts_with("0x") => item(f, "dl_type=", Some(&number))?,
                word => item(f, "", word.as_ref())?,
            }
            return item(f, "nw_proto=", proto.as_ref());
        }
    };
    item(f, "", Some(&word))
}

fn network(f: &mut fmt::Formatter<'_>, end: &str, network: Option<IpNet>) -> fmt::Result {
    let Some(network) = network else {
        return Ok(());
    };
    let family = match network {
        IpNet::V4(_) => "nw",
        IpNet::V6(_) => "ipv6",
    };
    let name = format!("{family}_{end}");
    match network.prefix_len() == network.max_prefix_len() {
        true => item(f, &name, Some(&network.addr())),
        false => item(f, &name, Some(&network)),
    }
}

fn item(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, ",{name}{value}"),
        None => Ok(()),
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<EtherType> for String {
    fn from(kind: EtherType) -> Self {
        match kind {
            EtherType::IPV4 => "ip".to_owned(),
            EtherType::ARP => "arp".to_owned(),
            EtherType::IPV6 => "ipv6".to_owned(),
            EtherType(number) => format!("{number:#06x}"),
        }
    }
}

/// A text in a state that no rule can have given.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not {1}")]
pub(super) struct TextError(String, &'static str);

impl TryFrom<String> for EtherType {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        match text.as_str() {
            "ip" => Ok(Self::IPV4),
            "arp" => Ok(Self::ARP),
            "ipv6" => Ok(Self::IPV6),
            other => other
                .strip_prefix("0x")
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                .map(Self)
                .ok_or(TextError(text, "an Ethernet type")),
        }
    }
}

impl From<Hex> for String {
    fn from(bytes: Hex) -> Self {
        bytes.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|pair| {
            let pair = str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        match bytes.collect::<Option<_>>() {
            Some(bytes) if rest.is_empty() => Ok(Self(bytes)),
            _ => Err(TextError(text, "an even number of hexadecimal digits")),
        }
    }
}
