//! What all connections together may take, so that one caller leaves room for the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many connections one user may have; root may have all.
const OF_A_USER: usize = 256;
/// How many bytes of messages that are not whole yet all connections hold.
const UNFINISHED: usize = 64 << 20;
/// A connection that holds no more than this is never the one that goes.
const SMALL: usize = 64 << 10;

/// The connections there are, by user, and what they hold.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    users: Mutex<HashMap<u32, usize>>,
    unfinished: AtomicUsize,
}

/// A connection's place, until this is dropped.
pub(super) struct Place<'a> {
    crowd: &'a Crowd,
    uid: u32,
    held: usize,
}

impl Crowd {
    /// A place for one more connection of a user, if there is room.
    pub(super) fn enter(&self, uid: u32) -> Option<Place<'_>> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = users.entry(uid).or_default();
        if uid != 0 && *count >= OF_A_USER {
            return None;
        }
        *count += 1;
        Some(Place {
            crowd: self,
            uid,
            held: 0,
        })
    }
}

impl Place<'_> {
    /// Says how much the connection holds now; whether there is room for that.
    pub(super) fn holds(&mut self, bytes: usize) -> bool {
        let all = &self.crowd.unfinished;
        let before = match bytes >= self.held {
            true => all.fetch_add(bytes - self.held, Ordering::Relaxed) + (bytes - self.held),
            false => all.fetch_sub(self.held - bytes, Ordering::Relaxed),
        };
        self.held = bytes;
        bytes <= SMALL || before <= UNFINISHED
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.holds(0);
        let mut users = self
            .crowd
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_room_for_others() {
        let crowd = Crowd::default();
        let places: Vec<_> = (0..OF_A_USER).map(|_| crowd.enter(1000).unwrap()).collect();
        assert!(crowd.enter(1000).is_none());
        assert!(crowd.enter(1001).is_some() && crowd.enter(0).is_some());
        drop(places);
        assert!(crowd.enter(1000).is_some());
    }

    #[test]
    fn what_is_unfinished_has_a_bound_and_small_ones_always_pass() {
        let crowd = Crowd::default();
        let mut large = crowd.enter(1000).unwrap();
        assert!(large.holds(UNFINISHED));
        let (mut second, mut small) = (crowd.enter(1000).unwrap(), crowd.enter(1001).unwrap());
        assert!(!second.holds(SMALL + 1) && small.holds(SMALL));
        drop((large, second));
        assert!(small.holds(SMALL + 1));
    }
}
