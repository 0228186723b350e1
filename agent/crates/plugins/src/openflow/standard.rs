//! The four tables of every bridge: classify, container, mesh, learning switch.

use std::net::IpAddr;

use declaration::{
    Action, BridgeName, Container, ContainerName, Declaration, Flow, FlowTables, LinkName, MacAddr,
    Match, wiring,
};
use ipnet::IpNet;

use super::rule::Rule;

/// Where packets come in; tells the three others apart.
pub(super) const CLASSIFY: u8 = 0;
/// To a container of this bridge, without learning and without the uplink.
pub(super) const CONTAINER: u8 = 10;
/// To the mesh.
const MESH: u8 = 20;
/// As a learning switch does.
const SWITCH: u8 = 30;

/// Above the mesh, whose network may hold the addresses of containers here.
pub(super) const CONTAINER_PRIORITY: u16 = 100;
const MESH_PRIORITY: u16 = 90;
const REST_PRIORITY: u16 = 50;

/// The standard flows of a bridge; none, if it is not to have them.
pub(super) fn rules(
    declaration: &Declaration,
    bridge: &BridgeName,
    tables: &FlowTables,
) -> Vec<Rule> {
    if !tables.standard_tables {
        return Vec::new();
    }
    let everything = Match::default;
    let mut flows = vec![
        flow(
            CLASSIFY,
            REST_PRIORITY,
            everything(),
            [Action::Goto(SWITCH)],
        ),
        flow(CONTAINER, 0, everything(), [Action::Goto(SWITCH)]),
        flow(SWITCH, 0, everything(), [Action::Normal]),
    ];
    for (address, mac, port) in containers(declaration, bridge) {
        let there = || to(IpNet::from(address));
        let deliver = [Action::SetEthDst(mac), Action::Output(port)];
        flows.push(flow(
            CLASSIFY,
            CONTAINER_PRIORITY,
            there(),
            [Action::Goto(CONTAINER)],
        ));
        flows.push(flow(CONTAINER, CONTAINER_PRIORITY, there(), deliver));
    }
    match &tables.mesh {
        Some(mesh) => {
            let port = Action::Output(mesh.port.clone());
            flows.push(flow(
                CLASSIFY,
                MESH_PRIORITY,
                to(mesh.prefix),
                [Action::Goto(MESH)],
            ));
            flows.push(flow(MESH, 0, everything(), [port]));
        }
        None => flows.push(flow(MESH, 0, everything(), [Action::Goto(SWITCH)])),
    }
    flows
        .iter()
        .map(|flow| Rule::declared(bridge, flow))
        .collect()
}

fn flow<const N: usize>(table: u8, priority: u16, matches: Match, actions: [Action; N]) -> Flow {
    Flow {
        table,
        priority,
        matches,
        actions: actions.into(),
    }
}

fn to(network: IpNet) -> Match {
    Match {
        ip_dst: Some(network),
        ..Match::default()
    }
}

/// The containers with an address on the bridge.
fn containers<'a>(
    declaration: &'a Declaration,
    bridge: &'a BridgeName,
) -> impl Iterator<Item = (IpAddr, MacAddr, LinkName)> + 'a {
    let lxc = declaration.plugins.lxc.iter();
    let here = lxc
        .flat_map(|lxc| &lxc.containers)
        .filter(move |(_, container)| container.bridge.as_ref() == Some(bridge));
    here.filter_map(|(name, container): (&ContainerName, &Container)| {
        let port = name.port(container.network)?;
        Some((container.address?.addr(), wiring::mac(name), port))
    })
}
