//! What the values of a configuration may be: all of it is known before anything is computed.

use anyhow::{Context as _, Result, ensure};
use ndarray::Array2;
use score_nets::{Error, TimeEmbedding, TrainConfig};
use sde_core::{Key, analytic::DataSet};
use solvers::{Control, Scheme};

use super::cell::Cell;
use super::config::{Collocation, Config};
use super::training::net_config;
use crate::checks::{all_at_least, at_least, below_horizon, memory, time, within};

/// The most samples that are drawn of one law, twenty thousand times the published number.
const MOST_SAMPLES: u64 = 1 << 36;

/// Lengths and scales, in units of the data.
const SCALES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// Checks every value, each part by what it is later used as.
pub(super) fn check(config: &Config) -> Result<()> {
    cells(config)?;
    network(config)?;
    training(config)?;
    sampling(config)?;
    measuring(config)?;
    config.contrast().map_or(Ok(()), |c| check(&c).context("contrast"))
}

fn cells(config: &Config) -> Result<()> {
    let (sets, weights) = (&config.data_sets, &config.weights);
    ensure!(!sets.is_empty(), "data-sets = []: expected at least one data set");
    ensure!(!weights.is_empty(), "weights = []: expected at least one weight");
    for (k, name) in sets.iter().enumerate() {
        ensure!(!sets[..k].contains(name), "data-sets: {name:?} occurs twice");
    }
    for (k, w) in weights.iter().enumerate() {
        ensure!(
            w.is_finite() && *w >= 0.0,
            "weights[{k}] = {w:?}: must be finite and non-negative"
        );
        ensure!(!weights[..k].contains(w), "weights: {w:?} occurs twice");
    }
    Ok(())
}

fn network(config: &Config) -> Result<()> {
    let n = &config.network;
    within("network.input-scale", n.input_scale, SCALES)?;
    let bands = match n.embedding {
        TimeEmbedding::Fourier { bands, .. } => bands,
        TimeEmbedding::Plain => 0,
    };
    memory(&[("network.embedding.bands", bands)], 1000)?;
    let mut inputs = ("network.embedding.bands", 2 * bands + 3);
    for width in n.hidden.iter().copied() {
        let width = ("network.hidden", width);
        // Weights, gradients, moments and the sums of many threads; the bases of SOAP.
        memory(&[inputs, width], 400)?;
        memory(&[width, width], 64)?;
        inputs = width;
    }
    let cell = Cell::new(*config.data_sets[0], config.weights[0]);
    named("network", net_config(config, &cell)?.validate())
}

fn training(config: &Config) -> Result<()> {
    let (t, sde) = (&config.training, &*config.sde);
    let points = t.residual.points;
    all_at_least(&[("training.batch", t.batch, 1), ("training.residual.points", points, 1)])?;
    for (key, every) in
        [("training.log-every", t.log_every), ("training.checkpoint-every", t.checkpoint_every)]
    {
        ensure!(every > 0, "{key} = 0: must be at least 1");
    }
    // Points, targets and weights in double and in single precision, outputs and their gradients.
    memory(&[("training.batch", t.batch)], 200)?;
    memory(&[("training.residual.points", points)], 300)?;
    let steps = ("training.schedule.steps", usize::try_from(config.steps()).unwrap_or(usize::MAX));
    time(&[steps, ("training.batch", t.batch)])?;
    time(&[steps, ("training.residual.points", points)])?;
    let (t_min, horizon) = (t.t_min, sde.horizon());
    ensure!(
        t_min > 0.0 && t_min < horizon,
        "training.t-min = {t_min:?}: must be above 0 and below {horizon:?}, the horizon"
    );
    // Targets z / sigma and their squares must be numbers in single precision.
    let sigma = sde.marginal(t_min).sigma;
    ensure!(
        sigma >= 1e-10,
        "training.t-min = {t_min:?}: the noise there is {sigma:?}, must be at least 1e-10"
    );
    named("training.time-distribution", t.time_distribution.validate(t_min, horizon))?;
    named("training", t.proposal.validate())?;
    named("training.proposal.distribution", t.proposal.distribution.validate(t_min, horizon))?;
    if let Some(outliers) = &t.outlier_weighting {
        named("training", outliers.validate())?;
    }
    let train = TrainConfig {
        optimiser: t.optimiser,
        ..TrainConfig::new(config.steps(), t.schedule.clone())
    };
    named("training", train.validate())?;
    let clip = t.clip;
    ensure!(clip.is_finite() && clip >= 0.0, "training.clip = {clip:?}: must not be negative");
    let decay = t.ema_decay;
    ensure!((0.0..1.0).contains(&decay), "training.ema-decay = {decay:?}: must be in [0, 1)");
    if let Collocation::UniformBox { half_width } = t.residual.collocation {
        within("training.residual.collocation.half-width", half_width, SCALES)?;
    }
    Ok(())
}

