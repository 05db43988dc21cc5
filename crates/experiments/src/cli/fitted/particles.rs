//! Samples by twisted sequential Monte Carlo: each is drawn by weight from particles of its own.

use anyhow::{Context as _, Result};
use control::{Covariance, ParticleSystem, Proposal, ReconstructionGuidance, TwistedSmc};
use metrics::Estimate;
use ndarray::Array2;
use sde_core::{Key, ScoreVjp, Sde};

use super::given::Known;
use super::measured::Measured;

/// Samples with what their particles say.
pub(super) struct Found {
    pub(super) rows: Array2<f64>,
    pub(super) said: Said,
}

/// What particles say of themselves and of the known values.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) particles: usize,
    /// Effective sample sizes in the mean over samples: at the end, and the smallest on the way.
    pub(super) effective: f64,
    pub(super) least: f64,
    /// How often a system was resampled in the mean.
    pub(super) resampled: f64,
    /// The logarithm of the density of the known values in the units of the data, of each row of them; with a standard error
    /// from two samples on.
    pub(super) log_evidence: Vec<(f64, Option<f64>)>,
}

/// What is run.
pub(super) struct Run<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) score: &'a dyn ScoreVjp<Array2<f64>>,
    /// Variance of a coordinate of the data.
    pub(super) variance: f64,
    /// Down in time.
    pub(super) times: Vec<f64>,
    pub(super) particles: usize,
    pub(super) key: Key,
}

impl Run<'_> {
    /// `n` samples, each from a system of particles of its own.
    ///
    /// The twist is the Gaussian of PiGDM. With noise on what is known the last step ends at time 0, where the twist is the
    /// likelihood; without it the steps end before, and the predicted data follow.
    pub(super) fn samples(mut self, known: &Known, measured: &Measured, n: usize) -> Result<Found> {
        let (k, dim) = (self.particles, measured.measurement.operator().input_len());
        let noisy = measured.measurement.noise() > 0.0;
        if noisy && self.times.last().is_some_and(|t| *t > 0.0) {
            self.times.push(0.0);
        }
        let last = self.times.last().copied().unwrap_or(0.0);
        let seen = measured.measurement.clone().particles_each(k as u64)?;
        let covariance = Covariance::Isotropic { data_variance: self.variance };
        let twist = ReconstructionGuidance::new(self.sde, self.score, seen, covariance);
        let smc = TwistedSmc::new(k, self.times.clone())?;
        let proposal = Proposal::Gradient(&twist);
        let systems = smc
            .run(self.sde, proposal, n as u64, dim, self.key.fold(0))
            .context("twisted sequential Monte Carlo")?;
        let mut u = vec![0.0; n];
        self.key.fold(1).fill_uniforms(0, &mut u);
        let mut rows = Array2::zeros((n, dim));
        for ((system, u), mut row) in systems.iter().zip(&u).zip(rows.rows_mut()) {
            row.assign(&system.particles.row(drawn(&system.weights, *u)));
        }
        if last > 0.0 {
            rows = self.denoised(&rows, last)?;
        }
        Ok(Found { rows, said: Said::of(&systems, known, measured.log_abs_det, k) })
    }

    /// The predicted data of samples, each with the class of its first particle.
    fn denoised(&self, rows: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        const BLOCK: usize = 256;
        let mut out = rows.clone();
        for first in (0..rows.nrows()).step_by(BLOCK) {
            let end = (first + BLOCK).min(rows.nrows());
            let numbers: Vec<u64> = (first..end).map(|i| (i * self.particles) as u64).collect();
            let piece = rows.slice(ndarray::s![first..end, ..]).to_owned();
            if let Some(data) = self.score.for_rows(&numbers)?.denoised(&piece, t)? {
                out.slice_mut(ndarray::s![first..end, ..]).assign(&data);
            }
        }
        Ok(out)
    }
}

