//! Locks (RFC 7047, section 4.1.8): each has an owner and those that wait for it.

use std::collections::{BTreeMap, VecDeque};

/// Which sessions hold and want which locks.
#[derive(Debug, Default)]
pub(crate) struct Locks(BTreeMap<String, VecDeque<u64>>);

impl Locks {
    pub(crate) fn owner(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.front().copied()
    }

    /// Whether the session holds or wants it.
    pub(crate) fn wants(&self, name: &str, session: u64) -> bool {
        let queue = self.0.get(name);
        queue.is_some_and(|queue| queue.contains(&session))
    }

    /// Whether the session owns the lock now.
    pub(crate) fn lock(&mut self, name: &str, session: u64) -> bool {
        let queue = self.0.entry(name.to_owned()).or_default();
        queue.push_back(session);
        queue.len() == 1
    }

    /// The owner that lost the lock; it is next in line.
    pub(crate) fn steal(&mut self, name: &str, session: u64) -> Option<u64> {
        let queue = self.0.entry(name.to_owned()).or_default();
        let victim = queue.front().copied();
        queue.push_front(session);
        victim
    }

    /// The session that owns the lock from now on.
    pub(crate) fn unlock(&mut self, name: &str, session: u64) -> Option<u64> {
        let before = self.owner(name);
        let queue = self.0.get_mut(name)?;
        queue.retain(|one| *one != session);
        if queue.is_empty() {
            self.0.remove(name);
        }
        self.owner(name).filter(|owner| before != Some(*owner))
    }

    /// How many locks a session holds or wants.
    pub(crate) fn count(&self, session: u64) -> usize {
        let queues = self.0.values();
        queues.filter(|queue| queue.contains(&session)).count()
    }

    /// Unlocks all; returns new owners.
    pub(crate) fn forget(&mut self, session: u64) -> Vec<(String, u64)> {
        let names: Vec<String> = self.0.keys().cloned().collect();
        let unlock = |name: String| self.unlock(&name, session).map(|owner| (name, owner));
        names.into_iter().filter_map(unlock).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_waiting_changes_nothing_for_the_owner() {
        let mut locks = Locks::default();
        assert!(locks.lock("l", 1));
        assert!(!locks.lock("l", 2));
        assert!(!locks.lock("l", 3));
        assert_eq!(locks.unlock("l", 2), None);
        assert_eq!(locks.owner("l"), Some(1));
        assert_eq!(locks.unlock("l", 1), Some(3));
        assert_eq!(locks.steal("l", 4), Some(3));
        assert_eq!(locks.forget(4), [("l".to_owned(), 3)]);
        assert_eq!(locks.forget(3), []);
        assert_eq!(locks.owner("l"), None);
    }
}
