//! A deterministic embedding: likeness of words, not meaning, but for a table of words that mean much the same.
//!
//! Each stem of a text sets three kinds of features: itself (weight 1), its group of like words (weight 1), and its
//! trigrams, with marks for its ends (length 0.7 together). Two stems side by side count as one more (weight 0.7). A
//! feature's FNV-1a hash, mixed as in SplitMix64, says which of 384 places it goes to and with which sign (feature
//! hashing). Repeated features count by the square root of their number. The sum is brought to length 1.

use std::collections::BTreeMap;
use std::iter;

use crate::{concepts, tokens};

/// The length of an embedding, in numbers.
pub const DIMENSIONS: usize = 384;

/// Which embedding this is: vectors of one version compare with each other only.
pub const VERSION: u32 = 1;

/// A text as a vector of length 1, or all zeros for a text without words.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding([f32; DIMENSIONS]);

impl Embedding {
    /// Numbers brought to length 1; all zeros where they have no length, or none that is finite.
    pub fn new(numbers: [f32; DIMENSIONS]) -> Self {
        let mut vector = numbers;
        let length = vector
            .iter()
            .map(|number| number * number)
            .sum::<f32>()
            .sqrt();
        if length > 0.0 && length.is_finite() {
            vector.iter_mut().for_each(|number| *number /= length);
            Self(vector)
        } else {
            Self([0.0; DIMENSIONS])
        }
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The numbers, all of them.
    pub(crate) fn numbers(&self) -> &[f32; DIMENSIONS] {
        &self.0
    }

    /// The cosine of the angle to another: 1 for the same, about 0 for what has nothing in common.
    pub fn likeness(&self, other: &Self) -> f32 {
        self.0
            .iter()
            .zip(&other.0)
            .map(|(one, other)| one * other)
            .sum()
    }
}

/// The embedding of a text: the same for the same text on every machine.
pub fn embed(text: &str) -> Embedding {
    place(features(text).into_iter())
}

/// What a text has, by kind and name, and how much of it.
pub(crate) fn features(text: &str) -> BTreeMap<Feature, f32> {
    let mut features: BTreeMap<Feature, (f32, f32)> = BTreeMap::new();
    let mut count = |kind: u8, name: String, weight: f32| {
        let (times, sum) = features.entry((kind, name)).or_default();
        *times += 1.0;
        *sum += weight;
    };
    let stems = tokens::stems(text);
    for pair in tokens::joined(&stems) {
        count(b'w', pair, 0.7);
    }
    for stem in stems {
        if let Some(group) = concepts::group(&stem) {
            count(b'g', group.to_string(), 1.0);
        }
        let marked: Vec<char> = iter::once('^').chain(stem.chars()).chain(['$']).collect();
        let trigrams = marked.windows(3);
        let share = 0.7 / (trigrams.len().max(1) as f32).sqrt();
        for trigram in trigrams {
            count(b't', trigram.iter().collect(), share);
        }
        count(b'w', stem, 1.0);
    }
    let damped = features
        .into_iter()
        .map(|(feature, (times, sum))| (feature, sum / times.sqrt()));
    damped.collect()
}

/// A feature's kind and name.
pub(crate) type Feature = (u8, String);

/// Features brought to their places, and the whole to length 1.
pub(crate) fn place(features: impl Iterator<Item = (Feature, f32)>) -> Embedding {
    let mut vector = [0.0; DIMENSIONS];
    for ((kind, name), weight) in features {
        let hash = mix(fnv(kind, &name));
        let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or_default();
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        vector[place] += sign * weight;
    }
    Embedding::new(vector)
}

/// FNV-1a with 64 bits (draft-eastlake-fnv).
fn fnv(kind: u8, feature: &str) -> u64 {
    let bytes = iter::once(kind).chain(feature.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The last step of SplitMix64, since the low bits of FNV are poor.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_much_the_same_is_alike() {
        let question = embed("launch a daemon");
        let near = embed("StartUnit");
        let far = embed("SetTimezone");
        assert!(question.likeness(&near) > 0.3);
        assert!(question.likeness(&near) > question.likeness(&far) + 0.3);
    }

    #[test]
    fn a_typing_error_is_still_alike() {
        let likeness = embed("hostnme").likeness(&embed("hostname"));
        assert!(likeness > 0.05, "{likeness}");
        assert!(likeness > embed("hostnme").likeness(&embed("battery")));
    }

    #[test]
    fn it_does_not_change() {
        // A change here asks for a new VERSION, since stored vectors no longer compare.
        let sum = |text: &str| -> f32 {
            let embedding = embed(text);
            let places = embedding.as_slice().iter().enumerate();
            places
                .map(|(place, number)| (place % 7) as f32 * number)
                .sum()
        };
        let sums = [sum("restart nginx"), sum("ListUnitsByPatterns"), sum("")];
        let expected = [-2.261_581_4_f32, 2.097_441_7, 0.0];
        for (sum, expected) in sums.into_iter().zip(expected) {
            assert!((sum - expected).abs() < 1e-4, "{sums:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn its_length_is_one_or_none(text in ".{0,80}") {
            let embedding = embed(&text);
            let length = embedding.likeness(&embedding);
            proptest::prop_assert!((length - 1.0).abs() < 1e-4 || length == 0.0);
            proptest::prop_assert_eq!(embedding, embed(&text));
        }
    }
}
