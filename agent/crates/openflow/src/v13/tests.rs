//! The codec against itself, against hostile bytes and against `ovs-ofctl ofp-print`.

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::{action, bundle, flow_mod, flow_stats, multipart, oxm, session};
use crate::flow::{Action, Cookie, Flow, FlowFilter, FlowMod, PortNo, RawElement};
use crate::matches::{Match, RawField, VlanId, VlanMatch};
use crate::wire::{Input, Message};

/// Decodes a message with the tools of Open vSwitch; `None` where they are not installed.
fn printed(bytes: &[u8]) -> Option<String> {
    if !lab::has("ovs-ofctl") {
        lab::skip("needs ovs-ofctl");
        return None;
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(lab::run("ovs-ofctl", &["ofp-print", &hex]))
}

/// A change as a message on its own.
fn message_of(change: &FlowMod) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(flow_mod::write(&mut bytes, 1, change));
    bytes
}

fn net4(text: &str) -> Option<Ipv4Net> {
    Some(text.parse().unwrap())
}

fn flow(matches: Match, actions: Vec<Action>, goto: Option<u8>) -> Flow {
    Flow {
        table: 3,
        priority: 7,
        cookie: 0x6f70_6462_0000_0001,
        matches,
        actions,
        goto,
        raw: Vec::new(),
    }
}

fn ip() -> Match {
    Match {
        eth_type: Some(0x0800),
        ..Match::default()
    }
}

