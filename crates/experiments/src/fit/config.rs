//! The configuration of a fit.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use data::Kind;
use score_nets::unet::{EdmConfig, EdmModel, ImageSize};
use score_nets::{
    Architecture, ClassifierConfig, DataSource, Denoising, ModelConfig, Noising, Optimiser,
    ResidualMlpConfig, Schedule, TimeDistribution, TrainConfig, Weighting,
};
use sde_core::{Parametrisation, Preconditioning, Sde, TimeGrid};
use serde::{Deserialize, Serialize};
use serde_json::json;
use solvers::ConfiguredMethod;

use super::prepared::Prepared;
use super::source::Source;
use crate::checks;
use crate::named::Named;

/// Everything about a fit but the data's own content.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) experiment: String,
    pub(crate) preset: String,
    pub(crate) seed: u64,
    /// The process.
    pub(crate) sde: Named<dyn Sde>,
    pub(crate) data: Source,
    pub(crate) network: Network,
    pub(crate) training: Training,
    pub(crate) sampling: Sampling,
    pub(crate) measuring: Measuring,
    /// A classifier of noised rows beside the model, where there are classes; without it none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) classifier: Option<Classifying>,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Network {
    /// A residual network of rows of numbers.
    ResidualMlp {
        /// Features.
        width: usize,
        /// Residual blocks.
        blocks: usize,
        /// Probability of dropout.
        dropout: f64,
    },
    /// EDM's U-Net.
    Unet {
        /// Channels of the outermost level.
        channels: usize,
        /// Channels of every level, in units of the outermost.
        multipliers: Vec<usize>,
        /// Blocks of a level.
        blocks: usize,
        /// Heights of the levels with attention.
        attention: Vec<usize>,
        /// Probability of dropout.
        dropout: f64,
    },
}

/// How it is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Training {
    /// Steps; without it as many as fit into the part of the minutes that training has. Where that is over, training ends
    /// before its last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<u64>,
    /// Minutes that training, sampling and measuring may take.
    pub(crate) minutes: f64,
    /// Rows a step.
    pub(crate) batch: usize,
    /// The highest learning rate of a cosine.
    pub(crate) lr: f64,
    pub(crate) optimiser: Optimiser,
    /// Distribution of the times of a batch.
    pub(crate) time_distribution: TimeDistribution,
    pub(crate) t_min: f64,
    /// Share of the rows whose class is withheld.
    pub(crate) label_dropout: f64,
    /// Share of all steps without a better loss on withheld rows after which training ends.
    pub(crate) patience: f64,
}

/// What is drawn from the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Sampling {
    /// Rows, by either equation.
    pub(crate) n: usize,
    pub(crate) ode_method: Named<ConfiguredMethod>,
    pub(crate) ode_steps: usize,
    pub(crate) sde_method: Named<ConfiguredMethod>,
    pub(crate) sde_steps: usize,
    pub(crate) grid: Named<TimeGrid>,
    /// Where the samplers end.
    pub(crate) t_end: f64,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Measuring {
    /// Rows of each side of a distance, at most.
    pub(crate) rows: usize,
    /// Draws of a noise floor.
    pub(crate) floors: usize,
    /// Withheld rows whose likelihood is computed, at most.
    pub(crate) likelihood: usize,
    /// Steps of the flow.
    pub(crate) likelihood_steps: usize,
    /// Dimension up to which the divergence is exact.
    pub(crate) exact_up_to: usize,
    /// Random probes beyond.
    pub(crate) probes: usize,
    /// Images whose lower halves are filled in, where there are classes; without it none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fill: Option<Fill>,
}

/// Filling in by twisted sequential Monte Carlo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Fill {
    /// Withheld images, at most.
    pub(crate) rows: usize,
    /// Particles of each.
    pub(crate) particles: usize,
    /// Steps.
    pub(crate) steps: usize,
}

/// A classifier of noised rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Classifying {
    /// Steps; without it those of the model, or as many as fit into its part of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<u64>,
    /// Weights with which the report guides the model without classes.
    pub(crate) weights: Vec<f64>,
    /// The network: a residual network of rows, or the descending half of a U-Net.
    pub(crate) network: Network,
}

/// Share of the minutes that goes to training.
const SHARE: f64 = 0.7;

/// Share of that which goes to a classifier.
const OF_CLASSIFIER: f64 = 0.25;

/// Channels of guided-diffusion's classifier come in groups of so many.
const GROUPS: usize = 32;

impl Training {
    /// Seconds of samples and likelihoods; the rest is for distances and the page.
    pub(crate) fn seconds_after(&self) -> f64 {
        0.8 * (1.0 - SHARE) * 60.0 * self.minutes
    }

    /// Steps between two losses on withheld rows.
    pub(crate) fn validate_every(&self, planned: u64) -> u64 {
        (planned / 40).max(1)
    }

