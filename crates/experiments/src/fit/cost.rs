//! How much work a fit is, counted in evaluations of the network at one row, so that the time left is known.

use super::config::{Config, Fill, Measuring, Sampling, Training};
use super::draw::Equation;
use super::parts::Parts;
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

/// Announces everything that follows the training.
pub(super) fn plan(config: &Config, parts: &Parts, workspace: &Workspace) {
    let (sampling, measuring) = (&config.sampling, &config.measuring);
    let sampled: f64 = [Equation::Ode, Equation::Sde].map(|e| sampling.sample_cost(e)).iter().sum();
    workspace.progress.plan("sample", sampling.n as f64 * sampled, 0.0);
    let told = config.data.conditional && parts.test.labels().is_some();
    let rows = parts.test.len().min(measuring.likelihood);
    let passes = if told { 2 * rows } else { rows } + 2 * super::likelihood::doubled(rows);
    let each = measuring.density_cost(measuring.likelihood_steps, parts.test.dim());
    workspace.progress.plan("likelihood", passes as f64 * each, 0.0);
    if let (Some(fill), true) = (&measuring.fill, parts.test.labels().is_some()) {
        let images = parts.test.len().min(fill.rows) as f64;
        workspace.progress.plan("fill", images * fill.image_cost(), 0.0);
    }
}
