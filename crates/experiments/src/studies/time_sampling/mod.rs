//! `time-sampling`: by what factor importance sampling of the times cuts the variance of a loss, and of its
//! gradient.

mod measure;
mod page;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use report::Sheet;
use score_nets::{Architecture, TimeDistribution, importance_integral};
use sde_core::analytic::DataSet;
use sde_core::{Key, Sde};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeSampling;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    data_set: Named<DataSet>,
    sdes: Vec<Named<dyn Sde>>,
    t_min: f64,
    rows: usize,
    seeds: usize,
    network: Network,
    training: Training,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Network {
    width: usize,
    blocks: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Training {
    steps: u64,
    batch: usize,
    lr: f64,
}

/// One quantity of one model: its variance under both laws.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    sde: String,
    trained: bool,
    /// `loss` or `gradient`.
    quantity: String,
    /// Variance of a row's under uniform times, and under the importance law.
    #[serde(with = "crate::number")]
    variances: [f64; 2],
    /// The former over the latter, and its standard error over the seeds.
    #[serde(with = "crate::number")]
    factor: f64,
    #[serde(with = "crate::number")]
    standard_error: f64,
    /// Mean under either law, and its standard error; of the gradient none.
    #[serde(with = "crate::number")]
    means: Option<[f64; 2]>,
    #[serde(with = "crate::number")]
    mean_errors: Option<[f64; 2]>,
}

/// What is known of a process beside its rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Process {
    sde: String,
    /// The deviation of the data as it was measured.
    #[serde(with = "crate::number")]
    sigma_data: f64,
    /// Number of parameters of the network.
    parameters: usize,
    /// Largest difference of the distribution functions of the two laws.
    #[serde(with = "crate::number")]
    laws_apart: f64,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    processes: Vec<Process>,
    rows: Vec<Row>,
}

impl Experiment for TimeSampling {
    const NAME: &'static str = "time-sampling";
    const ABOUT: &'static str =
        "importance sampling of the training times: the factor by which it cuts the variance";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("time-sampling");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        ensure!(!config.sdes.is_empty(), "sdes: none given");
        checks::within("t-min", config.t_min, 1e-9..=0.5)?;
        let Config { rows, seeds, .. } = *config;
        let (Network { width, blocks }, Training { batch, .. }) = (config.network, config.training);
        checks::all_at_least(&[
            ("rows", rows, 2),
            ("seeds", seeds, 2),
            ("training.batch", batch, 1),
            ("network.width", width, 1),
            ("network.blocks", blocks, 1),
        ])?;
        ensure!(config.training.steps > 0, "training.steps = 0: must be at least 1");
        checks::within("training.lr", config.training.lr, 1e-12..=1.0)?;
        let square = [("network.width", width), ("network.width", width)];
        checks::memory(&[square[0], square[1], ("network.blocks", blocks)], 200)?;
        checks::memory(&[("training.batch", batch), square[0]], 200)?;
        checks::memory(&[("seeds", seeds)], 200)?;
        let steps = usize::try_from(config.training.steps).unwrap_or(usize::MAX);
        let trained = checks::time(&[("training.steps", steps), ("training.batch", batch)])?;
        let measured = checks::time(&[("rows", rows), ("seeds", seeds)])?;
        for sde in &config.sdes {
            config.laws_apart(&**sde).with_context(|| format!("sdes, t-min: {sde}"))?;
        }
        config.architecture().context("network")?;
        // Two laws, before and after.
        Ok(config.sdes.len() as f64 * (trained + 4.0 * measured))
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let (mut processes, mut rows) = (Vec::new(), Vec::new());
        for (k, sde) in config.sdes.iter().enumerate() {
            let key = Key::root(config.seed).fold(k as u64);
            let (process, of_it): (Process, Vec<Row>) = workspace
                .part(&format!("process-{k}"), || measure::process(config, sde, key, workspace))?;
            processes.push(process);
            rows.extend(of_it);
        }
        Ok(Results { processes, rows })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let sdes = config.sdes.iter().map(|sde| citations::sde(&**sde));
        let more = ["songdurkan2021", "karras2022", "kingma2015", "vincent2011"];
        sdes.chain([config.data_set.reference()]).chain(more).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Config {
    fn architecture(&self) -> Result<Architecture> {
        let Network { width, blocks } = self.network;
        let args = json!({"dim": 2, "width": width, "blocks": blocks});
        Ok(Architecture::from_json(&json!({"architecture": "residual-mlp", "args": args}))?)
    }

    /// The smallest time of a process.
    fn t_min(&self, sde: &dyn Sde) -> f64 {
        self.t_min * sde.horizon()
    }

    /// The largest difference of the distribution functions of the two laws, on a grid.
    ///
    /// # Errors
    /// Where there is no importance law: the process loses all of its signal, or starts from none.
    fn laws_apart(&self, sde: &dyn Sde) -> Result<f64> {
        let t_min = self.t_min(sde);
        importance_integral(sde, t_min)?;
        let apart = |k: i32| -> Result<f64> {
            let u = f64::from(k) / 200.0;
            let t = TimeDistribution::LogSnr.time(sde, t_min, u)?;
            Ok((TimeDistribution::Uniform.cdf(sde, t_min, t)? - u).abs())
        };
        (1..200).try_fold(0.0, |most: f64, k| Ok(most.max(apart(k)?)))
    }
}
