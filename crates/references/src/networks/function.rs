//! What the references evaluate: a bare network, or the denoiser of a model around one.

use anyhow::Result;
use candle_core::Tensor;
use score_nets::{Condition, Jet, Network, Parameters, Quantity, ScoreModel, Vjp, vjp};

/// A function of points and noise levels with its parameters.
pub(super) enum Function {
    /// `F(x; t)`.
    Bare { parameters: Parameters, live: Box<dyn Network>, detached: Box<dyn Network> },
    /// `D(x; sigma)`.
    Denoiser(Box<ScoreModel>),
}

impl Function {
    pub(super) fn parameters(&self) -> &Parameters {
        match self {
            Self::Bare { parameters, .. } => parameters,
            Self::Denoiser(model) => model.parameters(),
        }
    }

    /// The network inside.
    pub(super) fn network(&self) -> &dyn Network {
        match self {
            Self::Bare { detached, .. } => &**detached,
            Self::Denoiser(model) => model.detached(),
        }
    }

    /// The value with the derivatives that `x` carries and, along direction `along_time`, that in `t`.
    pub(super) fn jet(
        &self,
        x: &Jet,
        t: &[f64],
        along_time: Option<usize>,
        condition: &Condition,
    ) -> Result<Jet> {
        match self {
            Self::Bare { detached, .. } => {
                let t = self.times(t)?;
                let mut directions = vec![None; along_time.map_or(0, |a| a + 1)];
                if let Some(last) = directions.last_mut() {
                    *last = Some(t.ones_like()?);
                }
                Ok(detached.forward(x, &Jet::partial(t, directions, vec![]), condition)?)
            }
            Self::Denoiser(model) => {
                Ok(model.jet_detached(Quantity::Denoised, x, t, along_time, condition)?)
            }
        }
    }

    /// The value, attached to the parameters.
    pub(super) fn live(&self, x: &Tensor, t: &[f64], condition: &Condition) -> Result<Tensor> {
        let x = Jet::constant(x.clone());
        match self {
            Self::Bare { live, .. } => {
                Ok(live.forward(&x, &Jet::constant(self.times(t)?), condition)?.value)
            }
            Self::Denoiser(model) => {
                Ok(model.jet(Quantity::Denoised, &x, t, None, condition)?.value)
            }
        }
    }

    /// The products of a cotangent with the derivatives.
    pub(super) fn vjp(
        &self,
        x: &Tensor,
        t: &[f64],
        condition: &Condition,
        v: &Tensor,
    ) -> Result<Vjp> {
        match self {
            Self::Bare { detached, .. } => Ok(vjp(&**detached, x, &self.times(t)?, condition, v)?),
            Self::Denoiser(model) => Ok(model.vjp(Quantity::Denoised, x, t, condition, v)?),
        }
    }

    fn times(&self, t: &[f64]) -> Result<Tensor> {
        Ok(self.parameters().backend().tensor(t.to_vec(), &[t.len()])?)
    }
}
