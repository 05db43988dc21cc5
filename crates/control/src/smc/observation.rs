//! Proposals from the product of a step with the noised measurement: no gradients.

use ndarray::{Array2, Axis};
use sde_core::{Error, Result, Score, Sde};

use super::moves::{Kept, Move, Moved, Particles};
use crate::Measurement;
use crate::backward::Backward;

/// The twist is what the noised measurement says of the noised state along the singular vectors,
/// `N(ybar; V^T x / alpha, s^2/d^2 + sigma^2/alpha^2)`; its product with a step is Gaussian and drawn from exactly.
pub(super) struct Observation<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) score: Box<dyn Score<Array2<f64>> + 'a>,
    pub(super) measurement: Measurement,
}

const LOG_TAU: f64 = 1.837_877_066_409_345_3;

/// `log N(r; 0, v)`.
fn log_normal(r: f64, var: f64) -> f64 {
    -0.5 * (r * r / var + var.ln() + LOG_TAU)
}

/// The noised measurement at one time.
struct Noised {
    alpha: f64,
    /// `alpha ybar`, a row a particle.
    means: Array2<f64>,
    /// `alpha^2 s^2 / d^2 + sigma^2`.
    vars: Vec<f64>,
    /// `log p(y)` of what does not depend on the state.
    constants: Vec<f64>,
}

impl Observation<'_> {
    fn noised(&self, rows: usize, t: f64) -> Result<Noised> {
        let m = self.sde.marginal(t);
        let (known, stds) = self.measurement.spectral(rows)?;
        let var = |s: &f64| (m.alpha * s).powi(2) + m.sigma * m.sigma;
        let vars: Vec<f64> = stds.iter().map(var).collect();
        if vars.contains(&0.0) {
            let reason =
                format!("a measurement without noise has no density at t = {t}: stop before");
            return Err(Error::Parameter { name: "noise".into(), value: "0".into(), reason });
        }
        let constants = self.constants(rows)?;
        Ok(Noised { alpha: m.alpha, means: known * m.alpha, vars, constants })
    }

    /// The change of variables from `y` to `ybar`, and the density of what of `y` is outside the range of `A`.
    fn constants(&self, rows: usize) -> Result<Vec<f64>> {
        let (a, s2) = (self.measurement.operator(), self.measurement.noise().powi(2));
        let d = a.singular_values();
        let scale = -d.iter().map(|d| d.ln()).sum::<f64>();
        let outside = a.output_len() - d.len();
        if outside == 0 || s2 == 0.0 {
            return Ok(vec![scale; rows]);
        }
        let y = self.measurement.values(rows)?;
        let inside = a.apply(&a.pseudo_inverse(&y)?)?;
        let rest = (y - inside).mapv(|r| r * r).sum_axis(Axis(1));
        let norm = outside as f64 * (s2.ln() + LOG_TAU);
        Ok(rest.iter().map(|r| scale - 0.5 * (r / s2 + norm)).collect())
    }

    /// From `m + c z` to a draw of the product with the noised measurement; the logarithms of its mass.
    fn product(
        &self,
        mean: Array2<f64>,
        c: f64,
        z: &Array2<f64>,
        at: &Noised,
    ) -> Result<(Array2<f64>, Vec<f64>)> {
        let operator = self.measurement.operator();
        let mut log = at.constants.clone();
        if at.alpha == 0.0 {
            // Nothing of the data is left that could be measured.
            return Ok((mean + z * c, vec![0.0; log.len()]));
        }
        let (m, z_seen) = (operator.project(&mean)?, operator.project(z)?);
        let mut change = Array2::zeros(m.dim());
        for ((b, i), change) in change.indexed_iter_mut() {
            let (v, gap) = (at.vars[i], at.means[[b, i]] - m[[b, i]]);
            let total = c * c + v;
            let std = c * (v / total).sqrt();
            *change = c * c / total * gap + (std - c) * z_seen[[b, i]];
            // A density of ybar, not of alpha ybar.
            log[b] += log_normal(gap, total) + at.alpha.ln();
        }
        Ok((mean + z * c + operator.expand(&change)?, log))
    }

    /// The logarithm of the twist at particles.
    fn log_twist(&self, x: &Array2<f64>, at: &Noised) -> Result<Vec<f64>> {
        // The product with a step that has no width.
        Ok(self.product(x.clone(), 0.0, &Array2::zeros(x.dim()), at)?.1)
    }
}

impl Move for Observation<'_> {
    fn start(&self, z: &Array2<f64>, t: f64) -> Result<(Array2<f64>, Vec<f64>)> {
        let at = self.noised(z.nrows(), t)?;
        self.product(Array2::zeros(z.dim()), self.sde.prior_std(), z, &at)
    }

    fn arrive(&self, _: &Array2<f64>, _: f64) -> Result<Kept> {
        Ok(vec![])
    }

    fn advance(
        &self,
        x: &Array2<f64>,
        _: &Kept,
        (t0, t1): (f64, f64),
        z: &Array2<f64>,
    ) -> Result<Moved> {
        let (m0, m1) = (self.sde.marginal(t0), self.sde.marginal(t1));
        let Backward { data: a, state: b, std: c } = Backward::new(m0, m1);
        let s = self.score.score(x, t0)?;
        let data = if m0.alpha > 0.0 {
            (x + s * (m0.sigma * m0.sigma)) / m0.alpha
        } else if let Some(data) = self.score.denoised(x, t0)? {
            data
        } else {
            let reason = format!("no signal is left at t = {t0}: begin below it");
            return Err(Error::Parameter { name: "alpha".into(), value: "0".into(), reason });
        };
        let before = self.log_twist(x, &self.noised(x.nrows(), t0)?)?;
        let after = self.noised(x.nrows(), t1)?;
        let (x, mass) = self.product(data * a + x * b, c, z, &after)?;
        let log_factors = mass.iter().zip(&before).map(|(m, b)| m - b).collect();
        Ok(Moved { x, log_factors, kept: Vec::<Particles>::new() })
    }

    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        self.score.score(x, t)
    }
}
