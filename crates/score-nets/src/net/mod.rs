//! A score network: weights, SDE and closed-form base together.

mod build;
mod fast;
mod graph;
mod models;
mod operator;

use std::sync::{Arc, RwLock};

use candle_core::{DType, Device};
use sde_core::Sde;

pub(crate) use graph::to_host;
pub use graph::{GraphDerivatives, ScoreJacobian};
pub use operator::{OperatorRow, RowOperator};

use crate::{
    Backend, NetConfig, Output, Parameters, Result, fused::FusedMlp, mlp::Mlp, time::TimeMap,
};

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
    /// candle operations, on any device and in any precision.
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
    /// The kernels for the values of a version of the parameters; none where they do not apply.
    fused: RwLock<Option<(u64, Option<Arc<FusedMlp>>)>>,
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

    /// The kernels for the values that the parameters have now, where they apply.
    fn fused(&self) -> Result<Option<Arc<FusedMlp>>> {
        let version = self.parameters.version();
        if let Some((built, fused)) = &*self.fused.read().unwrap_or_else(|e| e.into_inner())
            && *built == version
        {
            return Ok(fused.clone());
        }
        let fused = self.build_fused()?.map(Arc::new);
        *self.fused.write().unwrap_or_else(|e| e.into_inner()) = Some((version, fused.clone()));
        Ok(fused)
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
