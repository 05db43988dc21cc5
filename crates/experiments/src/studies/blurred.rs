//! A potential that is wrong in a known way.

use ndarray::Array2;
use sde_core::analytic::AnalyticScore;
use sde_core::{Error, Result, Score, ScoreJvp, Sde};

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
                for k in 0..2 {
                    let slope = (up[k] - down[k]) / (2.0 * h);
                    assert!((score[[k, 0]] - slope).abs() < 1e-5, "{width} {t} {k}");
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
