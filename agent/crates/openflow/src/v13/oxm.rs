//! Match fields: OXM, OpenFlow extensible match (ONF TS-006 §7.2.3).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::flow::PortNo;
use crate::matches::{Match, RawField, VlanId, VlanMatch};
use crate::wire::{Input, Malformed, set_length};

/// The type of a match that is made of OXM fields (`OFPMT_OXM`).
const OXM_MATCH: u16 = 1;
/// The class of the fields of the specification (`OFPXMC_OPENFLOW_BASIC`).
const BASIC: u16 = 0x8000;
/// The bit of a VLAN that says that there is one (`OFPVID_PRESENT`).
const PRESENT: u16 = 0x1000;

/// Fields of that class (`oxm_ofb_match_fields`).
const IN_PORT: u8 = 0;
const ETH_DST: u8 = 3;
const ETH_SRC: u8 = 4;
const ETH_TYPE: u8 = 5;
const VLAN_VID: u8 = 6;
const IP_PROTO: u8 = 10;
const IPV4_SRC: u8 = 11;
const IPV4_DST: u8 = 12;
const TCP_SRC: u8 = 13;
const TCP_DST: u8 = 14;
const UDP_SRC: u8 = 15;
const UDP_DST: u8 = 16;
const ARP_TPA: u8 = 23;
const IPV6_SRC: u8 = 26;
const IPV6_DST: u8 = 27;

/// One field with a value that is set, not matched.
pub(crate) enum SetField {
    EthSrc([u8; 6]),
    EthDst([u8; 6]),
    Vlan(VlanId),
}

/// Appends a match with its header and padding.
pub(crate) fn write_match(out: &mut Vec<u8>, matches: &Match) {
    let start = out.len();
    out.extend(OXM_MATCH.to_be_bytes());
    out.extend([0; 2]);
    write_fields(out, matches);
    // A match that is too long makes its message too long, which is where it is noticed.
    set_length(out, start, 2, 8);
}

/// Fields go by number, so that each comes after its prerequisites.
fn write_fields(out: &mut Vec<u8>, matches: &Match) {
    let number = |port: PortNo| port.0.to_be_bytes();
    exact(out, IN_PORT, matches.in_port.map(number));
    exact(out, ETH_DST, matches.eth_dst);
    exact(out, ETH_SRC, matches.eth_src);
    exact(out, ETH_TYPE, matches.eth_type.map(u16::to_be_bytes));
    exact(out, VLAN_VID, matches.vlan.map(vlan_bytes));
    exact(out, IP_PROTO, matches.ip_proto.map(u8::to_be_bytes));
    ipv4(out, IPV4_SRC, matches.ipv4_src);
    ipv4(out, IPV4_DST, matches.ipv4_dst);
    exact(out, TCP_SRC, matches.tcp_src.map(u16::to_be_bytes));
    exact(out, TCP_DST, matches.tcp_dst.map(u16::to_be_bytes));
    exact(out, UDP_SRC, matches.udp_src.map(u16::to_be_bytes));
    exact(out, UDP_DST, matches.udp_dst.map(u16::to_be_bytes));
    exact(out, ARP_TPA, matches.arp_tpa.map(|a| a.octets()));
    ipv6(out, IPV6_SRC, matches.ipv6_src);
    ipv6(out, IPV6_DST, matches.ipv6_dst);
    for field in &matches.raw {
        out.extend_from_slice(field.as_bytes());
    }
}

/// Appends a field as the action Set-Field holds it.
pub(crate) fn write_set(out: &mut Vec<u8>, field: SetField) {
    match field {
        SetField::EthSrc(mac) => exact(out, ETH_SRC, Some(mac)),
        SetField::EthDst(mac) => exact(out, ETH_DST, Some(mac)),
        SetField::Vlan(vlan) => exact(out, VLAN_VID, Some(vlan_bytes(VlanMatch::Id(vlan)))),
    }
}

/// The field of a Set-Field action; `None` for one that [`SetField`] does not have.
pub(crate) fn read_set(content: &[u8]) -> Option<SetField> {
    let mut matches = Match::default();
    let mut input = Input(content);
    read_field(&mut input, &mut matches).ok()?;
    // What follows is padding.
    match matches {
        Match {
            eth_src: Some(mac), ..
        } => Some(SetField::EthSrc(mac)),
        Match {
            eth_dst: Some(mac), ..
        } => Some(SetField::EthDst(mac)),
        Match {
            vlan: Some(VlanMatch::Id(vlan)),
            ..
        } => Some(SetField::Vlan(vlan)),
        _ => None,
    }
}

fn header(out: &mut Vec<u8>, field: u8, masked: bool, length: usize) {
    out.extend(BASIC.to_be_bytes());
    // No field here is longer than two IPv6 addresses.
    out.extend([field << 1 | u8::from(masked), length as u8]);
}

fn exact<const N: usize>(out: &mut Vec<u8>, field: u8, value: Option<[u8; N]>) {
    if let Some(value) = value {
        header(out, field, false, N);
        out.extend(value);
    }
}

fn masked<const N: usize>(out: &mut Vec<u8>, field: u8, value: [u8; N], mask: [u8; N]) {
    if mask == [u8::MAX; N] {
        exact(out, field, Some(value));
    } else if mask != [0; N] {
        header(out, field, true, 2 * N);
        out.extend(value);
        out.extend(mask);
    }
}

