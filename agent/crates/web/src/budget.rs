//! How many bytes of bodies are held at once: parsing takes a multiple of them, and the process has a limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of bodies that one speaker may have here at once: two of the largest.
const EACH: usize = 8 << 20;
/// The same for all speakers together.
const ALL: usize = 32 << 20;

/// How many speakers are remembered who hold nothing.
const REMEMBERED: usize = 1024;

/// The bytes that may be held.
pub(crate) struct Budget {
    each: usize,
    all: Arc<Semaphore>,
    speakers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Why there is no room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The speaker holds as much as one may.
    Speaker,
    /// All speakers together do.
    Everybody,
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Speaker => write!(
                f,
                "the requests of this token that are not answered yet have {EACH} bytes together: wait for some of \
                 the answers, or send less at once"
            ),
            Self::Everybody => f.write_str(
                "the requests of all clients together take all the room there is: try again later",
            ),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(EACH, ALL)
    }
}

impl Budget {
    fn new(each: usize, all: usize) -> Self {
        Self {
            each,
            all: Arc::new(Semaphore::new(all)),
            speakers: Mutex::default(),
        }
    }

    /// Room for a body of this speaker, none so far.
    pub(crate) fn of(&self, name: &str) -> Room {
        let mut speakers = self.speakers.lock().unwrap_or_else(PoisonError::into_inner);
        // Who holds nothing is not missed: without a session, speakers are addresses, and those are many.
        if speakers.len() >= REMEMBERED {
            speakers.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = speakers
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Room {
            own: Arc::clone(own),
            all: Arc::clone(&self.all),
            held: Vec::new(),
        }
    }
}

/// What one body takes, until it is dropped.
pub(crate) struct Room {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
}

impl Room {
    /// Takes room for so many more bytes.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let take = |from: &Arc<Semaphore>| {
            let bytes = u32::try_from(bytes).ok()?;
            Arc::clone(from).try_acquire_many_owned(bytes).ok()
        };
        let own = take(&self.own).ok_or(Full::Speaker)?;
        let all = take(&self.all).ok_or(Full::Everybody)?;
        match self.held.as_mut_slice() {
            // Both are of the same two budgets, so that this leaves two permits however many parts there are.
            [held_own, held_all] => {
                held_own.merge(own);
                held_all.merge(all);
            }
            _ => self.held = vec![own, all],
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_takes_is_bounded_and_comes_back() {
        let budget = Budget::new(10, 15);
        let (mut first, mut second) = (budget.of("a"), budget.of("a"));
        first.grow(3).unwrap();
        first.grow(4).unwrap();
        assert_eq!(second.grow(4), Err(Full::Speaker));
        second.grow(3).unwrap();
        drop(first);
        second.grow(7).unwrap();
        assert_eq!(second.grow(1), Err(Full::Speaker));
    }

    #[test]
    fn who_holds_nothing_is_forgotten() {
        let budget = Budget::new(10, 15);
        let mut held = budget.of("a");
        held.grow(10).unwrap();
        for n in 0..5000 {
            drop(budget.of(&n.to_string()));
        }
        assert!(budget.speakers.lock().unwrap().len() <= REMEMBERED + 1);
        assert_eq!(budget.of("a").grow(1), Err(Full::Speaker));
    }

    #[test]
    fn what_all_take_is_bounded_too() {
        let budget = Budget::new(10, 15);
        let (mut one, mut other) = (budget.of("a"), budget.of("b"));
        one.grow(10).unwrap();
        assert_eq!(other.grow(6), Err(Full::Everybody));
        // What was refused is not held.
        other.grow(5).unwrap();
        drop(one);
        other.grow(5).unwrap();
        assert_eq!(other.grow(1), Err(Full::Speaker));
    }
}
