//! The vectors that are most like a question, out of all: exactly, by way of bounds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZero;
use std::thread;

use crate::embedding::Embedding;
use crate::fusion::best;

use super::code::{Asked, product};
use super::file::{Fault, Mark, ROWS, VectorFile};
use super::idset::IdSet;

/// Blocks that make a further thread worth its while.
const BLOCKS_PER_THREAD: usize = 24;
/// More threads than this only wait for the memory.
const MOST_THREADS: usize = 4;
/// Candidates beyond this number are looked through again.
const MANY: usize = 8192;

/// A row that may be among the best.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    row: usize,
    mark: Mark,
    at_most: f32,
}

/// How many threads a scan takes by itself.
pub(crate) fn threads(file: &VectorFile) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let useful = file.blocks().div_ceil(BLOCKS_PER_THREAD);
    useful.clamp(1, cores.min(MOST_THREADS))
}

/// The `limit` rows whose cosine with the question is greatest and above zero, by id; of equal ones the newest.
pub(crate) fn nearest(
    file: &VectorFile,
    question: &Embedding,
    limit: usize,
    only: Option<&IdSet>,
    threads: usize,
) -> Result<Vec<(i64, f64)>, Fault> {
    if limit == 0 || file.rows() == 0 {
        return Ok(Vec::new());
    }
    let asked = Asked::of(question.numbers());
    let share = file.blocks().div_ceil(threads.max(1));
    let ranges: Vec<_> = (0..file.blocks())
        .step_by(share)
        .map(|begin| begin..(begin + share).min(file.blocks()))
        .collect();
    let part = |range: std::ops::Range<usize>| {
        let mut found = Found::new(limit);
        let mut buffer = Vec::new();
        for block in range {
            found.look(file, block, &asked, only, &mut buffer)?;
        }
        Ok(found)
    };
    let parts: Vec<Result<Found, Fault>> = match ranges.as_slice() {
        [only] => vec![part(only.clone())],
        _ => thread::scope(|scope| {
            let part = &part;
            let running: Vec<_> = ranges
                .iter()
                .map(|range| scope.spawn(move || part(range.clone())))
                .collect();
            let ended = |thread: thread::ScopedJoinHandle<'_, _>| {
                let gone = || Fault::Damaged("a scan ended too early".to_owned());
                thread.join().unwrap_or_else(|_| Err(gone()))
            };
            running.into_iter().map(ended).collect()
        }),
    };
    let mut all = Found::new(limit);
    for part in parts {
        all.join(part?);
    }
    let mut scored = Vec::new();
    for candidate in all.rows() {
        let numbers = file.numbers(candidate.row, &candidate.mark)?;
        let cosine = f64::from(product(question.numbers(), &numbers));
        if cosine > 0.0 {
            scored.push((Reverse(candidate.mark.id), cosine));
        }
    }
    let nearest = best(scored, limit).into_iter();
    Ok(nearest.map(|(Reverse(id), cosine)| (id, cosine)).collect())
}

/// What a part of a scan found.
struct Found {
    limit: usize,
    /// The greatest numbers that rows reach at least, the least of them on top.
    floor: BinaryHeap<Reverse<Ordered>>,
    candidates: Vec<Candidate>,
    products: Vec<i32>,
}

impl Found {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            floor: BinaryHeap::with_capacity(limit.min(MANY)),
            candidates: Vec::new(),
            products: vec![0; ROWS],
        }
    }

    /// What a row has to reach at most to be among the best.
    fn bar(&self) -> f32 {
        match self.floor.peek() {
            Some(Reverse(Ordered(least))) if self.floor.len() >= self.limit => *least,
            _ => 0.0,
        }
    }

    fn look(
        &mut self,
        file: &VectorFile,
        block: usize,
        asked: &Asked,
        only: Option<&IdSet>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let part = file.read(block, buffer)?;
        let mut products = std::mem::take(&mut self.products);
        asked.products(part.codes, &mut products);
        let mut bar = self.bar();
        for (row, product) in products.iter().enumerate().take(part.len()) {
            let mark = part.mark(row);
            let (score, bound) = asked.score(*product, mark.scale, mark.error);
            // Written so that what is no number is no candidate either.
            if score + bound > bar && only.is_none_or(|only| only.contains(mark.id)) {
                let row = block * ROWS + row;
                self.take(
                    Candidate {
                        row,
                        mark,
                        at_most: score + bound,
                    },
                    score - bound,
                );
                bar = self.bar();
            }
        }
        self.products = products;
        Ok(())
    }

    fn take(&mut self, candidate: Candidate, at_least: f32) {
        self.raise(at_least);
        self.candidates.push(candidate);
        if self.candidates.len() >= MANY.max(2 * self.limit) {
            let bar = self.bar();
            self.candidates.retain(|candidate| candidate.at_most >= bar);
        }
    }

    fn raise(&mut self, at_least: f32) {
        self.floor.push(Reverse(Ordered(at_least)));
        if self.floor.len() > self.limit {
            self.floor.pop();
        }
    }

    fn join(&mut self, other: Self) {
        for Reverse(Ordered(at_least)) in other.floor {
            self.raise(at_least);
        }
        self.candidates.extend(other.candidates);
    }

    fn rows(self) -> impl Iterator<Item = Candidate> {
        let bar = self.bar();
        self.candidates
            .into_iter()
            .filter(move |candidate| candidate.at_most >= bar)
    }
}

/// A number with its place among all.
#[derive(Debug, Clone, Copy)]
struct Ordered(f32);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedder::ModelId;
    use crate::embedding::DIMENSIONS;

    /// Vectors of many near ones and some equal ones: numbers of a simple generator, seeded.
    fn vectors(count: usize, mut seed: u64) -> Vec<(i64, Embedding)> {
        let mut next = move || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 40) as f32 / 16_777_216.0) - 0.5
        };
        let common: Vec<f32> = (0..DIMENSIONS).map(|_| next()).collect();
        let mut all: Vec<(i64, Embedding)> = Vec::new();
        for id in (0_i64..).take(count) {
            let near = if id % 3 == 0 { 3.0 } else { 0.0 };
            let numbers: Vec<f32> = common.iter().map(|common| common * near + next()).collect();
            let embedding = match id % 11 {
                7 => all[0].1.clone(),
                _ => Embedding::new(numbers.try_into().unwrap()),
            };
            all.push((id * 2, embedding));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn it_finds_what_a_plain_scan_finds(
            seed in any::<u64>(),
            count in 0_usize..1400,
            limit in 0_usize..40,
            threads in 1_usize..5,
            modulus in proptest::option::of(2_i64..50),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let all = vectors(count + 1, seed);
            let (question, rows) = (all[count].1.clone(), &all[..count]);
            let mut file = VectorFile::create(&dir.path().join("v"), &ModelId::built_in()).unwrap();
            file.append(rows).unwrap();
            let only = modulus.map(|modulus| {
                IdSet::new(rows.iter().map(|(id, _)| *id).filter(|id| id % modulus == 0))
            });
            let found = nearest(&file, &question, limit, only.as_ref(), threads).unwrap();
            let plain = rows.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only.contains(*id)));
            let plain = plain.map(|(id, vector)| {
                (Reverse(*id), f64::from(product(question.numbers(), vector.numbers())))
            });
            let plain = best(plain.filter(|(_, cosine)| *cosine > 0.0).collect(), limit);
            let plain: Vec<_> = plain.into_iter().map(|(Reverse(id), cosine)| (id, cosine)).collect();
            prop_assert_eq!(found, plain);
        }
    }
}
