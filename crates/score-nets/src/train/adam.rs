//! Adam and the moving average of its iterates.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Gradients, Parameters, Result};

/// Constants of Adam; the defaults are PyTorch's.
///
/// # Reference
/// Kingma and Ba 2015, arXiv 1412.6980, algorithm 1, in PyTorch's arrangement of the operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl AdamConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        for (name, b) in [("adam.beta1", self.beta1), ("adam.beta2", self.beta2)] {
            if !(0.0..1.0).contains(&b) {
                return Err(Error::setting(name, b, "must be in [0, 1)"));
            }
        }
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return Err(Error::setting("adam.eps", self.eps, "must be finite and not negative"));
        }
        Ok(())
    }
}

/// The two moments of every parameter, in the order of their names.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    config: AdamConfig,
    pub(crate) first: Vec<Tensor>,
    pub(crate) second: Vec<Tensor>,
}

impl Adam {
    pub(crate) fn new(config: AdamConfig, parameters: &Parameters) -> Result<Self> {
        Ok(Self { config, first: zeros(parameters)?, second: zeros(parameters)? })
    }

    /// Update number `n` (the first is 1) of the parameters; those without a gradient stay.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        grads: &Gradients,
        lr: f64,
        n: u64,
    ) -> Result<()> {
        let AdamConfig { beta1, beta2, eps } = self.config;
        let n = n as f64;
        let rate = lr / (1.0 - beta1.powf(n));
        let root_correction = (1.0 - beta2.powf(n)).sqrt();
        for (i, (g, (_, parameter))) in grads.iter().zip(parameters.iter()).enumerate() {
            let Some(g) = g else { continue };
            let m = (&self.first[i] + ((g - &self.first[i])? * (1.0 - beta1))?)?;
            let v = ((&self.second[i] * beta2)? + (g.sqr()? * (1.0 - beta2))?)?;
            let scale = ((v.sqrt()? / root_correction)? + eps)?;
            parameters.set_at(i, &(parameter - ((&m / scale)? * rate)?)?)?;
            (self.first[i], self.second[i]) = (m.detach(), v.detach());
        }
        Ok(())
    }
}

/// Zeros in the shape of every parameter.
pub(super) fn zeros(parameters: &Parameters) -> Result<Vec<Tensor>> {
    parameters.iter().map(|(_, p)| Ok(p.detach().zeros_like()?)).collect()
}

/// A moving average of the parameters, `average <- d average + (1 - d) parameter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EmaConfig {
    /// The decay `d`.
    pub decay: f64,
    /// Use `min(decay, (1 + n) / (10 + n))` after `n` updates instead.
    #[serde(default)]
    pub warmup: bool,
}
