//! A potential that is wrong in a known way.

use ndarray::Array2;
use sde_core::analytic::AnalyticScore;
use sde_core::{Derivatives, Error, Potential, Result, Score, ScoreJvp, Sde};

use super::target::Target;

/// The log-density of `p_t * N(0, width^2 I)` and its derivatives, as of a network too smooth: no forward process has these laws,
/// so samplers of different `eta` draw from different ones.
pub(super) struct Blurred<'a> {
    pub(super) target: &'a Target,
    pub(super) width: f64,
    pub(super) sde: &'a dyn Sde,
}

impl Blurred<'_> {
    /// Something of the law at a time.
    pub(super) fn at<T>(
        &self,
        t: f64,
        of: impl FnOnce(&AnalyticScore<'_>) -> Result<T>,
    ) -> Result<T> {
        // Blurring p_t by `width` is noising data that were blurred by `width / alpha`.
        let mut target = self.target.clone();
        // Where nothing is left of the data, their blur may be anything that is finite.
        let before = (self.width / self.sde.marginal(t).alpha).min(1e150);
        target.stds.iter_mut().for_each(|s| *s = s.hypot(before));
        of(&target.mixture().map_err(|e| Error::Model(e.into()))?.under(self.sde))
    }
}

impl Score<Array2<f64>> for Blurred<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        self.at(t, |score| score.score(x, t))
    }
}

impl ScoreJvp<Array2<f64>> for Blurred<'_> {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        t: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        self.at(t, |score| score.score_jvp(x, t, v))
    }

    fn divergence(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        self.at(t, |score| score.divergence(x, t))
    }
}

/// The blurred law solves the Fokker-Planck equation of another noise, $g^2 - 2 a w^2$: a component of variance `V + w^2` has
/// `(V + w^2)' = 2 a (V + w^2) + g^2 - 2 a w^2`. From this its derivative in time; its residual is $-a w^2 (\Delta \varphi + |s|^2)$.
impl Potential<Array2<f64>> for Blurred<'_> {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        // Rows come at one time, or each at its own.
        let Some(one) = t.first().copied().filter(|one| t.iter().all(|t| t == one)) else {
            return self.row_by_row(x, t);
        };
        let found = self.at(one, |score| score.derivatives(x, t))?;
        let a = self.sde.drift_coef(one);
        let half = 0.5 * (self.sde.diffusion_squared(one) - 2.0 * a * self.width * self.width);
        let rows = x.outer_iter().zip(found.score.outer_iter()).zip(&found.laplacian);
        let d_t = rows
            .map(|((x, s), lap)| half * (lap + s.dot(&s)) - a * (x.len() as f64 + x.dot(&s)))
            .collect();
        Ok(Derivatives { d_t, ..found })
    }
}

impl Blurred<'_> {
    fn row_by_row(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        if x.nrows() != t.len() {
            return Err(Error::Shape { expected: vec![x.nrows()], found: vec![t.len()] });
        }
        let mut all = Derivatives {
            potential: vec![],
            score: Array2::zeros((0, x.ncols())),
            d_t: vec![],
            laplacian: vec![],
        };
        for (row, t) in x.outer_iter().zip(t) {
            let row = row.to_owned().insert_axis(ndarray::Axis(0));
            let found = self.derivatives(&row, &[*t])?;
            all.potential.extend(found.potential);
            all.d_t.extend(found.d_t);
            all.laplacian.extend(found.laplacian);
            all.score.push_row(found.score.row(0)).map_err(|e| Error::Model(e.into()))?;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use sde_core::Ou;

    use super::*;

    /// Blurred by nothing it is the density itself; its derivatives are those of its log-density.
    #[test]
    fn a_blurred_potential_has_its_own_derivatives() -> Result<()> {
        let sde = Ou::new(10.0)?;
        let target = Target {
            weights: vec![0.4, 0.6],
            means: vec![vec![-1.0, 0.2], vec![0.7, -0.4]],
            stds: vec![0.3, 0.5],
        };
        let x = ndarray::array![[0.1, -0.3], [1.2, 0.4]];
        for width in [0.0, 0.2] {
            let model = Blurred { target: &target, width, sde: &sde };
            for t in [0.0, 0.4, 9.0] {
                let at = |d: [f64; 2]| {
                    let moved = &x + &ndarray::aview1(&d);
                    model.at(t, |p| p.log_density(&moved, t))
                };
                let (h, score) = (1e-4, model.score(&x, t)?);
                let (up, down, middle) = (at([h, 0.0])?, at([-h, 0.0])?, at([0.0, 0.0])?);
                let (left, right) = (at([0.0, -h])?, at([0.0, h])?);
                let divergence = model.divergence(&x, t)?;
                // Forward in time at the data, where there is nothing before.
                let (first, second) = (t.max(h) - h, t.max(h) + h);
                let [before, after] =
                    [first, second].map(|t| model.at(t, |p| p.log_density(&x, t)));
                let (before, after) = (before?, after?);
                let found = model.derivatives(&x, &[t.max(h); 2])?;
                for k in 0..2 {
                    let slope = (up[k] - down[k]) / (2.0 * h);
                    assert!((score[[k, 0]] - slope).abs() < 1e-5, "{width} {t} {k}");
                    let change = (after[k] - before[k]) / (second - first);
                    let off = (found.d_t[k] - change).abs();
                    assert!(off < 1e-4 * (1.0 + change.abs()), "{width} {t} {k}: {off:e}");
                    let second = (up[k] + down[k] + left[k] + right[k] - 4.0 * middle[k]) / (h * h);
                    assert!(
                        (divergence[k] - second).abs() < 1e-5 * (1.0 + second.abs()),
                        "{width} {t} {k}"
                    );
                }
            }
        }
        Ok(())
    }
}
