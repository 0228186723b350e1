//! How many refusals of one caller the ledger takes: whoever may do nothing must not be able to fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// So many at once are recorded each by itself.
const AT_ONCE: f64 = 60.0;
/// After that, so many a second.
const A_SECOND: f64 = 1.0;
/// So many callers are remembered.
const CALLERS: usize = 1024;

/// What each caller has left, by uid.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<u32, Left>>);

#[derive(Debug)]
struct Left {
    refusals: f64,
    at: Instant,
    /// How many were not recorded since the last that was.
    left_out: u64,
}

impl Refusals {
    /// Whether one more refusal is recorded: then how many were left out before it.
    pub(crate) fn admit(&self, uid: u32, now: Instant) -> Option<u64> {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= CALLERS && !callers.contains_key(&uid) {
            callers.retain(|_, left| left.left_out > 0);
        }
        let left = callers.entry(uid).or_insert(Left {
            refusals: AT_ONCE,
            at: now,
            left_out: 0,
        });
        let gained = now.saturating_duration_since(left.at).as_secs_f64() * A_SECOND;
        left.refusals = AT_ONCE.min(left.refusals + gained);
        left.at = now;
        if left.refusals < 1.0 {
            left.left_out += 1;
            return None;
        }
        left.refusals -= 1.0;
        Some(std::mem::take(&mut left.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_counted_and_others_are_not_touched_by_it() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let recorded = (0..1000).filter(|_| refusals.admit(1000, start).is_some());
        assert_eq!(recorded.count(), 60);
        assert_eq!(refusals.admit(1001, start), Some(0));
        let later = start + Duration::from_secs(2);
        assert_eq!(refusals.admit(1000, later), Some(940));
        assert_eq!(refusals.admit(1000, later), Some(0));
        assert_eq!(refusals.admit(1000, later), None);
    }
}
