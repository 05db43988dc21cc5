//! The density of every sampler of a wrong potential, where it is known.

use std::time::Instant;

use ::solvers::Control;
use ::solvers::density::{PathDensity, sampler_log_density};
use anyhow::Result;
use ndarray::Array2;
use sde_core::analytic::{AnalyticScore, GaussianMixture};
use sde_core::{Derivatives, Key, Potential, Score, Sde, State as _, TimeGrid};

use super::{Config, Row};
use report::short;

/// What its rows are called by.
pub(super) const NAME: &str = "identity";
/// Standard deviation of the data.
pub(super) const STD: f64 = 0.8;
/// What their log-density is multiplied by.
pub(super) const SCALE: f64 = 1.2;

/// A potential times a constant.
struct Scaled<'a>(AnalyticScore<'a>);

impl Score<Array2<f64>> for Scaled<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
        Ok(self.0.score(x, t)? * SCALE)
    }
}

impl Potential<Array2<f64>> for Scaled<'_> {
    fn derivatives(
        &self,
        x: &Array2<f64>,
        t: &[f64],
    ) -> sde_core::Result<Derivatives<Array2<f64>>> {
        let d = self.0.derivatives(x, t)?;
        let times = |v: Vec<f64>| v.into_iter().map(|v| SCALE * v).collect();
        Ok(Derivatives {
            potential: times(d.potential),
            score: d.score * SCALE,
            d_t: times(d.d_t),
            laplacian: times(d.laplacian),
        })
    }
}

/// Variance at `t_end` of what the sampler draws: with `s = -c x / v(t)` it is a Gaussian, and
///
/// `dV/dt = 2 (a + (1 + eta^2)/2 g^2 c / v) V - eta^2 g^2`, down from the prior's (Runge-Kutta 4).
pub(super) fn variance(sde: &dyn Sde, eta: f64, t_end: f64) -> f64 {
    const STEPS: usize = 20_000;
    let rate = |t: f64, v: f64| {
        let (m, g2) = (sde.marginal(t), sde.diffusion_squared(t));
        let data = (m.alpha * STD).powi(2) + m.sigma * m.sigma;
        let pull = sde.drift_coef(t) + 0.5 * (1.0 + eta * eta) * g2 * SCALE / data;
        2.0 * pull * v - eta * eta * g2
    };
    let h = (t_end - sde.horizon()) / STEPS as f64;
    let (mut t, mut v) = (sde.horizon(), sde.prior_std().powi(2));
    for k in 0..STEPS {
        let k1 = rate(t, v);
        let k2 = rate(t + 0.5 * h, v + 0.5 * h * k1);
        let k3 = rate(t + 0.5 * h, v + 0.5 * h * k2);
        let end = sde.horizon() + h * (k + 1) as f64;
        let k4 = rate(end.max(t_end), v + h * k3);
        v += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        t = end;
    }
    v
}

/// The identity at one stochasticity, at points of the sampler's own law.
pub(super) fn row(config: &Config, eta: f64, key: Key) -> Result<Row> {
    let sde = &*config.sde;
    let data = GaussianMixture::isotropic(&[1.0], &Array2::zeros((1, 2)), &[STD])?;
    let model = Scaled(data.under(sde));
    let v = variance(sde, eta, config.t_end);
    let x = Array2::zeros((config.points, 2)).normals_like(key.fold(0), 0)? * v.sqrt();
    let normal = |x: &Array2<f64>, v: f64| -> Vec<f64> {
        let log = |r: ndarray::ArrayView1<'_, f64>| {
            -0.5 * r.dot(&r) / v - (std::f64::consts::TAU * v).ln()
        };
        x.outer_iter().map(log).collect()
    };
    let exact = normal(&x, v);
    let prior = |x: &Array2<f64>| Ok(normal(x, sde.prior_std().powi(2)));
    let control = Control::Grid(times(config)?);
    let paths = PathDensity { eta, n_paths: config.paths, control, block_rows: 256 };
    let start = Instant::now();
    let name = format!("{NAME}, \u{3b7} = {}", short(eta));
    match sampler_log_density(&paths, sde, &model, &x, &prior, key.fold(1), 0) {
        Ok(found) => {
            let cost = found.summary.row_evaluations as f64 / config.points as f64;
            Ok(super::row(&name, &found.log_density, found.std_error, &exact, cost, start))
        }
        // Steps too long for so much noise: a row without a value.
        Err(error) if error.of_a_row() => {
            let none = vec![f64::NAN; config.points];
            Ok(super::row(&name, &none, None, &exact, 0.0, start))
        }
        Err(error) => Err(error.into()),
    }
}

/// The steps up from the data.
pub(super) fn times(config: &Config) -> sde_core::Result<Vec<f64>> {
    let (sde, steps) = (&*config.sde, config.steps);
    let mut times = TimeGrid::Quadratic.times(sde, steps, sde.horizon(), config.t_end)?;
    times.reverse();
    Ok(times)
}
