//! Newton's method on the dual, by conjugate gradients.
//!
//! Sinkhorn's iteration contracts by the second eigenvalue of the plan, which tends to one as
//! epsilon falls; conjugate gradients on the same operator need the square root of that many steps.

use rayon::prelude::*;

use super::plan::{Side, reduce_rows, row_sums};
use crate::pairwise::dot;

/// Pairs up to which the Gibbs factors of one Newton step are kept: 32 MiB.
const STORED_PAIRS: usize = 1 << 22;
/// Columns of a stored plan that are summed together.
const COLUMNS: usize = 256;
/// Conjugate gradients stop there: an unfinished direction still ascends.
const MAX_STEPS: usize = 400;

/// The Gibbs factors e at fixed potentials, as a pair of linear maps.
pub(super) struct Factors<'a> {
    x: (&'a Side, &'a [f64]),
    y: (&'a Side, &'a [f64]),
    epsilon: f64,
    stored: Option<Vec<f64>>,
}

impl<'a> Factors<'a> {
    pub(super) fn new(x: (&'a Side, &'a [f64]), y: (&'a Side, &'a [f64]), epsilon: f64) -> Self {
        let (n, m) = (x.0.len(), y.0.len());
        let stored = (n.saturating_mul(m) <= STORED_PAIRS).then(|| {
            let mut all = vec![0.0; n * m];
            all.par_chunks_mut(m).enumerate().for_each(|(i, row)| {
                y.0.points.squared_distances(x.0.points.row(i), 0, row);
                crate::pairwise::gibbs(row, y.1, x.1[i], epsilon.recip());
            });
            all
        });
        Self { x, y, epsilon, stored }
    }

    /// Sum over j of $e_{ij} v_j$.
    fn rows(&self, v: &[f64]) -> Vec<f64> {
        match &self.stored {
            Some(all) => all.par_chunks(v.len()).map(|row| dot(row, v)).collect(),
            None => {
                let ((x, f), (y, g)) = (self.x, self.y);
                row_sums((&x.points, f), (&y.points, g), self.epsilon, v)
            }
        }
    }

