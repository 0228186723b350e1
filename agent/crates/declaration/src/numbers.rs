//! Numbers of packet headers that may be written as words.

use serde_json::{Value as Json, json};

use crate::define::one_of;
use crate::form::Form;
use crate::reader::Reader;
use crate::schema::Definitions;
use crate::tree::{Node, Value};

/// IPv4 in Ethernet (IEEE 802 numbers, IANA).
pub(crate) const IPV4: u16 = 0x0800;
/// ARP in Ethernet.
pub(crate) const ARP: u16 = 0x0806;
/// IPv6 in Ethernet.
pub(crate) const IPV6: u16 = 0x86dd;
/// TCP in IP (protocol numbers, IANA).
pub(crate) const TCP: u8 = 6;
/// UDP in IP.
pub(crate) const UDP: u8 = 17;

/// The type of an Ethernet frame; below 0x600 the field is a length (IEEE 802.3 §3.2.6).
pub(crate) struct EtherType;

/// The protocol in an IP packet.
pub(crate) struct IpProtocol;

const ETHER_TYPES: [(&str, u16); 3] = [("ip", IPV4), ("arp", ARP), ("ipv6", IPV6)];
const PROTOCOLS: [(&str, u8); 5] = [
    ("icmp", 1),
    ("tcp", TCP),
    ("udp", UDP),
    ("icmpv6", 58),
    ("sctp", 132),
];

/// A number from `low` to `high`, or one of some words for numbers.
struct Named<'a, T> {
    words: &'a [(&'static str, T)],
    low: T,
    high: T,
}

impl<T: Copy + PartialEq + PartialOrd + TryFrom<i128> + Into<u32>> Named<'_, T> {
    fn accepted(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
        format!(
            "{}, or a whole number from {} to {}",
            one_of(&words),
            self.low.into(),
            self.high.into()
        )
    }

    fn decode(&self, node: &Node, reader: &mut Reader) -> Option<T> {
        let number = match &node.value {
            Value::Integer(number) => T::try_from(*number)
                .ok()
                .filter(|number| (self.low..=self.high).contains(number)),
            Value::Text(text) => self
                .words
                .iter()
                .find_map(|(word, number)| (word == text).then_some(*number)),
            _ => None,
        };
        if number.is_none() {
            reader.wrong_type(node, self.accepted(), None);
        }
        number
    }

    fn encode(&self, value: T) -> Json {
        match self.words.iter().find(|(_, number)| *number == value) {
            Some((word, _)) => (*word).into(),
            None => value.into().into(),
        }
    }

    fn schema(&self) -> Json {
        let words: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
        json!({ "anyOf": [
            { "enum": words },
            { "type": "integer", "minimum": self.low.into(), "maximum": self.high.into() },
        ]})
    }
}

macro_rules! named {
    ($form:ident, $type:ty, $named:expr) => {
        impl Form<$type> for $form {
            fn accepted() -> String {
                $named.accepted()
            }

            fn decode(node: &Node, reader: &mut Reader) -> Option<$type> {
                $named.decode(node, reader)
            }

            fn encode(value: &$type) -> Json {
                $named.encode(*value)
            }

            fn schema(_: &mut Definitions) -> Json {
                $named.schema()
            }
        }
    };
}

named!(
    EtherType,
    u16,
    Named {
        words: &ETHER_TYPES,
        low: 0x600,
        high: u16::MAX
    }
);
named!(
    IpProtocol,
    u8,
    Named {
        words: &PROTOCOLS,
        low: 0,
        high: u8::MAX
    }
);
