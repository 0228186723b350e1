//! How many refusals of one caller the ledger takes: whoever may do nothing must not be able to fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rate::{Counting, Rate};

/// So many at once are recorded each by itself.
const RATE: Rate = Rate {
    at_once: 60.0,
    a_second: 1.0,
};
/// So many callers are remembered.
const CALLERS: usize = 1024;

/// What each caller has left, by uid and name: one user may speak for the owners of many tokens.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<(u32, String), Counting>>);

impl Refusals {
    /// Whether one more refusal is recorded: then how many were left out before it.
    pub(crate) fn admit(&self, uid: u32, name: &str, now: Instant) -> Option<u64> {
        let caller = (uid, name.to_owned());
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= CALLERS && !callers.contains_key(&caller) {
            callers.retain(|_, left| left.left_out() > 0);
        }
        let left = callers
            .entry(caller)
            .or_insert_with(|| Counting::new(RATE, now));
        left.admit(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_counted_and_others_are_not_touched_by_it() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let recorded = (0..1000).filter(|_| refusals.admit(1000, "token:a", start).is_some());
        assert_eq!(recorded.count(), 60);
        assert_eq!(refusals.admit(1001, "token:a", start), Some(0));
        assert_eq!(refusals.admit(1000, "token:b", start), Some(0));
        let later = start + Duration::from_secs(2);
        assert_eq!(refusals.admit(1000, "token:a", later), Some(940));
        assert_eq!(refusals.admit(1000, "token:a", later), Some(0));
        assert_eq!(refusals.admit(1000, "token:a", later), None);
    }
}
