//! Integer masses: the network simplex method runs on exact flows.

/// Masses of the two sides in a common integer unit, with equal totals.
pub(crate) struct Masses {
    pub(crate) source: Vec<i64>,
    pub(crate) target: Vec<i64>,
    pub(crate) total: i64,
}

/// Unit for masses that are not all alike: a sum of a side is 2^60, so a rounded mass is off by
/// less than the rounding of a double near one, and sums never overflow.
const TOTAL: i64 = 1 << 60;

/// Rounds positive masses of two sides, each normalised to one, to integers.
///
/// Uniform masses (all equal, on both sides) are represented exactly.
pub(crate) fn integer_masses(a: &[f64], b: &[f64]) -> Masses {
    let uniform = |w: &[f64]| w.iter().all(|&value| value == w[0]);
    if uniform(a) && uniform(b) {
        let common = gcd(a.len(), b.len());
        let (per_a, per_b) = ((b.len() / common) as i64, (a.len() / common) as i64);
        return Masses {
            source: vec![per_a; a.len()],
            target: vec![per_b; b.len()],
            total: per_a * a.len() as i64,
        };
    }
    Masses { source: rounded(a), target: rounded(b), total: TOTAL }
}

fn rounded(weights: &[f64]) -> Vec<i64> {
    let scale = TOTAL as f64 / weights.iter().sum::<f64>();
    // A positive mass stays positive, or its node could not be part of a strongly feasible tree.
    let mut masses: Vec<i64> =
        weights.iter().map(|&w| ((w * scale).round() as i64).max(1)).collect();
    let excess = masses.iter().sum::<i64>() - TOTAL;
    // The rounding left over, a few units in 2^60, goes where it is relatively smallest.
    if let Some(largest) = masses.iter_mut().max() {
        *largest -= excess;
    }
    masses
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