#[test]
fn open_vswitch_reads_our_matches() {
    let cases = [
        (Match::default(), "priority=7"),
        (
            Match {
                in_port: Some(PortNo::LOCAL),
                eth_src: Some([2, 0, 0, 0, 0, 1]),
                eth_dst: Some([2, 0, 0, 0, 0, 2]),
                ..Match::default()
            },
            "priority=7,in_port=LOCAL,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02",
        ),
        (
            Match {
                in_port: Some(PortNo(5)),
                vlan: VlanId::new(10).map(VlanMatch::Id),
                ..Match::default()
            },
            "priority=7,in_port=5,dl_vlan=10",
        ),
        (
            Match {
                vlan: Some(VlanMatch::Untagged),
                ..Match::default()
            },
            "priority=7,vlan_tci=0x0000/0x1fff",
        ),
        (
            Match {
                ipv4_src: net4("10.0.0.11/32"),
                ipv4_dst: net4("10.1.2.3/16"),
                ..ip()
            },
            "priority=7,ip,nw_src=10.0.0.11,nw_dst=10.1.0.0/16",
        ),
        (
            Match {
                ip_proto: Some(6),
                tcp_src: Some(1024),
                tcp_dst: Some(80),
                ..ip()
            },
            "priority=7,tcp,tp_src=1024,tp_dst=80",
        ),
        (
            Match {
                eth_type: Some(0x86dd),
                ip_proto: Some(17),
                ipv6_src: Some("fd00::/8".parse().unwrap()),
                ipv6_dst: Some("fd00::2/128".parse().unwrap()),
                udp_src: Some(53),
                udp_dst: Some(54),
                ..Match::default()
            },
            "priority=7,udp6,ipv6_src=fd00::/8,ipv6_dst=fd00::2,tp_src=53,tp_dst=54",
        ),
        (
            Match {
                eth_type: Some(0x0806),
                arp_tpa: Some([10, 0, 0, 1].into()),
                ..Match::default()
            },
            "priority=7,arp,arp_tpa=10.0.0.1",
        ),
    ];
    for (matches, expected) in cases {
        let bytes = message_of(&FlowMod::Add(flow(matches, Vec::new(), None)));
        let Some(text) = printed(&bytes) else { return };
        let expected = format!(
            "OFPT_FLOW_MOD (OF1.3) (xid=0x1): ADD table:3 {expected} cookie:0x6f70646200000001 actions=drop\n"
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn open_vswitch_reads_our_actions() {
    let vlan = VlanId::new(10).unwrap();
    let actions = vec![
        Action::SetEthSrc([2, 0, 0, 0, 0, 1]),
        Action::SetEthDst([2, 0, 0, 0, 0, 2]),
        Action::PushVlan(0x8100),
        Action::SetVlan(vlan),
        Action::Output(PortNo(9)),
        Action::PopVlan,
        Action::Output(PortNo::NORMAL),
        Action::Output(PortNo::LOCAL),
        Action::Output(PortNo::FLOOD),
        Action::Output(PortNo::ALL),
        Action::Output(PortNo::IN_PORT),
        Action::Output(PortNo::CONTROLLER),
    ];
    let bytes = message_of(&FlowMod::Add(flow(Match::default(), actions, Some(10))));
    let Some(text) = printed(&bytes) else { return };
    let expected = "actions=set_field:02:00:00:00:00:01->eth_src,set_field:02:00:00:00:00:02->eth_dst,\
         push_vlan:0x8100,set_field:4106->vlan_vid,output:9,pop_vlan,NORMAL,LOCAL,FLOOD,ALL,IN_PORT,\
         CONTROLLER:65535,goto_table:10\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn open_vswitch_reads_our_commands() {
    let cookie = Cookie {
        value: 0x6f70_6462_0000_0000,
        mask: 0xffff_ffff_0000_0000,
    };
    let one = flow(ip(), vec![Action::Output(PortNo::NORMAL)], None);
    let cases = [
        (
            FlowMod::ModifyStrict(one, cookie),
            "MOD_STRICT table:3 priority=7,ip cookie:0x6f70646200000000/0xffffffff00000000 actions=NORMAL",
        ),
        (
            FlowMod::DeleteStrict {
                table: 3,
                priority: 7,
                matches: ip(),
                cookie,
            },
            "DEL_STRICT table:3 priority=7,ip cookie:0x6f70646200000000/0xffffffff00000000 actions=drop",
        ),
        (
            FlowMod::Delete {
                table: None,
                matches: Match::default(),
                cookie: Cookie::ANY,
            },
            "DEL table:255 priority=0 actions=drop",
        ),
    ];
    for (change, expected) in cases {
        let Some(text) = printed(&message_of(&change)) else {
            return;
        };
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn open_vswitch_reads_our_bundles() {
    let mut bytes = Vec::new();
    bundle::control(&mut bytes, 9, 17, bundle::COMMIT);
    let Some(text) = printed(&bytes) else { return };
    assert_eq!(
        text,
        "ONFT_BUNDLE_CONTROL (OF1.3) (xid=0x9):\n bundle_id=0x11 type=COMMIT_REQUEST flags=atomic ordered\n"
    );
    bytes.clear();
    let change = FlowMod::Add(flow(ip(), vec![Action::Output(PortNo::NORMAL)], None));
    assert!(bundle::add(&mut bytes, 9, 17, &change));
    let Some(text) = printed(&bytes) else { return };
    assert!(
        text.contains("bundle_id=0x11 flags=atomic ordered"),
        "{text}"
    );
    assert!(text.contains("ADD table:3 priority=7,ip"), "{text}");
}

#[test]
fn open_vswitch_reads_our_question_for_flows() {
    let mut bytes = vec![super::VERSION, super::MULTIPART_REQUEST, 0, 0, 0, 0, 0, 3];
    bytes.extend(flow_stats::request(&FlowFilter {
        table: Some(7),
        cookie: Cookie::ANY,
    }));
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let Some(text) = printed(&bytes) else { return };
    assert_eq!(text, "OFPST_FLOW request (OF1.3) (xid=0x3): table=7\n");
}

#[test]
fn what_is_too_long_for_a_message_is_not_written() {
    let actions = vec![Action::PopVlan; 9000];
    let mut bytes = vec![7];
    let change = FlowMod::Add(flow(Match::default(), actions, None));
    assert!(!flow_mod::write(&mut bytes, 1, &change));
    assert!(!bundle::add(&mut bytes, 1, 1, &change));
    // It fits alone, but not in the envelope of a bundle.
    let actions = vec![Action::PopVlan; 8183];
    let change = FlowMod::Add(flow(Match::default(), actions, None));
    assert!(flow_mod::write(&mut Vec::new(), 1, &change));
    assert!(!bundle::add(&mut bytes, 1, 1, &change));
    assert_eq!(bytes, [7]);
}

#[test]
fn a_mask_that_is_no_prefix_is_kept_as_it_came() {
    let field = [0x80, 0, 11 << 1 | 1, 8, 10, 0, 0, 1, 255, 0, 0, 255];
    let matches = read_match(&match_bytes(&field)).unwrap();
    assert_eq!(matches.ipv4_src, None);
    assert_eq!(matches.raw, [RawField::new(field).unwrap()]);
}

#[test]
fn a_full_mask_is_no_mask() {
    let field = [0x80, 0, 5 << 1 | 1, 4, 8, 0, 255, 255];
    let matches = read_match(&match_bytes(&field)).unwrap();
    assert_eq!(matches, ip());
}

#[test]
fn a_field_that_comes_twice_is_kept_as_it_came() {
    let field = [0x80, 0, 5 << 1, 2, 8, 0];
    let matches = read_match(&match_bytes(&[field, field].concat())).unwrap();
    assert_eq!(matches.eth_type, Some(0x0800));
    assert_eq!(matches.raw, [RawField::new(field).unwrap()]);
}

#[test]
fn the_greeting_decides_the_version() {
    let offers = |bitmap: u32| {
        let mut body = vec![0, 1, 0, 8];
        body.extend(bitmap.to_be_bytes());
        body
    };
    assert_eq!(session::speaks_v13(6, &offers(1 << 4)), Ok(true));
    assert_eq!(session::speaks_v13(6, &offers(1 << 6)), Ok(false));
    assert_eq!(session::speaks_v13(1, &offers(1 << 1 | 1 << 4)), Ok(true));
    assert_eq!(session::speaks_v13(4, &[]), Ok(true));
    assert_eq!(session::speaks_v13(1, &[]), Ok(false));
    let unknown_first = [&[0, 9, 0, 5, 1, 0, 0, 0][..], &offers(1 << 1)].concat();
    assert_eq!(session::speaks_v13(5, &unknown_first), Ok(false));
    assert!(session::speaks_v13(5, &[0, 1, 0, 2]).is_err());
}

/// A match with its header around these fields.
fn match_bytes(fields: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + fields.len()).unwrap();
    let mut bytes = vec![0, 1];
    bytes.extend(length.to_be_bytes());
    bytes.extend(fields);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn read_match(bytes: &[u8]) -> Result<Match, crate::Malformed> {
    let mut input = Input(bytes);
    let matches = oxm::read_match(&mut input)?;
    assert!(input.is_empty());
    Ok(matches)
}

fn networks4() -> impl Strategy<Value = Ipv4Net> {
    (any::<[u8; 4]>(), 1_u8..=32)
        .prop_map(|(address, length)| Ipv4Net::new(address.into(), length).unwrap().trunc())
}

fn networks6() -> impl Strategy<Value = Ipv6Net> {
    (any::<[u8; 16]>(), 1_u8..=128)
        .prop_map(|(address, length)| Ipv6Net::new(address.into(), length).unwrap().trunc())
}

fn vlans() -> impl Strategy<Value = VlanId> {
    (0_u16..4096).prop_map(|number| VlanId::new(number).unwrap())
}

/// A field of a class that is not that of the specification.
fn raw_fields() -> impl Strategy<Value = RawField> {
    (0_u8..2, any::<u8>(), vec(any::<u8>(), 0..16)).prop_map(|(class, field, payload)| {
        let length = u8::try_from(payload.len()).unwrap();
        let header = [0, class, field, length];
        RawField::new([&header[..], &payload].concat()).unwrap()
    })
}

/// An experimenter's action or instruction.
fn raw_elements() -> impl Strategy<Value = RawElement> {
    vec(any::<u8>(), 0..4).prop_map(|content| {
        let length = u16::try_from(8 * (content.len() + 1)).unwrap();
        let mut bytes = vec![255, 255];
        bytes.extend(length.to_be_bytes());
        bytes.extend(&content);
        bytes.resize(usize::from(length), 0);
        RawElement::new(bytes).unwrap()
    })
}

fn matches() -> impl Strategy<Value = Match> {
    let ethernet = (
        of(any::<u32>().prop_map(PortNo)),
        of(any::<[u8; 6]>()),
        of(any::<[u8; 6]>()),
        of(any::<u16>()),
        of(prop_oneof![
            Just(VlanMatch::Untagged),
            vlans().prop_map(VlanMatch::Id)
        ]),
    );
    let network = (
        of(any::<u8>()),
        of(networks4()),
        of(networks4()),
        of(networks6()),
        of(networks6()),
        of(any::<[u8; 4]>()),
    );
    let transport = proptest::array::uniform4(of(any::<u16>()));
    (ethernet, network, transport, vec(raw_fields(), 0..3)).prop_map(
        |(ethernet, network, [tcp_src, tcp_dst, udp_src, udp_dst], raw)| {
            let (in_port, eth_src, eth_dst, eth_type, vlan) = ethernet;
            let (ip_proto, ipv4_src, ipv4_dst, ipv6_src, ipv6_dst, arp_tpa) = network;
            Match {
                in_port,
                eth_src,
                eth_dst,
                eth_type,
                vlan,
                ip_proto,
                ipv4_src,
                ipv4_dst,
                ipv6_src,
                ipv6_dst,
                tcp_src,
                tcp_dst,
                udp_src,
                udp_dst,
                arp_tpa: arp_tpa.map(Into::into),
                raw,
            }
        },
    )
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        any::<u32>().prop_map(|port| Action::Output(PortNo(port))),
        any::<[u8; 6]>().prop_map(Action::SetEthSrc),
        any::<[u8; 6]>().prop_map(Action::SetEthDst),
        any::<u16>().prop_map(Action::PushVlan),
        vlans().prop_map(Action::SetVlan),
        Just(Action::PopVlan),
        raw_elements().prop_map(Action::Raw),
    ]
}

prop_compose! {
    fn flows()(
        matches in matches(),
        actions in vec(actions(), 0..6),
        goto in of(any::<u8>()),
        raw in vec(raw_elements(), 0..3),
    ) -> Flow {
        Flow { matches, actions, goto, raw, ..Flow::default() }
    }
}

proptest! {
    #[test]
    fn a_flow_is_read_as_it_was_written(flow in flows()) {
        let mut bytes = Vec::new();
        oxm::write_match(&mut bytes, &flow.matches);
        action::write_instructions(&mut bytes, &flow);
        let mut input = Input(&bytes);
        let mut read = Flow { matches: oxm::read_match(&mut input).unwrap(), ..Flow::default() };
        action::read_instructions(&mut input, &mut read).unwrap();
        prop_assert_eq!(read, flow);
    }

    #[test]
    fn a_message_has_the_length_in_its_header(flow in flows()) {
        let bytes = message_of(&FlowMod::Add(flow));
        let (message, length) = Message::first(&bytes).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
        prop_assert_eq!(message.xid, 1);
    }

    #[test]
    fn hostile_bytes_are_refused_in_peace(bytes in vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_flows_are_refused_in_peace(
        flow in flows(),
        cut in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Vec::new();
        bytes.extend([0; 48]);
        oxm::write_match(&mut bytes, &flow.matches);
        action::write_instructions(&mut bytes, &flow);
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[..2].copy_from_slice(&length.to_be_bytes());
        prop_assert_eq!(flow_stats::reply(&bytes, &mut Vec::new()), Ok(()));
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        read_all(&bytes);
        read_all(&bytes[bytes.len().min(48)..]);
    }
}

/// Every reader on the same bytes; none may panic. A reader that takes them gives what can be
/// written and read again.
fn read_all(bytes: &[u8]) {
    let _ = Message::first(bytes);
    let _ = session::speaks_v13(4, bytes);
    let _ = session::error(bytes);
    let _ = session::features(bytes);
    let _ = bundle::check_control(bytes);
    let _ = multipart::part(bytes, [0, 1]);
    let _ = multipart::ports(bytes, &mut Vec::new());
    let mut flows = Vec::new();
    let _ = flow_stats::reply(bytes, &mut flows);
    if let Ok(matches) = oxm::read_match(&mut Input(bytes)) {
        let mut again = Vec::new();
        oxm::write_match(&mut again, &matches);
        assert_eq!(read_match(&again), Ok(matches));
    }
    let mut flow = Flow::default();
    let _ = action::read_instructions(&mut Input(bytes), &mut flow);
}
