//! From a configuration to a trained network.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use candle_core::DType;
use fp_residual::{Collocation as Where, FokkerPlanckPenalty};
use score_nets::{
    Backend, Base as NetBase, Dsm, EmaConfig, NetConfig, Outcome, Output, ScoreNet, TrainConfig,
    Trainer,
};
use sde_core::Key;

use super::cell::{Cell, Purpose, key};
use super::config::{Base, Collocation, Config, Training};
use super::failures::NoFigures;
use crate::runs::{Interrupted, Line, Log, Workspace};

/// A network, and what its training took.
pub(crate) struct Trained {
    pub(crate) net: ScoreNet,
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
}

/// The network of a cell: given, trained before, or trained now.
///
/// # Errors
/// A checkpoint that cannot be read, a loss that is not finite, a full device; [`Interrupted`] after
/// ctrl-c, with a checkpoint to go on from.
pub(crate) fn network(
    config: &Config,
    backend: &Backend,
    cell: &Cell,
    workspace: &Workspace,
) -> Result<Trained> {
    let ready = |net: ScoreNet, path: &Path| -> Result<ScoreNet> {
        net.with_kernels(config.kernels).with_context(|| path.display().to_string())
    };
    if let Some(path) = cell.given(config) {
        let net = ScoreNet::open_published(&path, backend.dtype(), backend.device())?;
        return Ok(Trained { net: ready(net, &path)?, steps: 0, seconds: 0.0 });
    }
    let (name, steps) = (cell.name(), config.steps());
    let done = workspace.path(&format!("checkpoints/{name}.safetensors"));
    if done.is_file() {
        let net = ScoreNet::open_as(&done, backend.dtype(), backend.device())
            .map_err(anyhow::Error::from)
            .and_then(|net| ready(net, &done))
            .and_then(|net| belongs(config, cell, &done, net.config()).map(|()| net))
            .with_context(|| format!("to train {name} again, delete its checkpoint"))?;
        let (_, seconds) = Log::open(&workspace.path("metrics.jsonl"), &name, steps)?;
        return Ok(Trained { net, steps, seconds });
    }
    let (net, seconds) = train(config, backend, cell, workspace)?;
    if !finite(&net)? {
        // The last step is the one whose outcome no loss has seen.
        let line = format!("training {name}: the weights are not finite after step {steps}");
        return Err(NoFigures(line).into());
    }
    net.save(&done)?;
    let took = report::duration(seconds);
    workspace.say(&format!("{name}: trained {steps} steps in {took}"));
    Ok(Trained { net, steps, seconds })
}

