//! How many connections there may be, and how fast their owners may speak.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rate::{Bucket, Rate};

/// Connections of one session.
const OF_SESSION: usize = 16;
/// Connections from one address.
const OF_ADDRESS: usize = 64;
/// Connections in all.
const IN_ALL: usize = 1024;
/// Texts of one session.
const TEXTS: Rate = Rate {
    at_once: 60.0,
    a_second: 20.0,
};

/// The places there are.
#[derive(Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    addresses: HashMap<IpAddr, usize>,
    owners: HashMap<Arc<str>, Owner>,
}

struct Owner {
    connections: usize,
    texts: Bucket,
}

/// A place for one connection, until this is dropped.
pub(super) struct Place {
    places: Arc<Mutex<Taken>>,
    owner: Arc<str>,
    address: IpAddr,
}

fn lock(places: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    /// A place, if there is one left.
    pub(super) fn take(&self, owner: &str, address: IpAddr) -> Option<Place> {
        let mut taken = lock(&self.0);
        let of_owner = taken.owners.get(owner).map_or(0, |owner| owner.connections);
        let of_address = taken.addresses.get(&address).copied().unwrap_or(0);
        if taken.all >= IN_ALL || of_owner >= OF_SESSION || of_address >= OF_ADDRESS {
            return None;
        }
        let owner: Arc<str> = owner.into();
        taken.all += 1;
        *taken.addresses.entry(address).or_default() += 1;
        let entry = taken.owners.entry(Arc::clone(&owner));
        let entry = entry.or_insert_with(|| Owner {
            connections: 0,
            texts: Bucket::new(TEXTS, Instant::now()),
        });
        entry.connections += 1;
        Some(Place {
            places: Arc::clone(&self.0),
            owner,
            address,
        })
    }
}

impl Place {
    /// Whether the owner may say one more text now.
    pub(super) fn may_speak(&self) -> bool {
        lock(&self.places)
            .owners
            .get_mut(&self.owner)
            .is_some_and(|owner| owner.texts.draw(Instant::now()).is_ok())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places);
        taken.all -= 1;
        if let Some(count) = taken.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.addresses.remove(&self.address);
            }
        }
        if let Some(owner) = taken.owners.get_mut(&self.owner) {
            owner.connections -= 1;
            if owner.connections == 0 {
                taken.owners.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn places_are_bounded_by_session_address_and_in_all() {
        let places = Places::default();
        let address = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        let mut held: Vec<_> = (0..OF_SESSION)
            .map(|n| places.take("a", address(n)).unwrap())
            .collect();
        assert!(places.take("a", address(99)).is_none());
        held.pop();
        assert!(places.take("a", address(99)).is_some());
        held.clear();
        let one: Vec<_> = (0..OF_ADDRESS)
            .map(|n| places.take(&n.to_string(), address(1)).unwrap())
            .collect();
        assert!(places.take("x", address(1)).is_none());
        drop(one);
        let all: Vec<_> = (0..IN_ALL)
            .map(|n| places.take(&n.to_string(), address(n)).unwrap())
            .collect();
        assert!(places.take("x", address(5000)).is_none());
        drop(all);
        let taken = lock(&places.0);
        assert!(taken.all == 0 && taken.owners.is_empty() && taken.addresses.is_empty());
    }

    #[test]
    fn who_speaks_too_fast_is_not_heard_for_a_while() {
        let now = Instant::now();
        let mut texts = Bucket::new(TEXTS, now);
        let heard = (0..200).filter(|_| texts.draw(now).is_ok()).count();
        assert_eq!(heard, 60);
        assert!(texts.draw(now + Duration::from_millis(40)).is_err());
        assert!(texts.draw(now + Duration::from_millis(100)).is_ok());
    }
}
