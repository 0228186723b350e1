//! Between the three forms of a flow: as declared, as a rule, as on the switch.

use declaration::{Action, BridgeName, Flow, LinkName, MacAddr};
use ipnet::IpNet;
use openflow::{Match, PortNo, RawElement, RawField, VlanId, VlanMatch};

use super::names::PortNames;
use super::rule::{Conditions, EtherType, Hex, PortRef, Rule, Step};

/// In the cookie's upper half: "opdb". The lower half is ours to use and 0 for now.
pub(super) const MARK: u64 = 0x6f70_6462 << 32;
/// The Ethernet type of a VLAN tag (IEEE 802.1Q).
const VLAN_TAG: u16 = 0x8100;

/// Why a rule cannot be written to the switch.
#[derive(Debug, thiserror::Error)]
pub(super) enum TranslateError {
    /// It names a port that there is not.
    #[error(
        "bridge {bridge} has no port {port}; declare it in `ovs`, or see why it did not come up"
    )]
    NoPort {
        /// The bridge.
        bridge: BridgeName,
        /// The port.
        port: LinkName,
    },
    /// A part of it is nothing that a switch could have given.
    #[error("{0} cannot be part of a flow")]
    Impossible(&'static str),
}

impl Rule {
    /// The normal form of a declared flow.
    pub(super) fn declared(bridge: &BridgeName, flow: &Flow) -> Self {
        let here = LinkName::from(bridge);
        let (mut actions, mut last) = (Vec::new(), Vec::new());
        for action in &flow.actions {
            match action {
                Action::Goto(table) => last.push(Step::Goto(*table)),
                Action::Output(port) if *port == here => actions.push(Step::Local),
                Action::Output(port) => actions.push(Step::Output(PortRef::Name(port.clone()))),
                Action::Normal => actions.push(Step::Normal),
                Action::Local => actions.push(Step::Local),
                Action::Flood => actions.push(Step::Flood),
                Action::Drop => {}
                Action::SetEthSrc(mac) => actions.push(Step::SetEthSrc(*mac)),
                Action::SetEthDst(mac) => actions.push(Step::SetEthDst(*mac)),
                Action::PushVlan(vlan) => actions.push(Step::PushVlan(*vlan)),
                Action::PopVlan => actions.push(Step::PopVlan),
            }
        }
        actions.append(&mut last);
        Self {
            bridge: bridge.clone(),
            table: flow.table,
            priority: flow.priority,
            conditions: Conditions::declared(&flow.matches),
            actions: or_drop(actions),
        }
    }

    /// The normal form of a flow on the switch.
    pub(super) fn observed(bridge: &BridgeName, flow: &openflow::Flow, ports: &PortNames) -> Self {
        let mut actions = Vec::new();
        let mut rest = flow.actions.iter().peekable();
        while let Some(action) = rest.next() {
            actions.push(match (action, rest.peek()) {
                (openflow::Action::PushVlan(VLAN_TAG), Some(openflow::Action::SetVlan(vlan))) => {
                    rest.next();
                    Step::PushVlan(vlan.get())
                }
                _ => step(action, ports),
            });
        }
        actions.extend(flow.goto.map(Step::Goto));
        let raw = flow.raw.iter().map(|raw| hex(raw.as_bytes()));
        actions.extend(raw.map(Step::RawInstruction));
        Self {
            bridge: bridge.clone(),
            table: flow.table,
            priority: flow.priority,
            conditions: Conditions::observed(&flow.matches, ports),
            actions: or_drop(actions),
        }
    }

    /// The flow that the switch is to have.
    pub(super) fn flow(&self, ports: &PortNames) -> Result<openflow::Flow, TranslateError> {
        let mut flow = openflow::Flow {
            table: self.table,
            priority: self.priority,
            cookie: MARK,
            matches: self.matches(ports)?,
            ..openflow::Flow::default()
        };
        for step in &self.actions {
            self.write_step(step, ports, &mut flow)?;
        }
        Ok(flow)
    }

