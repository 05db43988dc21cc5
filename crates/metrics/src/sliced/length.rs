//! Powers of lengths, none of which overflows, and of which the largest does not vanish.

use crate::scale::Unit;

/// A length in units of which lengths are raised to the power p.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    unit: f64,
    p: f64,
}

impl Length {
    /// The length itself, if it is the largest of those to be raised: no power is then above one. Of p = 1
    /// and p = 2, whose powers are exact enough, the power of two below it, which changes no digit.
    pub(crate) fn unit(largest: f64, p: f64) -> Self {
        let unit = if p == 1.0 || p == 2.0 { Unit::of(largest, 0).back(1.0, 1.0) } else { largest };
        Self { unit: if largest > 0.0 { unit } else { 1.0 }, p }
    }

    /// The power p of a length in this unit.
    pub(crate) fn raise(self, length: f64) -> f64 {
        let ratio = length / self.unit;
        match self.p {
            1.0 => ratio,
            2.0 => ratio * ratio,
            p => ratio.powf(p),
        }
    }

    /// The length of a power.
    pub(crate) fn root(self, power: f64) -> f64 {
        let root = match self.p {
            1.0 => power,
            2.0 => power.sqrt(),
            p => power.powf(p.recip()),
        };
        self.unit * root
    }
}

/// A sum of p-th powers of lengths, in units of one of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power {
    pub(super) unit: Length,
    pub(super) sum: f64,
}

impl Power {
    /// Of lengths, each with its share.
    pub(super) fn of(lengths: impl Iterator<Item = (f64, f64)> + Clone, p: f64) -> Self {
        let largest = lengths.clone().fold(0.0, |most: f64, (_, length)| most.max(length));
        let unit = Length::unit(largest, p);
        Self { unit, sum: lengths.map(|(share, length)| share * unit.raise(length)).sum() }
    }

    /// The p-th root.
    pub(super) fn root(self) -> f64 {
        self.unit.root(self.sum)
    }

    /// The sum in units of another length, which is at least about as large.
    pub(super) fn within(self, other: Length) -> f64 {
        self.sum * other.raise(self.unit.unit)
    }

    /// The largest unit of several.
    pub(super) fn largest(powers: &[Self], p: f64) -> Length {
        let largest = powers.iter().filter(|power| power.sum > 0.0).map(|power| power.unit.unit);
        Length::unit(largest.fold(0.0, f64::max), p)
    }
}
