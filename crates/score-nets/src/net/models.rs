//! The network as the models that solvers and residuals work with.

use candle_core::Tensor;
use sde_core::{Derivatives, Potential, Score, ScoreJvp};

use super::{
    ScoreNet,
    graph::{Times, to_host},
};
use crate::{Output, Result};

impl Score<Tensor> for ScoreNet {
    fn score(&self, x: &Tensor, t: f64) -> sde_core::Result<Tensor> {
        Ok(self.score_detached(x, Times::Common(t))?)
    }
}

impl ScoreJvp<Tensor> for ScoreNet {
    fn score_jvp(&self, x: &Tensor, t: f64, v: &Tensor) -> sde_core::Result<(Tensor, Tensor)> {
        Ok(self.score_jvp_detached(x, Times::Common(t), v)?)
    }

    fn divergence(&self, x: &Tensor, t: f64) -> sde_core::Result<Vec<f64>> {
        Ok(self.divergence_at(&x.detach(), t)?)
    }
}

impl Potential<Tensor> for ScoreNet {
    fn derivatives(&self, x: &Tensor, t: &[f64]) -> sde_core::Result<Derivatives<Tensor>> {
        Ok(self.derivatives_detached(x, t)?)
    }
}

impl ScoreNet {
    /// The score of rows at their own times, detached.
    pub(crate) fn score_frozen(&self, x: &Tensor, t: &[f64]) -> Result<Tensor> {
        self.score_detached(x, Times::Each(t))
    }

    fn score_detached(&self, x: &Tensor, times: Times<'_>) -> Result<Tensor> {
        match &self.fused()? {
            Some(fused) => self.score_fused(fused, x, times),
            None => self.score_of(&self.detached, &x.detach(), times),
        }
    }

    fn score_jvp_detached(
        &self,
        x: &Tensor,
        times: Times<'_>,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        match &self.fused()? {
            Some(fused) => self.score_jvp_fused(fused, x, times, v),
            None => self.score_jvp_of(&self.detached, &x.detach(), times, &v.detach()),
        }
    }

    fn derivatives_detached(&self, x: &Tensor, t: &[f64]) -> Result<Derivatives<Tensor>> {
        self.needs("potential derivatives", Output::Potential)?;
        if let Some(fused) = &self.fused()? {
            return self.derivatives_fused(fused, x, t);
        }
        let d = self.derivatives_of(&self.detached, &x.detach(), t)?;
        Ok(Derivatives {
            potential: to_host(&d.potential)?,
            score: d.score,
            d_t: to_host(&d.d_t)?,
            laplacian: to_host(&d.laplacian)?,
        })
    }

    fn divergence_at(&self, x: &Tensor, t: f64) -> Result<Vec<f64>> {
        let rows = self.check_batch(x, None)?;
        match self.config.output {
            Output::Potential => Ok(self.derivatives_detached(x, &vec![t; rows])?.laplacian),
            Output::Score => {
                let times = Times::Common(t);
                if let Some(fused) = &self.fused()? {
                    return self.divergence_fused(fused, x, times);
                }
                let jacobian = self.jacobian_of(&self.detached, x, times, false)?;
                let mut trace = vec![0.0; rows];
                for (j, column) in jacobian.columns.iter().enumerate() {
                    let entries = to_host(&column.narrow(1, j, 1)?)?;
                    trace.iter_mut().zip(entries).for_each(|(a, b)| *a += b);
                }
                Ok(trace)
            }
        }
    }
}
