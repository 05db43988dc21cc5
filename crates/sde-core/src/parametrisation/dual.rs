//! A number with its derivative in time, for coefficients that are differentiated once.

use std::ops::{Add, Div, Mul, Neg};

/// `value + rate dt`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dual {
    pub(super) value: f64,
    pub(super) rate: f64,
}

impl Dual {
    /// A value whose derivative is not known.
    pub(super) fn unknown(value: f64) -> Self {
        Self { value, rate: f64::NAN }
    }

    /// The root of the sum of two squares.
    pub(super) fn hypot(self, other: Self) -> Self {
        let value = self.value.hypot(other.value);
        Self { value, rate: self.rate * (self.value / value) + other.rate * (other.value / value) }
    }
}

impl From<f64> for Dual {
    /// A constant.
    fn from(value: f64) -> Self {
        Self { value, rate: 0.0 }
    }
}

impl Neg for Dual {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, rate: -self.rate }
    }
}

impl Add for Dual {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, rate: self.rate + other.rate }
    }
}

impl Mul for Dual {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self {
            value: self.value * other.value,
            rate: self.rate * other.value + self.value * other.rate,
        }
    }
}

impl Div for Dual {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        Self { value, rate: (self.rate - value * other.rate) / other.value }
    }
}