/// Trains the network of a cell, or the rest of it; hands back the seconds it took in all.
fn train(
    config: &Config,
    backend: &Backend,
    cell: &Cell,
    workspace: &Workspace,
) -> Result<(ScoreNet, f64)> {
    let (name, steps) = (cell.name(), config.steps());
    let state = workspace.path(&format!("checkpoints/{name}.training.safetensors"));
    let mut trainer = trainer(config, backend, cell, &state)?.checkpoint_to(&state);
    let (mut log, before) = Log::open(&workspace.path("metrics.jsonl"), &name, trainer.step())?;
    let (units, kind) = (config.cost(cell.w_r).train / steps.max(1) as f64, cell.training());
    workspace.progress.resumed(kind, trainer.step() as f64 * units);
    let label = format!("train {name}");
    let mut bar = workspace.progress.part(&label, kind, (steps, trainer.step()), units);
    let (start, mut last) = (Instant::now(), trainer.step());
    let mut failed = None;
    let outcome = trainer.run(workspace.stop, &mut |p| {
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
            workspace.stop.store(true, std::sync::atomic::Ordering::SeqCst);
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
        return Err(Interrupted.into());
    }
    let seconds = before + start.elapsed().as_secs_f64();
    Ok((trainer.ema_net()?.unwrap_or_else(|| trainer.into_net()), seconds))
}

/// Whether every weight is a number.
fn finite(net: &ScoreNet) -> Result<bool> {
    for (_, var) in net.parameters().iter() {
        let weights = var.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        if !weights.iter().all(|w| w.is_finite()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A trainer at its checkpoint, or at the start.
fn trainer(config: &Config, backend: &Backend, cell: &Cell, state: &Path) -> Result<Trainer> {
    let t = &config.training;
    let seed = seed(config, cell);
    let train = TrainConfig {
        steps: config.steps(),
        seed: Key::root(seed),
        schedule: t.schedule.clone(),
        optimiser: t.optimiser,
        clip: (t.clip > 0.0).then_some(t.clip),
        ema: (t.ema_decay > 0.0).then_some(EmaConfig { decay: t.ema_decay, warmup: true }),
        log_every: t.log_every,
        checkpoint_every: Some(t.checkpoint_every),
        averages: Vec::new(),
        parts: 1,
    };
    let trainer = if state.is_file() {
        Trainer::resume(state, train, config.kernels, backend.device())
            .map_err(Into::into)
            .and_then(|t| belongs(config, cell, state, t.net().config()).map(|()| t))
            .with_context(|| format!("to train {} anew, delete its checkpoint", cell.name()))?
    } else {
        let net = ScoreNet::new(
            net_config(config, cell)?,
            key(config, Purpose::Weights, cell.data),
            backend.dtype(),
            backend.device(),
        )?;
        Trainer::new(net.with_kernels(config.kernels)?, train)?
    };
    let source = Arc::new(cell.data);
    let dsm = Dsm::new(source.clone(), t.batch)
        .time(t.time_distribution)
        .proposal(t.proposal)
        .draws(t.draws)
        .outlier_weighting(t.outlier_weighting)
        .t_min(t.t_min)
        .weighting(t.weighting);
    let trainer = trainer.term(1.0, Box::new(dsm));
    if cell.w_r == 0.0 {
        return Ok(trainer);
    }
    let collocation = match t.residual.collocation {
        Collocation::UniformBox { half_width } => Where::UniformBox { half_width },
        Collocation::OnPath => Where::OnMarginal { source, time: t.time_distribution },
    };
    let penalty = FokkerPlanckPenalty::new(t.residual.points, collocation)
        .proposal(t.proposal)
        .draws(t.draws)
        .t_min(t.t_min);
    Ok(trainer.term(cell.w_r, Box::new(penalty)))
}

/// The network of a cell, untrained.
pub(crate) fn net_config(config: &Config, cell: &Cell) -> Result<NetConfig> {
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
                variance: cell.data.variance(),
                input_scale: config.network.input_scale,
            },
        },
        sde: config.sde.to_string(),
        identity: Some(identity(config, cell)?),
    })
}

/// Names in the text that [`identity`] digests, which were others in the first version: a digest must not change with
/// a name.
const FIRST_NAMES: [(&str, &str); 4] = [
    ("\"time-distribution\"", "\"time-law\""),
    ("\"distribution\"", "\"law\""),
    ("\"outlier-weighting\"", "\"tails\""),
    ("\"quasi-monte-carlo\"", "\"stratified\""),
];

/// A digest of all that the weights of a cell depend on.
fn identity(config: &Config, cell: &Cell) -> Result<String> {
    let training = Training { log_every: 0, checkpoint_every: 0, ..config.training.clone() };
    let all = (cell.data.name(), cell.w_r, config.seed, &config.sde, &config.network, &training);
    let text = FIRST_NAMES
        .iter()
        .fold(serde_json::to_string(&all)?, |t, (now, first)| t.replace(now, first));
    Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_string())
}

/// Refuses a checkpoint of another cell in the place of this one's. One from before networks knew what
/// they were trained for must be of the same architecture at least.
fn belongs(config: &Config, cell: &Cell, path: &Path, found: &NetConfig) -> Result<()> {
    let own = net_config(config, cell)?;
    let nameless = NetConfig { identity: None, ..own.clone() };
    ensure!(
        *found == own || *found == nameless,
        "{}: of another weight, data set, seed or configuration than {}",
        path.display(),
        cell.name()
    );
    Ok(())
}

/// The trainer's seed: one for each data set, so that all weights see the same batches.
fn seed(config: &Config, cell: &Cell) -> u64 {
    let mut unit = [0.0];
    key(config, Purpose::Training, cell.data).fill_uniforms(0, &mut unit);
    (unit[0] * (1u64 << 53) as f64) as u64
}
