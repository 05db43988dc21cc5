//! The data, and networks trained on them: one a seed, and from it one for each weight of the residual.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use data::{Dataset, Kind};
use fp_residual::{ProbedPenalty, TimeWeight};
use score_nets::{Backend, DataSource, Outcome, ScoreModel, TrainConfig, Trainer};

use super::Config;
use crate::fit::{self, Batches, Parts, Prepared};
use crate::runs::{Interrupted, Workspace};

/// Purposes of the key of a seed.
pub(super) mod purpose {
    pub(crate) const START: u64 = 0;
    pub(crate) const TRAIN: u64 = 1;
    pub(crate) const TUNE: u64 = 2;
    pub(crate) const LOSS: u64 = 3;
    pub(crate) const ODE: u64 = 4;
    pub(crate) const SDE: u64 = 5;
    pub(crate) const DISTANCES: u64 = 6;
    pub(crate) const LIKELIHOOD: u64 = 7;
    pub(crate) const PATHS: u64 = 8;
    pub(crate) const RESIDUAL: u64 = 9;
    pub(crate) const SHEET: u64 = 10;
}

/// What all networks have in common.
pub(super) struct Setup<'a> {
    pub(super) config: &'a Config,
    pub(super) fit: fit::Config,
    pub(super) workspace: &'a Workspace,
    pub(super) parts: Parts,
    pub(super) prepared: Prepared,
    source: Arc<Batches>,
    sigma_data: f64,
}

impl<'a> Setup<'a> {
    pub(super) fn new(config: &'a Config, workspace: &'a Workspace) -> Result<Self> {
        let fit = config.fit();
        let data = fit.open()?;
        let parts = fit.parts(&data)?;
        let key = config.key(0, 100);
        let prepared = Prepared::fit(&parts.training, key)?;
        let prepared = prepared.noting(fit.column_of_classes(), fit.usual());
        let conditional = config.data.conditional;
        let source = Batches::new(parts.training.clone(), &prepared, false, conditional)?;
        let sigma_data = fit::sigma_data(&source, key.fold(1))?;
        let source = Arc::new(source);
        Ok(Self { config, fit, workspace, parts, prepared, source, sigma_data })
    }

    /// Channels, height and width.
    pub(super) fn size(&self) -> Result<[usize; 3]> {
        match *self.parts.test.kind() {
            Kind::Images { channels, height, width, .. } => Ok([channels, height, width]),
            _ => anyhow::bail!("the data are no images"),
        }
    }

    /// The classes of these rows, as far as the model is told them.
    pub(super) fn labels(&self, rows: &Dataset) -> Option<Vec<u32>> {
        let told = self.config.data.conditional;
        rows.labels().filter(|_| told).map(|l| l.of.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path(&format!("checkpoints/{name}.safetensors"))
    }

    fn open(&self, name: &str) -> Result<ScoreModel> {
        let path = self.path(name);
        ScoreModel::open(&path).with_context(|| {
            format!("{}: delete samples/{name}.json to train again", path.display())
        })
    }

    /// The network that all weights of a seed start from, and the seconds it took.
    fn start(&self, seed: usize) -> Result<(ScoreModel, f64)> {
        let name = format!("start-s{seed}");
        let seconds = self.workspace.part(&name, || {
            let classes = self.source.n_classes();
            let model = self.fit.model(&self.prepared, classes, self.sigma_data)?;
            let key = self.config.key(seed, purpose::START);
            let model = ScoreModel::new(model, key, &Backend::cpu())?;
            let t = &self.fit.training;
            let recipe = t.recipe(self.config.training.steps);
            let key = self.config.key(seed, purpose::TRAIN);
            let trainer = Trainer::new(model, TrainConfig { seed: key, ..recipe })?;
            let trainer = trainer.term(1.0, Box::new(t.loss(self.source.clone(), t.batch)));
            self.finish(trainer, &name)
        })?;
        Ok((self.open(&name)?, seconds))
    }

    /// The network of a seed trained on with a weight of the residual, and the seconds that this took.
    pub(super) fn tuned(&self, cell: &str, seed: usize, weight: f64) -> Result<(ScoreModel, f64)> {
        let seconds = self.workspace.part(cell, || {
            let (model, _) = self.start(seed)?;
            let (t, residual) = (&self.fit.training, &self.config.residual);
            let own = fit::Training { lr: residual.lr, ..t.clone() };
            let key = self.config.key(seed, purpose::TUNE);
            let recipe = TrainConfig { seed: key, ..own.recipe(residual.steps) };
            let dim = model.dim() as f64;
            let mut trainer = Trainer::new(model, recipe)?
                .term(1.0, Box::new(t.loss(self.source.clone(), t.batch)));
            if weight > 0.0 {
                let penalty = ProbedPenalty::new(self.source.clone(), residual.points)
                    .time(t.time_distribution)
                    .t_min(t.t_min)
                    .label_dropout(t.label_dropout)
                    .time_weight(TimeWeight::Denoiser);
                trainer = trainer.term(weight / dim, Box::new(penalty));
            }
            self.finish(trainer, cell)
        })?;
        Ok((self.open(cell)?, seconds))
    }

    fn finish(&self, mut trainer: Trainer<ScoreModel>, name: &str) -> Result<f64> {
        let start = Instant::now();
        match trainer.run(self.workspace.stop, &mut |_| Ok(()))? {
            Outcome::Finished => {}
            Outcome::Interrupted => return Err(Interrupted.into()),
        }
        trainer.net().save(self.path(name))?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// The loss on withheld rows, a coordinate: every row four times, with the same noise for all weights of a seed.
    pub(super) fn loss(&self, model: &ScoreModel, seed: usize) -> Result<f64> {
        let test = self.parts.test.clone();
        let rows = 4 * test.len().min(2000);
        let withheld = Batches::new(test, &self.prepared, true, self.config.data.conditional)?;
        let loss = self.fit.training.loss(Arc::new(withheld), rows);
        Ok(loss.loss(model, self.config.key(seed, purpose::LOSS))?)
    }
}