fn ipv4(out: &mut Vec<u8>, field: u8, network: Option<Ipv4Net>) {
    if let Some(net) = network {
        masked(out, field, net.network().octets(), net.netmask().octets());
    }
}

fn ipv6(out: &mut Vec<u8>, field: u8, network: Option<Ipv6Net>) {
    if let Some(net) = network {
        masked(out, field, net.network().octets(), net.netmask().octets());
    }
}

fn vlan_bytes(vlan: VlanMatch) -> [u8; 2] {
    match vlan {
        VlanMatch::Untagged => [0; 2],
        VlanMatch::Id(id) => (PRESENT | id.get()).to_be_bytes(),
    }
}

/// Takes a match with its header and padding.
pub(crate) fn read_match(input: &mut Input<'_>) -> Result<Match, Malformed> {
    let kind = input.u16()?;
    let length = usize::from(input.u16()?);
    if kind != OXM_MATCH {
        return Err(Malformed("a match that is not made of OXM fields"));
    }
    let content = length
        .checked_sub(4)
        .ok_or(Malformed("a match is shorter than its header"))?;
    let mut fields = Input(input.take(content)?);
    input.take(length.next_multiple_of(8) - length)?;
    let mut matches = Match::default();
    while !fields.is_empty() {
        read_field(&mut fields, &mut matches)?;
    }
    Ok(matches)
}

fn read_field(input: &mut Input<'_>, matches: &mut Match) -> Result<(), Malformed> {
    let whole = input.0;
    let class = input.u16()?;
    let (field, masked) = match input.u8()? {
        byte if byte & 1 == 0 => (byte >> 1, false),
        byte => (byte >> 1, true),
    };
    let length = usize::from(input.u8()?);
    let payload = input.take(length)?;
    let known = class == BASIC
        && match masked {
            false => known_field(matches, field, payload, None),
            true if length.is_multiple_of(2) => {
                let (value, mask) = payload.split_at(length / 2);
                known_field(matches, field, value, Some(mask))
            }
            true => false,
        };
    if !known {
        matches.raw.extend(RawField::new(&whole[..4 + length]));
    }
    Ok(())
}

/// Puts a field into its place; `false` if there is none for it, or it is taken.
fn known_field(matches: &mut Match, field: u8, value: &[u8], mask: Option<&[u8]>) -> bool {
    let plain = mask.is_none_or(|mask| mask.iter().all(|byte| *byte == u8::MAX));
    let bytes = Exact(plain.then_some(value));
    match field {
        IN_PORT => put(&mut matches.in_port, bytes.u32().map(PortNo)),
        ETH_DST => put(&mut matches.eth_dst, bytes.array()),
        ETH_SRC => put(&mut matches.eth_src, bytes.array()),
        ETH_TYPE => put(&mut matches.eth_type, bytes.u16()),
        VLAN_VID => put(&mut matches.vlan, bytes.u16().and_then(vlan)),
        IP_PROTO => put(&mut matches.ip_proto, bytes.array().map(u8::from_be_bytes)),
        IPV4_SRC => put(&mut matches.ipv4_src, ipv4_net(value, mask)),
        IPV4_DST => put(&mut matches.ipv4_dst, ipv4_net(value, mask)),
        TCP_SRC => put(&mut matches.tcp_src, bytes.u16()),
        TCP_DST => put(&mut matches.tcp_dst, bytes.u16()),
        UDP_SRC => put(&mut matches.udp_src, bytes.u16()),
        UDP_DST => put(&mut matches.udp_dst, bytes.u16()),
        ARP_TPA => put(&mut matches.arp_tpa, bytes.u32().map(Ipv4Addr::from)),
        IPV6_SRC => put(&mut matches.ipv6_src, ipv6_net(value, mask)),
        IPV6_DST => put(&mut matches.ipv6_dst, ipv6_net(value, mask)),
        _ => false,
    }
}

fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let fits = place.is_none() && value.is_some();
    if fits {
        *place = value;
    }
    fits
}

/// A value without a mask, of the length that is asked for.
struct Exact<'a>(Option<&'a [u8]>);

impl Exact<'_> {
    fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.0?.try_into().ok()
    }

    fn u16(&self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

fn vlan(bits: u16) -> Option<VlanMatch> {
    match bits {
        0 => Some(VlanMatch::Untagged),
        _ if bits & PRESENT != 0 => VlanId::new(bits & !PRESENT).map(VlanMatch::Id),
        _ => None,
    }
}

fn ipv4_net(value: &[u8], mask: Option<&[u8]>) -> Option<Ipv4Net> {
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?);
    let mask = mask.map_or(Some([u8::MAX; 4]), |mask| mask.try_into().ok())?;
    let network = Ipv4Net::with_netmask(address, Ipv4Addr::from(mask)).ok()?;
    (network.prefix_len() > 0).then_some(network.trunc())
}

fn ipv6_net(value: &[u8], mask: Option<&[u8]>) -> Option<Ipv6Net> {
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?);
    let mask = mask.map_or(Some([u8::MAX; 16]), |mask| mask.try_into().ok())?;
    let network = Ipv6Net::with_netmask(address, Ipv6Addr::from(mask)).ok()?;
    (network.prefix_len() > 0).then_some(network.trunc())
}
