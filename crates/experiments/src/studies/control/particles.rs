//! Twisted sequential Monte Carlo over the number of particles: means, evidence, effective sample sizes.

use ::control::{ParticleSystem, Proposal, TwistedSmc};
use anyhow::Result;
use metrics::Estimate;
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::Config;
use super::methods::{Counted, Method, proposed};
use super::problem::{DIM, Setup};

/// Independent systems of so many particles.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Systems {
    pub(super) method: Method,
    pub(super) particles: usize,
    /// Nothing where particles left the numbers.
    pub(super) found: Option<Summary>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Summary {
    /// Root mean square distance of a system's mean to the exact one, over the standard deviation of the posterior: of `K`
    /// independent exact draws `K^(-1/2)`.
    pub(super) error: Estimate,
    /// Mean of the estimates of `p(y)` over the exact value.
    pub(super) evidence: Estimate,
    /// Mean of `log p(y)` less the exact value.
    pub(super) log_evidence: Estimate,
    /// Mean effective share of the particles, over systems and steps.
    pub(super) effective: f64,
    /// Resamplings of a system.
    pub(super) resampled: f64,
}

/// All systems of a method with so many particles.
pub(super) fn systems(
    config: &Config,
    setup: &Setup,
    method: Method,
    particles: usize,
    key: Key,
) -> Result<Systems> {
    let sde = &*config.sde;
    let score = Counted::new(setup.prior.under(sde));
    let times = config.grid.times(sde, config.smc.steps, sde.horizon(), 0.0)?;
    let smc = TwistedSmc::new(particles, times)?;
    let key = key.fold(method as u64).fold(particles as u64);
    let run = |p: Proposal<'_>| smc.run(sde, p, config.smc.systems as u64, DIM, key);
    let found = match proposed(method, sde, setup, &score, &run) {
        Ok(found) => summary(&found, setup),
        Err(error) if error.of_a_row() => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Systems { method, particles, found })
}

fn summary(found: &[ParticleSystem], setup: &Setup) -> Option<Summary> {
    let (mean, cov) = setup.exact.mixture().moments();
    let spread: f64 = cov.diag().sum();
    let square = |s: &ParticleSystem| -> f64 {
        s.mean().iter().zip(&mean).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / spread
    };
    let squares: Vec<f64> = found.iter().map(square).collect();
    let logs: Vec<f64> =
        found.iter().map(|s| s.log_evidence - setup.exact.log_evidence()).collect();
    let ratios: Vec<f64> = logs.iter().map(|l| l.exp()).collect();
    let share = |s: &ParticleSystem| {
        s.effective.iter().sum::<f64>() / (s.effective.len() * s.weights.len()) as f64
    };
    let n = found.len() as f64;
    let found = Summary {
        error: Estimate::of_mean(&squares).root(),
        evidence: Estimate::of_mean(&ratios),
        log_evidence: Estimate::of_mean(&logs),
        effective: found.iter().map(share).sum::<f64>() / n,
        resampled: found.iter().map(|s| s.resampled as f64).sum::<f64>() / n,
    };
    let all = [found.error, found.evidence, found.log_evidence];
    let finite = |e: &Estimate| e.value.is_finite() && e.standard_error.is_finite();
    (all.iter().all(finite) && found.effective.is_finite()).then_some(found)
}

/// The slope of the logarithm of errors over that of the numbers of particles, weighted by the errors' own errors; its
/// standard error is larger by what the points scatter more about the line than these say.
pub(super) fn slope(points: &[(usize, Estimate)]) -> Option<Estimate> {
    let known = |(k, e): &(usize, Estimate)| {
        let relative = e.standard_error / e.value;
        let usable = e.value > 0.0 && relative > 0.0 && relative.is_finite();
        usable.then(|| ((*k as f64).ln(), e.value.ln(), relative.powi(-2)))
    };
    let points: Vec<(f64, f64, f64)> = points.iter().filter_map(known).collect();
    if points.len() < 3 {
        return None;
    }
    let total: f64 = points.iter().map(|p| p.2).sum();
    let mean = |of: &dyn Fn(&(f64, f64, f64)) -> f64| {
        points.iter().map(|p| p.2 * of(p)).sum::<f64>() / total
    };
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let across = mean(&|p| (p.0 - x).powi(2)) * total;
    // Of one number of particles there is no slope, only rounding.
    if across <= 1e-12 * total {
        return None;
    }
    let value = mean(&|p| (p.0 - x) * (p.1 - y)) * total / across;
    let off = mean(&|p| (p.1 - y - value * (p.0 - x)).powi(2)) * total;
    let scatter = (off / (points.len() - 2) as f64).max(1.0);
    Some(Estimate { value, standard_error: (scatter / across).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_powers() {
        let at = |k: usize, value: f64| (k, Estimate { value, standard_error: 0.05 * value });
        let exact: Vec<_> = [16, 64, 256, 1024].map(|k| at(k, 3.0 / (k as f64).sqrt())).into();
        let found = slope(&exact).expect("a slope");
        assert!((found.value + 0.5).abs() < 1e-12, "{found:?}");
        // 0.05 over the root of the sum of squares of logarithms about their mean.
        let spread: f64 =
            [-1.5, -0.5, 0.5, 1.5].map(|k: f64| (k * 4.0_f64.ln()).powi(2)).iter().sum();
        assert!((found.standard_error - 0.05 / spread.sqrt()).abs() < 1e-12, "{found:?}");
        // Points off the line widen it.
        let mut bent = exact.clone();
        bent[0].1.value *= 2.0;
        bent[0].1.standard_error *= 2.0;
        assert!(slope(&bent).expect("a slope").standard_error > 3.0 * found.standard_error);
        assert_eq!(slope(&exact[..2]), None);
        assert_eq!(slope(&[at(4, 1.0), at(4, 1.0), at(4, 1.0)]), None);
    }
}
