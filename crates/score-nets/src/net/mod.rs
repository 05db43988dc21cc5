//! A score network: weights, SDE and closed-form base together.

mod build;
mod fast;
mod graph;
mod models;
mod operator;

use std::sync::{Arc, RwLock};

use candle_core::{DType, Device, Var};
use sde_core::Sde;

pub(crate) use graph::to_host;
pub use graph::{GraphDerivatives, ScoreJacobian};
pub use operator::{OperatorRow, RowOperator};

use crate::{
    NetConfig, Output, Result,
    fused::FusedMlp,
    mlp::{Linear, Mlp},
    time::TimeMap,
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
    /// Sorted by name.
    vars: Vec<(String, Var)>,
    /// Indices of weight and bias of each layer in `vars`, in the order of the layers.
    layers: Vec<(usize, usize)>,
    dtype: DType,
    device: Device,
    kernels: Kernels,
    frozen: RwLock<Option<Arc<Frozen>>>,
}

/// What is derived from the parameters' values.
struct Frozen {
    mlp: Mlp,
    fused: Option<FusedMlp>,
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
        self.dtype
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Number of trainable scalars.
    pub fn n_parameters(&self) -> usize {
        self.config.n_parameters()
    }

    /// The parameters, sorted by name.
    ///
    /// After changing one by hand call [`ScoreNet::parameters_changed`].
    pub fn vars(&self) -> &[(String, Var)] {
        &self.vars
    }

    /// Drops what was derived from the parameters' former values.
    pub fn parameters_changed(&self) {
        *self.frozen.write().unwrap_or_else(|e| e.into_inner()) = None;
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

    /// The network as tensors that lead back to the parameters.
    pub(crate) fn live(&self) -> Mlp {
        let tensor = |i: usize| self.vars[i].1.as_tensor().clone();
        let linear = |&(w, b): &(usize, usize)| Linear { weight: tensor(w), bias: tensor(b) };
        Mlp { layers: self.layers.iter().map(linear).collect(), activation: self.config.activation }
    }

    /// The network detached from its parameters' graph: no operation on it is recorded.
    fn frozen(&self) -> Result<Arc<Frozen>> {
        if let Some(frozen) = &*self.frozen.read().unwrap_or_else(|e| e.into_inner()) {
            return Ok(frozen.clone());
        }
        let tensor = |i: usize| self.vars[i].1.as_detached_tensor();
        let linear = |&(w, b): &(usize, usize)| Linear { weight: tensor(w), bias: tensor(b) };
        let layers = self.layers.iter().map(linear).collect();
        let mlp = Mlp { layers, activation: self.config.activation };
        let frozen = Arc::new(Frozen { fused: self.build_fused(&mlp)?, mlp });
        *self.frozen.write().unwrap_or_else(|e| e.into_inner()) = Some(frozen.clone());
        Ok(frozen)
    }

    /// A network of the same kind with its own copy of the weights.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn duplicate(&self) -> Result<Self> {
        let mut net = self.copy_as(self.dtype)?;
        net.kernels = self.kernels;
        Ok(net)
    }

    /// A copy of the network in another element type.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn copy_as(&self, dtype: DType) -> Result<Self> {
        let mut vars = Vec::with_capacity(self.vars.len());
        for (name, var) in &self.vars {
            let values = var.as_tensor().to_dtype(dtype)?.copy()?;
            vars.push((name.clone(), Var::from_tensor(&values)?));
        }
        Self::from_vars(self.config.clone(), vars, dtype, &self.device)
    }
}
