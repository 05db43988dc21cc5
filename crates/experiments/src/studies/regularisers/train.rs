//! From a cell to its network, and from a network to its correction.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use fp_residual::{
    CorrectionData, CorrectionMatching, Regulariser, RegulariserSettings, WeightSchedule,
    correction_config, without_correction,
};
use score_nets::{Dsm, Noising, Outcome, ScoreNet, TrainConfig, Trainer};
use sde_core::{Key, TimeGrid};

use super::{Cell, NONE};
use crate::ode_sde_gap::{Cell as Network, training};
use crate::runs::{Interrupted, Workspace};

/// A coordinate beyond which a path is left out of a correction, in units of the data.
const REACH: f64 = 5.0;

/// One point without a correction for so many of paths.
const ANCHOR: usize = 50;

/// Share of the steps after which [`Regulariser::Scheduled`] falls, and to what.
const FALLS: (f64, f64) = (0.8, 0.1);

/// What a network took.
pub(super) struct Trained {
    pub(super) net: ScoreNet,
    pub(super) seconds: f64,
}

impl Cell<'_> {
    /// The key of this cell's data set and seed; terms share it, so that networks come in pairs.
    pub(super) fn key(&self, purpose: u64) -> Key {
        let set = blake3::hash(self.set.given().as_bytes());
        let set = u64::from_le_bytes(set.as_bytes()[..8].try_into().unwrap_or_default());
        Key::root(self.config.seed).fold(set).fold(self.seed as u64).fold(purpose)
    }

    /// The network, trained by the recipe of the main experiment and this cell's term.
    pub(super) fn train(&self, workspace: &Workspace) -> Result<Trained> {
        let recipe = self.config.recipe(self.set, self.seed)?;
        let (t, backend) = (&recipe.training, recipe.backend()?);
        let config = training::net_config(&recipe, &Network::new(**self.set, 0.0))?;
        let net = ScoreNet::new(config, self.key(0), backend.dtype(), backend.device())?;
        let settings = TrainConfig {
            seed: self.key(1),
            optimiser: t.optimiser,
            clip: (t.clip > 0.0).then_some(t.clip),
            ..TrainConfig::new(self.config.steps, t.schedule.clone())
        };
        let source = Arc::new(**self.set);
        let dsm = Dsm::new(source.clone(), t.batch)
            .time(t.time_distribution)
            .proposal(t.proposal)
            .draws(t.draws)
            .outlier_weighting(t.outlier_weighting)
            .t_min(t.t_min)
            .weighting(t.weighting);
        let mut trainer =
            Trainer::new(net.with_kernels(recipe.kernels)?, settings)?.term(1.0, Box::new(dsm));
        if self.term != NONE {
            let noising = Noising {
                t_min: t.t_min,
                time: t.time_distribution,
                proposal: t.proposal,
                draws: t.draws,
                antithetic: false,
                ..Noising::new(source, self.config.points)
            };
            let steps = self.config.steps;
            let from = (FALLS.0 * steps as f64) as u64;
            let schedule = WeightSchedule::Decay { from, to: steps, end: FALLS.1 };
            let settings = RegulariserSettings { schedule, ..RegulariserSettings::new(noising) };
            let term = Regulariser::parse(self.term)?.objective(&settings);
            trainer = trainer.term(self.weight, term);
        }
        finish(trainer, workspace)
    }

    /// The correction of a network, and the share of the points of its paths that are beyond [`REACH`].
    pub(super) fn correct(&self, net: &ScoreNet, workspace: &Workspace) -> Result<(Trained, f64)> {
        let (c, start, sde) = (&self.config.correction, Instant::now(), net.sde());
        let times = TimeGrid::Quadratic.times(sde, c.grid, sde.horizon(), sde.usual_end())?;
        let mut paths = CorrectionData::of_network(net, &times, c.paths, self.key(2))?;
        let left_out = paths.keep_within(REACH);
        ensure!(
            !paths.is_empty(),
            "every path of the SDE leaves \u{b1}{REACH}: there is nothing to correct"
        );
        paths.anchor(ANCHOR, REACH, self.key(5));
        let config = correction_config(net.config(), c.hidden.clone());
        let psi = without_correction(config, self.key(3), net)?;
        let settings = TrainConfig { seed: self.key(4), ..TrainConfig::soap_cosine(c.steps) };
        let shift = 1e-3 * net.sde().horizon();
        let matching = CorrectionMatching::new(Arc::new(paths), c.batch)
            .weighting(|t| (t + shift).powf(c.power));
        let trainer = Trainer::new(psi, settings)?.term(1.0, Box::new(matching));
        let Trained { net, .. } = finish(trainer, workspace)?;
        Ok((Trained { net, seconds: start.elapsed().as_secs_f64() }, left_out))
    }
}

fn finish(mut trainer: Trainer, workspace: &Workspace) -> Result<Trained> {
    let start = Instant::now();
    match trainer.run(workspace.stop, &mut |_| Ok(()))? {
        Outcome::Finished => {
            let seconds = start.elapsed().as_secs_f64();
            Ok(Trained { net: trainer.into_net(), seconds })
        }
        Outcome::Interrupted => Err(Interrupted.into()),
    }
}
