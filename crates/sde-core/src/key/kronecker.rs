//! Randomised quasi-Monte Carlo: Kronecker (rank-1) sequences under a uniform random shift.

use super::{Key, quantile::quantile};

/// A Kronecker (rank-1) sequence under a random shift: quasi-Monte Carlo points of the unit cube, `D` coordinates each,
///
/// `u_i = frac(shift + i (phi^-1, ..., phi^-D))`, `phi^(D+1) = phi + 1`,
///
/// whose shift is uniform under its key. Every single point is therefore uniform and an average over
/// any stretch of points is unbiased, with an error that falls nearly like `1/n` for smooth
/// integrands, where independent points give `1/sqrt(n)`. Point `i` is a function of the key and `i`
/// alone. Made for a few dimensions; beyond about ten there is little left to gain.
///
/// # Reference
/// Cranley and Patterson 1976 (the shift); Roberts 2018, "The unreasonable effectiveness of
/// quasirandom sequences" (the slopes, a generalised golden ratio).
///
/// ```
/// use sde_core::{Key, KroneckerSequence};
/// let sequence = KroneckerSequence::new(Key::root(1), 2);
/// let mut u = [0.0; 2000];
/// sequence.fill_uniforms(0, &mut u);
/// // The mean of x y over a thousand points is close to 1/4: independent ones scatter by 7e-3.
/// let mean = u.chunks(2).map(|u| u[0] * u[1]).sum::<f64>() / 1000.0;
/// assert!((mean - 0.25).abs() < 2e-3);
/// ```
#[derive(Clone, Debug)]
pub struct KroneckerSequence {
    /// Shift and slope of every coordinate, in units of `2^-64`.
    axes: Vec<(u64, u64)>,
}

impl KroneckerSequence {
    /// The sequence in `dim` dimensions under `key`.
    pub fn new(key: Key, dim: usize) -> Self {
        let mut shift = vec![0.0; 2 * dim];
        key.fill_uniforms(0, &mut shift);
        let word = |u: f64| (u * TWO_POW_32) as u64;
        let ratio = generalised_golden_ratio(dim);
        let mut power = 1.0;
        let axis = |shift: &[f64]| {
            power /= ratio;
            (word(shift[0]) << 32 | word(shift[1]), (power * TWO_POW_32 * TWO_POW_32) as u64)
        };
        Self { axes: shift.chunks_exact(2).map(axis).collect() }
    }

    /// Coordinates of a point.
    pub fn dim(&self) -> usize {
        self.axes.len()
    }

    /// Writes points `first`, `first + 1`, ... into `out`, [`KroneckerSequence::dim`] coordinates in (0, 1)
    /// each.
    pub fn fill_uniforms(&self, first: u64, out: &mut [f64]) {
        for (i, point) in (first..).zip(out.chunks_mut(self.dim())) {
            for (u, axis) in point.iter_mut().zip(&self.axes) {
                *u = midpoint(word(*axis, i));
            }
        }
    }

    /// As [`KroneckerSequence::fill_uniforms`], each coordinate turned into a standard normal.
    pub fn fill_normals(&self, first: u64, out: &mut [f64]) {
        self.fill_uniforms(first, out);
        out.iter_mut().for_each(|u| *u = quantile(*u));
    }
}

const TWO_POW_32: f64 = 4_294_967_296.0;

fn word((shift, slope): (u64, u64), i: u64) -> u64 {
    shift.wrapping_add(slope.wrapping_mul(i))
}

/// The midpoint of one of `2^52` cells.
fn midpoint(word: u64) -> f64 {
    ((word >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// The root above 1 of `x^(d+1) = x + 1`, by Newton from above, where the polynomial is convex.
fn generalised_golden_ratio(dim: usize) -> f64 {
    let mut x = 2.0_f64;
    for _ in 0..60 {
        let mut power = 1.0;
        for _ in 0..dim {
            power *= x;
        }
        x -= (power * x - x - 1.0) / ((dim as f64 + 1.0) * power - 1.0);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_powers_of_the_generalised_golden_ratio() {
        assert!((generalised_golden_ratio(1) - 0.5 * (1.0 + 5_f64.sqrt())).abs() < 1e-15);
        assert!((generalised_golden_ratio(2) - 1.324_717_957_244_746).abs() < 1e-15);
        for dim in 1..12 {
            let x = generalised_golden_ratio(dim);
            assert!((x.powi(dim as i32 + 1) - x - 1.0).abs() < 1e-13, "{dim}");
        }
    }
}
