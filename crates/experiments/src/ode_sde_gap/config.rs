//! The configuration: one TOML table in which every default is written out.

use anyhow::{Context as _, Result};
use metrics::Metric;
use score_nets::{
    Activation, Backend, Draws, Kernels, Optimiser, OutlierWeighting, Proposal, Schedule,
    TimeDistribution, TimeEmbedding, TimeFeature, Weighting,
};
use sde_core::analytic::DataSet;
use sde_core::{Sde, TimeGrid};
use serde::{Deserialize, Serialize};
use solvers::{ConfiguredMethod, End};

use super::OdeSdeGap;
use crate::named::Named;
use crate::{citations, runs};

/// A whole configuration of the experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// `ode-sde-gap`.
    pub experiment: String,
    /// The preset it started from: a name for people, without effect.
    pub preset: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Data sets.
    pub data_sets: Vec<Named<DataSet>>,
    /// Weights `w_R` of the mean squared residual in the loss.
    pub weights: Vec<f64>,
    /// The forward SDE.
    pub sde: Named<dyn Sde>,
    /// Arithmetic of the networks: `auto`, `composite` or `fused`.
    pub kernels: Kernels,
    /// A folder of given checkpoints `<data set>_w<w_R>.safetensors`: nothing is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<String>,
    /// Where networks are trained and sampled, as [`Backend::parse`] takes it; the CPU where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Their element type, `f32` where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// The network.
    pub network: Network,
    /// Its training.
    pub training: Training,
    /// Other networks, trained in another way and sampled in the same, that these are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast: Option<Contrast>,
    /// Sampling.
    pub sampling: Sampling,
    /// Measuring.
    pub measuring: Measuring,
}

/// Another recipe, on some of the data sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contrast {
    /// What it is called in the report: `the published recipe`.
    pub name: String,
    /// Data sets.
    pub data_sets: Vec<Named<DataSet>>,
    /// Weights of the mean squared residual.
    pub weights: Vec<f64>,
    /// The network.
    pub network: Network,
    /// Its training.
    pub training: Training,
}

/// The potential network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Network {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Activation.
    pub activation: Activation,
    /// The function of time that the network sees.
    pub time: TimeFeature,
    /// How it enters.
    pub embedding: TimeEmbedding,
    /// What the network is added to.
    pub base: Base,
    /// Standard deviation of its inputs, with a base.
    pub input_scale: f64,
}

/// What the network is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Nothing.
    None,
    /// The exactly evolving Gaussian with the data's variance.
    Gaussian,
}

/// Training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Training {
    /// Points of the denoising loss a step.
    pub batch: usize,
    /// The smallest time trained on.
    pub t_min: f64,
    /// How times are drawn.
    pub time_distribution: TimeDistribution,
    /// A law that a share of the times is drawn from instead, with weights that make up for it; of
    /// both losses.
    pub proposal: Proposal,
    /// How the rows of a batch are drawn together: `independent` or `quasi-monte-carlo`; of both losses.
    pub draws: Draws,
    /// Points outside the data that count for more in the denoising loss, where given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier_weighting: Option<OutlierWeighting>,
    /// Weight of the denoising loss by time.
    pub weighting: Weighting,
    /// The optimiser and its constants.
    pub optimiser: Optimiser,
    /// Learning rates by step: `phases` (the optimiser starts anew at each) or `cosine`.
    pub schedule: Schedule,
    /// Largest norm of the gradient; 0 for no clipping.
    pub clip: f64,
    /// Decay of the moving average of the weights that is sampled from; 0 for none.
    pub ema_decay: f64,
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between two checkpoints.
    pub checkpoint_every: u64,
    /// The residual in the loss.
    pub residual: Residual,
}

/// The residual in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Residual {
    /// Points a step.
    pub points: usize,
    /// Where they lie.
    pub collocation: Collocation,
}

/// Where the residual is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Collocation {
    /// Uniformly in `[t-min, T]` times a box.
    UniformBox {
        /// Half the width of the box.
        half_width: f64,
    },
    /// On noised data, at times of the training law.
    OnPath,
}

/// Sampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sampling {
    /// Particles of each of ODE and SDE.
    pub n: u64,
    /// No more particles of the ODE than so many, where given. From [`Starts::QuasiMonteCarlo`] its histogram
    /// needs fewer than the SDE's, whose noise no start takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_ode: Option<u64>,
    /// How the particles at `t = T` are drawn from the prior.
    pub starts: Starts,
    /// Time grid.
    pub grid: Named<TimeGrid>,
    /// Steps of the grid. The published one, `ode-sde-gap`, has 890: 790 and 100 of a tenth.
    pub steps: usize,
    /// The time at which sampling ends.
    pub t_end: f64,
    /// Method for the probability-flow ODE.
    pub ode_method: Named<ConfiguredMethod>,
    /// Method for the reverse SDE.
    pub sde_method: Named<ConfiguredMethod>,
    /// How the SDE's last step is taken: `plain`, `no-noise` or `denoise` (then the ODE's too).
    pub end: Named<End>,
    /// Particles that go through the solve together; without effect on the samples.
    pub block: usize,
    /// Particles whose course over time is kept.
    pub paths: usize,
}

