//! What costs and potentials are made of: doubles, or exact numbers where the digits that a double drops
//! are those that count.

use std::ops::{Add, AddAssign, Neg, Sub};

/// An ordered group with a largest element that is out of reach.
pub(crate) trait Number:
    Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Neg<Output = Self> + AddAssign
{
    const ZERO: Self;
    /// Above every sum of costs.
    const FAR: Self;

    /// About a tenth.
    fn tenth(self) -> Self;

    /// The least of `costs[k] + offers[k]`.
    fn least_sum(costs: &[Self], offers: &[Self]) -> Self {
        let sums = costs.iter().zip(offers).map(|(&cost, &offer)| cost + offer);
        sums.fold(Self::FAR, |least, sum| if sum < least { sum } else { least })
    }
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    const FAR: Self = Self::INFINITY;

    fn tenth(self) -> Self {
        0.1 * self
    }

    /// In eight independent lanes, so that it vectorises.
    fn least_sum(costs: &[Self], offers: &[Self]) -> Self {
        let mut lanes = [Self::INFINITY; 8];
        let (costs, offers) = (costs.chunks_exact(8), offers.chunks_exact(8));
        let mut least = Self::INFINITY;
        for (cost, offer) in costs.remainder().iter().zip(offers.remainder()) {
            least = least.min(cost + offer);
        }
        for (cost, offer) in costs.zip(offers) {
            for k in 0..8 {
                let sum = cost[k] + offer[k];
                lanes[k] = if sum < lanes[k] { sum } else { lanes[k] };
            }
        }
        lanes.iter().fold(least, |low, &lane| low.min(lane))
    }
}
