//! The network as the models that solvers and residuals work with.

use candle_core::Tensor;
use sde_core::{Derivatives, Potential, Score, ScoreJvp};

use super::{ScoreNet, graph::Times};
use crate::{Output, Result};

impl Score<Tensor> for ScoreNet {
    fn score(&self, x: &Tensor, t: f64) -> sde_core::Result<Tensor> {
        Ok(self.evaluator()?.score(self, x, Times::Common(t))?)
    }
}

impl ScoreJvp<Tensor> for ScoreNet {
    fn score_jvp(&self, x: &Tensor, t: f64, v: &Tensor) -> sde_core::Result<(Tensor, Tensor)> {
        Ok(self.evaluator()?.score_jvp(self, x, Times::Common(t), v)?)
    }

    fn divergence(&self, x: &Tensor, t: f64) -> sde_core::Result<Vec<f64>> {
        Ok(self.divergence_at(x, t)?)
    }
}

impl Potential<Tensor> for ScoreNet {
    fn derivatives(&self, x: &Tensor, t: &[f64]) -> sde_core::Result<Derivatives<Tensor>> {
        Ok(self.derivatives_at(x, t)?)
    }
}

impl ScoreNet {
    /// The score of rows at their own times, detached.
    pub(super) fn score_frozen(&self, x: &Tensor, t: &[f64]) -> Result<Tensor> {
        self.evaluator()?.score(self, x, Times::Each(t))
    }

    fn derivatives_at(&self, x: &Tensor, t: &[f64]) -> Result<Derivatives<Tensor>> {
        self.needs("potential derivatives", Output::Potential)?;
        self.evaluator()?.derivatives(self, x, t)
    }

    fn divergence_at(&self, x: &Tensor, t: f64) -> Result<Vec<f64>> {
        let rows = self.check_batch(x, None)?;
        match self.config.output {
            Output::Potential => Ok(self.derivatives_at(x, &vec![t; rows])?.laplacian),
            Output::Score => self.evaluator()?.divergence(self, x, Times::Common(t)),
        }
    }
}
