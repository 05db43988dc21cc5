//! Newton's method on the dual, by conjugate gradients.
//!
//! Sinkhorn's iteration contracts by the second eigenvalue of the plan, which tends to one as
//! epsilon falls; conjugate gradients on the same operator need the square root of that many steps.

use rayon::prelude::*;

use super::plan::{Side, reduce_rows, row_sums};
use crate::pairwise::dot;

/// Pairs up to which the Gibbs factors of one Newton step are kept: 32 MiB.
const STORED_PAIRS: usize = 1 << 22;
/// Entries up to which only those that count are kept, as a share of all pairs.
const SPARSE: usize = 8;
/// Entries below this, of what their row and their column add up to, do not count.
const NOTHING: f64 = 1e-20;
/// Columns of a stored plan that are summed together.
const COLUMNS: usize = 256;
/// Conjugate gradients stop there: an unfinished direction still ascends.
const MAX_STEPS: usize = 400;
/// The same where few factors count and a step costs next to nothing.
const MAX_CHEAP_STEPS: usize = 4000;

/// The Gibbs factors e at fixed potentials, as a pair of linear maps.
pub(super) struct Factors<'a> {
    x: (&'a Side, &'a [f64]),
    y: (&'a Side, &'a [f64]),
    epsilon: f64,
    stored: Stored,
}

/// What is kept of the factors.
enum Stored {
    /// All of them, row by row.
    All(Vec<f64>),
    /// Those that count, `(column, factor)` of every row: where epsilon is small, a few a point.
    Few(Vec<Vec<(u32, f64)>>),
    /// None: they are computed anew.
    Nothing,
}

impl<'a> Factors<'a> {
    pub(super) fn new(x: (&'a Side, &'a [f64]), y: (&'a Side, &'a [f64]), epsilon: f64) -> Self {
        let (n, m) = (x.0.len(), y.0.len());
        let row = |i: usize, row: &mut [f64]| {
            y.0.points.squared_distances(x.0.points.row(i), 0, row);
            crate::pairwise::gibbs(row, y.1, x.1[i], epsilon.recip());
        };
        let few: Vec<Vec<(u32, f64)>> = (0..n)
            .into_par_iter()
            .map_init(
                || vec![0.0; m],
                |factors, i| {
                    row(i, factors);
                    let floor = NOTHING * dot(factors, &y.0.mass);
                    let counts = |(j, e): (usize, &f64)| {
                        let seen = e * y.0.mass[j] > floor || e * x.0.mass[i] > NOTHING;
                        seen.then_some((j as u32, *e))
                    };
                    // One more than is worth it says that it is not.
                    let most = m / SPARSE + 1;
                    factors.iter().enumerate().filter_map(counts).take(most).collect()
                },
            )
            .collect();
        let stored = if few.iter().all(|row| row.len() <= m / SPARSE) {
            Stored::Few(few)
        } else if n.saturating_mul(m) <= STORED_PAIRS {
            let mut all = vec![0.0; n * m];
            all.par_chunks_mut(m).enumerate().for_each(|(i, factors)| row(i, factors));
            Stored::All(all)
        } else {
            Stored::Nothing
        };
        Self { x, y, epsilon, stored }
    }

    /// Passes over all pairs that a pass over what is stored takes.
    fn share(&self) -> f64 {
        let Stored::Few(rows) = &self.stored else { return 1.0 };
        let kept: usize = rows.iter().map(Vec::len).sum();
        kept as f64 / (self.x.0.len() * self.y.0.len()) as f64
    }

    /// Sum over j of $e_{ij} v_j$.
    fn rows(&self, v: &[f64]) -> Vec<f64> {
        let ((x, f), (y, g)) = (self.x, self.y);
        match &self.stored {
            Stored::All(all) => all.par_chunks(v.len()).map(|row| dot(row, v)).collect(),
            Stored::Few(rows) => {
                let sum = |row: &Vec<(u32, f64)>| row.iter().map(|&(j, e)| e * v[j as usize]).sum();
                rows.iter().map(sum).collect()
            }
            Stored::Nothing => row_sums((&x.points, f), (&y.points, g), self.epsilon, v),
        }
    }

    /// Sum over i of $e_{ij} u_i$.
    fn columns(&self, u: &[f64]) -> Vec<f64> {
        let ((x, f), (y, g)) = (self.x, self.y);
        let mut sums = vec![0.0; y.len()];
        match &self.stored {
            Stored::All(all) => {
                sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
                    for (row, u) in all.chunks_exact(y.len()).zip(u) {
                        let row = &row[block * COLUMNS..][..sums.len()];
                        sums.iter_mut().zip(row).for_each(|(sum, e)| *sum += u * e);
                    }
                });
                sums
            }
            Stored::Few(rows) => {
                for (row, u) in rows.iter().zip(u) {
                    row.iter().for_each(|&(j, e)| sums[j as usize] += u * e);
                }
                sums
            }
            Stored::Nothing => row_sums((&y.points, g), (&x.points, f), self.epsilon, u),
        }
    }

    /// Sum over j of $e_{ij}^2 b_j$.
    fn squares(&self) -> Vec<f64> {
        let ((x, f), (y, g)) = (self.x, self.y);
        let square = |factors: &[f64], mass: &[f64]| -> f64 {
            factors.iter().zip(mass).map(|(e, b)| e * e * b).sum()
        };
        match &self.stored {
            Stored::All(all) => all.par_chunks(y.len()).map(|row| square(row, &y.mass)).collect(),
            Stored::Few(rows) => {
                let square = |&(j, e): &(u32, f64)| e * e * y.mass[j as usize];
                rows.iter().map(|row| row.iter().map(square).sum()).collect()
            }
            Stored::Nothing => {
                let (from, to) = ((&x.points, f), (&y.points, g));
                reduce_rows(from, to, self.epsilon, |_, start, _, factors| {
                    square(factors, &y.mass[start..start + factors.len()])
                })
            }
        }
    }

    /// The Newton direction for f, where every column marginal is exact and row marginals are off by
    /// the factors r; with what conjugate gradients took, in passes over all pairs and back.
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
        let most = if matches!(self.stored, Stored::Few(_)) { MAX_CHEAP_STEPS } else { MAX_STEPS };
        while steps < most && inner(&residual, &residual).sqrt() > goal {
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
        (delta, (steps as f64 * self.share()).ceil() as usize)
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
            Side::new(cloud(n, shift).view(), &mass, 1.0, 1.0).0
        };
        let (x, y) = (side(300, 0.0), side(1500, 0.4));
        let (f, g) = (vec![0.2; 300], vec![0.3; 1500]);
        let kept = Factors::new((&x, &f), (&y, &g), 0.7);
        let streamed = Factors { stored: Stored::Nothing, ..Factors::new((&x, &f), (&y, &g), 0.7) };
        assert!(matches!(kept.stored, Stored::All(_)));
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
        // Where few factors count, the others are zero to all digits.
        let (f, g) = (vec![0.0; 300], vec![0.0; 1500]);
        let few = Factors::new((&x, &f), (&y, &g), 1e-4);
        let streamed =
            Factors { stored: Stored::Nothing, ..Factors::new((&x, &f), (&y, &g), 1e-4) };
        assert!(matches!(few.stored, Stored::Few(_)));
        agree(few.rows(&v), streamed.rows(&v));
        agree(few.columns(&u), streamed.columns(&u));
        agree(few.squares(), streamed.squares());
    }
}
