//! Small networks for studies that need some, trained by the main experiment's code.

use anyhow::{Context as _, Result, ensure};
use ndarray::Array2;
use score_nets::ScoreNet;
use sde_core::{Score, Sde};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::desk::{Desk, Interrupted};
use crate::model::{to_rows, to_tensor};
use crate::ode_sde_gap::config::{Config, preset_text};
use crate::ode_sde_gap::{Cell, overrides, training};
use crate::runs::{Progress, RunFolder};

/// What is trained: the network of the main experiment's preset `quick` without the residual, shorter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Training {
    /// Data set of the main experiment.
    pub(crate) data_set: String,
    /// Widths of the hidden layers.
    pub(crate) hidden: Vec<usize>,
    /// Steps of SOAP.
    pub(crate) steps: u64,
    /// Points a step.
    pub(crate) batch: u64,
}

impl Training {
    /// Checks every value; hands back the evaluations a training takes.
    pub(crate) fn check(&self) -> Result<f64> {
        Ok(self.config(0).context("training")?.cost().0 as f64)
    }

    /// The process that networks are trained for.
    pub(crate) fn sde(&self) -> Result<Box<dyn Sde>> {
        Ok(sde_core::sde::parse(&self.config(0)?.sde)?)
    }

    fn config(&self, seed: u64) -> Result<Config> {
        ensure!(self.steps > 0, "steps = 0: must be at least 1");
        let mut table = preset_text("quick")?.parse::<Table>()?;
        for change in [
            format!("seed={seed}"),
            format!("data-sets=[{}]", toml::Value::String(self.data_set.clone())),
            "weights=[0.0]".into(),
            format!("network.hidden={:?}", self.hidden),
            format!("training.batch={}", self.batch),
            format!("training.schedule.steps={}", self.steps),
            format!("training.schedule.warmup={}", self.steps.min(100) / 2),
        ] {
            overrides::apply(&mut table, &change)?;
        }
        Config::from_toml(&toml::to_string(&table)?)
    }

    /// The network of a seed: trained before, or trained now, in a folder of its own.
    ///
    /// # Errors
    /// [`Interrupted`] after ctrl-c, with a checkpoint to go on from.
    pub(crate) fn network(&self, seed: u64, desk: &Desk<'_>) -> Result<ScoreNet> {
        desk.go_on()?;
        let config = self.config(seed)?;
        let root = desk.folder.path(&format!("networks/seed-{seed}"));
        let folder = RunFolder::open(&root, &config.to_toml()?, false)?;
        let cell = Cell { dataset: self.data_set.clone(), w_r: 0.0 };
        let progress = Progress::new(config.cost().0, 0);
        let trained =
            training::network(&config, &config.backend()?, &cell, &folder, &progress, desk.stop);
        progress.clear();
        Ok(trained?.ok_or(Interrupted)?.net)
    }
}

/// A network on rows in double precision.
pub(crate) struct OnRows<'a>(pub(crate) &'a ScoreNet);

impl Score<Array2<f64>> for OnRows<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
        let ours = |e: anyhow::Error| sde_core::Error::Model(e.into());
        let x = to_tensor(x, self.0).map_err(ours)?;
        to_rows(&self.0.score(&x, t)?).map_err(ours)
    }
}
