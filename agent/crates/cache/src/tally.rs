//! How often what was found where.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Kind, Tier};

/// Counters by kind and tier, from zero.
#[derive(Debug, Default)]
pub struct Tally([[AtomicU64; 3]; 3]);

/// What the counters of a kind stand at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Found in memory.
    pub memory: u64,
    /// Found on disk.
    pub disk: u64,
    /// Not found.
    pub misses: u64,
}

impl Counts {
    /// The part that was found, 0 to 1; none before anything was asked for.
    pub fn hit_rate(self) -> Option<f64> {
        let hits = self.memory + self.disk;
        let all = hits + self.misses;
        // Counts are far below 2^53.
        (all > 0).then(|| hits as f64 / all as f64)
    }
}

impl Tally {
    pub(crate) fn count(&self, kind: Kind, tier: Tier) {
        self.0[kind as usize][tier as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of a kind.
    pub fn of(&self, kind: Kind) -> Counts {
        let [memory, disk, misses] = &self.0[kind as usize];
        Counts {
            memory: memory.load(Ordering::Relaxed),
            disk: disk.load(Ordering::Relaxed),
            misses: misses.load(Ordering::Relaxed),
        }
    }
}
