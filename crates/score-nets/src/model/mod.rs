//! A model of the score: any network under any linear process.

mod backward;
mod config;
mod evaluate;
mod file;
mod labelled;
mod log_variance;
mod matching;
mod potential;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use sde_core::{Key, Parametrisation, Preconditioning, Sde};

pub use config::ModelConfig;
pub(crate) use config::{check_text, text};
pub use evaluate::Quantity;
pub use labelled::LabelledModel;
pub use matching::{Denoising, Samples};

use crate::{Backend, Error, Network, Parameters, Result};

/// How a network is built around tensors.
pub type Build = Arc<dyn Fn(VarBuilder<'static>) -> Result<Box<dyn Network>> + Send + Sync>;

/// A network, what its output stands for, what it is given, and the process it is a score of.
///
/// With `s` the combination that [`Parametrisation::score`] gives for the noise level at `t`,
///
/// `score(x, t) = s.x x + s.p F(c_in(t) x; c_noise(t), labels)`.
///
/// Under [`Parametrisation::Potential`] the network gives one number a row, `phi(x, t) = F(c_in(t) x; c_noise(t))`, and
/// the score is `grad_x phi`: exact, and trained through as it is; detached by one backward pass, attached to the
/// parameters by a direction for each of the `D` axes. Then it implements [`Potential`](sde_core::Potential) too (of
/// other models that is an error). What shifts `phi` by a constant and does
/// nothing else has no gradient, and is known not to have one.
///
/// It implements [`Score`](sde_core::Score) and [`ScoreJvp`](sde_core::ScoreJvp) for tensors of any shape of row,
/// without labels; with labels it does as [`ScoreModel::given`]. Evaluations are detached from the autograd graph;
/// [`ScoreModel::jet`] stays attached to the parameters.
///
/// ```
/// use score_nets::{Architecture, Backend, ModelConfig, ScoreModel};
/// use sde_core::{Key, Score};
/// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 3, "width": 16, "blocks": 2}}"#;
/// let config = ModelConfig::edm(Architecture::parse(json)?, 0.5, "vp");
/// let backend = Backend::cpu();
/// let model = ScoreModel::new(config, Key::root(1), &backend)?;
/// let x = backend.tensor(vec![0.3; 6], &[2, 3])?;
/// assert_eq!(model.score(&x, 0.5)?.dims(), [2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A network of one number an image as a potential:
///
/// ```
/// use score_nets::{Architecture, Backend, ModelConfig, ScoreModel};
/// use sde_core::{Key, Parametrisation, Potential};
/// let json = r#"{"architecture": "guided-diffusion-encoder", "args": {"image_size": 4, "in_channels": 1,
///     "model_channels": 32, "out_channels": 1, "num_res_blocks": 1, "attention_resolutions": [],
///     "channel_mult": [1], "pool": "adaptive"}}"#;
/// let config = ModelConfig::edm(Architecture::parse(json)?, 0.5, "vp");
/// let config = ModelConfig { output: Parametrisation::Potential, ..config };
/// let backend = Backend::cpu();
/// let model = ScoreModel::new(config, Key::root(1), &backend)?;
/// let x = backend.tensor(vec![0.3; 32], &[2, 1, 4, 4])?;
/// let phi = model.derivatives(&x, &[0.2, 0.5])?;
/// assert_eq!((phi.potential.len(), phi.score.dims()), (2, &[2, 1, 4, 4][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ScoreModel {
    config: ModelConfig,
    build: Build,
    sde: Arc<dyn Sde>,
    parameters: Parameters,
    /// Around the parameters, with a graph that leads back to them.
    live: Box<dyn Network>,
    /// Around the same values: no operation on it is recorded.
    detached: Box<dyn Network>,
    /// The learned log-variance, where the model is trained with one.
    heads: Option<log_variance::Heads>,
}

