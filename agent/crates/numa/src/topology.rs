//! Nodes as `/sys/devices/system/node` describes them (`Documentation/ABI/stable/sysfs-devices-node`).

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::list::{List, ListError};
use crate::{Error, kernel};

/// The most nodes that a kernel can be built for (`CONFIG_NODES_SHIFT` is at most 10).
pub const MAX_NODES: u32 = 1024;

/// Where the kernel describes them.
pub(crate) const NODES: &str = "/sys/devices/system/node";

/// The distance of a node to itself (ACPI 6.5, §5.2.17).
const LOCAL: u32 = 10;

/// A part of the machine: processors, and the memory that is near them. It may lack either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: u32,
    /// Its processors that are online.
    pub cpus: List,
    /// Its memory, in bytes.
    pub memory: u64,
    /// What of it is free, in bytes.
    pub free: u64,
    /// How far each node is, itself included: 10 is local, 20 takes twice as long.
    pub distances: BTreeMap<u32, u32>,
}

/// The nodes of a machine, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    nodes: Vec<Node>,
}

impl Topology {
    /// Reads the nodes of this machine.
    pub fn of_this_machine() -> Result<Self, Error> {
        Self::read(Path::new(NODES))
    }

    /// Reads the nodes from a directory such as `/sys/devices/system/node`. A kernel without NUMA has none: that is
    /// one node with all that there is.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let online = match list(&directory.join("online")) {
            Ok(online) => online,
            Err(Error::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(Self::without_numa());
            }
            Err(error) => return Err(error),
        };
        let nodes = online.iter().map(|id| {
            let place = directory.join(format!("node{id}"));
            let memory = text(&place.join("meminfo"))?;
            Ok(Node {
                id,
                cpus: list(&place.join("cpulist"))?,
                memory: bytes(&memory, "MemTotal:"),
                free: bytes(&memory, "MemFree:"),
                distances: distances(&place.join("distance"), &online)?,
            })
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_, _>>()?,
        })
    }

    fn without_numa() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            nodes: vec![Node {
                id: 0,
                cpus: kernel::affinity().unwrap_or_default(),
                memory: bytes(&memory, "MemTotal:"),
                free: bytes(&memory, "MemFree:"),
                distances: BTreeMap::from([(0, LOCAL)]),
            }],
        }
    }

    /// The nodes, by number.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this number.
    pub fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The node that a processor belongs to.
    pub fn node_of_cpu(&self, cpu: u32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.cpus.contains(cpu))
    }

    /// Nodes that have memory.
    pub fn with_memory(&self) -> List {
        let nodes = self.nodes.iter().filter(|node| node.memory > 0);
        nodes.map(|node| node.id).collect()
    }

    /// All nodes.
    pub fn ids(&self) -> List {
        self.nodes.iter().map(|node| node.id).collect()
    }
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn list(path: &Path) -> Result<List, Error> {
    text(path)?.parse().map_err(|source| Error::Malformed {
        path: path.to_owned(),
        source,
    })
}

/// One number for each node that is online, in their order.
fn distances(path: &Path, online: &List) -> Result<BTreeMap<u32, u32>, Error> {
    let text = text(path)?;
    let numbers = text.split_ascii_whitespace().map(str::parse);
    match numbers.collect::<Result<Vec<u32>, _>>() {
        Ok(numbers) if numbers.len() == online.len() => Ok(online.iter().zip(numbers).collect()),
        _ => Err(Error::Malformed {
            path: path.to_owned(),
            source: ListError::of(&text),
        }),
    }
}

/// A line such as `Node 0 MemTotal:  16314092 kB`, in bytes; 0 where there is none.
fn bytes(meminfo: &str, key: &str) -> u64 {
    let mut lines = meminfo.lines().map(str::split_ascii_whitespace);
    let value = lines.find_map(|mut words| words.find(|word| *word == key).and(words.next()));
    let kilobytes: u64 = value.and_then(|value| value.parse().ok()).unwrap_or(0);
    kilobytes.saturating_mul(1024)
}
