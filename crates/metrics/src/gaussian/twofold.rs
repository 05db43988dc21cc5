//! Numbers of twice the precision of a double, as unevaluated sums of two.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `high + low`, with |low| at most half a unit in the last place of `high`.
///
/// # Reference
/// T. J. Dekker, *A floating-point technique for extending the available precision*, Numerische
/// Mathematik 18, 1971.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Twofold {
    high: f64,
    low: f64,
}

impl Twofold {
    pub(super) const ZERO: Self = Self { high: 0.0, low: 0.0 };

    /// The nearest double.
    pub(super) fn value(self) -> f64 {
        self.high
    }

    /// Both parts times the same power of two.
    pub(super) fn map(self, scale: impl Fn(f64) -> f64) -> Self {
        Self { high: scale(self.high), low: scale(self.low) }
    }

    pub(super) fn sqrt(self) -> Self {
        let root = self.high.sqrt();
        if root == 0.0 {
            return Self::ZERO;
        }
        let rest = self - Self::product(root, root);
        Self::sum(root, rest.high / (2.0 * root))
    }

    /// p + q, exactly.
    fn sum(p: f64, q: f64) -> Self {
        let high = p + q;
        let part = high - p;
        Self { high, low: (p - (high - part)) + (q - part) }
    }

    /// p q, exactly.
    fn product(p: f64, q: f64) -> Self {
        let high = p * q;
        Self { high, low: p.mul_add(q, -high) }
    }
}

impl From<f64> for Twofold {
    fn from(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }
}

impl Neg for Twofold {
    type Output = Self;
    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Add for Twofold {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (high, low) = (Self::sum(self.high, other.high), Self::sum(self.low, other.low));
        let first = Self::sum(high.high, high.low + low.high);
        Self::sum(first.high, first.low + low.low)
    }
}

impl Sub for Twofold {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Twofold {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let found = Self::product(self.high, other.high);
        Self::sum(found.high, found.low + (self.high * other.low + self.low * other.high))
    }
}

impl Div for Twofold {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * first.into();
        let second = rest.high / other.high;
        let rest = rest - other * second.into();
        Self::sum(first, second) + (rest.high / other.high).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_digits() {
        let third = Twofold::from(1.0) / 3.0.into();
        let off = third * 3.0.into() - 1.0.into();
        assert!(off.value().abs() < 1e-31, "{off:?}");
        let root = Twofold::from(2.0).sqrt();
        assert!((root * root - 2.0.into()).value().abs() < 1e-31);
        // (1 + e)^2 - 1 - 2 e = e^2
        let e = Twofold::from(1e-14);
        let one = Twofold::from(1.0) + e;
        let left = one * one - 1.0.into() - e - e;
        assert!((left.value() / 1e-28 - 1.0).abs() < 1e-3, "{left:?}");
        assert_eq!(Twofold::from(0.0).sqrt(), Twofold::ZERO);
    }
}
