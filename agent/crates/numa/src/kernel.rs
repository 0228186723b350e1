//! What the kernel is told and asked about a thread: its processors and where its memory comes from.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Error;
use crate::list::List;
use crate::topology::MAX_NODES;

/// Words of a mask with a bit for each node.
const WORDS: usize = (MAX_NODES / u64::BITS) as usize;

/// The kernel takes the last bit of a mask for one that is not there (mm/mempolicy.c, `get_nodes`).
const MASK_BITS: libc::c_ulong = MAX_NODES as libc::c_ulong + 1;

/// How memory is given to a thread (set_mempolicy(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the node where the thread runs, else from the nearest.
    Default,
    /// From one node, else from the nearest.
    Preferred,
    /// From these nodes alone.
    Bind,
    /// From these nodes in turn, page by page.
    Interleave,
}

impl Mode {
    /// `MPOL_DEFAULT` and so on in `linux/mempolicy.h`.
    fn number(self) -> libc::c_int {
        match self {
            Self::Default => libc::MPOL_DEFAULT,
            Self::Preferred => libc::MPOL_PREFERRED,
            Self::Bind => libc::MPOL_BIND,
            Self::Interleave => libc::MPOL_INTERLEAVE,
        }
    }
}

/// Where a thread's memory comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// How.
    pub mode: Mode,
    /// From which nodes; none for the default.
    pub nodes: List,
}

impl std::fmt::Display for MemoryPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.mode {
            Mode::Default => f.write_str("default"),
            Mode::Preferred => write!(f, "preferred:{}", self.nodes),
            Mode::Bind => write!(f, "bind:{}", self.nodes),
            Mode::Interleave => write!(f, "interleave:{}", self.nodes),
        }
    }
}

/// Sets where memory comes from that the calling thread, and threads that it starts, touch first.
pub fn set_memory_policy(policy: &MemoryPolicy) -> Result<(), Error> {
    let mut mask = [0_u64; WORDS];
    for node in policy.nodes.iter().filter(|node| *node < MAX_NODES) {
        mask[(node / u64::BITS) as usize] |= 1 << (node % u64::BITS);
    }
    #[allow(unsafe_code)]
    // SAFETY: the kernel reads MAX_NODES bits from `mask`, which has as many and outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_set_mempolicy,
            policy.mode.number(),
            mask.as_ptr(),
            MASK_BITS,
        )
    };
    verdict(answer, "set the memory policy")
}

/// Where memory comes from that the calling thread touches first.
pub fn memory_policy() -> Result<MemoryPolicy, Error> {
    let mut mode: libc::c_int = 0;
    let mut mask = [0_u64; WORDS];
    #[allow(unsafe_code)]
    // SAFETY: the kernel writes one int to `mode` and at most MAX_NODES bits to `mask`, which has as many; the null
    // address and no flags ask for the thread's own policy.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            mask.as_mut_ptr(),
            MASK_BITS,
            std::ptr::null::<libc::c_void>(),
            0_u64,
        )
    };
    verdict(answer, "read the memory policy")?;
    let modes = [Mode::Default, Mode::Preferred, Mode::Bind, Mode::Interleave];
    let known = modes.into_iter().find(|known| known.number() == mode);
    let is_set = |node: &u32| mask[(node / u64::BITS) as usize] >> (node % u64::BITS) & 1 == 1;
    Ok(MemoryPolicy {
        mode: known.ok_or_else(|| Error::NotAsSet {
            wanted: "one of the policies known here".to_owned(),
            found: format!("memory policy {mode}"),
        })?,
        nodes: (0..MAX_NODES).filter(is_set).collect(),
    })
}

fn verdict(answer: libc::c_long, doing: &'static str) -> Result<(), Error> {
    match answer {
        0 => Ok(()),
        _ => Err(Error::Refused {
            doing,
            source: io::Error::last_os_error(),
        }),
    }
}

/// The processors that the calling thread may use.
pub(crate) fn affinity() -> Result<List, Error> {
    let set = sched_getaffinity(None).map_err(|errno| Error::Refused {
        doing: "read which processors may be used",
        source: errno.into(),
    })?;
    let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    Ok(cpus.filter_map(|cpu| u32::try_from(cpu).ok()).collect())
}

/// Lets the calling thread, and threads that it starts, use these processors alone.
pub(crate) fn set_affinity(cpus: &List) -> Result<(), Error> {
    let mut set = CpuSet::new();
    let cpus = cpus.iter().filter_map(|cpu| usize::try_from(cpu).ok());
    cpus.filter(|cpu| *cpu < CpuSet::MAX_CPU)
        .for_each(|cpu| set.set(cpu));
    sched_setaffinity(None, &set).map_err(|errno| Error::Refused {
        doing: "set which processors may be used",
        source: errno.into(),
    })
}