fn sampling(config: &Config) -> Result<()> {
    let (s, sde) = (&config.sampling, &*config.sde);
    // Two rows are the least that distances of clouds are defined for.
    for (key, n) in [("sampling.n", s.n), ("sampling.n-ode", s.n_ode())] {
        ensure!(n >= 2, "{key} = {n}: must be at least 2");
        ensure!(n <= MOST_SAMPLES, "{key} = {n}: must be at most 2^36");
        time(&[("sampling.steps", s.steps), (key, n as usize)])?;
    }
    all_at_least(&[("sampling.steps", s.steps, 1), ("sampling.block", s.block, 1)])?;
    memory(&[("sampling.steps", s.steps), ("sampling.paths", s.paths)], 500)?;
    time(&[("sampling.steps", s.steps), ("sampling.paths", s.paths)])?;
    below_horizon("sampling.t-end", sde, s.t_end)?;
    let times = config.times()?;
    for (key, method) in
        [("sampling.ode-method", &s.ode_method), ("sampling.sde-method", &s.sde_method)]
    {
        let control = Control::Grid(times.clone());
        Scheme::<Array2<f64>>::control(&**method, sde, control).context(key)?;
    }
    let noisy = s.sde_method.method().stochastic();
    ensure!(noisy, "sampling.sde-method = {:?}: solves ODEs only", s.sde_method);
    Ok(())
}

fn measuring(config: &Config) -> Result<()> {
    let m = &config.measuring;
    at_least("measuring.grid", m.grid, 2)?;
    // Counts of every sample, and the transport between two of them.
    let nodes = ("measuring.grid", m.grid);
    memory(&[nodes, nodes], 600)?;
    within("measuring.half-width", m.half_width, SCALES)?;
    ensure!(m.truth >= 2, "measuring.truth = {}: must be at least 2", m.truth);
    ensure!(m.truth <= MOST_SAMPLES, "measuring.truth = {}: must be at most 2^36", m.truth);
    at_least("measuring.cloud", m.cloud, 2)?;
    let cloud = (m.cloud as u64).min(config.sampling.n).min(m.truth) as usize;
    memory(&[("measuring.cloud", cloud)], 2000)?;
    time(&[("measuring.cloud", cloud), ("measuring.cloud", cloud)])?;
    for (key, points) in
        [("measuring.residual-points", m.residual_points), ("measuring.dsm-points", m.dsm_points)]
    {
        at_least(key, points, 1)?;
        time(&[(key, points)])?;
    }
    if let Some(tolerance) = m.noise_free {
        within("measuring.noise-free", tolerance, 1e-6..=0.5)?;
    }
    config.data_sets.iter().try_for_each(|set| in_window(**set, m.half_width))
}

/// Refuses a window that most of the data lie outside of: all distances would be of the rest.
fn in_window(data: DataSet, half_width: f64) -> Result<()> {
    const LOOKED_AT: usize = 1000;
    let x = data.sample(Key::root(0), 0, LOOKED_AT);
    let inside = |row: &ndarray::ArrayView1<'_, f64>| row.iter().all(|v| v.abs() <= half_width);
    let kept = x.rows().into_iter().filter(inside).count();
    ensure!(
        2 * kept >= LOOKED_AT,
        "measuring.half-width = {half_width:?}: only {} % of {} lie within",
        100 * kept / LOOKED_AT,
        data.name()
    );
    Ok(())
}

/// A setting of a part under the key it has here.
fn named(prefix: &str, checked: score_nets::Result<()>) -> Result<()> {
    match checked {
        Err(Error::Setting { name, value, reason }) => {
            let name = name.replace("adam.", "optimiser.").replace("soap.", "optimiser.");
            // Few digits: 1e300, not three hundred of them.
            let number = value.parse::<f64>().ok().filter(|_| value.len() > 12);
            let value = number.map_or(value, |number| format!("{number:?}"));
            anyhow::bail!("{prefix}.{name} = {value}: {reason}")
        }
        other => other.with_context(|| prefix.to_owned()),
    }
}
