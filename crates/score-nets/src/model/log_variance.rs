//! A model that is trained with EDM2's learned log-variance.

use std::{collections::BTreeMap, path::Path};

use candle_core::Tensor;
use candle_nn::VarBuilder;
use sde_core::Key;

use super::{Build, ModelConfig, ScoreModel};
use crate::{Error, Parameters, Result, train::LogVarianceHead};

/// What its tensors are called.
const NAME: &str = "log-variance";

/// The most features there may be.
const MOST: usize = 1 << 20;

/// A head attached to the parameters, and one detached.
pub(super) type Heads = [LogVarianceHead; 2];

impl ModelConfig {
    /// Asks for all tensors of a model; returns the names of those that are not trained.
    pub(super) fn ask(&self, build: &Build, vb: VarBuilder<'static>) -> Result<Vec<String>> {
        let mut buffers = build(vb.clone())?.buffers();
        if let Some(features) = self.log_variance {
            LogVarianceHead::new(checked(features)?, &vb.pp(NAME))?;
            buffers.extend(LogVarianceHead::BUFFERS.map(|name| format!("{NAME}.{name}")));
        }
        Ok(buffers)
    }

    /// The heads around parameters.
    pub(super) fn heads(&self, parameters: &Parameters) -> Result<Option<Heads>> {
        let Some(features) = self.log_variance else { return Ok(None) };
        let make = |vb: VarBuilder<'static>| LogVarianceHead::new(features, &vb.pp(NAME));
        Ok(Some([make(parameters.live())?, make(parameters.detached())?]))
    }

    /// What a file for sampling has of a model: nothing of the log-variance.
    pub(super) fn for_sampling(
        self,
        mut tensors: BTreeMap<String, Tensor>,
    ) -> (Self, BTreeMap<String, Tensor>) {
        if self.log_variance.is_some() {
            tensors.retain(|name, _| !name.starts_with(&format!("{NAME}.")));
        }
        (Self { log_variance: None, ..self }, tensors)
    }
}

fn checked(features: usize) -> Result<usize> {
    if (1..=MOST).contains(&features) {
        return Ok(features);
    }
    Err(Error::setting("log-variance", features, format!("must be from 1 to {MOST} features")))
}

impl ScoreModel {
    /// The model with EDM2's learned log-variance: a function `u` of the noise level with `features` Fourier features
    /// (128 there), under `key`. [`Denoising`](super::Denoising) of such a model is the mean over rows of
    ///
    /// `e^{-u} L + u`, `L` the weighted loss of a row, `u = u(log(sigma / alpha) / 4)`,
    ///
    /// which ends with a gradient of the same size at every noise level. It is trained beside the network by the same
    /// optimiser and is in the checkpoints of training; a model that is saved or opened for sampling is without.
    ///
    /// # Errors
    /// [`Error::Setting`] for no features, or more than a million.
    ///
    /// # Reference
    /// Karras et al. 2024, arXiv 2312.02696, equation 14 and appendix B.
    ///
    /// ```
    /// use score_nets::{Architecture, Backend, ModelConfig, ScoreModel};
    /// use sde_core::Key;
    /// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 16, "blocks": 2}}"#;
    /// let config = ModelConfig::edm(Architecture::parse(json)?, 0.5, "edm");
    /// let model = ScoreModel::new(config, Key::root(1), &Backend::cpu())?;
    /// let model = model.with_log_variance(128, Key::root(2))?;
    /// assert_eq!(model.log_variance(&[0.1, 1.0])?, Some(vec![0.0, 0.0])); // before training
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_log_variance(self, features: usize, key: Key) -> Result<Self> {
        let bare = self.without_log_variance()?;
        let config = ModelConfig { log_variance: Some(checked(features)?), ..bare.config };
        let backend = bare.parameters.backend();
        let head = Parameters::initial(key, backend, |vb| {
            LogVarianceHead::new(features, &vb.pp(NAME)).map(|_| Vec::new())
        })?;
        let mut tensors = bare.parameters.state();
        tensors.extend(head.state());
        let ask = |vb| config.ask(&bare.build, vb);
        let parameters = Parameters::from_tensors(&tensors, Path::new("the model"), backend, ask)?;
        Self::around(config, bare.build, bare.sde, parameters)
    }

    /// The model without a log-variance, as it is sampled from.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn without_log_variance(self) -> Result<Self> {
        if self.config.log_variance.is_none() {
            return Ok(self);
        }
        let (config, tensors) = self.config.for_sampling(self.parameters.state());
        let (backend, ask) = (self.parameters.backend(), |vb| config.ask(&self.build, vb));
        let parameters = Parameters::from_tensors(&tensors, Path::new("the model"), backend, ask)?;
        Self::around(config, self.build, self.sde, parameters)
    }

    /// The learned log-variance at times; `None` for a model without.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn log_variance(&self, t: &[f64]) -> Result<Option<Vec<f64>>> {
        let values = |u: Tensor| u.to_dtype(candle_core::DType::F64)?.to_vec1();
        Ok(self.log_variances(t, false)?.map(values).transpose()?)
    }

    /// The log-variance at times, `[B]`, attached to the parameters or not.
    pub(super) fn log_variances(&self, t: &[f64], attached: bool) -> Result<Option<Tensor>> {
        let Some([live, detached]) = &self.heads else { return Ok(None) };
        let log_ratios: Vec<f64> = t.iter().map(|t| -self.sde.half_log_snr(*t)).collect();
        Ok(Some(if attached { live } else { detached }.at(&log_ratios)?))
    }
}
