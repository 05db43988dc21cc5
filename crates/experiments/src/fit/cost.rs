//! How much work a fit is, counted in evaluations of the network at one row, so that the time left is known.

use super::config::{Config, Fill, Measuring, Sampling, Training};
use super::draw::Equation;
use super::parts::Parts;
use super::train::Trained;
use crate::runs::Workspace;

/// Of a value and its gradient, beside that of a value.
const GRADIENT: f64 = 3.0;

/// Stages of a step of the flow with its density.
const STAGES: f64 = 6.0;

impl Training {
    /// Of a step.
    pub(super) fn step_cost(&self) -> f64 {
        GRADIENT * self.batch as f64
    }
}

impl Sampling {
    /// Of a sample, by methods of two stages.
    pub(super) fn sample_cost(&self, equation: Equation) -> f64 {
        2.0 * match equation {
            Equation::Ode => self.ode_steps as f64,
            Equation::Sde => self.sde_steps as f64,
        }
    }
}

impl Measuring {
    /// Of a log-density along so many steps, with rows of `dim` numbers.
    pub(super) fn density_cost(&self, steps: usize, dim: usize) -> f64 {
        let directions = if dim <= self.exact_up_to { dim } else { self.probes };
        STAGES * steps as f64 * (1 + directions) as f64
    }
}

impl Fill {
    /// Of an image.
    pub(super) fn image_cost(&self) -> f64 {
        GRADIENT * (self.particles * self.steps) as f64
    }
}

/// What follows the training: samples, likelihoods, filling in.
fn after_training(config: &Config, parts: &Parts) -> [(&'static str, f64); 3] {
    let (sampling, measuring) = (&config.sampling, &config.measuring);
    let sampled: f64 = [Equation::Ode, Equation::Sde].map(|e| sampling.sample_cost(e)).iter().sum();
    let classes = parts.test.labels().is_some();
    let rows = parts.test.len().min(measuring.likelihood);
    let told = if config.data.conditional && classes { 2 * rows } else { rows };
    let passes = told + 2 * super::likelihood::doubled(rows);
    let each = measuring.density_cost(measuring.likelihood_steps, parts.test.dim());
    let filled = |fill: &Fill| parts.test.len().min(fill.rows) as f64 * fill.image_cost();
    let fill = measuring.fill.as_ref().filter(|_| classes).map_or(0.0, filled);
    [("sample", sampling.n as f64 * sampled), ("likelihood", passes as f64 * each), ("fill", fill)]
}

/// Announces everything that follows the training.
pub(super) fn plan(config: &Config, parts: &Parts, workspace: &Workspace) {
    for (kind, evaluations) in after_training(config, parts) {
        workspace.progress.plan(kind, evaluations, 0.0);
    }
}

/// Fewest samples, and rows whose likelihood is computed.
const FEWEST: [usize; 2] = [64, 16];

impl Config {
    /// The same with as many samples and likelihoods as the minutes leave time for, at the speed of the training, where its
    /// steps are a matter of time as well.
    pub(super) fn in_time(&self, trained: &Trained, parts: &Parts) -> Self {
        let mut config = self.clone();
        if self.training.steps.is_some() || trained.steps == 0 {
            return config;
        }
        let evaluations: f64 = after_training(self, parts).iter().map(|(_, cost)| cost).sum();
        let trained = trained.seconds / (trained.steps as f64 * self.training.step_cost());
        let share = self.training.seconds_after() / (evaluations * trained);
        let some = |n: usize, fewest: usize| n.min(fewest.max((share * n as f64) as usize));
        config.sampling.n = some(self.sampling.n, FEWEST[0]);
        config.measuring.likelihood = some(self.measuring.likelihood, FEWEST[1]);
        if let Some(fill) = &mut config.measuring.fill {
            fill.rows = some(fill.rows, FEWEST[1]);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows the training takes at most what the minutes leave, at the speed of the training; where the steps are given
    /// nothing depends on time.
    #[test]
    fn counts_follow_the_time_that_is_left() {
        let config = include_str!("../../configs/fit/images-quick.toml");
        let config: Config = toml::from_str(config).expect("a configuration");
        let parts = config.parts(&data::digits()).expect("parts");
        let trained = |seconds| Trained { steps: 100, seconds, ..Trained::default() };
        let takes = |config: &Config, seconds: f64| -> f64 {
            let each = seconds / (100.0 * config.training.step_cost());
            after_training(config, &parts).iter().map(|(_, cost)| each * cost).sum()
        };
        let quick = config.in_time(&trained(1.0), &parts);
        assert_eq!((quick.sampling.n, quick.measuring.likelihood), (500, 32));
        let slow = config.in_time(&trained(50.0), &parts);
        assert!(takes(&config, 50.0) > config.training.seconds_after());
        assert!((64..500).contains(&slow.sampling.n) && slow.measuring.likelihood < 32);
        assert!(takes(&slow, 50.0) < 1.1 * config.training.seconds_after());
        let fewest = config.in_time(&trained(1e6), &parts);
        assert_eq!((fewest.sampling.n, fewest.measuring.likelihood), (64, 16));
        let mut given = config;
        given.training.steps = Some(100);
        assert_eq!(given.in_time(&trained(1e6), &parts).sampling.n, 500);
    }
}
