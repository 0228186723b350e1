//! The section `ovs`: bridges of Open vSwitch and their ports.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::builtin::In;
use crate::define::{record, words};
use crate::names::{BridgeName, LinkName};
use crate::values::{AbsolutePath, InterfaceAddress};

record! {
    /// Bridges of Open vSwitch.
    pub struct Ovs: Default {
        /// The directory with the socket of its database (`db.sock`) and those of the bridges.
        run_dir: PathBuf as AbsolutePath = PathBuf::from("/run/openvswitch"),
        /// Bridges by name.
        bridges: BTreeMap<BridgeName, Bridge> = BTreeMap::new(),
    }
}

record! {
    /// One bridge.
    pub struct Bridge: Default {
        /// What moves its packets.
        datapath: Datapath = Datapath::System,
        /// What it does while it has no flows of ours.
        fail_mode: FailMode = FailMode::Standalone,
        /// Links of the machine that join the bridge. What addresses and routes they have moves to
        /// the bridge.
        uplinks: Vec<LinkName> = Vec::new(),
        /// Addresses of the bridge's own interface, each with the length of its prefix.
        addresses: Vec<IpNet> as Vec<InterfaceAddress> = Vec::new(),
        /// Further ports by name. The ports of containers need not be declared.
        ports: BTreeMap<LinkName, Port> = BTreeMap::new(),
        /// Take the bridge over if it exists and is not ours.
        adopt: bool = false,
    }
}

record! {
    /// One port of a bridge.
    pub struct Port: Default {
        /// What kind of link it is.
        kind ("type"): PortType = PortType::Internal,
        /// The VLAN of its untagged packets (IEEE 802.1Q), 1 to 4094. Without it the port is a trunk.
        tag: Option<u16> as Option<In<1, 4094>> = None,
        /// For `veth`: the name of the other end.
        peer: Option<LinkName> = None,
        /// Take the port over if it exists and is not ours.
        adopt: bool = false,
    }
}

words! {
    /// What moves the packets of a bridge.
    pub enum Datapath {
        /// The kernel's module `openvswitch`.
        System = "system",
        /// The process `ovs-vswitchd`, on machines without that module.
        Netdev = "netdev",
    }
}

words! {
    /// What a bridge does while it has no flows and no controller.
    pub enum FailMode {
        /// It learns addresses and forwards, as any switch.
        Standalone = "standalone",
        /// It forwards nothing.
        Secure = "secure",
    }
}

words! {
    /// The kind of link that a port is.
    pub enum PortType {
        /// A link that Open vSwitch makes.
        Internal = "internal",
        /// One end of a pair that is made for it.
        Veth = "veth",
        /// A link that is there already.
        System = "system",
    }
}
