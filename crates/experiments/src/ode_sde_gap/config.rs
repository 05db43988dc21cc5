//! The configuration: one TOML table in which every default is written out.

use anyhow::{Context as _, Result, bail, ensure};
use score_nets::{
    Activation, Backend, Draws, Kernels, Optimiser, OutlierWeighting, Proposal, Schedule,
    TimeDistribution, TimeEmbedding, TimeFeature, Weighting,
};
use sde_core::TimeGrid;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The name of the experiment.
pub const NAME: &str = "ode-sde-gap";

/// Names of the presets, each a whole configuration.
pub const PRESETS: [&str; 5] = ["smoke", "quick", "table", "published", "paper"];

/// Keys that may be absent.
pub(super) const OPTIONAL: [&str; 5] =
    ["models", "device", "dtype", "sampling.n-ode", "training.outlier-weighting"];

/// Keys of earlier versions, and what they are called now.
const RENAMED: [(&str, &str); 3] = [
    ("training.time-law", "training.time-distribution"),
    ("training.proposal.law", "training.proposal.distribution"),
    ("training.tails", "training.outlier-weighting"),
];

/// The name of a key today: that of an earlier version, or of something below it, is replaced.
pub(super) fn current_name(path: &str) -> String {
    for (before, now) in RENAMED {
        if let Some(rest) = path.strip_prefix(before)
            && (rest.is_empty() || rest.starts_with('.'))
        {
            return format!("{now}{rest}");
        }
    }
    path.to_owned()
}

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
    /// Data sets, by name.
    pub data_sets: Vec<String>,
    /// Weights `w_R` of the mean squared residual in the loss.
    pub weights: Vec<f64>,
    /// The forward SDE, by name and constants.
    pub sde: String,
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
    /// Sampling.
    pub sampling: Sampling,
    /// Measuring.
    pub measuring: Measuring,
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
    #[serde(alias = "time-law")]
    pub time_distribution: TimeDistribution,
    /// A law that a share of the times is drawn from instead, with weights that make up for it; of
    /// both losses.
    pub proposal: Proposal,
    /// How the rows of a batch are drawn together: `independent` or `quasi-monte-carlo`; of both losses.
    pub draws: Draws,
    /// Points outside the data that count for more in the denoising loss, where given.
    #[serde(default, alias = "tails", skip_serializing_if = "Option::is_none")]
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
    /// Time grid, by name.
    pub grid: String,
    /// Steps of the grid. The published one, `ode-sde-gap`, has 890: 790 and 100 of a tenth.
    pub steps: usize,
    /// The time at which sampling ends.
    pub t_end: f64,
    /// Method for the probability-flow ODE.
    pub ode_method: String,
    /// Method for the reverse SDE.
    pub sde_method: String,
    /// How the SDE's last step is taken: `plain`, `no-noise` or `denoise` (then the ODE's too).
    pub end: String,
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
}

impl Sampling {
    /// Particles of the ODE.
    pub fn n_ode(&self) -> u64 {
        self.n_ode.map_or(self.n, |most| most.min(self.n))
    }
}

impl Config {
    /// A preset.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn preset(name: &str) -> Result<Self> {
        Self::from_toml(preset_text(name)?)
    }

    /// Reads and checks a whole configuration.
    ///
    /// # Errors
    /// One line that names the place and the offending value.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| one_line(&e, text))?;
        // Variants without fields accept any in serde: what does not come back was not understood.
        let (given, read): (Table, Table) = (text.parse()?, config.to_toml()?.parse()?);
        if let Some(key) = lost_key(&given, &read) {
            bail!("unknown key `{key}`");
        }
        config.validate()?;
        Ok(config)
    }

    /// The configuration as TOML, every default written out.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("writing the configuration")
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

    /// Checks every value.
    ///
    /// # Errors
    /// One line with the key and the offending value.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.experiment == NAME, "experiment = {:?}: expected {NAME:?}", self.experiment);
        super::limits::check(self)
    }

    /// The times of the sampler, descending.
    ///
    /// # Errors
    /// When the grid does not exist or does not work for the SDE.
    pub fn times(&self) -> Result<Vec<f64>> {
        let sde = sde_core::sde::parse(&self.sde).context("sde")?;
        let s = &self.sampling;
        let grid = TimeGrid::parse(&s.grid).context("sampling.grid")?;
        grid.times(&*sde, s.steps, sde.horizon(), s.t_end).context("sampling.steps")
    }

    /// Evaluations of the score that all networks take together, about.
    pub fn evaluations(&self) -> f64 {
        let ((train, sample), m) = (self.cost(), &self.measuring);
        let cells = self.data_sets.len() * self.weights.len();
        let measured = m.residual_points + m.dsm_points;
        cells as f64 * ((train + sample) as f64 + measured as f64 + m.truth as f64)
    }

    /// The cost of things, in evaluations of the network's gradient: training of one network, and
    /// sampling of ODE and SDE, each for progress bars only.
    pub fn cost(&self) -> (u64, u64) {
        let (t, s) = (&self.training, &self.sampling);
        let step = 3 * t.batch as u64 + 8 * t.residual.points as u64;
        (self.steps() * step, (s.n + s.n_ode()) * s.steps as u64)
    }
}

/// The text of a preset.
///
/// # Errors
/// When there is none of that name.
pub fn preset_text(name: &str) -> Result<&'static str> {
    Ok(match name {
        "smoke" => include_str!("../../configs/smoke.toml"),
        "quick" => include_str!("../../configs/quick.toml"),
        "table" => include_str!("../../configs/table.toml"),
        "published" => include_str!("../../configs/published.toml"),
        "paper" => include_str!("../../configs/paper.toml"),
        _ => bail!("unknown preset `{name}`: expected one of {}", PRESETS.join(", ")),
    })
}

/// The first key of `given` that is not in `read`.
pub(crate) fn lost_key(given: &Table, read: &Table) -> Option<String> {
    given.iter().find_map(|(key, value)| match (value, read.get(key)) {
        (_, None) => Some(key.clone()),
        (Value::Table(a), Some(Value::Table(b))) => {
            lost_key(a, b).map(|inner| format!("{key}.{inner}"))
        }
        _ => None,
    })
}

/// A TOML error as one line: the line it is in, where it is about a value, and what.
pub(crate) fn one_line(error: &toml::de::Error, text: &str) -> anyhow::Error {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    let at = error.span().map_or(0, |s| s.start.min(text.len()));
    let line = text.get(..at).map_or("", |before| {
        text[before.rfind('\n').map_or(0, |k| k + 1)..].lines().next().unwrap_or("")
    });
    match line.split_once('=') {
        // A field that is missing or unknown is named in the message.
        Some((key, _)) if !message.contains(" field `") => {
            anyhow::anyhow!("configuration: {}: {message}", key.trim())
        }
        _ => anyhow::anyhow!("configuration: {message}"),
    }
}
