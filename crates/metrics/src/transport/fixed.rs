//! Exact sums: whole numbers of as many words as it takes.

use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Neg, Sub};

use super::masses::parts;
use super::number::Number;

/// A whole number in two's complement, lowest word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed<const W: usize>([u64; W]);

impl<const W: usize> Fixed<W> {
    /// `value * 2^shift`, which must fit.
    pub(crate) fn shifted(value: i128, shift: u32) -> Self {
        let (word, bit) = ((shift / 64) as usize, shift % 64);
        let digits = value.unsigned_abs();
        let low = digits << bit;
        // In two steps: a shift by all 128 bits is none.
        let high = digits >> 1 >> (127 - bit);
        let mut words = [0; W];
        for (k, part) in [low as u64, (low >> 64) as u64, high as u64].into_iter().enumerate() {
            match words.get_mut(word + k) {
                Some(place) => *place = part,
                None => debug_assert_eq!(part, 0, "{value} * 2^{shift} needs more than {W} words"),
            }
        }
        if value < 0 { -Self(words) } else { Self(words) }
    }

    fn is_negative(&self) -> bool {
        self.0[W - 1] >> 63 == 1
    }

    /// The double nearest to `self * 2^exponent`.
    pub(crate) fn to_f64(self, exponent: i32) -> f64 {
        let Self(words) = if self.is_negative() { -self } else { self };
        let Some(top) = (0..W).rev().find(|&k| words[k] != 0) else { return 0.0 };
        let next = if top > 0 { words[top - 1] } else { 0 };
        let mut digits = u128::from(words[top]) << 64 | u128::from(next);
        // Whatever is below only says that a half is more than one.
        digits |= u128::from(words[..top.saturating_sub(1)].iter().any(|&word| word != 0));
        let value = times_power(digits as f64, exponent + 64 * (top as i32 - 1));
        if self.is_negative() { -value } else { value }
    }
}

/// `value * 2^exponent`, by steps that are numbers.
pub(crate) fn times_power(mut value: f64, mut exponent: i32) -> f64 {
    while exponent != 0 && value != 0.0 && value.is_finite() {
        let step = exponent.clamp(-1000, 1000);
        value *= 2.0_f64.powi(step);
        exponent -= step;
    }
    value
}

/// A double as an odd whole number times a power of two; zero is zero times one.
pub(crate) fn odd_parts(value: f64) -> (i64, i32) {
    if value == 0.0 {
        return (0, 0);
    }
    let (digits, exponent) = parts(value.abs());
    let zeros = digits.trailing_zeros();
    let odd = (digits >> zeros) as i64;
    (if value < 0.0 { -odd } else { odd }, exponent - 53 + zeros as i32)
}

impl<const W: usize> Add for Fixed<W> {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        let (mut words, mut carry) = ([0; W], false);
        for (k, word) in words.iter_mut().enumerate() {
            (*word, carry) = with_carry(self.0[k], other.0[k], carry);
        }
        Self(words)
    }
}

impl<const W: usize> Sub for Fixed<W> {
    type Output = Self;

    /// The complement of the other and one.
    #[inline]
    fn sub(self, other: Self) -> Self {
        let (mut words, mut carry) = ([0; W], true);
        for (k, word) in words.iter_mut().enumerate() {
            (*word, carry) = with_carry(self.0[k], !other.0[k], carry);
        }
        Self(words)
    }
}

#[inline]
fn with_carry(p: u64, q: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = p.overflowing_add(q);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

impl<const W: usize> Neg for Fixed<W> {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl<const W: usize> AddAssign for Fixed<W> {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const W: usize> Ord for Fixed<W> {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |of: &Self| of.0[W - 1] as i64;
        sign(self).cmp(&sign(other)).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl<const W: usize> PartialOrd for Fixed<W> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const W: usize> Number for Fixed<W> {
    const ZERO: Self = Self([0; W]);
    // An eighth of the range: two of them can be added.
    const FAR: Self = {
        let mut words = [0; W];
        words[W - 1] = 1 << 60;
        Self(words)
    };

    fn tenth(self) -> Self {
        let sign = if self.is_negative() { u64::MAX } else { 0 };
        let above = self.0[1..].iter().copied().chain([sign]);
        let mut words = self.0;
        words.iter_mut().zip(above).for_each(|(word, above)| *word = *word >> 3 | above << 61);
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the 128 bits that the machine has.
    #[test]
    fn two_words_are_an_i128() {
        let mut state = 7_u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let shift = state >> 58;
            i128::from(state as i64 >> shift) << (state >> 32 & 63) >> 3
        };
        let fixed = |value: i128| Fixed::<2>::shifted(value, 0);
        for _ in 0..2000 {
            let (p, q) = (draw(), draw());
            assert_eq!(fixed(p) + fixed(q), fixed(p + q));
            assert_eq!(fixed(p) - fixed(q), fixed(p - q));
            assert_eq!(fixed(p).cmp(&fixed(q)), p.cmp(&q));
            assert_eq!(fixed(p).tenth(), fixed(p >> 3));
            assert_eq!(fixed(p).to_f64(0), p as f64);
            // The same, 100 bits up in more words.
            let wide = Fixed::<5>::shifted(p, 100) - Fixed::<5>::shifted(q, 100);
            assert_eq!(wide.to_f64(-100), (p - q) as f64);
        }
        let least = [fixed(3), fixed(-4), fixed(5)];
        assert_eq!(Fixed::least_sum(&least, &[fixed(1), fixed(6), fixed(-1)]), fixed(2));
    }

    #[test]
    fn doubles_come_back() {
        for value in [0.0, 1.0, -0.3, 1e300, -1e-300, 5e-324, 0.1 + 0.2] {
            let (odd, exponent) = odd_parts(value);
            let found = Fixed::<40>::shifted(odd.into(), (exponent + 1074) as u32);
            assert_eq!(found.to_f64(-1074), value);
        }
        // A half of the last place and a little more is rounded up.
        let little = Fixed::<4>::shifted(1, 0);
        let half = Fixed::<4>::shifted((1 << 54) + 1, 100);
        assert_eq!(half.to_f64(-100), 2_f64.powi(54));
        assert_eq!((half + Fixed::shifted(1, 100) + little).to_f64(-100), 2_f64.powi(54) + 4.0);
        assert_eq!((half + Fixed::shifted(1, 100)).to_f64(-100), 2_f64.powi(54));
    }
}
