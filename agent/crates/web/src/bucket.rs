//! How often somebody may ask: a token bucket each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many buckets are remembered. Full ones are forgotten first, since a new one is full too.
const REMEMBERED: usize = 4096;

/// Buckets of one size, by who draws from them.
pub(crate) struct Buckets<K> {
    /// What a bucket holds: so many at once.
    holds: f64,
    /// How many it gains a second.
    gains: f64,
    drawn: Mutex<HashMap<K, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(holds: f64, gains: f64) -> Self {
        Self {
            holds,
            gains,
            drawn: Mutex::default(),
        }
    }

    /// Whether one more is fine; if not, after how many seconds it is.
    pub(crate) fn draw(&self, who: K) -> Result<(), u64> {
        self.draw_at(who, Instant::now())
    }

    fn draw_at(&self, who: K, now: Instant) -> Result<(), u64> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |bucket: &Bucket| {
            let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.gains;
            self.holds.min(bucket.left + gained)
        };
        if drawn.len() >= REMEMBERED && !drawn.contains_key(&who) {
            drawn.retain(|_, bucket| left(bucket) < self.holds);
            // More than that many at once are told to wait rather than forgotten.
            if drawn.len() >= REMEMBERED {
                return Err(1);
            }
        }
        let bucket = drawn.entry(who).or_insert(Bucket {
            left: self.holds,
            at: now,
        });
        bucket.left = left(bucket);
        bucket.at = now;
        if bucket.left < 1.0 {
            let wait = ((1.0 - bucket.left) / self.gains).ceil();
            // A few seconds; a number that is none becomes 0.
            return Err((wait as u64).max(1));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_asks_too_often_waits_and_others_do_not() {
        let (buckets, now) = (Buckets::new(3.0, 0.5), Instant::now());
        assert_eq!([(); 3].map(|()| buckets.draw_at("a", now)), [Ok(()); 3]);
        assert_eq!(buckets.draw_at("a", now), Err(2));
        assert_eq!(buckets.draw_at("b", now), Ok(()));
        let later = now + Duration::from_secs(2);
        assert_eq!(buckets.draw_at("a", later), Ok(()));
        assert_eq!(buckets.draw_at("a", later), Err(2));
        // However long nobody asked, it holds what it holds.
        let later = later + Duration::from_secs(3600);
        let drawn = (0..10).filter(|_| buckets.draw_at("a", later).is_ok());
        assert_eq!(drawn.count(), 3);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (buckets, now) = (Buckets::new(2.0, 1.0), Instant::now());
        for who in 0..REMEMBERED {
            assert_eq!(buckets.draw_at(who, now), Ok(()));
        }
        assert_eq!(buckets.draw_at(usize::MAX, now), Err(1));
        // All are full again by then, and forgotten.
        let later = now + Duration::from_secs(2);
        assert_eq!(buckets.draw_at(usize::MAX, later), Ok(()));
        assert_eq!(buckets.drawn.lock().unwrap().len(), 1);
    }
}
