//! The section `cache`: how much is kept in `@cache`, for how long, and on which NUMA nodes the work is done.

use crate::builtin::In;
use crate::define::{record, words};
use crate::size::{AtLeast, Size};

words! {
    /// How a NUMA node is chosen for a piece of work.
    pub enum NumaStrategy {
        /// The node of the processor that asks.
        LocalNode = "local-node",
        /// Each node in turn.
        RoundRobin = "round-robin",
        /// The node with the most free memory.
        MostMemory = "most-memory",
        /// None: the kernel places threads as it does all others.
        Disabled = "disabled",
    }
}

words! {
    /// Where the memory of that work comes from.
    pub enum NumaPolicy {
        /// From near the processor, as the kernel has it.
        Default = "default",
        /// From one node, and from others when it is full.
        Preferred = "preferred",
        /// From these nodes, and never from others.
        Bind = "bind",
        /// From these nodes in turn.
        Interleave = "interleave",
    }
}

record! {
    /// What is kept of what was computed, in `@cache`.
    pub struct Cache: Default {
        /// How much of the disk it may take. What was used longest ago goes first.
        size: Size as AtLeast<1> = Size::from_mib(1024),
        /// How much memory it may take while it is used.
        memory: Size as AtLeast<1> = Size::from_mib(8),
        /// How many days something may go unused.
        age: u32 as In<1, 36500> = 90,
        /// On which NUMA nodes it and the model work. It is for hosts with several; on one node nothing is set.
        numa: Numa = Numa::default(),
    }
}

record! {
    /// On which NUMA nodes threads work.
    pub struct Numa: Default {
        /// How a node is chosen.
        strategy: NumaStrategy = NumaStrategy::Disabled,
        /// Where memory comes from.
        policy: NumaPolicy = NumaPolicy::Default,
        /// The nodes of the policy, by number. Without any it is the chosen node; with `interleave` all of them.
        nodes: Vec<u32> as Vec<In<0, 1023>> = Vec::new(),
    }
}
