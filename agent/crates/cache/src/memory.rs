//! The tier in memory: so many bytes, and what was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::{Key, Kind};

/// What an entry takes beside its content, in bytes: keys, places and counts, generously.
const BESIDE: u64 = 160;

/// When something was used last, and what it is.
type Used = (u64, Arc<[u8]>);

#[derive(Debug)]
pub(crate) struct Memory {
    most: u64,
    bytes: u64,
    clock: u64,
    entries: HashMap<(Kind, Key), Used>,
    /// Entries by when they were used last.
    order: BTreeMap<u64, (Kind, Key)>,
}

impl Memory {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            bytes: 0,
            clock: 0,
            entries: HashMap::new(),
            order: BTreeMap::new(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn get(&mut self, kind: Kind, key: Key) -> Option<Arc<[u8]>> {
        let (used, content) = self.entries.get_mut(&(kind, key))?;
        self.clock += 1;
        self.order.remove(used);
        self.order.insert(self.clock, (kind, key));
        *used = self.clock;
        Some(Arc::clone(content))
    }

    pub(crate) fn put(&mut self, kind: Kind, key: Key, content: &Arc<[u8]>) {
        self.remove(kind, key);
        let size = size(content);
        // One thing must not drive out all others.
        if size > self.most / 4 {
            return;
        }
        while self.bytes + size > self.most {
            let Some((_, (kind, key))) = self.order.pop_first() else {
                break;
            };
            self.remove(kind, key);
        }
        self.clock += 1;
        self.bytes += size;
        self.order.insert(self.clock, (kind, key));
        self.entries
            .insert((kind, key), (self.clock, Arc::clone(content)));
    }

    fn remove(&mut self, kind: Kind, key: Key) {
        if let Some((used, content)) = self.entries.remove(&(kind, key)) {
            self.order.remove(&used);
            self.bytes -= size(&content);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most);
    }
}

fn size(content: &Arc<[u8]>) -> u64 {
    content.len() as u64 + BESIDE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first() {
        let mut memory = Memory::new(8 * (BESIDE + 10));
        let key = |number: u8| Key::of([[number]]);
        let content: Arc<[u8]> = vec![7; 10].into();
        for number in 0..8 {
            memory.put(Kind::Blocks, key(number), &content);
        }
        assert!(memory.get(Kind::Blocks, key(0)).is_some());
        memory.put(Kind::Blocks, key(8), &content);
        assert!(memory.get(Kind::Blocks, key(1)).is_none());
        assert!(memory.get(Kind::Blocks, key(0)).is_some());
        assert!(memory.get(Kind::Queries, key(0)).is_none());
    }

    proptest::proptest! {
        #[test]
        fn its_bound_holds(steps in proptest::collection::vec((0_u8..20, 0_usize..400, proptest::bool::ANY), 0..200)) {
            let mut memory = Memory::new(2000);
            for (number, length, read) in steps {
                let key = Key::of([[number]]);
                match read {
                    true => drop(memory.get(Kind::Blocks, key)),
                    false => memory.put(Kind::Blocks, key, &vec![0; length].into()),
                }
                let sum: u64 = memory.entries.values().map(|(_, content)| size(content)).sum();
                proptest::prop_assert_eq!(sum, memory.bytes);
                proptest::prop_assert!(memory.bytes <= 2000);
                proptest::prop_assert_eq!(memory.order.len(), memory.entries.len());
            }
        }
    }
}