    fn write_step(
        &self,
        step: &Step,
        ports: &PortNames,
        flow: &mut openflow::Flow,
    ) -> Result<(), TranslateError> {
        use openflow::Action as A;
        let vlan = |number: u16| {
            let vlan = VlanId::new(number).ok_or(TranslateError::Impossible("this VLAN"))?;
            Ok(A::SetVlan(vlan))
        };
        let raw = |bytes: &Hex| {
            let element = RawElement::new(bytes.0.clone());
            element.ok_or(TranslateError::Impossible("this raw element"))
        };
        let action = match step {
            Step::Drop => return Ok(()),
            Step::Goto(table) => {
                flow.goto = Some(*table);
                return Ok(());
            }
            Step::RawInstruction(bytes) => {
                flow.raw.push(raw(bytes)?);
                return Ok(());
            }
            Step::PushVlan(number) => {
                flow.actions.push(A::PushVlan(VLAN_TAG));
                vlan(*number)?
            }
            Step::Output(port) => A::Output(self.port(port, ports)?),
            Step::Normal => A::Output(PortNo::NORMAL),
            Step::Local => A::Output(PortNo::LOCAL),
            Step::Flood => A::Output(PortNo::FLOOD),
            Step::All => A::Output(PortNo::ALL),
            Step::InPort => A::Output(PortNo::IN_PORT),
            Step::Controller => A::Output(PortNo::CONTROLLER),
            Step::SetEthSrc(mac) => A::SetEthSrc(mac.0),
            Step::SetEthDst(mac) => A::SetEthDst(mac.0),
            Step::PopVlan => A::PopVlan,
            Step::PushTag(kind) => A::PushVlan(*kind),
            Step::SetVlan(number) => vlan(*number)?,
            Step::RawAction(bytes) => A::Raw(raw(bytes)?),
        };
        flow.actions.push(action);
        Ok(())
    }

    /// The match that the switch is to have.
    pub(super) fn matches(&self, ports: &PortNames) -> Result<Match, TranslateError> {
        let conditions = &self.conditions;
        let in_port = conditions.in_port.as_ref();
        let vlan = |number: u16| VlanId::new(number).ok_or(TranslateError::Impossible("this VLAN"));
        let vlan = match conditions.vlan {
            Some(number) => Some(VlanMatch::Id(vlan(number)?)),
            None => conditions.untagged.then_some(VlanMatch::Untagged),
        };
        let raw = conditions.raw.iter().map(|bytes| {
            let field = RawField::new(bytes.0.clone());
            field.ok_or(TranslateError::Impossible("this raw field"))
        });
        let mut matches = Match {
            in_port: in_port.map(|port| self.port(port, ports)).transpose()?,
            eth_src: conditions.eth_src.map(|mac| mac.0),
            eth_dst: conditions.eth_dst.map(|mac| mac.0),
            eth_type: conditions.eth_type.map(|kind| kind.0),
            vlan,
            ip_proto: conditions.ip_proto,
            tcp_src: conditions.tcp_src,
            tcp_dst: conditions.tcp_dst,
            udp_src: conditions.udp_src,
            udp_dst: conditions.udp_dst,
            arp_tpa: conditions.arp_tpa,
            raw: raw.collect::<Result<_, _>>()?,
            ..Match::default()
        };
        match conditions.ip_src {
            Some(IpNet::V4(network)) => matches.ipv4_src = Some(network),
            Some(IpNet::V6(network)) => matches.ipv6_src = Some(network),
            None => {}
        }
        match conditions.ip_dst {
            Some(IpNet::V4(network)) => matches.ipv4_dst = Some(network),
            Some(IpNet::V6(network)) => matches.ipv6_dst = Some(network),
            None => {}
        }
        Ok(matches)
    }

    fn port(&self, port: &PortRef, ports: &PortNames) -> Result<PortNo, TranslateError> {
        match port {
            PortRef::Number(number) => Ok(PortNo(*number)),
            PortRef::Name(name) => ports.number(name).ok_or_else(|| TranslateError::NoPort {
                bridge: self.bridge.clone(),
                port: name.clone(),
            }),
        }
    }
}

