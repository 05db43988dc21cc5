//! The optimisers behind one configuration and one state.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{
    AdamConfig, SoapConfig,
    adam::Adam,
    soap::{Eigenbases, Soap},
};
use crate::{Gradients, Parameters, Result, io::group};

/// Which optimiser, and its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Optimiser {
    /// Adam.
    Adam(AdamConfig),
    /// SOAP: Adam in the eigenbasis of Shampoo's preconditioner.
    Soap(SoapConfig),
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::Adam(AdamConfig::default())
    }
}

impl Optimiser {
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Adam(config) => config.validate(),
            Self::Soap(config) => config.validate(),
        }
    }
}

/// The tensors an optimiser keeps from step to step.
#[derive(Clone, Debug)]
pub(crate) enum OptimiserState {
    Adam(Adam),
    Soap(Soap),
}

impl OptimiserState {
    pub(crate) fn new(config: Optimiser, parameters: &Parameters) -> Result<Self> {
        Ok(match config {
            Optimiser::Adam(config) => Self::Adam(Adam::new(config, parameters)?),
            Optimiser::Soap(config) => Self::Soap(Soap::new(config, parameters)?),
        })
    }

    /// Update number `n` (the first is 1) of the parameters.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        grads: &Gradients,
        lr: f64,
        n: u64,
    ) -> Result<()> {
        match self {
            Self::Adam(adam) => adam.step(parameters, grads, lr, n),
            Self::Soap(soap) => soap.step(parameters, grads, lr, n),
        }
    }

    /// Every tensor under the name it has in a checkpoint.
    pub(crate) fn tensors(&self, parameters: &Parameters) -> Vec<(String, Tensor)> {
        let (first, second) = match self {
            Self::Adam(Adam { first, second, .. }) | Self::Soap(Soap { first, second, .. }) => {
                (first, second)
            }
        };
        let mut named = Vec::new();
        for (i, name) in parameters.names().enumerate() {
            named.push((format!("{}{name}", group::FIRST), first[i].clone()));
            named.push((format!("{}{name}", group::SECOND), second[i].clone()));
            if let Self::Soap(soap) = self
                && let Some(Eigenbases { factors, bases }) = &soap.eigenbases[i]
            {
                for (prefix, tensor) in group::TURNED.iter().zip(factors.iter().chain(bases)) {
                    named.push((format!("{prefix}{name}"), tensor.clone()));
                }
            }
        }
        named
    }

    /// Takes the moments, and from `tensors` the eigenbases, of a checkpoint.
    pub(crate) fn restore(
        &mut self,
        parameters: &Parameters,
        moments: [Vec<Tensor>; 2],
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let [m, v] = moments;
        match self {
            Self::Adam(adam) => (adam.first, adam.second) = (m, v),
            Self::Soap(soap) => {
                (soap.first, soap.second) = (m, v);
                for (eigenbases, name) in soap.eigenbases.iter_mut().zip(parameters.names()) {
                    let get = |k: usize| tensors.get(&format!("{}{name}", group::TURNED[k]));
                    if let (Some(l), Some(r), Some(ql), Some(qr)) = (get(0), get(1), get(2), get(3))
                    {
                        let on = |x: &Tensor| x.to_device(&parameters.backend().device);
                        *eigenbases = Some(Eigenbases {
                            factors: [on(l)?, on(r)?],
                            bases: [on(ql)?, on(qr)?],
                        });
                    }
                }
            }
        }
        Ok(())
    }
}