/// The number of a particle by its weight, with a uniform number.
fn drawn(weights: &[f64], u: f64) -> usize {
    let mut sum = 0.0;
    let found = weights.iter().position(|w| {
        sum += w;
        u < sum
    });
    let heaviest = || (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]));
    found.or_else(heaviest).unwrap_or(0)
}

impl Said {
    fn of(systems: &[ParticleSystem], known: &Known, log_abs_det: f64, particles: usize) -> Self {
        let n = systems.len();
        let mean =
            |f: &dyn Fn(&ParticleSystem) -> f64| systems.iter().map(f).sum::<f64>() / n as f64;
        let logs = |r: usize| -> Vec<f64> {
            let of = (0..n).filter(|i| known.row(*i, n) == r);
            of.map(|i| systems[i].log_evidence + log_abs_det).collect()
        };
        Self {
            particles,
            effective: mean(&|s| s.effective.last().copied().unwrap_or(f64::NAN)),
            least: mean(&|s| s.effective.iter().copied().fold(f64::INFINITY, f64::min)),
            resampled: mean(&|s| s.resampled as f64),
            log_evidence: (0..known.values.nrows()).map(|r| log_mean(&logs(r))).collect(),
        }
    }

    /// In words.
    pub(super) fn sentence(&self) -> String {
        use super::super::output::{number, short};
        let evidence = match &self.log_evidence[..] {
            [(value, Some(error))] => format!("{} +- {}", number(*value), short(*error)),
            [(value, None)] => number(*value),
            many => {
                let mean = many.iter().map(|e| e.0).sum::<f64>() / many.len() as f64;
                format!("{} in the mean over {} rows of them", number(mean), many.len())
            }
        };
        format!(
            "{} particles a sample, effectively {} at the end and {} at the least (in the mean over samples), resampled {} times; \
             log p of the known values {evidence} nats",
            self.particles,
            short(self.effective),
            short(self.least),
            short(self.resampled)
        )
    }
}

/// `log mean exp` of independent estimates, with its standard error to first order.
fn log_mean(logs: &[f64]) -> (f64, Option<f64>) {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return (most, None);
    }
    let shares: Vec<f64> = logs.iter().map(|l| (l - most).exp()).collect();
    let Estimate { value, standard_error } = Estimate::of_mean(&shares);
    let error = (logs.len() > 1).then_some(standard_error / value);
    (most + value.ln(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_are_drawn_by_weight() {
        let weights = [0.2, 0.0, 0.5, 0.3];
        let counts = (0..1000).fold([0; 4], |mut counts, i| {
            counts[drawn(&weights, (f64::from(i) + 0.5) / 1000.0)] += 1;
            counts
        });
        assert_eq!(counts, [200, 0, 500, 300]);
        // What rounding leaves above the sum belongs to the heaviest.
        assert_eq!(drawn(&[0.4, 0.6 - 1e-9], 1.0 - 1e-12), 1);
    }

    #[test]
    fn the_mean_of_evidence_is_that_of_densities() {
        let (value, error) = log_mean(&[1.0_f64.ln() - 900.0, 3.0_f64.ln() - 900.0]);
        assert!((value + 900.0 - 2.0_f64.ln()).abs() < 1e-12);
        // Mean 2 with a standard error of 1.
        assert!((error.expect("two") - 0.5).abs() < 1e-12);
        assert_eq!(log_mean(&[-2.0]), (-2.0, None));
        assert_eq!(log_mean(&[f64::NEG_INFINITY]).0, f64::NEG_INFINITY);
    }

    #[test]
    fn one_row_of_values_has_an_error_and_several_a_mean() {
        let said = |log_evidence| Said {
            particles: 8,
            effective: 6.24,
            least: 2.1,
            resampled: 3.0,
            log_evidence,
        };
        let one = said(vec![(-3.5, Some(0.04))]).sentence();
        assert!(one.contains("8 particles") && one.ends_with("-3.5 +- 0.04 nats"), "{one}");
        let two = said(vec![(-3.0, Some(0.1)), (-5.0, None)]).sentence();
        assert!(two.ends_with("-4 in the mean over 2 rows of them nats"), "{two}");
    }
}
