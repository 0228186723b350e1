//! One rank out of several.

use std::collections::BTreeMap;

/// What dampens the weight of the first ranks, as published (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR
/// 2009).
pub(crate) const DAMPING: f64 = 60.0;

/// Joins lists that each have the best first: what each list gives to a thing by its rank, times what the list counts,
/// summed up.
pub(crate) fn fuse<K: Ord + Copy>(
    lists: &[(&[(K, f64)], f64)],
    damping: f64,
    limit: usize,
) -> Vec<(K, f64)> {
    let mut scores: BTreeMap<K, f64> = BTreeMap::new();
    for (list, weight) in lists {
        for (rank, (thing, _)) in (1_u32..).zip(*list) {
            *scores.entry(*thing).or_default() += weight / (damping + f64::from(rank));
        }
    }
    best(scores.into_iter().collect(), limit)
}

/// The best, and of equal ones the least.
pub(crate) fn best<K: Ord + Copy>(mut found: Vec<(K, f64)>, limit: usize) -> Vec<(K, f64)> {
    found.sort_by(|(thing, score), (other_thing, other)| {
        other.total_cmp(score).then(thing.cmp(other_thing))
    });
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_lists_have_comes_before_what_one_has() {
        let words = vec![('a', 9.0), ('b', 5.0), ('d', 4.0)];
        let meaning = vec![('c', 0.9), ('b', 0.8), ('a', 0.1)];
        let order: Vec<_> = fuse(&[(&words, 1.0), (&meaning, 1.0)], DAMPING, 3)
            .into_iter()
            .map(|(thing, _)| thing)
            .collect();
        assert_eq!(order, ['a', 'b', 'c']);
    }
}
