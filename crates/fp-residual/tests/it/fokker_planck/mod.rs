//! Densities of samplers against closed forms, the path integral, finer runs and each other.

mod flow;
mod gaussian;
mod identity;
mod samples;
mod volumes;

use ndarray::{Array2, array};
use sde_core::analytic::{AnalyticScore, GaussianMixture};
use sde_core::{Derivatives, Potential, Result, Score, ScoreJvp, Sde};

/// A normal log-density of variance `v`.
fn log_normal(x: f64, v: f64) -> f64 {
    -0.5 * (x * x / v + (std::f64::consts::TAU * v).ln())
}

/// Two clusters on a line.
fn line() -> GaussianMixture {
    GaussianMixture::isotropic(&[0.35, 0.65], &array![[-1.2], [0.9]], &[0.3, 0.4])
        .expect("a mixture")
}

/// Three clusters in the plane.
fn plane() -> GaussianMixture {
    let means = array![[-1.0, -0.4], [0.9, 0.2], [0.1, 1.2]];
    GaussianMixture::isotropic(&[0.3, 0.4, 0.3], &means, &[0.5, 0.4, 0.45]).expect("a mixture")
}

/// `(1 - c e^-t) log p_t`: not the log-density of anything, so samplers differ.
struct Scaled<'a> {
    inner: AnalyticScore<'a>,
    c: f64,
}

impl<'a> Scaled<'a> {
    fn of(data: &GaussianMixture, sde: &'a dyn Sde, c: f64) -> Self {
        Self { inner: data.under(sde), c }
    }

    /// The potential.
    fn values(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        Ok(self.inner.log_density(x, t)?.iter().map(|l| self.factor(t) * l).collect())
    }

    fn factor(&self, t: f64) -> f64 {
        1.0 - self.c * (-t).exp()
    }
}

impl Score<Array2<f64>> for Scaled<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        Ok(self.inner.score(x, t)? * self.factor(t))
    }
}

impl ScoreJvp<Array2<f64>> for Scaled<'_> {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        t: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        let (s, along) = self.inner.score_jvp(x, t, v)?;
        Ok((s * self.factor(t), along * self.factor(t)))
    }

    fn divergence(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        let factor = self.factor(t);
        Ok(self.inner.divergence(x, t)?.into_iter().map(|d| factor * d).collect())
    }
}

impl Potential<Array2<f64>> for Scaled<'_> {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        let mut d = self.inner.derivatives(x, t)?;
        for (b, &t) in t.iter().enumerate() {
            let (factor, rate) = (self.factor(t), self.c * (-t).exp());
            d.d_t[b] = factor * d.d_t[b] + rate * d.potential[b];
            d.potential[b] *= factor;
            d.laplacian[b] *= factor;
            d.score.row_mut(b).mapv_inplace(|s| s * factor);
        }
        Ok(d)
    }
}
