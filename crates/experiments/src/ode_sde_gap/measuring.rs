//! Distances, residuals and losses of one network, and the noise floors they are judged by.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use fp_residual::{Collocation as Where, FokkerPlanckPenalty};
use metrics::{Kernel, mmd2, w2};
use score_nets::{DataSource, Dsm, ScoreNet};
use sde_core::analytic::DataSet;

use super::cell::{Cell, Purpose, key};
use super::config::{Collocation, Config};
use super::failures::NoFigures;
use super::results::{Floor, Row};
use super::sampling::{self, Sampled};

/// The truth of a data set: two independent samples, and how far apart they are.
pub(super) struct Truth {
    pub(super) first: Sampled,
    pub(super) second: Sampled,
    pub(super) floor: Floor,
    kernel: Kernel,
}

/// Samples of the truth behind a noise floor.
const FLOOR_DRAWS: u64 = 4;

/// Samples the truth of a data set, and again as many times as a sampler does: what a perfect sampler
/// would measure is the noise floor of every distance.
pub(super) fn truth(config: &Config, dataset: &str) -> Result<Truth> {
    let data = DataSet::parse(dataset)?;
    let (large, n) = (config.measuring.truth, config.sampling.n);
    let first = sampling::truth(config, data, key(config, Purpose::Truth, dataset), large)?;
    let second = sampling::truth(config, data, key(config, Purpose::SecondTruth, dataset), n)?;
    let (a, b) = (first.histogram(config)?, second.histogram(config)?);
    // One draw of a floor scatters by a fifth of it.
    let mut draws = vec![b.clone()];
    for k in 1..FLOOR_DRAWS {
        let key = key(config, Purpose::SecondTruth, dataset).fold(k);
        draws.push(sampling::truth(config, data, key, n)?.histogram(config)?);
    }
    let (mut to_truth, mut pair) = (0.0, 0.0);
    for (one, next) in draws.iter().zip(draws.iter().cycle().skip(1)) {
        to_truth += a.w2(one)?.squared / FLOOR_DRAWS as f64;
        pair += one.w2(next)?.squared / FLOOR_DRAWS as f64;
    }
    let (x, y) = (first.cloud.view(), second.cloud.view());
    let kernel = Kernel::rbf_median(x, y)?;
    let floor = Floor {
        dataset: dataset.into(),
        n: second.seen,
        w2: to_truth,
        w2_pair: pair,
        draws: FLOOR_DRAWS,
        tv: a.total_variation(&b)?,
        discarded: first.discarded(),
        cloud_n: first.cloud.nrows() as u64,
        cloud_w2: w2(x, y)?.primal,
        mmd: mmd2(x, y, kernel)?.unbiased,
    };
    Ok(Truth { first, second, floor, kernel })
}

/// All distances between what ODE and SDE of a network sample and the truth.
pub(super) fn distances(
    config: &Config,
    truth: &Truth,
    ode: &Sampled,
    sde: &Sampled,
    row: &mut Row,
) -> Result<()> {
    let inside = |s: &Sampled, who: &str| -> Result<metrics::Histogram2d> {
        // Distances of the smaller part would not be those of the samples.
        if s.kept < s.seen - s.kept {
            let (seen, outside) = (s.seen, s.seen - s.kept);
            let line = format!("{outside} of {seen} samples of the {who} lie outside the window");
            return Err(NoFigures(line).into());
        }
        s.histogram(config)
    };
    let (t, o, s) = (truth.first.histogram(config)?, inside(ode, "ODE")?, inside(sde, "SDE")?);
    (row.n, row.n_ode) = (sde.seen, (ode.seen != sde.seen).then_some(ode.seen));
    row.ode_truth = o.w2(&t)?.squared;
    row.sde_truth = s.w2(&t)?.squared;
    row.ode_sde = o.w2(&s)?.squared;
    row.tv_ode_truth = o.total_variation(&t)?;
    row.tv_sde_truth = s.total_variation(&t)?;
    row.tv_ode_sde = o.total_variation(&s)?;
    (row.discarded_ode, row.discarded_sde) = (ode.discarded(), sde.discarded());
    let (t, o, s) = (truth.first.cloud.view(), ode.cloud.view(), sde.cloud.view());
    row.cloud_n = o.nrows() as u64;
    row.cloud_ode_truth = w2(o, t)?.primal;
    row.cloud_sde_truth = w2(s, t)?.primal;
    row.cloud_ode_sde = w2(o, s)?.primal;
    row.mmd_ode_truth = mmd2(o, t, truth.kernel)?.unbiased;
    row.mmd_sde_truth = mmd2(s, t, truth.kernel)?.unbiased;
    row.mmd_ode_sde = mmd2(o, s, truth.kernel)?.unbiased;
    Ok(())
}

/// Points handled at a time.
const CHUNK: usize = 5_000;

/// Mean squared residual over the box and on `p_t`, and the denoising loss on a held-out batch.
pub(super) fn network(config: &Config, cell: &Cell, net: &ScoreNet, row: &mut Row) -> Result<()> {
    let (t, m) = (&config.training, config.measuring);
    let source: Arc<dyn DataSource> = Arc::new(cell.data()?);
    let half_width = match t.residual.collocation {
        Collocation::UniformBox { half_width } => half_width,
        Collocation::OnPath => m.half_width,
    };
    let places = [
        Where::UniformBox { half_width },
        Where::OnMarginal { source: source.clone(), time: t.time_distribution },
    ];
    let points = key(config, Purpose::Residual, &cell.dataset);
    let mut residuals = [0.0; 2];
    for (k, (place, mean)) in places.into_iter().zip(&mut residuals).enumerate() {
        let penalty = FokkerPlanckPenalty::new(m.residual_points, place).t_min(t.t_min);
        *mean = average(m.residual_points, |rows| {
            Ok(penalty.loss_of_rows(net, points.fold(k as u64), rows)?)
        })?;
    }
    [row.residual, row.residual_on_path] = residuals;
    let held_out = key(config, Purpose::HeldOut, &cell.dataset);
    let dsm = Dsm::new(source, m.dsm_points)
        .time(t.time_distribution)
        .t_min(t.t_min)
        .weighting(t.weighting);
    row.dsm_loss =
        average(
            m.dsm_points,
            |rows| Ok(net.score_loss(&dsm.rows_of_batch(net, held_out, rows)?)?),
        )?;
    Ok(())
}

/// The mean of a loss over rows `0 .. n`, computed in parts that fit into memory.
fn average(n: usize, loss: impl Fn(Range<u64>) -> Result<f64>) -> Result<f64> {
    let mut sum = 0.0;
    for start in (0..n).step_by(CHUNK) {
        let end = (start + CHUNK).min(n);
        sum += (end - start) as f64 * loss(start as u64..end as u64)?;
    }
    Ok(sum / n as f64)
}

/// Checks that every figure of a row is finite.
pub(super) fn check(row: &Row) -> Result<()> {
    let figures = serde_json::to_value(row)?;
    // In our JSON, numbers that are not finite are words.
    let figures = figures.as_object().into_iter().flatten();
    let bad = figures.filter(|(name, _)| *name != "dataset").find(|(_, v)| v.is_string());
    match bad {
        Some((figure, _)) => Err(NoFigures(format!("{figure} is not finite")).into()),
        None => Ok(()),
    }
}
