//! Options that several commands share.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use score_nets::{Backend, Kernels};

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
    /// The network that weights belong to which do not say so themselves
    #[arg(long, value_enum, value_name = "A")]
    architecture: Option<ArchitectureChoice>,
    /// Arithmetic of a network: composite is tensor operations, fused the hand-written kernels of the
    /// CPU, auto the latter where they apply (in f32)
    #[arg(long, value_parser = kernels(), default_value = "auto")]
    kernels: Kernels,
    #[command(flatten)]
    backend: BackendOptions,
}

/// Where networks compute, and in what precision.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct BackendOptions {
    /// Where networks compute: cpu or cuda:N, the CUDA device N of a build with CUDA (default: cpu);
    /// closed forms are always computed on the CPU
    #[arg(long, value_name = "D")]
    pub(super) device: Option<String>,
    /// Precision of a network: f32, f64 or, on a CUDA device, bf16; closed forms are always computed in
    /// f64
    #[arg(long, value_name = "F")]
    pub(super) dtype: Option<String>,
}

impl BackendOptions {
    /// What was asked for; `otherwise` is the precision when none was.
    pub(super) fn backend(&self, otherwise: &str) -> Result<Backend> {
        let device = self.device.as_deref().unwrap_or("cpu");
        Ok(Backend::parse(device, self.dtype.as_deref().unwrap_or(otherwise))?)
    }
}

/// Networks whose files hold weights alone.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ArchitectureChoice {
    /// Those of the ODE-SDE-gap study, arXiv 2311.15996: softplus of beta 100 under the OU process
    OdeSdeGap,
}

fn kernels() -> impl TypedValueParser<Value = Kernels> {
    PossibleValuesParser::new(["auto", "composite", "fused"]).map(|name| match name.as_str() {
        "composite" => Kernels::Composite,
        "fused" => Kernels::Fused,
        _ => Kernels::Auto,
    })
}

impl ModelOptions {
    /// Where it is computed; `otherwise` is the precision when none was asked for.
    pub(super) fn backend(&self, otherwise: &str) -> Result<Backend> {
        self.backend.backend(otherwise)
    }

    /// Opens the model; `otherwise` is the precision when none was asked for.
    pub(super) fn open(&self, otherwise: &str) -> Result<Model> {
        let backend = self.backend.backend(otherwise)?;
        let published = matches!(self.architecture, Some(ArchitectureChoice::OdeSdeGap));
        let precision = Precision { backend, kernels: self.kernels, published };
        Model::open(&self.model, &precision)
    }
}
