//! Options that several commands share.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::DType;
use clap::ValueEnum;
use score_nets::Kernels;

use crate::model::{Model, Precision};

/// Which model, and how a network is evaluated.
#[derive(Debug, clap::Args)]
pub(super) struct ModelOptions {
    /// A network (.safetensors, or the published PyTorch file), or a closed form (.json):
    /// {"kind": "gaussian-mixture", "weights": [...], "means": [[...]], "covs": [[[...]]]} or
    /// {"kind": "dataset", "name": "blob"}
    #[arg(long, value_name = "M")]
    pub(super) model: PathBuf,
    /// The forward SDE with optional constants: ou, vp:beta0=0.1,beta1=20, sub-vp,
    /// ve:sigma-min=0.01,sigma-max=50 (default: the one a network was trained for)
    #[arg(long, value_name = "S")]
    pub(super) sde: Option<String>,
    /// Arithmetic of a network
    #[arg(long, value_enum, default_value_t = KernelChoice::Auto)]
    kernels: KernelChoice,
    /// Precision of a network; closed forms are always computed in f64
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
}

/// Arithmetic of networks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum KernelChoice {
    /// Fused where they apply (CPU, f32)
    Auto,
    /// Tensor operations
    Composite,
    /// Hand-written CPU kernels
    Fused,
}

/// Element types.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Dtype {
    /// Single precision
    F32,
    /// Double precision
    F64,
}

impl ModelOptions {
    /// Opens the model; `otherwise` is the precision when none was asked for.
    pub(super) fn open(&self, otherwise: Dtype) -> Result<Model> {
        let dtype = match self.dtype.unwrap_or(otherwise) {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
        };
        Model::open(&self.model, Precision { dtype, kernels: self.kernels.into() })
    }
}

impl From<KernelChoice> for Kernels {
    fn from(choice: KernelChoice) -> Self {
        match choice {
            KernelChoice::Auto => Self::Auto,
            KernelChoice::Composite => Self::Composite,
            KernelChoice::Fused => Self::Fused,
        }
    }
}
