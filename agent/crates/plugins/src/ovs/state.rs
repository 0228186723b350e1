//! The normal form of bridges and ports, the same for desired and observed.

use std::collections::BTreeMap;

use declaration::{Datapath, Declaration, FailMode, Network, PortType, wiring};
use ipnet::IpNet;
use reconcile::Desired;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Behind the datapath of a bridge that is in the database, and whose interface ovs-vswitchd does not serve.
pub(super) const UNMADE: &str = ", not made";
/// In place of the type of a veth port whose pair is gone.
pub(super) const UNPAIRED: &str = "unpaired";

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BridgeState {
    /// `system` or `netdev`, with [`UNMADE`] behind it if so.
    pub(super) datapath: String,
    /// `standalone` or `secure`.
    pub(super) fail_mode: String,
    /// The addresses of its local interface that are ours, sorted.
    pub(super) addresses: Vec<IpNet>,
}

/// A port with its one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PortState {
    pub(super) bridge: String,
    /// `internal`, `veth` or `system`, or [`UNPAIRED`].
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The VLAN whose access port it is.
    pub(super) tag: Option<u16>,
    /// The other end of its veth pair.
    pub(super) peer: Option<String>,
    /// It leads to the physical network, and its addresses and routes have moved to the bridge.
    pub(super) uplink: bool,
    /// The OpenFlow port number that it asks for.
    pub(super) ofport: Option<u16>,
    /// The container whose link it is; the device comes and goes with it.
    pub(super) container: Option<String>,
    /// Its device is up, or not there.
    pub(super) up: bool,
}

/// A resource's name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Bridge(&'a str),
    Port(&'a str),
}

impl<'a> Resource<'a> {
    pub(super) fn parse(resource: &'a str) -> Option<Self> {
        match resource.split_once(':')? {
            ("bridge", name) => Some(Self::Bridge(name)),
            ("port", name) => Some(Self::Port(name)),
            _ => None,
        }
    }
}

pub(super) fn bridge_key(name: &str) -> String {
    format!("bridge:{name}")
}

pub(super) fn port_key(name: &str) -> String {
    format!("port:{name}")
}

/// What a declaration asks for.
pub(super) fn desired(declaration: &Declaration) -> BTreeMap<String, Desired> {
    let mut desired = BTreeMap::new();
    let Some(ovs) = &declaration.plugins.ovs else {
        return desired;
    };
    for (name, bridge) in &ovs.bridges {
        let mut addresses = bridge.addresses.clone();
        addresses.sort();
        addresses.dedup();
        let state = BridgeState {
            datapath: match bridge.datapath {
                Datapath::System => "system",
                Datapath::Netdev => "netdev",
            }
            .to_owned(),
            fail_mode: match bridge.fail_mode {
                FailMode::Standalone => "standalone",
                FailMode::Secure => "secure",
            }
            .to_owned(),
            addresses,
        };
        desired.insert(bridge_key(name.as_str()), wanted(&state, bridge.adopt));
        let plain = |kind: &str| PortState {
            bridge: name.to_string(),
            kind: kind.to_owned(),
            tag: None,
            peer: None,
            uplink: false,
            ofport: None,
            container: None,
            up: true,
        };
        for uplink in &bridge.uplinks {
            let state = PortState {
                uplink: true,
                ..plain("system")
            };
            desired.insert(port_key(uplink.as_str()), wanted(&state, bridge.adopt));
        }
        for (port, declared) in &bridge.ports {
            let (kind, peer) = match declared.kind {
                PortType::Internal => ("internal", None),
                PortType::System => ("system", None),
                PortType::Veth => {
                    let peer = declared.peer.as_ref().map(ToString::to_string);
                    (
                        "veth",
                        Some(peer.unwrap_or_else(|| other_end(port.as_str()))),
                    )
                }
            };
            let state = PortState {
                tag: declared.tag,
                peer,
                ..plain(kind)
            };
            desired.insert(port_key(port.as_str()), wanted(&state, declared.adopt));
        }
        let numbers = wiring::ofports(declaration, name);
        let containers = declaration
            .plugins
            .lxc
            .iter()
            .flat_map(|lxc| &lxc.containers);
        for (container, declared) in containers {
            if declared.bridge.as_ref() != Some(name) || declared.network == Network::None {
                continue;
            }
            let Some(port) = container.port(declared.network) else {
                continue;
            };
            let state = PortState {
                ofport: numbers.get(&port).copied(),
                container: Some(container.to_string()),
                ..plain("system")
            };
            desired.insert(port_key(port.as_str()), wanted(&state, false));
        }
    }
    desired
}

fn wanted<T: Serialize>(state: &T, adopt: bool) -> Desired {
    Desired {
        state: json!(state),
        adopt,
    }
}

/// The default name of a veth pair's other end: `NAME-p`, or as much of a hash as the kernel's 15 bytes take.
fn other_end(name: &str) -> String {
    use sha2::{Digest, Sha256};
    if name.len() <= 13 {
        return format!("{name}-p");
    }
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("veth-{hex}")
}

/// A change's state as a type; what the engine hands back is what this module made.
pub(super) fn read<T: for<'a> Deserialize<'a>>(state: &Json) -> Result<T, reconcile::PluginError> {
    serde_json::from_value(state.clone())
        .map_err(|error| reconcile::PluginError::failed("read a state", error))
}
