//! Small networks for studies that need some, trained by the main experiment's code.

use anyhow::{Context as _, Result, bail, ensure};
use score_nets::{Schedule, ScoreNet};
use sde_core::Sde;
use sde_core::analytic::DataSet;
use serde::{Deserialize, Serialize};

use crate::citations;
use crate::named::Named;
use crate::ode_sde_gap::config::Config;
use crate::ode_sde_gap::{Cell, OdeSdeGap, training};
use crate::runs::config::to_toml;
use crate::runs::{Experiment as _, Workspace};

/// What is trained: the network of the main experiment's preset `quick` without the residual, shorter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Training {
    /// Data set of the main experiment.
    pub(crate) data_set: Named<DataSet>,
    /// Widths of the hidden layers.
    pub(crate) hidden: Vec<usize>,
    /// Steps of SOAP.
    pub(crate) steps: u64,
    /// Points a step.
    pub(crate) batch: usize,
}

impl Training {
    /// Checks every value; hands back the evaluations a training takes.
    pub(crate) fn check(&self) -> Result<f64> {
        ensure!(self.steps > 0, "steps = 0: must be at least 1");
        let config = self.config(0)?;
        OdeSdeGap::check(&config).context("training")?;
        Ok(config.cost(0.0).train)
    }

    /// The process that networks are trained for.
    pub(crate) fn sde(&self) -> Result<Named<dyn Sde>> {
        Ok(self.config(0)?.sde)
    }

    /// What the training rests on.
    pub(crate) fn references(&self) -> Vec<&'static str> {
        let Ok(config) = self.config(0) else { return Vec::new() };
        let [loss, optimiser] = config.training_references();
        vec![self.data_set.reference(), loss, optimiser, citations::sde(&*config.sde)]
    }

    fn config(&self, seed: u64) -> Result<Config> {
        let mut config = Config::preset("quick")?;
        config.seed = seed;
        config.data_sets = vec![self.data_set.clone()];
        config.weights = vec![0.0];
        config.network.hidden = self.hidden.clone();
        config.training.batch = self.batch;
        let Schedule::Cosine { lr, lr_end, .. } = config.training.schedule else {
            bail!("the preset's schedule is no cosine")
        };
        let (steps, warmup) = (self.steps, self.steps.min(100) / 2);
        config.training.schedule = Schedule::Cosine { lr, lr_end, warmup, steps };
        Ok(config)
    }

    /// The network of a seed: trained before, or trained now, in a folder of its own.
    ///
    /// # Errors
    /// [`Interrupted`](crate::runs::Interrupted) after ctrl-c, with a checkpoint to go on from.
    pub(crate) fn network(&self, seed: u64, workspace: &Workspace) -> Result<ScoreNet> {
        workspace.go_on()?;
        let config = self.config(seed)?;
        let cell = Cell::new(*self.data_set, 0.0);
        let inner = workspace.inner(&format!("networks/seed-{seed}"), &to_toml(&config)?)?;
        Ok(training::network(&config, &config.backend()?, &cell, &inner)?.net)
    }
}
