//! Axes: from data to a fraction of a length, and the ticks on the way.

use crate::number::short;

/// How data become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Proportional.
    Linear,
    /// Logarithmic.
    Log,
    /// By the square root: opens up small values.
    Sqrt,
}

impl Scale {
    fn map(self, v: f64) -> f64 {
        match self {
            Self::Linear => v,
            Self::Log => v.max(f64::MIN_POSITIVE).log10(),
            Self::Sqrt => v.max(0.0).sqrt(),
        }
    }
}

/// One axis: its scale, range, ticks and name.
///
/// ```
/// let axis = report::Axis::linear(0.0, 1.0, "time");
/// assert_eq!(axis.ticks.len(), 3);
/// assert_eq!(axis.fraction(0.25), 0.25);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Scale.
    pub scale: Scale,
    /// The value at the left or bottom end (may be the larger one).
    pub lo: f64,
    /// The value at the other end.
    pub hi: f64,
    /// Ticks: value and label (empty: a grid line only).
    pub ticks: Vec<(f64, String)>,
    /// Name.
    pub label: String,
}

impl Axis {
    /// A linear axis with ticks at round numbers.
    #[must_use]
    pub fn linear(lo: f64, hi: f64, label: &str) -> Self {
        let (lo, hi) = if hi > lo { (lo, hi) } else { (lo - 0.5, lo + 0.5) };
        let raw = (hi - lo) / 4.6;
        let mag = 10f64.powf(raw.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * mag).find(|s| *s >= raw).unwrap_or(raw);
        // Where neighbouring doubles are further apart than the ticks, or overflow, there are none.
        let first = (lo / step - 1e-9).ceil();
        let ticks = (0..16)
            .map(|k| (first + f64::from(k)) * step)
            .take_while(|v| *v <= hi + 1e-9 * step)
            .map(|v| (v, short(v)))
            .collect();
        Self { scale: Scale::Linear, lo, hi, ticks, label: label.into() }
    }

    /// A linear axis from `-reach` to `reach`.
    #[must_use]
    pub fn around_zero(reach: f64, label: &str) -> Self {
        Self::linear(-reach, reach, label)
    }

    /// A logarithmic axis that holds every positive value of `values`, with room at both ends.
    #[must_use]
    pub fn log_around(values: impl IntoIterator<Item = f64>, label: &str) -> Self {
        let (mut lo, mut hi) = (f64::INFINITY, 0.0_f64);
        for v in values.into_iter().filter(|v| v.is_finite() && *v > 0.0) {
            lo = lo.min(v);
            hi = hi.max(v);
        }
        if hi == 0.0 {
            (lo, hi) = (0.1, 1.0);
        }
        let room = ((hi / lo).log10() * 0.08).max(0.08);
        Self::log(lo * 10f64.powf(-room), hi * 10f64.powf(room), label)
    }

    /// A logarithmic axis from `lo` to `hi`.
    #[must_use]
    pub fn log(lo: f64, hi: f64, label: &str) -> Self {
        let decades = (hi / lo).log10();
        if decades < 0.75 {
            // Too short for powers of ten: ticks as on a linear axis.
            return Self { scale: Scale::Log, ..Self::linear(lo, hi, label) };
        }
        let (fine, every) = (decades < 2.6, if decades > 5.0 { 2 } else { 1 });
        let mut ticks = Vec::new();
        // No double lies beyond these powers, whatever became of the ends.
        let power = |v: f64| v.log10().clamp(-330.0, 310.0);
        for k in power(lo).floor() as i32..=power(hi).ceil() as i32 {
            for m in [1.0, 2.0, 5.0] {
                let v = m * 10f64.powi(k);
                let named = fine || k % every == 0;
                if v >= lo * (1.0 - 1e-9) && v <= hi * (1.0 + 1e-9) && (m == 1.0 || fine) {
                    ticks.push((v, if named { short(v) } else { String::new() }));
                }
            }
        }
        Self { scale: Scale::Log, lo, hi, ticks, label: label.into() }
    }

    /// An axis by the square root from `lo` to `hi`, with given ticks.
    #[must_use]
    pub fn sqrt(lo: f64, hi: f64, ticks: impl IntoIterator<Item = f64>, label: &str) -> Self {
        let ticks = ticks.into_iter().map(|v| (v, short(v))).collect();
        Self { scale: Scale::Sqrt, lo, hi, ticks, label: label.into() }
    }

    /// An axis of named places `0, 1, ..` from left to right.
    #[must_use]
    pub fn places<S: ToString>(names: &[S], label: &str) -> Self {
        let ticks = names.iter().enumerate().map(|(k, n)| (k as f64, n.to_string())).collect();
        let hi = names.len() as f64 - 0.6;
        Self { scale: Scale::Linear, lo: -0.4, hi, ticks, label: label.into() }
    }

    /// An axis of named rows `0, 1, ..` from the top down.
    #[must_use]
    pub fn rows<S: ToString>(names: &[S]) -> Self {
        let lo = names.len() as f64 - 0.5;
        Self { lo, hi: -0.5, ..Self::places(names, "") }
    }

    /// An axis without ticks or name.
    #[must_use]
    pub fn bare(lo: f64, hi: f64) -> Self {
        Self { ticks: Vec::new(), ..Self::linear(lo, hi, "") }
    }

    /// The same with its ends exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { lo: self.hi, hi: self.lo, ..self }
    }

    /// Where a value lies: 0 at the left or bottom end, 1 at the other.
    #[must_use]
    pub fn fraction(&self, v: f64) -> f64 {
        let (a, b) = (self.scale.map(self.lo), self.scale.map(self.hi));
        (self.scale.map(v) - a) / (b - a)
    }
}