    /// Sum over i of $e_{ij} u_i$.
    fn columns(&self, u: &[f64]) -> Vec<f64> {
        let ((x, f), (y, g)) = (self.x, self.y);
        let Some(all) = &self.stored else {
            return row_sums((&y.points, g), (&x.points, f), self.epsilon, u);
        };
        let mut sums = vec![0.0; y.len()];
        sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
            for (row, u) in all.chunks_exact(y.len()).zip(u) {
                let row = &row[block * COLUMNS..][..sums.len()];
                sums.iter_mut().zip(row).for_each(|(sum, e)| *sum += u * e);
            }
        });
        sums
    }

    /// Sum over j of $e_{ij}^2 b_j$.
    fn squares(&self) -> Vec<f64> {
        let ((x, f), (y, g)) = (self.x, self.y);
        let square = |factors: &[f64], mass: &[f64]| -> f64 {
            factors.iter().zip(mass).map(|(e, b)| e * e * b).sum()
        };
        match &self.stored {
            Some(all) => all.par_chunks(y.len()).map(|row| square(row, &y.mass)).collect(),
            None => {
                let (from, to) = ((&x.points, f), (&y.points, g));
                reduce_rows(from, to, self.epsilon, |_, start, _, factors| {
                    square(factors, &y.mass[start..start + factors.len()])
                })
            }
        }
    }

    /// The Newton direction for f, where every column marginal is exact and row marginals are off by
    /// the factors r; with the steps that conjugate gradients took.
    ///
    /// The dual, maximised over g, has the Hessian $-\frac1\varepsilon (\mathrm{diag}(P 1) - P
    /// \mathrm{diag}(b)^{-1} P^\top)$. Divided by the masses a it reads $r \delta - E (b \cdot
    /// E^\top (a \delta)) = \varepsilon (1 - r)$: self-adjoint under the weights a, with the
    /// constants as its null space.
    pub(super) fn direction(&self, tolerance: f64) -> (Vec<f64>, usize) {
        let ((x, _), (y, _)) = (self.x, self.y);
        let a = &x.mass;
        let inner = |u: &[f64], v: &[f64]| -> f64 {
            u.iter().zip(v).zip(a).map(|((u, v), a)| u * v * a).sum()
        };
        // The sums of these very factors: with sums that round differently the constants would not be
        // the null space, and small eigenvalues be lost.
        let ratios = self.rows(&y.mass);
        let conditional: Vec<f64> =
            self.columns(a).iter().zip(&y.mass).map(|(sum, b)| b / sum).collect();
        let apply = |delta: &[f64]| -> Vec<f64> {
            let weighted: Vec<f64> = delta.iter().zip(a).map(|(d, a)| d * a).collect();
            let mut columns = self.columns(&weighted);
            columns.iter_mut().zip(&conditional).for_each(|(value, b)| *value *= b);
            let rows = self.rows(&columns);
            delta.iter().zip(&ratios).zip(&rows).map(|((d, r), row)| r * d - row).collect()
        };
        // The diagonal is r - a sum e^2 b; where a point has one partner it all but vanishes.
        let squares = self.squares();
        let diagonal: Vec<f64> = ratios
            .iter()
            .zip(&squares)
            .zip(a)
            .map(|((r, s), a)| (r - a * s).max(1e-8 * r))
            .collect();
        let precondition = |residual: &[f64]| -> Vec<f64> {
            residual.iter().zip(&diagonal).map(|(r, d)| r / d).collect()
        };
        let mut residual: Vec<f64> = ratios.iter().map(|r| self.epsilon * (1.0 - r)).collect();
        let mut delta = vec![0.0; residual.len()];
        let goal = tolerance * inner(&residual, &residual).sqrt();
        let mut z = precondition(&residual);
        let mut search = z.clone();
        let mut rz = inner(&residual, &z);
        let mut steps = 0;
        while steps < MAX_STEPS && inner(&residual, &residual).sqrt() > goal {
            let image = apply(&search);
            let curvature = inner(&search, &image);
            // Rounding has taken over.
            if !(curvature > 0.0 && rz > 0.0) {
                break;
            }
            let step = rz / curvature;
            for i in 0..delta.len() {
                delta[i] += step * search[i];
                residual[i] -= step * image[i];
            }
            z = precondition(&residual);
            let next = inner(&residual, &z);
            let along = next / rz;
            search.iter_mut().zip(&z).for_each(|(s, z)| *s = z + along * *s);
            rz = next;
            steps += 1;
        }
        let mean: f64 = delta.iter().zip(a).map(|(d, a)| d * a).sum();
        delta.iter_mut().for_each(|d| *d -= mean);
        (delta, steps)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Kept or computed anew, the factors are the same maps.
    #[test]
    fn streaming_changes_nothing() {
        let cloud = |n: usize, shift: f64| {
            Array2::from_shape_fn((n, 2), |(i, k)| ((7 * i + 3 * k) % 11) as f64 / 5.0 + shift)
        };
        let side = |n: usize, shift: f64| {
            let mass = vec![1.0 / n as f64; n];
            Side::new(cloud(n, shift).view(), &mass, 1.0, &[0.0, 0.0]).0
        };
        let (x, y) = (side(300, 0.0), side(1500, 0.4));
        let (f, g) = (vec![0.2; 300], vec![0.3; 1500]);
        let kept = Factors::new((&x, &f), (&y, &g), 0.7);
        let streamed = Factors { stored: None, ..Factors::new((&x, &f), (&y, &g), 0.7) };
        assert!(kept.stored.is_some());
        let agree = |left: Vec<f64>, right: Vec<f64>| {
            assert_eq!(left.len(), right.len());
            for (p, q) in left.iter().zip(&right) {
                assert!((p - q).abs() <= 1e-12 * p.abs(), "{p} {q}");
            }
        };
        let u: Vec<f64> = (0..300).map(|i| 1.0 + f64::from(i % 7)).collect();
        let v: Vec<f64> = (0..1500).map(|j| 1.0 + f64::from(j % 5)).collect();
        agree(kept.rows(&v), streamed.rows(&v));
        agree(kept.columns(&u), streamed.columns(&u));
        agree(kept.squares(), streamed.squares());
    }
}
