//! Which node a piece of work goes to, and the thread that is put there.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Error;
use crate::kernel::{self, MemoryPolicy, Mode};
use crate::list::List;
use crate::topology::{self, Node, Topology};

/// How a node is chosen for a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The node of the processor that asks.
    LocalNode,
    /// Each node in turn.
    RoundRobin,
    /// The node with the most free memory.
    MostMemory,
    /// None: the kernel places threads as it does all others.
    Disabled,
}

/// Where the memory of that work comes from. Without nodes of its own it is that of the chosen node; when memory is
/// interleaved, of all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Near the processor, as the kernel has it.
    Default,
    /// One node, and others when it is full.
    Preferred,
    /// These nodes, and never others.
    Bind,
    /// These nodes in turn.
    Interleave,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// How nodes are chosen.
    pub strategy: Strategy,
    /// Where memory comes from.
    pub policy: Policy,
    /// The nodes of the policy; none for what follows from the strategy.
    pub nodes: List,
}

/// Where a thread is, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The node that was chosen.
    pub node: u32,
    /// The processors that it may use.
    pub cpus: List,
    /// Where its memory comes from.
    pub memory: MemoryPolicy,
}

/// Places threads.
#[derive(Debug)]
pub struct Placer {
    placement: Placement,
    /// Where the nodes are described.
    directory: PathBuf,
    topology: Topology,
    /// Processors that this process may use.
    allowed: List,
    turn: AtomicUsize,
}

impl Placer {
    /// A placer for this machine. Nodes that are not there, and nodes without memory, are refused.
    pub fn new(placement: Placement) -> Result<Self, Error> {
        Self::at(placement, Path::new(topology::NODES), kernel::affinity()?)
    }

    /// A placer for a machine whose nodes are described in a directory such as `/sys/devices/system/node`, in a process
    /// that may use these processors.
    pub fn at(placement: Placement, directory: &Path, allowed: List) -> Result<Self, Error> {
        let topology = Topology::read(directory)?;
        for node in placement.nodes.iter() {
            match topology.node(node) {
                None => {
                    let known = topology.ids();
                    return Err(Error::NoSuchNode { node, known });
                }
                Some(known) if known.memory == 0 => return Err(Error::NoMemory(node)),
                Some(_) => {}
            }
        }
        let placer = Self {
            placement,
            directory: directory.to_owned(),
            topology,
            allowed,
            turn: AtomicUsize::new(0),
        };
        match placer.is_active() && placer.usable().is_empty() {
            true => Err(Error::NoProcessor),
            false => Ok(placer),
        }
    }

    /// The machine's nodes.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether threads are placed at all.
    pub fn is_active(&self) -> bool {
        self.placement.strategy != Strategy::Disabled && self.topology.nodes().len() > 1
    }

    /// The node for a piece of work that a thread on processor `cpu` asks for, and its memory; none if threads are
    /// left where they are.
    pub fn choose(&self, cpu: u32) -> Option<(&Node, MemoryPolicy)> {
        if !self.is_active() {
            return None;
        }
        let usable = self.usable();
        let node = match self.placement.strategy {
            Strategy::Disabled => None,
            Strategy::LocalNode => self.topology.node_of_cpu(cpu),
            Strategy::RoundRobin => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                usable.get(turn % usable.len().max(1)).copied()
            }
            Strategy::MostMemory => self.most_memory(),
        }?;
        Some((node, self.memory(node)))
    }

    /// Puts the calling thread, and those that it starts from now on, where its work belongs; none if threads are left
    /// where they are.
    pub fn place(&self) -> Result<Option<Placed>, Error> {
        let cpu = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(u32::MAX);
        let Some((node, memory)) = self.choose(cpu) else {
            return Ok(None);
        };
        let cpus = self.near(node);
        enter(node.id, &cpus, &memory).map(Some)
    }

    /// Does work on a thread of its own that is put where the work belongs; in the calling thread where threads are
    /// left as they are.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        if !self.is_active() {
            return Ok(work());
        }
        std::thread::scope(|scope| {
            let placed = scope.spawn(|| self.place().map(|_| work()));
            match placed.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Nodes with processors that this process may use.
    fn usable(&self) -> Vec<&Node> {
        let nodes = self.topology.nodes().iter();
        let usable = nodes.filter(|node| !node.cpus.and(&self.allowed).is_empty());
        usable.collect()
    }

    /// The processors of a node; of the nearest one that has some that this process may use.
    fn near(&self, node: &Node) -> List {
        let distance = |other: &&Node| {
            let far = node.distances.get(&other.id).copied();
            (far.unwrap_or(u32::MAX), other.id)
        };
        let nearest = self.usable().into_iter().min_by_key(distance);
        nearest.map_or_else(List::default, |near| near.cpus.and(&self.allowed))
    }

    /// The node with the most free memory as it is now; as it was at first, where it cannot be read again.
    fn most_memory(&self) -> Option<&Node> {
        let now = Topology::read(&self.directory).ok();
        let free = |node: &&Node| {
            let now = now.as_ref().and_then(|now| now.node(node.id));
            (now.unwrap_or(node).free, Reverse(node.id))
        };
        let nodes = self.topology.nodes().iter();
        nodes.filter(|node| node.memory > 0).max_by_key(free)
    }

    fn memory(&self, node: &Node) -> MemoryPolicy {
        let given = &self.placement.nodes;
        let nodes = |usual: List| match given.is_empty() {
            true => usual,
            false => given.clone(),
        };
        // A node without memory gives none: then the kernel takes the nearest.
        let own = || match node.memory {
            0 => List::default(),
            _ => List::from_iter([node.id]),
        };
        let (mode, nodes) = match self.placement.policy {
            Policy::Default => (Mode::Default, List::default()),
            Policy::Preferred => (Mode::Preferred, nodes(own()).iter().take(1).collect()),
            Policy::Bind => (Mode::Bind, nodes(own())),
            Policy::Interleave => (Mode::Interleave, nodes(self.topology.with_memory())),
        };
        match nodes.is_empty() {
            true => MemoryPolicy {
                mode: Mode::Default,
                nodes,
            },
            false => MemoryPolicy { mode, nodes },
        }
    }
}

/// How the nodes are placed in words, for people.
impl fmt::Display for Placer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.topology.nodes().len();
        match (self.placement.strategy, nodes) {
            (Strategy::Disabled, _) => f.write_str("not asked for: the kernel places threads"),
            (_, 0 | 1) => {
                f.write_str("one NUMA node: there is nothing to choose, and nothing is set")
            }
            (_, nodes) => write!(f, "threads are placed on {nodes} NUMA nodes"),
        }
    }
}

/// Puts the calling thread onto processors and memory, and asks the kernel whether it is there.
pub(crate) fn enter(node: u32, cpus: &List, memory: &MemoryPolicy) -> Result<Placed, Error> {
    kernel::set_affinity(cpus)?;
    kernel::set_memory_policy(memory)?;
    let placed = Placed {
        node,
        cpus: kernel::affinity()?,
        memory: kernel::memory_policy()?,
    };
    if placed.cpus == *cpus && placed.memory == *memory {
        return Ok(placed);
    }
    Err(Error::NotAsSet {
        wanted: format!("processors {cpus}, memory {memory}"),
        found: format!("processors {}, memory {}", placed.cpus, placed.memory),
    })
}