    /// Rows of a loss on withheld rows that `networks` networks take between `every` steps, so that they take at most a
    /// tenth of the time of those: a step evaluates a row and its gradient, three evaluations.
    pub(crate) fn validation_rows(&self, every: u64, networks: usize) -> usize {
        let rows = 0.1 * 3.0 * every as f64 * self.batch as f64 / networks as f64;
        (rows as usize).max(64)
    }

    /// Steps between two lines of the log.
    pub(crate) fn log_every(&self, step: u64) -> u64 {
        if step < 100 { 5 } else { 20 }
    }

    /// Optimiser and learning rates of so many steps.
    pub(crate) fn recipe(&self, steps: u64) -> TrainConfig {
        let warmup = (steps / 10).min(100);
        let schedule = Schedule::Cosine { lr: self.lr, lr_end: 0.01 * self.lr, warmup, steps };
        TrainConfig {
            optimiser: self.optimiser,
            clip: Some(1.0),
            ..TrainConfig::new(steps, schedule)
        }
    }

    /// Noised rows of a source.
    pub(crate) fn noising(&self, source: Arc<dyn DataSource>, batch: usize) -> Noising {
        let (time, t_min) = (self.time_distribution, self.t_min);
        Noising { time, t_min, ..Noising::new(source, batch) }
    }

    /// The loss on batches of a source.
    pub(crate) fn loss(&self, source: Arc<dyn DataSource>, batch: usize) -> Denoising {
        Denoising::new(source, batch)
            .time(self.time_distribution)
            .t_min(self.t_min)
            .weighting(Weighting::Native)
            .label_dropout(self.label_dropout)
    }
}

impl Config {
    /// The model of prepared rows with so many classes and this deviation of a coordinate.
    pub(crate) fn model(
        &self,
        prepared: &Prepared,
        classes: usize,
        sigma_data: f64,
    ) -> Result<ModelConfig> {
        Ok(ModelConfig {
            network: Some(self.network.architecture(prepared, classes)?),
            output: Parametrisation::F { sigma_data },
            preconditioning: Preconditioning::edm(sigma_data),
            sde: self.sde.to_string(),
            sigma_data: Some(sigma_data),
            log_variance: None,
            identity: None,
            data: Some(serde_json::to_value(prepared)?),
        })
    }

    /// The classifier of prepared rows with this deviation of a coordinate.
    pub(crate) fn classifier(
        &self,
        network: &Network,
        prepared: &Prepared,
        sigma_data: f64,
    ) -> Result<ClassifierConfig> {
        let network = network.classifier(prepared)?;
        let config = ClassifierConfig::edm(network, sigma_data, &self.sde.to_string());
        Ok(ClassifierConfig { data: Some(serde_json::to_value(prepared)?), ..config })
    }

    /// Seconds of training of the model, and of a classifier.
    pub(crate) fn seconds(&self) -> [f64; 2] {
        let all = SHARE * 60.0 * self.training.minutes;
        let share = if self.classifier.is_some() { OF_CLASSIFIER } else { 0.0 };
        [(1.0 - share) * all, share * all]
    }

    /// Checks every value; hands back about how many evaluations of a network it takes.
    pub(crate) fn check(&self) -> Result<f64> {
        let Self { data, training, sampling, measuring, .. } = self;
        data.check()?;
        self.network.check("network")?;
        self.classifier.as_ref().map_or(Ok(()), |c| c.check(self))?;
        ensure!(training.steps != Some(0), "training.steps = 0: must be at least 1");
        checks::within("training.minutes", training.minutes, 0.01..=1e5)?;
        checks::within("training.lr", training.lr, 1e-12..=1.0)?;
        checks::within("training.patience", training.patience, 0.01..=1.0)?;
        checks::within("training.label-dropout", training.label_dropout, 0.0..=1.0)?;
        training.recipe(1000).validate()?;
        let sde = &self.sde;
        for (key, t) in [("training.t-min", training.t_min), ("sampling.t-end", sampling.t_end)] {
            checks::within(key, t, 1e-9..=sde.horizon() / 2.0)?;
        }
        for (key, value, least) in [
            ("training.batch", training.batch, 1),
            ("sampling.n", sampling.n, 10),
            ("sampling.ode-steps", sampling.ode_steps, 1),
            ("sampling.sde-steps", sampling.sde_steps, 1),
            ("measuring.rows", measuring.rows, 10),
            ("measuring.floors", measuring.floors, 1),
            ("measuring.likelihood", measuring.likelihood, 1),
            ("measuring.likelihood-steps", measuring.likelihood_steps, 2),
            ("measuring.probes", measuring.probes, 1),
        ] {
            checks::at_least(key, value, least)?;
        }
        measuring.fill.as_ref().map_or(Ok(()), Fill::check)?;
        sampling
            .grid
            .times(&**sde, sampling.ode_steps, sde.horizon(), sampling.t_end)
            .with_context(|| format!("sde = {sde}, sampling.grid = {}", sampling.grid))?;
        checks::memory(&[("sampling.n", sampling.n)], 1000)?;
        checks::memory(&[("training.batch", training.batch)], 1000)?;
        checks::time(&[("measuring.rows", measuring.rows), ("measuring.rows", measuring.rows)])?;
        checks::time(&[("sampling.n", sampling.n), ("sampling.sde-steps", sampling.sde_steps)])
    }
}