/// How the particles at `t = T` are drawn from the prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starts {
    /// Each on its own.
    Independent,
    /// Spread evenly over the prior (a shifted [`sde_core::KroneckerSequence`]). Every particle still has the
    /// prior's law; the histogram of the ODE, a smooth map of its starts, has far less noise.
    #[serde(alias = "lattice")]
    QuasiMonteCarlo,
}

/// Measuring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Measuring {
    /// Nodes of the histograms along each axis.
    pub grid: usize,
    /// Half the width of their window.
    pub half_width: f64,
    /// Samples of the truth; the noise floor holds as many as the SDE draws against them.
    pub truth: u64,
    /// Points of each cloud for W2 without dropping, and MMD.
    pub cloud: usize,
    /// Points at which the residual is averaged.
    pub residual_points: usize,
    /// Held-out points of the denoising loss.
    pub dsm_points: usize,
    /// The largest estimated error in total variation of the laws of ODE and SDE, which are then solved for without a sample;
    /// where not given they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_free: Option<f64>,
}

impl Sampling {
    /// Particles of the ODE.
    pub fn n_ode(&self) -> u64 {
        self.n_ode.map_or(self.n, |most| most.min(self.n))
    }
}

/// What one network costs, in evaluations of its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Of its training.
    pub train: f64,
    /// Of ODE and SDE.
    pub sample: f64,
    /// Of what is measured.
    pub measure: f64,
}

impl Config {
    /// A preset.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn preset(name: &str) -> Result<Self> {
        runs::config::preset::<OdeSdeGap>(name)
    }

    /// Reads and checks a whole configuration.
    ///
    /// # Errors
    /// One line that names the place and the offending value.
    pub fn from_toml(text: &str) -> Result<Self> {
        runs::config::from_toml::<OdeSdeGap>(text)
    }

    /// Where networks compute, opened; a configuration may name a device that only another machine has.
    ///
    /// # Errors
    /// As [`Backend::parse`].
    pub fn backend(&self) -> Result<Backend> {
        let device = self.device.as_deref().unwrap_or("cpu");
        Ok(Backend::parse(device, self.dtype.as_deref().unwrap_or("f32"))?)
    }

    /// Steps of training.
    pub fn steps(&self) -> u64 {
        self.training.schedule.steps().unwrap_or(0)
    }

    /// The times of the sampler, descending.
    ///
    /// # Errors
    /// When the grid does not work for the SDE.
    pub fn times(&self) -> Result<Vec<f64>> {
        let (s, sde) = (&self.sampling, &*self.sde);
        s.grid.times(sde, s.steps, sde.horizon(), s.t_end).context("sampling.steps")
    }

    /// The configuration of the other recipe, where there is one.
    pub fn contrast(&self) -> Option<Self> {
        let Contrast { data_sets, weights, network, training, .. } = self.contrast.clone()?;
        Some(Self { data_sets, weights, network, training, contrast: None, ..self.clone() })
    }

    /// Evaluations of the score that all networks take together, about.
    pub fn evaluations(&self) -> f64 {
        // As if every network had the residual in its loss.
        let (cost, m) = (self.cost(1.0), &self.measuring);
        let cells = (self.data_sets.len() * self.weights.len()) as f64;
        let measured = (m.residual_points + m.dsm_points) as f64 + m.truth as f64;
        let other = self.contrast().map_or(0.0, |c| c.evaluations());
        other + cells * (cost.train + cost.sample + measured)
    }

    /// What a network with this weight of the residual costs.
    pub fn cost(&self, w_r: f64) -> Cost {
        let (t, s, m) = (&self.training, &self.sampling, &self.measuring);
        let step = |dsm: usize, residual: usize| 3.0 * dsm as f64 + 8.0 * residual as f64;
        let points = if w_r == 0.0 { 0 } else { t.residual.points };
        Cost {
            train: self.steps() as f64 * step(t.batch, points),
            sample: (s.n as f64 + s.n_ode() as f64) * s.steps as f64,
            measure: step(m.dsm_points, m.residual_points)
                + (m.cloud as f64).powi(2)
                + m.noise_free.map_or(0.0, |_| 1e8),
        }
    }

    /// What a run rests on.
    pub(super) fn references(&self) -> Vec<&'static str> {
        let mut all = vec!["song2021", citations::sde(&*self.sde)];
        all.extend(self.data_sets.iter().map(|set| set.reference()));
        if self.models.is_none() {
            all.extend(self.training_references());
        }
        all.extend(self.contrast().iter().flat_map(Self::training_references));
        let methods = [&self.sampling.ode_method, &self.sampling.sde_method];
        all.extend(methods.map(|m| m.method().reference()));
        all.extend([Metric::W2, Metric::TotalVariation, Metric::Mmd].map(|m| m.info().reference));
        all
    }

    /// What the training rests on.
    pub(crate) fn training_references(&self) -> [&'static str; 2] {
        let optimiser = match self.training.optimiser {
            Optimiser::Adam(_) => "kingma2015",
            Optimiser::Soap(_) => "vyas2024",
        };
        ["vincent2011", optimiser]
    }
}
