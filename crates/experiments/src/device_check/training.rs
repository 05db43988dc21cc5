//! Training.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use score_nets::{
    AdamConfig, Dsm, EmaConfig, Optimiser, Schedule, SoapConfig, TrainConfig, Trainer,
};
use sde_core::Score;
use sde_core::analytic::DataSet;

use super::networks::{batch, configs, open};
use super::{Found, Place, host};

/// With a usual `eps` the first steps go by the signs of gradients, however small: two correct runs part
/// ways there. With this one a step is a smooth function of the gradient.
const EPS: f64 = 1e-3;

/// The losses of a run, and the score of its averaged weights.
pub(super) fn steps(place: &Place) -> Result<Vec<Found>> {
    let optimisers = [
        ("Adam", 50, Optimiser::Adam(AdamConfig { eps: EPS, ..AdamConfig::default() })),
        // Its bases are those of the first gradient, which leaves most of their vectors free: after the
        // first step two correct runs part ways.
        ("SOAP", 1, Optimiser::Soap(SoapConfig { eps: EPS, ..SoapConfig::default() })),
    ];
    let mut all = Vec::new();
    for (name, steps, optimiser) in optimisers {
        let (_, config) = configs().swap_remove(1);
        let train = TrainConfig {
            optimiser,
            clip: Some(10.0),
            ema: Some(EmaConfig { decay: 0.9, warmup: true }),
            log_every: 1,
            ..TrainConfig::new(steps, Schedule::Constant { lr: 3e-3 })
        };
        let dsm = Dsm::published(Arc::new(DataSet::Blob), 512).t_min(1e-2);
        let mut trainer = Trainer::new(open(&config, place)?, train)?.term(1.0, Box::new(dsm));
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        trainer.run(&AtomicBool::new(false), &mut |progress| {
            losses.push(progress.loss);
            norms.push(progress.grad_norm);
            Ok(())
        })?;
        let net = trainer.ema_net()?.unwrap_or(trainer.into_net());
        let batch = batch(&net);
        let score = net.score(&place.tensor(&batch.x, net.dim())?, batch.t[40])?;
        // Differences of one step grow in the next.
        all.push(Found::new(format!("losses, {name}"), 1000.0, losses));
        all.push(Found::new(format!("norms of gradients, {name}"), 1000.0, norms));
        let last = format!("score after {steps} steps, {name}");
        all.push(Found::new(last, 1000.0, host(&score)?));
    }
    Ok(all)
}