impl Fill {
    fn check(&self) -> Result<()> {
        for (key, value) in [
            ("measuring.fill.rows", self.rows),
            ("measuring.fill.particles", self.particles),
            ("measuring.fill.steps", self.steps),
        ] {
            checks::at_least(key, value, 1)?;
        }
        checks::memory(&[("measuring.fill.particles", self.particles)], 100_000)?;
        checks::time(&[
            ("measuring.fill.rows", self.rows),
            ("measuring.fill.particles", self.particles),
            ("measuring.fill.steps", self.steps),
        ])?;
        Ok(())
    }
}

impl Classifying {
    fn check(&self, config: &Config) -> Result<()> {
        ensure!(self.steps != Some(0), "classifier.steps = 0: must be at least 1");
        checks::all_within("classifier.weights", &self.weights, -1000.0..=1000.0)?;
        let samples = ("sampling.n", config.sampling.n);
        checks::time(&[("classifier.weights", self.weights.len().max(1)), samples])?;
        self.network.check("classifier.network")?;
        if let Network::Unet { channels, .. } = self.network {
            ensure!(
                channels.is_multiple_of(GROUPS),
                "classifier.network.channels = {channels}: must be a multiple of {GROUPS}"
            );
        }
        Ok(())
    }
}

impl Network {
    /// Checks every value, under the key of the network.
    fn check(&self, key: &str) -> Result<()> {
        let (sizes, dropout) = match self {
            Self::ResidualMlp { width, blocks, dropout } => {
                ([("width", *width), ("blocks", *blocks)], *dropout)
            }
            Self::Unet { channels, multipliers, blocks, dropout, .. } => {
                ensure!(!multipliers.is_empty(), "{key}.multipliers: none given");
                ([("channels", *channels), ("blocks", *blocks)], *dropout)
            }
        };
        for (name, value) in sizes {
            checks::at_least(&format!("{key}.{name}"), value, 1)?;
        }
        checks::within(&format!("{key}.dropout"), dropout, 0.0..=0.9)
    }

    fn architecture(&self, prepared: &Prepared, classes: usize) -> Result<Architecture> {
        match (self, prepared.transform.kind()) {
            (Self::ResidualMlp { width, blocks, dropout }, _) => {
                let dim = prepared.transform.model_dim();
                let config = ResidualMlpConfig::new(dim);
                Ok(Architecture::ResidualMlp(ResidualMlpConfig {
                    width: *width,
                    blocks: *blocks,
                    dropout: *dropout,
                    classes,
                    ..config
                }))
            }
            (
                Self::Unet { channels, multipliers, blocks, attention, dropout },
                Kind::Images { channels: colours, height, width, .. },
            ) => Ok(Architecture::Edm(EdmConfig {
                model_channels: *channels,
                channel_mult: multipliers.clone(),
                num_blocks: *blocks,
                attn_resolutions: attention.clone(),
                dropout: *dropout,
                label_dim: classes,
                ..EdmConfig::new(EdmModel::SongUNet, *colours, ImageSize::from([*height, *width]))
            })),
            (Self::Unet { .. }, kind) => no_images("network", kind),
        }
    }

    /// A network whose outputs are the classes.
    fn classifier(&self, prepared: &Prepared) -> Result<Architecture> {
        let classes = prepared.transform.classes().len();
        match (self, prepared.transform.kind()) {
            (Self::ResidualMlp { .. }, _) => Ok(match self.architecture(prepared, 0)? {
                Architecture::ResidualMlp(config) => {
                    let outputs = Some(classes);
                    Architecture::ResidualMlp(ResidualMlpConfig { outputs, ..config })
                }
                other => other,
            }),
            (
                Self::Unet { channels, multipliers, blocks, attention, dropout },
                Kind::Images { channels: colours, height, width, .. },
            ) => {
                let levels = attention.iter().filter(|h| **h > 0).map(|h| height / h);
                let json = json!({"architecture": "guided-diffusion-encoder", "args": {
                    "image_size": [height, width], "in_channels": colours, "out_channels": classes,
                    "model_channels": channels, "channel_mult": multipliers, "num_res_blocks": blocks,
                    "attention_resolutions": levels.collect::<Vec<_>>(), "dropout": dropout,
                    "num_head_channels": GROUPS, "use_scale_shift_norm": true, "resblock_updown": true,
                    "pool": "attention",
                }});
                Ok(Architecture::from_json(&json)?)
            }
            (Self::Unet { .. }, kind) => no_images("classifier.network", kind),
        }
    }
}

fn no_images(key: &str, kind: &Kind) -> Result<Architecture> {
    anyhow::bail!(
        "{key}.kind = \"unet\": the data are no images but a table of {} columns",
        kind.dim()
    )
}
