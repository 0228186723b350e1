//! Flows, ports and what can be asked of them, independent of the version on the wire.

use std::fmt;
use std::time::Duration;

use crate::matches::Match;

/// One flow: what to do with the packets that match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The table, 0 to 254.
    pub table: u8,
    /// Flows of a higher priority are tried first.
    pub priority: u16,
    /// A number that the switch keeps with the flow and does not look at.
    pub cookie: u64,
    /// What packets it is for.
    pub matches: Match,
    /// What is done at once, in this order.
    pub actions: Vec<Action>,
    /// The table to go on in, above [`table`](Self::table). Without it the packet is done with.
    pub goto: Option<u8>,
    /// Instructions that this type has no field for, as they came from the switch.
    pub raw: Vec<RawElement>,
}

/// One thing that is done with a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send it out of a port. To the controller it goes whole.
    Output(PortNo),
    /// Change its Ethernet source address.
    SetEthSrc([u8; 6]),
    /// Change its Ethernet destination address.
    SetEthDst([u8; 6]),
    /// Add a VLAN tag of this Ethernet type: 0x8100 or 0x88a8.
    PushVlan(u16),
    /// Change the VLAN in its outer tag.
    SetVlan(crate::VlanId),
    /// Take its outer VLAN tag off.
    PopVlan,
    /// Something that this type has no variant for, as it came from the switch.
    Raw(RawElement),
}

/// An action or an instruction as it is on the wire: type, length, content (ONF TS-006 §7.2.4, §7.2.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawElement(Vec<u8>);

impl RawElement {
    /// One whole element; `None` if the length in its header is not that of `bytes`, or is no
    /// multiple of 8.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        let length = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        (bytes.len() == usize::from(length) && length.is_multiple_of(8)).then_some(Self(bytes))
    }

    /// Header and content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The number of a port on its switch; the highest stand for more than one port or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNo(pub u32);

impl PortNo {
    /// The port that the packet came in by.
    pub const IN_PORT: Self = Self(0xffff_fff8);
    /// Handled as a learning switch does.
    pub const NORMAL: Self = Self(0xffff_fffa);
    /// All ports but the one it came in by.
    pub const FLOOD: Self = Self(0xffff_fffb);
    /// All ports but the one it came in by, also those that are kept out of flooding.
    pub const ALL: Self = Self(0xffff_fffc);
    /// The controllers.
    pub const CONTROLLER: Self = Self(0xffff_fffd);
    /// The switch's own interface.
    pub const LOCAL: Self = Self(0xffff_fffe);
    /// No port in particular; only in filters.
    pub const ANY: Self = Self(0xffff_ffff);
}

impl fmt::Display for PortNo {
    /// The number, or the name of ONF TS-006 §7.2.1 in the spelling of ovs-ofctl(8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IN_PORT => "IN_PORT",
            Self::NORMAL => "NORMAL",
            Self::FLOOD => "FLOOD",
            Self::ALL => "ALL",
            Self::CONTROLLER => "CONTROLLER",
            Self::LOCAL => "LOCAL",
            Self::ANY => "ANY",
            Self(number) => return number.fmt(f),
        })
    }
}

/// Flows whose cookie has the bits of `value` wherever `mask` has a bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cookie {
    /// The bits.
    pub value: u64,
    /// Which of them count.
    pub mask: u64,
}

impl Cookie {
    /// Any cookie.
    pub const ANY: Self = Self { value: 0, mask: 0 };

    /// Whether a flow with that cookie is meant.
    pub fn covers(self, cookie: u64) -> bool {
        (cookie ^ self.value) & self.mask == 0
    }
}

/// Which flows to read; all, by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Only those of one table.
    pub table: Option<u8>,
    /// Only those with such a cookie.
    pub cookie: Cookie,
}

/// One change of a flow table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowMod {
    /// Adds a flow, in place of any with the same table, priority and match.
    Add(Flow),
    /// Gives the flow with the same table, priority and match other actions, if it is there and
    /// its cookie is covered. It keeps its cookie and its counters.
    ModifyStrict(Flow, Cookie),
    /// Deletes the flow with this table, priority and match, if it is there and its cookie is
    /// covered.
    DeleteStrict {
        /// The table.
        table: u8,
        /// The priority.
        priority: u16,
        /// The match.
        matches: Match,
        /// Whose it has to be.
        cookie: Cookie,
    },
    /// Deletes all flows whose match is this one or narrower and whose cookie is covered.
    Delete {
        /// The table; all, if `None`.
        table: Option<u8>,
        /// The widest match.
        matches: Match,
        /// Whose they have to be.
        cookie: Cookie,
    },
}

/// A flow of a switch, and what it has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowStats {
    /// The flow.
    pub flow: Flow,
    /// How long it has been there, to the nanosecond.
    pub age: Duration,
    /// It goes after so many seconds without a packet; 0 for never.
    pub idle_timeout: u16,
    /// It goes after so many seconds; 0 for never.
    pub hard_timeout: u16,
    /// Packets that matched.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// What a switch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Its datapath id; Open vSwitch puts the Ethernet address in the lower 48 bits.
    pub datapath: u64,
    /// How many tables it has.
    pub tables: u8,
    /// `OFPC_*` (ONF TS-006 §7.3.1).
    pub capabilities: u32,
}

/// A port of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: PortNo,
    /// Its name, at most 15 bytes; what is not UTF-8 is replaced.
    pub name: String,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Whether it has a link (`OFPPS_LINK_DOWN` is not set).
    pub link: bool,
}

/// What the ports of a switch have carried. A counter that the switch does not keep is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortStats {
    /// The port.
    pub number: PortNo,
    /// What came in by it.
    pub received: Traffic,
    /// What went out by it.
    pub sent: Traffic,
    /// Packets that collided.
    pub collisions: Option<u64>,
    /// How long it has been there.
    pub age: Duration,
}

/// What a port has carried in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: Option<u64>,
    /// Bytes in them.
    pub bytes: Option<u64>,
    /// Packets that were dropped for want of room.
    pub dropped: Option<u64>,
    /// Packets that were damaged or could not be sent.
    pub errors: Option<u64>,
}

/// What a flow table holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStats {
    /// The table.
    pub table: u8,
    /// Flows in it.
    pub active: u32,
    /// Packets that were looked up in it.
    pub lookups: u64,
    /// Those of them that a flow matched.
    pub matched: u64,
}

/// Flows taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowTotals {
    /// How many there are.
    pub flows: u32,
    /// Packets that they matched.
    pub packets: u64,
    /// Bytes in these.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_element_has_the_length_that_its_header_says() {
        assert!(RawElement::new([0, 99, 0, 8, 1, 2, 3, 4]).is_some());
        for wrong in [
            &[][..],
            &[0, 99, 0],
            &[0, 99, 0, 4],
            &[0, 99, 0, 0, 0, 0, 0, 0],
            &[0, 99, 0, 16, 0, 0, 0, 0],
        ] {
            assert_eq!(RawElement::new(wrong), None);
        }
    }

    #[test]
    fn a_cookie_counts_where_the_mask_has_bits() {
        let ours = Cookie {
            value: 0xab00,
            mask: 0xff00,
        };
        assert!(ours.covers(0xab17));
        assert!(!ours.covers(0xac17));
        assert!(Cookie::ANY.covers(u64::MAX));
    }

    #[test]
    fn reserved_ports_have_names() {
        assert_eq!(PortNo::LOCAL.to_string(), "LOCAL");
        assert_eq!(PortNo(7).to_string(), "7");
    }
}
