//! Samples by twisted sequential Monte Carlo: each is drawn by weight from particles of its own.

use anyhow::{Context as _, Result};
use control::{
    Covariance, Measurement, ParticleSystem, Proposal, ReconstructionGuidance, Twist, TwistedSmc,
};
use ndarray::Array2;
use sde_core::{Key, ScoreVjp, Sde};

/// Samples with the particles that they were drawn from.
pub(crate) struct Found {
    /// `[n, D]`.
    pub(crate) rows: Array2<f64>,
    pub(crate) systems: Vec<ParticleSystem>,
}

/// What is run.
pub(crate) struct Run<'a> {
    pub(crate) sde: &'a dyn Sde,
    pub(crate) score: &'a dyn ScoreVjp<Array2<f64>>,
    /// Variance of a coordinate of the data.
    pub(crate) variance: f64,
    /// Down in time.
    pub(crate) times: Vec<f64>,
    pub(crate) particles: usize,
    pub(crate) key: Key,
}

impl Run<'_> {
    /// `n` samples, each from a system of particles of its own.
    ///
    /// The twist is the Gaussian of PiGDM. With noise on what is known the last step ends at time 0, where the twist is the
    /// likelihood; without it the steps end before, and the predicted data follow.
    pub(crate) fn samples(mut self, measurement: &Measurement, n: usize) -> Result<Found> {
        let (k, dim) = (self.particles, measurement.operator().input_len());
        let noisy = measurement.noise() > 0.0;
        if noisy && self.times.last().is_some_and(|t| *t > 0.0) {
            self.times.push(0.0);
        }
        let seen = measurement.clone().particles_each(k as u64)?;
        let covariance = Covariance::Isotropic { data_variance: self.variance };
        let twist = ReconstructionGuidance::new(self.sde, self.score, seen, covariance);
        self.twisted(&twist, (n, dim))
    }

    /// `n` samples of `dim` numbers, each from a system of particles of its own with this twist; steps that end before time 0
    /// are followed by the predicted data.
    pub(crate) fn twisted(
        &self,
        twist: &dyn Twist<Array2<f64>>,
        (n, dim): (usize, usize),
    ) -> Result<Found> {
        let last = self.times.last().copied().unwrap_or(0.0);
        let smc = TwistedSmc::new(self.particles, self.times.clone())?;
        let proposal = Proposal::Gradient(twist);
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
        Ok(Found { rows, systems })
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
}
