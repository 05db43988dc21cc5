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

    /// The potential of rows at the common time `t`, without its derivatives: a third of the work or less.
    ///
    /// # Shapes
    /// `x`: `[B, D]`; one value a row.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] for rows that do not fit, [`crate::Error::Unsupported`] when the output is not a potential.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use score_nets::{NetConfig, ScoreNet};
    /// use sde_core::{Key, Potential};
    ///
    /// let net = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F64, &Device::Cpu)?;
    /// let x = Tensor::new(&[[0.1_f64, -0.2], [1.5, 0.3]], &Device::Cpu)?;
    /// let all = net.derivatives(&x, &[0.2, 0.2])?;
    /// for (value, potential) in net.potential(&x, 0.2)?.iter().zip(&all.potential) {
    ///     assert!((value - potential).abs() < 1e-12);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn potential(&self, x: &Tensor, t: f64) -> Result<Vec<f64>> {
        self.needs("potential", Output::Potential)?;
        self.evaluator()?.potential(self, x, Times::Common(t))
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
