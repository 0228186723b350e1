//! PUBLIC SHAPE (contract while the crates are built side by side; the implementation may be split in files).
#![allow(missing_docs)]
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use ipnet::IpNet;

macro_rules! name { ($($t:ident),*) => { $(
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct $t(String);
    impl $t { pub fn as_str(&self) -> &str { &self.0 } }
    impl std::fmt::Display for $t { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) } }
)* } }
name!(SubvolumeName, BridgeName, LinkName, TemplateName, ContainerName);
// all implement FromStr<Err = NameError>, Serialize, Deserialize (validated), Borrow<str>

pub struct Declaration { pub plugins: Plugins }
pub struct Plugins { pub btrfs: Btrfs, pub ovs: Option<Ovs>, pub openflow: Option<Openflow>, pub lxc: Option<Lxc> }

pub struct Btrfs { pub base: Base, pub subvolumes: BTreeMap<SubvolumeName, Subvolume> }
pub struct Base { pub path: PathBuf, pub image: Option<PathBuf>, pub size: Option<Size> }
pub struct Subvolume { pub compression: Option<Compression>, pub adopt: bool }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression { None, Lzo, Zlib(Option<u8>), Zstd(Option<u8>) } // Display/FromStr: none, lzo, zlib[:1-9], zstd[:1-15]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64); // bytes; .bytes(), .mib(); Display "2GiB"

pub struct Ovs { pub run_dir: PathBuf, pub bridges: BTreeMap<BridgeName, Bridge> }
pub struct Bridge { pub datapath: Datapath, pub fail_mode: FailMode, pub uplinks: Vec<LinkName>, pub addresses: Vec<IpNet>, pub ports: BTreeMap<LinkName, Port>, pub adopt: bool }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datapath { System, Netdev }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailMode { Standalone, Secure }
pub struct Port { pub kind: PortType, pub tag: Option<u16>, pub peer: Option<LinkName>, pub adopt: bool } // key "type" in the document
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortType { Internal, Veth, System }

pub struct Openflow { pub bridges: BTreeMap<BridgeName, FlowTables> }
pub struct FlowTables { pub standard_tables: bool, pub mesh: Option<MeshPath>, pub flows: Vec<Flow> }
/// Where table 20 sends: the prefix that is reached through the mesh, and the port of its interface.
pub struct MeshPath { pub prefix: IpNet, pub port: LinkName }
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow { pub table: u8, pub priority: u16, pub matches: Match, pub actions: Vec<Action> } // key "match" in the document
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match { pub in_port: Option<LinkName>, pub eth_src: Option<MacAddr>, pub eth_dst: Option<MacAddr>, pub eth_type: Option<u16>, pub vlan: Option<u16>,
    pub ip_proto: Option<u8>, pub ip_src: Option<IpNet>, pub ip_dst: Option<IpNet>, pub tcp_src: Option<u16>, pub tcp_dst: Option<u16>, pub udp_src: Option<u16>, pub udp_dst: Option<u16>, pub arp_tpa: Option<std::net::Ipv4Addr> }
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action { Goto(u8), Output(LinkName), Normal, Local, Flood, Drop, SetEthSrc(MacAddr), SetEthDst(MacAddr), PushVlan(u16), PopVlan } // {goto: 10}, {output: NAME}, "normal", "local", "flood", "drop", {set_eth_src: MAC}, {set_eth_dst: MAC}, {push_vlan: 10}, "pop_vlan"
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

pub struct Lxc { pub templates: BTreeMap<TemplateName, Template>, pub containers: BTreeMap<ContainerName, Container> }
pub struct Template { pub recipe: Recipe, pub adopt: bool }
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe { Busybox, Debian(Bootstrap), Ubuntu(Bootstrap), Tarball { path: PathBuf, sha256: String } } // tag key "recipe"; fields beside it
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap { pub suite: String, pub packages: Vec<String>, pub mirror: Option<String> }
pub struct Container { pub template: TemplateName, pub network: Network, pub running: bool, pub bridge: Option<BridgeName>, pub address: Option<IpNet>, pub gateway: Option<IpAddr>,
    pub cores: u32, pub memory: Size, pub swap: Size, pub unprivileged: bool, pub autostart: bool, pub after: Vec<ContainerName>, pub adopt: bool }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network { Socket, Mesh, None }

impl ContainerName {
    /// Host side of the container's link and its port on the bridge: `sock_NAME` (or `mesh_NAME`); for names over
    /// 10 characters `sock_` and the first 10 hex digits of the name's SHA-256, since the kernel allows 15.
    pub fn port(&self, network: Network) -> Option<LinkName> { let _ = network; unimplemented!() }
}
pub mod wiring {
    //! pure: what follows from the declaration as a whole
    //! ofports(&Declaration, &BridgeName) -> BTreeMap<LinkName, u16>: fixed OpenFlow port numbers for the container ports of a bridge
    //! (1024 + hash(name) % 60000, probing upward in name order), so that flows can name a port that is not there yet
    //! mac(&ContainerName) -> MacAddr: locally administered unicast, from the SHA-256 of the name
}
