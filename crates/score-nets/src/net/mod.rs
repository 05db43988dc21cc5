//! A score network: weights, SDE and closed-form base together.

mod build;
mod curvature;
mod evaluator;
mod fast;
mod graph;
mod matching;
mod models;
mod operator;

use std::sync::{Arc, RwLock};

use candle_core::{DType, Device};
use sde_core::Sde;

pub(crate) use graph::to_host;
pub use graph::{GraphDerivatives, ScoreJacobian};
pub use matching::ScoreBatch;
pub use operator::{OperatorRow, RowOperator};

use crate::{Backend, NetConfig, Output, Parameters, Result, mlp::Mlp, time::TimeMap};
use evaluator::{Composite, Evaluator};
use fast::Fused;

/// Which arithmetic evaluates a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernels {
    /// The fused CPU kernels where they apply (f32, CPU, at most [`MAX_INPUTS`] inputs), else
    /// composite.
    ///
    /// They give scores, their derivatives along directions and divergences, the loss of score
    /// matching, and of a potential all derivatives and the losses of operators; the graphs of
    /// [`ScoreNet`], and so residuals in score form, stay composite.
    ///
    /// [`MAX_INPUTS`]: crate::fused::MAX_INPUTS
    #[default]
    Auto,
    /// Operations on tensors ([`crate::ops`] and candle's), on any device and in any precision.
    Composite,
    /// The fused CPU kernels; an error where they do not apply.
    Fused,
}

/// A model of the score: a network with the SDE it belongs to.
///
/// `Score`, `ScoreJvp` and `Potential` evaluate it detached from the autograd graph; the methods of
/// this type whose names end in `_graph` stay attached to the parameters.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use score_nets::{NetConfig, ScoreNet};
/// use sde_core::{Key, Score};
/// let net = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F32, &Device::Cpu)?;
/// let x = Tensor::zeros((5, 2), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.score(&x, 0.5)?.dims(), &[5, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ScoreNet {
    config: NetConfig,
    sde: Box<dyn Sde>,
    time: TimeMap,
    parameters: Parameters,
    /// Around the parameters, with a graph that leads back to them.
    live: Mlp,
    /// Around the same values: no operation on it is recorded.
    detached: Mlp,
    kernels: Kernels,
    /// What was chosen for the values of a version of the parameters.
    evaluator: RwLock<Option<(u64, Arc<dyn Evaluator>)>>,
}

impl ScoreNet {
    /// Everything but the weights.
    pub fn config(&self) -> &NetConfig {
        &self.config
    }

    /// The forward SDE.
    pub fn sde(&self) -> &dyn Sde {
        self.sde.as_ref()
    }

    /// Dimension `D` of the data.
    pub fn dim(&self) -> usize {
        self.config.dim
    }

    /// Element type of weights and inputs.
    pub fn dtype(&self) -> DType {
        self.parameters.backend().dtype
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.parameters.backend().device
    }

    /// Number of trainable scalars.
    pub fn n_parameters(&self) -> usize {
        self.config.n_parameters()
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The parameter that shifts a potential by a constant and nothing else, so that it has no
    /// gradient in any loss made of derivatives: `output.bias` of a potential.
    pub fn gauge_parameter(&self) -> Option<&'static str> {
        match self.config.output {
            Output::Potential => Some("output.bias"),
            Output::Score => None,
        }
    }

    /// Which arithmetic was asked for.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Whether evaluations and the gradients of losses run on the fused kernels.
    ///
    /// What is built as a graph of tensors (a method whose name ends in `_graph`) never does.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn uses_fused(&self) -> Result<bool> {
        Ok(self.evaluator()?.is_fused())
    }

    /// What evaluates the network at the values that its parameters have now: the fused kernels where they apply.
    fn evaluator(&self) -> Result<Arc<dyn Evaluator>> {
        let version = self.parameters.version();
        if let Some((chosen, evaluator)) =
            &*self.evaluator.read().unwrap_or_else(|e| e.into_inner())
            && *chosen == version
        {
            return Ok(evaluator.clone());
        }
        let evaluator: Arc<dyn Evaluator> = match Fused::new(self)? {
            Some(fused) => Arc::new(fused),
            None => Arc::new(Composite),
        };
        let kept = Some((version, evaluator.clone()));
        *self.evaluator.write().unwrap_or_else(|e| e.into_inner()) = kept;
        Ok(evaluator)
    }

    /// A network of the same kind with its own copy of the weights.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn duplicate(&self) -> Result<Self> {
        let mut net = self.copy_as(self.dtype())?;
        net.kernels = self.kernels;
        Ok(net)
    }

    /// A copy of the network in another element type.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn copy_as(&self, dtype: DType) -> Result<Self> {
        let backend = Backend { device: self.device().clone(), dtype };
        Self::around(self.config.clone(), self.parameters.copy_to(&backend)?)
    }
}
