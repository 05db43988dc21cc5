//! From a configuration to a trained network.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context as _, Result};
use candle_core::{DType, Device};
use fp_residual::{Collocation as Where, FokkerPlanckPenalty};
use score_nets::{
    Base as NetBase, Dsm, EmaConfig, NetConfig, Outcome, Output, ScoreNet, TrainConfig, Trainer,
};

use super::cell::{Cell, Purpose, key};
use super::config::{Base, Collocation, Config};
use crate::run::{Line, Log, Progress, RunFolder};

/// A network, and what its training took.
pub(crate) struct Trained {
    pub(crate) net: ScoreNet,
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
}

/// The network of a cell: given, trained before, or trained now. `None` after ctrl-c.
///
/// # Errors
/// A checkpoint that cannot be read, a loss that is not finite, a full device.
pub(crate) fn network(
    config: &Config,
    cell: &Cell,
    folder: &RunFolder,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Option<Trained>> {
    let open = |path: &Path| -> Result<ScoreNet> {
        ScoreNet::open_as(path, DType::F32, &Device::Cpu)
            .and_then(|net| net.with_kernels(config.kernels))
            .with_context(|| path.display().to_string())
    };
    if let Some(path) = cell.given(config) {
        let net = open(&path)?;
        return Ok(Some(Trained { net, steps: 0, seconds: 0.0 }));
    }
    let name = cell.name();
    let done = folder.path(&format!("checkpoints/{name}.safetensors"));
    let state = folder.path(&format!("checkpoints/{name}.training.safetensors"));
    let log_path = folder.path("metrics.jsonl");
    let steps = config.steps();
    if done.is_file() {
        let net = open(&done)?;
        let (_, seconds) = Log::open(&log_path, &name, steps)?;
        return Ok(Some(Trained { net, steps, seconds }));
    }
    let mut trainer = trainer(config, cell, &state)?.checkpoint_to(&state);
    let (mut log, before) = Log::open(&log_path, &name, trainer.step())?;
    let (units, _) = config.cost();
    let mut bar =
        progress.part(&format!("train {name}"), steps, trainer.step(), units as f64 / steps as f64);
    let (start, mut last) = (Instant::now(), trainer.step());
    let mut failed = None;
    let outcome = trainer.run(stop, &mut |p| {
        let term = |name: &str| p.terms.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        let line = Line {
            network: name.clone(),
            step: p.step,
            loss: p.loss,
            dsm: term("dsm").unwrap_or(p.loss),
            residual: p.terms.iter().find(|(n, _)| n != "dsm").map(|(_, v)| *v),
            lr: p.lr,
            grad_norm: p.grad_norm,
            seconds: before + start.elapsed().as_secs_f64(),
        };
        if let Err(error) = log.push(&line) {
            // The run goes to its next checkpoint before the error is reported.
            failed.get_or_insert(error);
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        bar.advance(p.step - last);
        last = p.step;
        bar.note(match line.residual {
            Some(r) => format!("dsm {:.4}  residual {r:.4}", line.dsm),
            None => format!("dsm {:.4}", line.dsm),
        });
        Ok(())
    });
    let outcome = outcome.with_context(|| format!("training {name}"))?;
    if let Some(error) = failed {
        return Err(error);
    }
    if outcome == Outcome::Interrupted {
        return Ok(None);
    }
    let seconds = before + start.elapsed().as_secs_f64();
    let net = match trainer.ema_net()? {
        Some(average) => average,
        None => trainer.into_net(),
    };
    net.save(&done)?;
    progress.say(&format!("{name}: trained {steps} steps in {}", crate::report::duration(seconds)));
    Ok(Some(Trained { net, steps, seconds }))
}

/// A trainer at its checkpoint, or at the start.
fn trainer(config: &Config, cell: &Cell, state: &std::path::Path) -> Result<Trainer> {
    let t = &config.training;
    let data = cell.data()?;
    let seed = seed(config, cell);
    let train = TrainConfig {
        steps: config.steps(),
        seed,
        schedule: t.schedule.clone(),
        optimiser: t.optimiser,
        clip: (t.clip > 0.0).then_some(t.clip),
        ema: (t.ema_decay > 0.0).then_some(EmaConfig { decay: t.ema_decay, warmup: true }),
        log_every: t.log_every,
        checkpoint_every: Some(t.checkpoint_every),
    };
    let trainer = if state.is_file() {
        Trainer::resume(state, train, config.kernels, &Device::Cpu)?
    } else {
        let net = ScoreNet::new(
            net_config(config, cell)?,
            key(config, Purpose::Weights, &cell.dataset),
            DType::F32,
            &Device::Cpu,
        )?;
        Trainer::new(net.with_kernels(config.kernels)?, train)?
    };
    let source = Arc::new(data);
    let dsm = Dsm::new(source.clone(), t.batch)
        .time(t.time_law)
        .proposal(t.proposal)
        .draws(t.draws)
        .tails(t.tails)
        .t_min(t.t_min)
        .weighting(t.weighting);
    let trainer = trainer.term(1.0, Box::new(dsm));
    if cell.w_r == 0.0 {
        return Ok(trainer);
    }
    let collocation = match t.residual.collocation {
        Collocation::UniformBox { half_width } => Where::UniformBox { half_width },
        Collocation::OnPath => Where::OnMarginal { source, time: t.time_law },
    };
    let penalty = FokkerPlanckPenalty::new(t.residual.points, collocation)
        .proposal(t.proposal)
        .draws(t.draws)
        .t_min(t.t_min);
    Ok(trainer.term(cell.w_r, Box::new(penalty)))
}

/// The network of a cell, untrained.
fn net_config(config: &Config, cell: &Cell) -> Result<NetConfig> {
    let n = &config.network;
    Ok(NetConfig {
        dim: 2,
        hidden: n.hidden.clone(),
        activation: n.activation,
        time: n.time,
        embedding: n.embedding,
        output: Output::Potential,
        base: match n.base {
            Base::None => NetBase::None,
            Base::Gaussian => NetBase::Gaussian {
                variance: cell.data()?.variance(),
                input_scale: config.network.input_scale,
            },
        },
        sde: config.sde.clone(),
    })
}

/// The trainer's seed: one for each data set, so that all weights see the same batches.
fn seed(config: &Config, cell: &Cell) -> u64 {
    let mut unit = [0.0];
    key(config, Purpose::Training, &cell.dataset).fill_uniforms(0, &mut unit);
    (unit[0] * (1u64 << 53) as f64) as u64
}
