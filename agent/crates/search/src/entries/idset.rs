//! A set of ids, one bit each.

/// Ids that pass a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdSet {
    first: i64,
    bits: Vec<u64>,
    count: usize,
}

impl IdSet {
    /// A set of these, which come in ascending order.
    pub(crate) fn new(ids: impl IntoIterator<Item = i64>) -> Self {
        let mut set = Self::default();
        for id in ids {
            if set.count == 0 {
                set.first = id;
            }
            let Some((word, bit)) = set.place(id) else {
                continue;
            };
            if word >= set.bits.len() {
                set.bits.resize(word + 1, 0);
            }
            set.count += usize::from(set.bits[word] & bit == 0);
            set.bits[word] |= bit;
        }
        set
    }

    fn place(&self, id: i64) -> Option<(usize, u64)> {
        let offset = usize::try_from(id.checked_sub(self.first)?).ok()?;
        Some((offset / 64, 1 << (offset % 64)))
    }

    /// Whether it has this one.
    pub(crate) fn contains(&self, id: i64) -> bool {
        let place = self.place(id);
        place.is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|bits| bits & bit != 0))
    }

    /// How many it has.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The greatest ones, greatest first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<i64> {
        let words = self.bits.iter().enumerate().rev();
        let ids = words.flat_map(|(word, bits)| {
            let set = (0..64_usize).rev().filter(move |bit| bits >> bit & 1 == 1);
            set.filter_map(move |bit| i64::try_from(word * 64 + bit).ok())
        });
        ids.map(|offset| self.first + offset).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    proptest::proptest! {
        #[test]
        fn it_is_a_set(ids in proptest::collection::btree_set(-500_i64..500, 0..200), limit in 0_usize..50) {
            let set = IdSet::new(ids.iter().copied());
            proptest::prop_assert_eq!(set.len(), ids.len());
            let has: BTreeSet<i64> = (-600..600).filter(|id| set.contains(*id)).collect();
            proptest::prop_assert_eq!(&has, &ids);
            let newest: Vec<i64> = ids.into_iter().rev().take(limit).collect();
            proptest::prop_assert_eq!(set.newest(limit), newest);
            proptest::prop_assert!(!set.contains(i64::MIN) && !set.contains(i64::MAX));
        }
    }
}
