//! A flow in the normal form that desired and observed share: ports by name, everything else as in the
//! declaration.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use declaration::{BridgeName, LinkName, MacAddr};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::standard;

/// One flow of one bridge. Its text is the name of the resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    pub(super) bridge: BridgeName,
    pub(super) table: u8,
    pub(super) priority: u16,
    #[serde(rename = "match")]
    pub(super) conditions: Conditions,
    /// What is done; never empty, since [`Step::Drop`] stands for nothing.
    pub(super) actions: Vec<Step>,
}

/// What a packet has to be. Networks have no bits behind their prefix, and are never everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Conditions {
    pub(super) in_port: Option<PortRef>,
    pub(super) eth_src: Option<MacAddr>,
    pub(super) eth_dst: Option<MacAddr>,
    pub(super) eth_type: Option<EtherType>,
    pub(super) vlan: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) untagged: bool,
    pub(super) ip_proto: Option<u8>,
    pub(super) ip_src: Option<IpNet>,
    pub(super) ip_dst: Option<IpNet>,
    pub(super) tcp_src: Option<u16>,
    pub(super) tcp_dst: Option<u16>,
    pub(super) udp_src: Option<u16>,
    pub(super) udp_dst: Option<u16>,
    pub(super) arp_tpa: Option<Ipv4Addr>,
    /// What only `ovs-ofctl` can express, as it is on the wire.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) raw: Vec<Hex>,
}

/// One thing that is done. The first group is what can be declared; the others are what people can do
/// to our flows by hand, and what must be known to undo a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Goto(u8),
    Output(PortRef),
    Normal,
    Local,
    Flood,
    Drop,
    SetEthSrc(MacAddr),
    SetEthDst(MacAddr),
    PushVlan(u16),
    PopVlan,

    All,
    InPort,
    Controller,
    /// A tag of this Ethernet type.
    PushTag(u16),
    SetVlan(u16),
    RawAction(Hex),
    RawInstruction(Hex),
}

/// A port: its name, or its number where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum PortRef {
    Number(u32),
    Name(LinkName),
}

/// The type of an Ethernet frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct EtherType(pub(super) u16);

impl EtherType {
    pub(super) const IPV4: Self = Self(0x0800);
    pub(super) const ARP: Self = Self(0x0806);
    pub(super) const IPV6: Self = Self(0x86dd);
}

/// Bytes, as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Hex(pub(super) Vec<u8>);

impl Rule {
    /// The rule as the engine keeps it: conditions that are not made are left out.
    pub(super) fn state(&self) -> Value {
        // A structure of texts and numbers always has a JSON form.
        let mut state = serde_json::to_value(self).unwrap_or_default();
        if let Some(conditions) = state.get_mut("match").and_then(Value::as_object_mut) {
            conditions.retain(|_, value| !value.is_null());
        }
        state
    }

    /// The rule that [`Self::state`] gave.
    pub(super) fn from_state(state: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(state)
    }

    /// The ports that it names, less the bridge's own.
    pub(super) fn ports(&self) -> BTreeSet<&LinkName> {
        let outputs = self.actions.iter().filter_map(|step| match step {
            Step::Output(port) => Some(port),
            _ => None,
        });
        let ports = outputs.chain(&self.conditions.in_port);
        ports
            .filter_map(|port| match port {
                PortRef::Name(name) if name.as_str() != self.bridge.as_str() => Some(name),
                _ => None,
            })
            .collect()
    }

    /// Whether it does no more than bring packets to one container without detour, so that nobody
    /// else can miss any.
    pub(super) fn serves_one_container(&self) -> bool {
        let Some(address) = self.conditions.ip_dst else {
            return false;
        };
        let only_condition = Conditions {
            eth_type: self.conditions.eth_type,
            ip_dst: Some(address),
            ..Conditions::default()
        };
        let form = match self.table {
            standard::CLASSIFY => self.actions == [Step::Goto(standard::CONTAINER)],
            standard::CONTAINER => {
                matches!(&self.actions[..], [Step::SetEthDst(_), Step::Output(_)])
            }
            _ => false,
        };
        form && self.priority == standard::CONTAINER_PRIORITY
            && address.prefix_len() == address.max_prefix_len()
            && self.conditions == only_condition
    }
}
