//! How often something may happen: token buckets.

use std::time::{Duration, Instant};

/// So many at once, and so many a second after that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// What a bucket holds.
    pub at_once: f64,
    /// What it gains a second.
    pub a_second: f64,
}

/// What is left of a rate to one who draws from it.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            left: rate.at_once,
            at: now,
        }
    }

    fn left(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate.a_second;
        self.rate.at_once.min(self.left + gained)
    }

    /// Takes one out. If there is none, says after how long there is.
    pub fn draw(&mut self, now: Instant) -> Result<(), Duration> {
        self.left = self.left(now);
        self.at = now;
        if self.left < 1.0 {
            let wait = (1.0 - self.left) / self.rate.a_second;
            return Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        }
        self.left -= 1.0;
        Ok(())
    }

    /// Whether it is as good as a new one.
    pub fn is_full(&self, now: Instant) -> bool {
        self.left(now) >= self.rate.at_once
    }
}

/// A bucket that counts what found it empty.
#[derive(Debug, Clone)]
pub struct Counting {
    bucket: Bucket,
    left_out: u64,
}

impl Counting {
    /// A full one.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            bucket: Bucket::new(rate, now),
            left_out: 0,
        }
    }

    /// Whether there is room for one more: then how many were left out before it.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        match self.bucket.draw(now) {
            Ok(()) => Some(std::mem::take(&mut self.left_out)),
            Err(_) => {
                self.left_out += 1;
                None
            }
        }
    }

    /// How many were left out since the last one that was not.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        at_once: 3.0,
        a_second: 0.5,
    };

    #[test]
    fn who_draws_too_often_waits() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE, now);
        assert!(bucket.is_full(now));
        assert_eq!([(); 3].map(|()| bucket.draw(now)), [Ok(()); 3]);
        assert!(!bucket.is_full(now));
        assert_eq!(bucket.draw(now), Err(Duration::from_secs(2)));
        let later = now + Duration::from_secs(2);
        assert_eq!(bucket.draw(later), Ok(()));
        assert_eq!(bucket.draw(later), Err(Duration::from_secs(2)));
        // However long nobody drew, it holds what it holds.
        let later = later + Duration::from_secs(3600);
        assert!(bucket.is_full(later));
        assert_eq!((0..10).filter(|_| bucket.draw(later).is_ok()).count(), 3);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let now = Instant::now();
        let mut counting = Counting::new(RATE, now);
        assert_eq!((0..10).filter_map(|_| counting.admit(now)).sum::<u64>(), 0);
        assert_eq!(counting.left_out(), 7);
        let later = now + Duration::from_secs(4);
        assert_eq!(counting.admit(later), Some(7));
        assert_eq!(counting.admit(later), Some(0));
        assert_eq!(counting.admit(later), None);
    }

    #[test]
    fn a_rate_that_gains_nothing_says_to_wait_for_ever() {
        let now = Instant::now();
        let mut bucket = Bucket::new(
            Rate {
                at_once: 0.0,
                a_second: 0.0,
            },
            now,
        );
        assert_eq!(bucket.draw(now), Err(Duration::MAX));
    }
}