impl ScoreModel {
    /// A model with fresh parameters under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] when the configuration does not work, or says nothing of the network: then use
    /// [`ScoreModel::of_network`].
    pub fn new(mut config: ModelConfig, key: Key, backend: &Backend) -> Result<Self> {
        let log_variance = config.log_variance.take();
        let (build, sde) = (config.builder()?, config.process()?);
        let network = config.network.as_ref();
        let parameters = match network {
            // It knows what the tensors are that are not trained.
            Some(network) => network.initial(key, backend)?,
            None => Parameters::initial(key, backend, |vb| Ok(build(vb)?.buffers()))?,
        };
        let model = Self::around(config, build, sde, parameters)?;
        match log_variance {
            None => Ok(model),
            Some(features) => model.with_log_variance(features, key),
        }
    }

    /// A model with a network and a process of one's own, with fresh parameters under `key`.
    ///
    /// # Errors
    /// Whatever `build` fails with; [`Error::Shape`] for an output that does not go with the parametrisation: as many
    /// channels as the data have or more, or one number for a potential.
    pub fn of_network(
        build: Build,
        output: Parametrisation,
        preconditioning: Preconditioning,
        sde: Arc<dyn Sde>,
        key: Key,
        backend: &Backend,
    ) -> Result<Self> {
        let config = ModelConfig {
            network: None,
            output,
            preconditioning,
            sde: sde.name(),
            sigma_data: output.sigma_data(),
            log_variance: None,
            identity: None,
            data: None,
        };
        let parameters = Parameters::initial(key, backend, |vb| Ok(build(vb)?.buffers()))?;
        Self::around(config, build, sde, parameters)
    }

    /// The model around parameters that fit it.
    fn around(
        config: ModelConfig,
        build: Build,
        sde: Arc<dyn Sde>,
        parameters: Parameters,
    ) -> Result<Self> {
        let live = build(parameters.live())?;
        let detached = build(parameters.detached())?;
        let (rows, out) = (live.row_shape(), live.out_shape());
        let (expected, fits) = match config.output {
            Parametrisation::Potential => (vec![1], out == [1]),
            _ => {
                let fits = rows.len() == out.len() && rows[1..] == out[1..] && rows[0] <= out[0];
                (rows, fits)
            }
        };
        if !fits {
            return Err(Error::Shape {
                what: "output of the network".into(),
                expected,
                found: out,
            });
        }
        let heads = config.heads(&parameters)?;
        Ok(Self { config, build, sde, parameters, live, detached, heads })
    }

    /// Everything but the weights.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The forward process.
    pub fn sde(&self) -> &dyn Sde {
        &*self.sde
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The network, attached to the graph of its parameters.
    pub fn network(&self) -> &dyn Network {
        &*self.live
    }

    /// The network, detached from it.
    pub fn detached(&self) -> &dyn Network {
        &*self.detached
    }

    /// The shape of a row of the data.
    pub fn row_shape(&self) -> Vec<usize> {
        self.live.row_shape()
    }

    /// Numbers in a row of the data.
    pub fn dim(&self) -> usize {
        self.row_shape().iter().product()
    }

    /// Number of classes; 0 for a model without.
    pub fn n_classes(&self) -> usize {
        self.live.n_classes()
    }

    /// Element type of weights and inputs.
    pub fn dtype(&self) -> DType {
        self.parameters.backend().dtype
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.parameters.backend().device
    }

    /// The model of particles with classes: `labels` are `[N]` integers or `[N, K]` weights, those of particles
    /// `0 .. N`; without, of particles without a class.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for labels and a model without classes, [`Error::Setting`] for a label that is none.
    pub fn with_labels(&self, labels: Option<&Tensor>) -> Result<LabelledModel<'_>> {
        LabelledModel::new(self, labels)
    }

    /// A copy with values of its own, on another backend.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn copy_to(&self, backend: &Backend) -> Result<Self> {
        let parameters = self.parameters.copy_to(backend)?;
        Self::around(self.config.clone(), self.build.clone(), self.sde.clone(), parameters)
    }
}

impl std::fmt::Debug for ScoreModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoreModel").field("config", &self.config).finish_non_exhaustive()
    }
}
