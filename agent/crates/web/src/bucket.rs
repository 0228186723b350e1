//! How often each of many may ask.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rate::{Bucket, Rate};

/// How many buckets are remembered. Full ones are forgotten first, since a new one is full too.
const REMEMBERED: usize = 4096;

/// Buckets of one rate, by who draws from them.
pub(crate) struct Buckets<K> {
    rate: Rate,
    drawn: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            drawn: Mutex::default(),
        }
    }

    /// Whether one more is fine; if not, after how many seconds it is.
    pub(crate) fn draw(&self, who: K) -> Result<(), u64> {
        self.draw_at(who, Instant::now())
    }

    fn draw_at(&self, who: K, now: Instant) -> Result<(), u64> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() >= REMEMBERED && !drawn.contains_key(&who) {
            drawn.retain(|_, bucket| !bucket.is_full(now));
            // More than that many at once are told to wait rather than forgotten.
            if drawn.len() >= REMEMBERED {
                return Err(1);
            }
        }
        let bucket = drawn
            .entry(who)
            .or_insert_with(|| Bucket::new(self.rate, now));
        bucket.draw(now).map_err(whole_seconds)
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(started).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets<K: Eq + Hash>(at_once: f64, a_second: f64) -> Buckets<K> {
        Buckets::new(Rate { at_once, a_second })
    }

    #[test]
    fn who_asks_too_often_waits_and_others_do_not() {
        let (buckets, now) = (buckets(3.0, 0.5), Instant::now());
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
        let (buckets, now) = (buckets(2.0, 1.0), Instant::now());
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