impl Conditions {
    /// Fills in the Ethernet type that the others imply, and leaves out what is no condition.
    fn declared(matches: &declaration::Match) -> Self {
        let network = |network: Option<IpNet>| {
            network
                .filter(|network| network.prefix_len() > 0)
                .map(|network| network.trunc())
        };
        let implied = match matches.ip_src.or(matches.ip_dst) {
            Some(IpNet::V4(_)) => Some(EtherType::IPV4),
            Some(IpNet::V6(_)) => Some(EtherType::IPV6),
            None => matches.arp_tpa.map(|_| EtherType::ARP),
        };
        Self {
            in_port: matches.in_port.clone().map(PortRef::Name),
            eth_src: matches.eth_src,
            eth_dst: matches.eth_dst,
            eth_type: matches.eth_type.map(EtherType).or(implied),
            vlan: matches.vlan,
            untagged: false,
            ip_proto: matches.ip_proto,
            ip_src: network(matches.ip_src),
            ip_dst: network(matches.ip_dst),
            tcp_src: matches.tcp_src,
            tcp_dst: matches.tcp_dst,
            udp_src: matches.udp_src,
            udp_dst: matches.udp_dst,
            arp_tpa: matches.arp_tpa,
            raw: Vec::new(),
        }
    }

    fn observed(matches: &Match, ports: &PortNames) -> Self {
        let ip = |v4: Option<_>, v6: Option<_>| v4.map(IpNet::V4).or(v6.map(IpNet::V6));
        Self {
            in_port: matches.in_port.map(|port| port_ref(port, ports)),
            eth_src: matches.eth_src.map(MacAddr),
            eth_dst: matches.eth_dst.map(MacAddr),
            eth_type: matches.eth_type.map(EtherType),
            vlan: match matches.vlan {
                Some(VlanMatch::Id(vlan)) => Some(vlan.get()),
                _ => None,
            },
            untagged: matches.vlan == Some(VlanMatch::Untagged),
            ip_proto: matches.ip_proto,
            ip_src: ip(matches.ipv4_src, matches.ipv6_src),
            ip_dst: ip(matches.ipv4_dst, matches.ipv6_dst),
            tcp_src: matches.tcp_src,
            tcp_dst: matches.tcp_dst,
            udp_src: matches.udp_src,
            udp_dst: matches.udp_dst,
            arp_tpa: matches.arp_tpa,
            raw: matches.raw.iter().map(|raw| hex(raw.as_bytes())).collect(),
        }
    }
}

fn step(action: &openflow::Action, ports: &PortNames) -> Step {
    use openflow::Action as A;
    match action {
        A::Output(PortNo::NORMAL) => Step::Normal,
        A::Output(PortNo::LOCAL) => Step::Local,
        A::Output(PortNo::FLOOD) => Step::Flood,
        A::Output(PortNo::ALL) => Step::All,
        A::Output(PortNo::IN_PORT) => Step::InPort,
        A::Output(PortNo::CONTROLLER) => Step::Controller,
        A::Output(port) => Step::Output(port_ref(*port, ports)),
        A::SetEthSrc(mac) => Step::SetEthSrc(MacAddr(*mac)),
        A::SetEthDst(mac) => Step::SetEthDst(MacAddr(*mac)),
        A::PushVlan(kind) => Step::PushTag(*kind),
        A::SetVlan(vlan) => Step::SetVlan(vlan.get()),
        A::PopVlan => Step::PopVlan,
        A::Raw(raw) => Step::RawAction(hex(raw.as_bytes())),
    }
}

fn port_ref(port: PortNo, ports: &PortNames) -> PortRef {
    match ports.name(port) {
        Some(name) => PortRef::Name(name.clone()),
        None => PortRef::Number(port.0),
    }
}

fn or_drop(mut actions: Vec<Step>) -> Vec<Step> {
    if actions.is_empty() {
        actions.push(Step::Drop);
    }
    actions
}

fn hex(bytes: &[u8]) -> Hex {
    Hex(bytes.to_vec())
}
