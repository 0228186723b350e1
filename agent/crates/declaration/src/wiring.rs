//! What follows from the declaration as a whole, and only from it: numbers and addresses that two
//! plugins have to agree on before either has made anything.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::{BridgeName, ContainerName, Declaration, LinkName, MacAddr, Network};

/// The first number that is given to a container's port. Open vSwitch counts its own up from 1.
const FIRST_PORT: u16 = 1024;
/// How many numbers there are; the last, 61023, is below `OFPP_MAX` (0xff00, OpenFlow 1.3 §A.2.1).
const PORTS: u16 = 60_000;

impl ContainerName {
    /// The host side of the container's link, which is its port on the bridge: `sock_NAME` or
    /// `mesh_NAME`, and nothing for [`Network::None`].
    ///
    /// The kernel allows 15 characters. Behind a prefix of five that leaves ten: a longer name is
    /// replaced by the first ten hexadecimal digits of its SHA-256.
    pub fn port(&self, network: Network) -> Option<LinkName> {
        let prefix = match network {
            Network::Socket => "sock_",
            Network::Mesh => "mesh_",
            Network::None => return None,
        };
        let name = self.as_str();
        let port = if name.len() <= 10 {
            format!("{prefix}{name}")
        } else {
            format!("{prefix}{}", &hex::encode(Sha256::digest(name))[..10])
        };
        port.parse().ok()
    }
}

/// The OpenFlow port numbers of the containers on a bridge, so that a flow can name a port whose
/// container does not run yet.
///
/// A number is 1024 + the port name's SHA-256 (its first 8 bytes, big-endian) modulo 60000. Names
/// that meet at one number move up, in the order of the names, and on from the bottom at the end.
pub fn ofports(declaration: &Declaration, bridge: &BridgeName) -> BTreeMap<LinkName, u16> {
    let names: BTreeSet<LinkName> = declaration
        .plugins
        .lxc
        .iter()
        .flat_map(|lxc| &lxc.containers)
        .filter(|(_, container)| container.bridge.as_ref() == Some(bridge))
        .filter_map(|(name, container)| name.port(container.network))
        .take(usize::from(PORTS))
        .collect();
    let mut taken = BTreeSet::new();
    names
        .into_iter()
        .map(|name| {
            let start = port_hash(&name);
            let number = (start..PORTS)
                .chain(0..start)
                .map(|offset| FIRST_PORT + offset)
                .find(|number| !taken.contains(number))
                .unwrap_or(FIRST_PORT);
            taken.insert(number);
            (name, number)
        })
        .collect()
}

/// The hardware address of a container's link: the first six bytes of the SHA-256 of its name, made
/// locally administered and unicast (IEEE 802 §8.4).
pub fn mac(name: &ContainerName) -> MacAddr {
    let digest = Sha256::digest(name.as_str());
    let mut bytes = [0; 6];
    bytes.copy_from_slice(&digest[..6]);
    bytes[0] = bytes[0] & 0b1111_1100 | 0b0000_0010;
    MacAddr(bytes)
}

fn port_hash(name: &LinkName) -> u16 {
    let digest = Sha256::digest(name.as_str());
    let number = digest[..8]
        .iter()
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    u16::try_from(number % u64::from(PORTS)).unwrap_or_default()
}
