//! Unit scale: lengths are measured by a power of two, which changes no digit, and results brought back.
//!
//! Squares and powers of lengths then neither overflow nor vanish, and a metric of scaled samples is the
//! scaled metric to the last bit.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};

/// Where clouds are brought whose pairs of points are compared: the largest difference is about 2^200, so
/// that fourth powers stay finite and differences down to 2^-730 of it have squares.
pub(crate) const WIDE: i32 = 200;

/// A power of two as the unit of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit(i32);

impl Unit {
    /// The unit in which `length` is 2^size to 2^(size + 1); of no length (or none that is finite) it is one.
    pub(crate) fn of(length: f64, size: i32) -> Self {
        if !(length > 0.0 && length.is_finite()) {
            return Self(0);
        }
        let exponent = |x: f64| (x.to_bits() >> 52) as i32 - 1023;
        let floor = if length.is_normal() {
            exponent(length)
        } else {
            // 2^54 times a subnormal is normal.
            exponent(length * 18_014_398_509_481_984.0) - 54
        };
        Self(floor - size)
    }

    /// The unit in which the largest of some values is 1 to 2.
    pub(crate) fn of_largest(values: impl Iterator<Item = f64>) -> Self {
        Self::of(values.fold(0.0, |most, value| value.abs().max(most)), 0)
    }

    pub(crate) fn exponent(self) -> i32 {
        self.0
    }

    /// Its logarithm.
    pub(crate) fn ln(self) -> f64 {
        f64::from(self.0) * std::f64::consts::LN_2
    }

    /// A length in this unit.
    pub(crate) fn measure(self, length: f64) -> f64 {
        times_power(length, -self.0)
    }

    /// What was found in this unit, of lengths to the power `degree`, in the units of the caller.
    pub(crate) fn back(self, value: f64, degree: f64) -> f64 {
        let exponent = f64::from(self.0) * degree;
        let whole = exponent.floor();
        times_power(value * (exponent - whole).exp2(), whole as i32)
    }
}

/// x 2^exponent, rounded once.
fn times_power(mut x: f64, mut exponent: i32) -> f64 {
    let power = |k: i32| f64::from_bits(((1023 + k) as u64) << 52);
    while exponent.abs() > 1000 && x != 0.0 && x.is_finite() {
        let step = 1000 * exponent.signum();
        x *= power(step);
        exponent -= step;
    }
    x * power(exponent.clamp(-1000, 1000))
}

/// Two clouds of checked points in a unit of their own.
pub(crate) struct Framed {
    pub(crate) x: Array2<f64>,
    pub(crate) y: Array2<f64>,
    pub(crate) unit: Unit,
}

/// Two clouds in the unit in which their largest difference along an axis is about 2^size.
///
/// Differences matter, offsets do not: a column whose values lie within a factor of two of each other
/// is counted from the least of them, which subtracts exactly (Sterbenz). No digit is rounded.
pub(crate) fn framed(x: ArrayView2<f64>, y: ArrayView2<f64>, size: i32) -> Framed {
    framed_beside(0.0, x, y, size)
}

/// The same in a unit in which another length is at most 2^size to 2^(size + 1) as well.
pub(crate) fn framed_beside(
    length: f64,
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    size: i32,
) -> Framed {
    let mut extent = length;
    let origins: Vec<f64> = x
        .columns()
        .into_iter()
        .zip(y.columns())
        .map(|(p, q)| {
            let (low, high) = range(p.iter().chain(q));
            // Beyond the largest double it is as good as that.
            extent = extent.max((high - low).min(f64::MAX));
            match (low > 0.0 && 0.5 * high <= low, high < 0.0 && 0.5 * low >= high) {
                (true, _) => low,
                (_, true) => high,
                _ => 0.0,
            }
        })
        .collect();
    let unit = Unit::of(extent, size);
    let moved = |cloud: ArrayView2<f64>| {
        let mut cloud = cloud.to_owned();
        for (mut column, origin) in cloud.axis_iter_mut(Axis(1)).zip(&origins) {
            column.mapv_inplace(|value| unit.measure(value - origin));
        }
        cloud
    };
    Framed { x: moved(x), y: moved(y), unit }
}

fn range<'a>(values: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

/// The unit of the largest of some values, and in it their mean and the sum of squares about it.
pub(crate) fn moments(values: ArrayView1<f64>) -> (Unit, f64, f64) {
    let unit = Unit::of_largest(values.iter().copied());
    let values = || values.iter().map(|value| unit.measure(*value));
    let mean = values().sum::<f64>() / values().count() as f64;
    (unit, mean, values().map(|value| (value - mean) * (value - mean)).sum())
}

/// Standard deviation of values of any size, divided by n - 1; NaN of a single one.
pub(crate) fn deviation(values: ArrayView1<f64>) -> f64 {
    let (unit, _, squares) = moments(values);
    unit.back((squares / (values.len() as f64 - 1.0)).sqrt(), 1.0)
}

/// Mean of values of any size.
pub(crate) fn mean(values: ArrayView1<f64>) -> f64 {
    let (unit, mean, _) = moments(values);
    unit.back(mean, 1.0)
}

/// A result, if a double holds it.
pub(crate) fn finite(what: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::OutOfRange { what, value }) }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn powers_of_two_change_no_digit() {
        let x = 1.234_567_890_123_456_7;
        for k in [-1022, -1000, -537, -1, 0, 1, 537, 1000, 1023] {
            let y = times_power(x, k);
            assert_eq!(
                (y.to_bits() << 12, y.to_bits() >> 52),
                (x.to_bits() << 12, (1023 + k) as u64)
            );
        }
        // Rounded once where digits are lost.
        assert_eq!(times_power(x, -1070), 20.0 * 5e-324);
        for length in [5e-324, 1e-310, 1e-300, 1.0, 1.5, 1e300, f64::MAX] {
            let unit = Unit::of(length, 0);
            let found = unit.measure(length);
            assert!((1.0..2.0).contains(&found), "{length:e}: {found}");
            assert_eq!(unit.back(found, 1.0), length);
            assert_eq!(Unit::of(length, 200).measure(length), found * 2.0_f64.powi(200));
        }
        assert_eq!(Unit::of(8.0, 0).back(3.0, 0.5), 3.0 * 8.0_f64.sqrt());
        assert_eq!((times_power(0.0, i32::MAX), times_power(1.0, -5000)), (0.0, 0.0));
    }

    #[test]
    fn offsets_are_no_extent() {
        let x = array![[1e200, -1.0, -3e-5], [1.5e200, 1.0, -4e-5]];
        let y = array![[1.25e200, 0.5, -3.5e-5]];
        let found = framed(x.view(), y.view(), 0);
        assert_eq!(found.unit, Unit::of(0.5e200, 0));
        assert_eq!(found.unit.back(found.y[[0, 0]], 1.0), 1.25e200 - 1e200);
        let still = framed(x.view(), x.view(), 0);
        let huge = array![[-1.7e308], [1.7e308]];
        let found = framed(huge.view(), huge.view(), 0);
        assert!(
            found.x.iter().all(|value| value.abs() < 2.0) && still.x.iter().all(|v| v.is_finite())
        );
    }

    #[test]
    fn deviations_of_any_size() {
        for scale in [1e-300, 1.0, 1e300] {
            let values = array![1.0, 2.0, 6.0] * scale;
            assert!((mean(values.view()) / scale - 3.0).abs() < 1e-15);
            assert!((deviation(values.view()) / scale - 7.0_f64.sqrt()).abs() < 1e-15);
        }
    }
}
