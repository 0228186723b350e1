//! The section `lxc`: templates, and the containers that are made from them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::builtin::In;
use crate::define::{record, words};
use crate::names::{BridgeName, ContainerName, TemplateName};
use crate::size::{AtLeast, Size};
use crate::template::Template;
use crate::values::InterfaceAddress;

record! {
    /// Templates and containers.
    pub struct Lxc: Default {
        /// Templates by name.
        templates: BTreeMap<TemplateName, Template> = BTreeMap::new(),
        /// Containers by name.
        containers: BTreeMap<ContainerName, Container>
            = BTreeMap::new(),
    }
}

record! {
    /// One container.
    pub struct Container {
        /// The template that it is made from. It cannot be changed later.
        template: TemplateName,
        /// How it is reached.
        network: Network = Network::Socket,
        /// Whether it is to be running.
        running: bool = true,
        /// The bridge that it is connected to. It may be left out where only one is declared.
        bridge: Option<BridgeName> = None,
        /// Its address with the length of the prefix.
        address: Option<IpNet> as Option<InterfaceAddress> = None,
        /// Where it sends what is not for its own network; an address in that network.
        gateway: Option<IpAddr> = None,
        /// How many processors it may keep busy, 1 to 8192.
        cores: u32 as In<1, 8192> = 2,
        /// How much memory it may use, at least 4 MiB.
        memory: Size as AtLeast<4> = Size::from_mib(2048),
        /// How much swap space it may use.
        swap: Size = Size::from_mib(512),
        /// Give it user ids of its own, so that its root is nobody on the host. It cannot be changed
        /// later.
        unprivileged: bool = true,
        /// Start it when the host starts.
        autostart: bool = true,
        /// Containers that are started before it.
        after: Vec<ContainerName> = Vec::new(),
        /// Take the container over if it exists and is not ours.
        adopt: bool = false,
    }
}

words! {
    /// How a container is reached.
    pub enum Network {
        /// Through its bridge, and through Unix sockets in a directory that it shares with the others.
        Socket = "socket",
        /// Through its bridge, and through a WireGuard mesh that it joins when it starts.
        Mesh = "mesh",
        /// Not at all.
        None = "none",
    }
}
