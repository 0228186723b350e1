//! PUBLIC SHAPE (contract while the crates are built side by side; the implementation may be split in files).
#![allow(missing_docs, dead_code)]
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use ipnet::IpNet;

mod form;
mod names;
pub mod wiring;
pub use names::{BridgeName, ContainerName, LinkName, NameError, SubvolumeName, TemplateName};

#[derive(Debug, Clone, PartialEq)]
pub struct Declaration { pub plugins: Plugins }
#[derive(Debug, Clone, PartialEq)]
pub struct Plugins { pub btrfs: Btrfs, pub ovs: Option<Ovs>, pub openflow: Option<Openflow>, pub lxc: Option<Lxc> }

#[derive(Debug, Clone, PartialEq)]
pub struct Btrfs { pub base: Base, pub subvolumes: BTreeMap<SubvolumeName, Subvolume> }
#[derive(Debug, Clone, PartialEq)]
pub struct Base { pub path: PathBuf, pub image: Option<PathBuf>, pub size: Option<Size> }
#[derive(Debug, Clone, PartialEq)]
pub struct Subvolume { pub compression: Option<Compression>, pub adopt: bool }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression { None, Lzo, Zlib(Option<u8>), Zstd(Option<u8>) } // Display/FromStr: none, lzo, zlib[:1-9], zstd[:1-15]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64); // bytes; .bytes(), .mib(); Display "2GiB"

#[derive(Debug, Clone, PartialEq)]
pub struct Ovs { pub run_dir: PathBuf, pub bridges: BTreeMap<BridgeName, Bridge> }
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge { pub datapath: Datapath, pub fail_mode: FailMode, pub uplinks: Vec<LinkName>, pub addresses: Vec<IpNet>, pub ports: BTreeMap<LinkName, Port>, pub adopt: bool }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datapath { System, Netdev }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailMode { Standalone, Secure }
#[derive(Debug, Clone, PartialEq)]
pub struct Port { pub kind: PortType, pub tag: Option<u16>, pub peer: Option<LinkName>, pub adopt: bool } // key "type" in the document
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortType { Internal, Veth, System }

#[derive(Debug, Clone, PartialEq)]
pub struct Openflow { pub bridges: BTreeMap<BridgeName, FlowTables> }
#[derive(Debug, Clone, PartialEq)]
pub struct FlowTables { pub standard_tables: bool, pub mesh: Option<MeshPath>, pub flows: Vec<Flow> }
/// Where table 20 sends: the prefix that is reached through the mesh, and the port of its interface.
#[derive(Debug, Clone, PartialEq)]
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

#[derive(Debug, Clone, PartialEq)]
pub struct Lxc { pub templates: BTreeMap<TemplateName, Template>, pub containers: BTreeMap<ContainerName, Container> }
#[derive(Debug, Clone, PartialEq)]
pub struct Template { pub recipe: Recipe, pub adopt: bool }
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe { Busybox, Debian(Bootstrap), Ubuntu(Bootstrap), Tarball { path: PathBuf, sha256: String } } // tag key "recipe"; fields beside it
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap { pub suite: String, pub packages: Vec<String>, pub mirror: Option<String> }
#[derive(Debug, Clone, PartialEq)]
pub struct Container { pub template: TemplateName, pub network: Network, pub running: bool, pub bridge: Option<BridgeName>, pub address: Option<IpNet>, pub gateway: Option<IpAddr>,
    pub cores: u32, pub memory: Size, pub swap: Size, pub unprivileged: bool, pub autostart: bool, pub after: Vec<ContainerName>, pub adopt: bool }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network { Socket, Mesh, None }


impl Size {
    pub const fn from_mib(mib: u64) -> Self { Self(mib << 20) }
    pub fn bytes(self) -> u64 { self.0 }
    pub fn mib(self) -> u64 { self.0 >> 20 }
}
