//! Vectors in bytes, and how wrong they are at most.
//!
//! A number of a vector is kept as a whole number from −127 to 127 times a scale that the whole vector has in common,
//! with the length of what is lost (`error`). By Cauchy and Schwarz the product of a vector and a question of length 1
//! then differs by at most `error` from that of the bytes. So a scan over bytes never misses what the scan over
//! the numbers themselves would have found.

use crate::embedding::DIMENSIONS;

/// A vector in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Code {
    pub(crate) numbers: [i8; DIMENSIONS],
    pub(crate) scale: f32,
    pub(crate) error: f32,
}

/// A question, kept more exactly since there is only one.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    numbers: [i16; DIMENSIONS],
    scale: f32,
    error: f32,
}

/// What rounding in single precision may add to a sum of 384 products whose sum is at most about 1.
const ROUNDING: f32 = 1e-4;

impl Code {
    pub(crate) fn of(vector: &[f32; DIMENSIONS]) -> Self {
        let scale = largest(vector) / 127.0;
        let mut numbers = [0; DIMENSIONS];
        if scale > 0.0 {
            for (code, number) in numbers.iter_mut().zip(vector) {
                // Saturates, and lies within the bounds by the choice of the scale.
                *code = (number / scale).round() as i8;
            }
        }
        let kept = numbers.iter().map(|code| f32::from(*code) * scale);
        let error = lost(vector, kept);
        Self {
            numbers,
            scale,
            error,
        }
    }
}

impl Asked {
    pub(crate) fn of(vector: &[f32; DIMENSIONS]) -> Self {
        let scale = largest(vector) / 32_767.0;
        let mut numbers = [0; DIMENSIONS];
        if scale > 0.0 {
            for (code, number) in numbers.iter_mut().zip(vector) {
                *code = (number / scale).round() as i16;
            }
        }
        let kept = numbers.iter().map(|code| f32::from(*code) * scale);
        let error = lost(vector, kept);
        Self {
            numbers,
            scale,
            error,
        }
    }

    /// The product with a vector in bytes, and how far the true one is from it at most.
    pub(crate) fn score(&self, product: i32, scale: f32, error: f32) -> (f32, f32) {
        let score = product as f32 * self.scale * scale;
        (score, error + self.error * (1.0 + error) + ROUNDING)
    }

    /// The products with many vectors in bytes, one after the other.
    pub(crate) fn products(&self, codes: &[u8], out: &mut [i32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code)]
            // SAFETY: the processor has AVX2, as was just seen; that is all that the function asks for.
            unsafe {
                products_avx2(&self.numbers, codes, out);
            }
            return;
        }
        products(&self.numbers, codes, out);
    }
}

/// The same as [`products`], compiled for twice as wide registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn products_avx2(asked: &[i16; DIMENSIONS], codes: &[u8], out: &mut [i32]) {
    products(asked, codes, out);
}

/// No sum overflows: 384 · 127 · 32767 is less than 2³¹.
#[inline(always)]
fn products(asked: &[i16; DIMENSIONS], codes: &[u8], out: &mut [i32]) {
    let (rows, _) = codes.as_chunks::<DIMENSIONS>();
    for (row, out) in rows.iter().zip(out) {
        let mut sum = 0_i32;
        for (asked, code) in asked.iter().zip(row) {
            sum += i32::from(*asked) * i32::from(code.cast_signed());
        }
        *out = sum;
    }
}

/// The product of two vectors.
pub(crate) fn product(one: &[f32; DIMENSIONS], other: &[f32; DIMENSIONS]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (ones, _) = one.as_chunks::<16>();
    let (others, _) = other.as_chunks::<16>();
    for (one, other) in ones.iter().zip(others) {
        for lane in 0..16 {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum()
}

fn largest(vector: &[f32; DIMENSIONS]) -> f32 {
    vector
        .iter()
        .fold(0.0, |largest, number| largest.max(number.abs()))
}

/// The length of the difference, rounded up.
fn lost(vector: &[f32; DIMENSIONS], kept: impl Iterator<Item = f32>) -> f32 {
    let squares = vector.iter().zip(kept).map(|(number, kept)| {
        let difference = f64::from(*number) - f64::from(kept);
        difference * difference
    });
    (squares.sum::<f64>().sqrt() as f32).next_up()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Embedding;

    fn vector() -> impl Strategy<Value = Embedding> {
        let number = prop_oneof![4 => -1.0_f32..1.0, 1 => Just(0.0_f32), 1 => -1e-6_f32..1e-6];
        let numbers = proptest::collection::vec(number, DIMENSIONS);
        numbers.prop_map(|numbers| Embedding::new(numbers.try_into().unwrap()))
    }

    proptest! {
        #[test]
        fn the_true_product_lies_within_the_bounds(one in vector(), other in vector()) {
            let (asked, code) = (Asked::of(one.numbers()), Code::of(other.numbers()));
            let bytes: Vec<u8> = code.numbers.iter().map(|code| code.cast_unsigned()).collect();
            let mut products = [0];
            asked.products(&bytes, &mut products);
            let (score, bound) = asked.score(products[0], code.scale, code.error);
            let truth = product(one.numbers(), other.numbers());
            prop_assert!((truth - score).abs() <= bound, "{truth} {score} {bound}");
            prop_assert!(bound < 0.06, "{bound}");
        }
    }

    #[test]
    fn the_greatest_numbers_do_not_overflow() {
        let mut numbers = [1.0; DIMENSIONS];
        let asked = Asked::of(&numbers);
        let mut products = [0];
        asked.products(&[127; DIMENSIONS], &mut products);
        assert_eq!(products[0], 384 * 127 * 32_767);
        numbers.fill(0.0);
        assert_eq!(Code::of(&numbers).scale, 0.0);
    }
}
