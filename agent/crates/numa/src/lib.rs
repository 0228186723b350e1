//! The NUMA nodes of this machine, and where threads and their memory go.
//!
//! A [`Topology`] is read from sysfs. A [`Placer`] chooses a node for each piece of work by a [`Strategy`], and puts
//! the thread that does it onto that node's processors and its memory under a [`Policy`]. What was set is read back
//! from the kernel; a difference is an error. On a machine with one node there is nothing to choose: the placer says
//! so and leaves threads as they are.

mod kernel;
mod list;
mod placer;
mod topology;

pub use kernel::{MemoryPolicy, Mode, memory_policy, set_memory_policy};
pub use list::{List, ListError};
pub use placer::{Placed, Placement, Placer, Policy, Strategy};
pub use topology::{MAX_NODES, Node, Topology};

use std::io;
use std::path::PathBuf;

/// Why threads are not placed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's description could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel's description is not as documented.
    #[error("cannot make sense of {}: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ListError,
    },
    /// There is no such node.
    #[error("there is no NUMA node {node} on this machine; it has {known}")]
    NoSuchNode {
        /// The node that was asked for.
        node: u32,
        /// Those that there are.
        known: List,
    },
    /// The node has no memory that a policy could use.
    #[error("NUMA node {0} has no memory: choose another for the policy")]
    NoMemory(u32),
    /// None of the nodes has a processor that this thread may use.
    #[error("no NUMA node has a processor that this process may use")]
    NoProcessor,
    /// The kernel refused.
    #[error("cannot {doing}: {source}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// What the kernel says afterwards is not what it was told.
    #[error("the kernel has {found} where {wanted} was set")]
    NotAsSet {
        /// What was set.
        wanted: String,
        /// What was read back.
        found: String,
    },
}
