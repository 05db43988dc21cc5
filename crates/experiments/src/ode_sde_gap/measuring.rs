//! Distances, residuals and losses of one network, and the noise floors they are judged by.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, bail};
use fp_residual::{Collocation as Where, FokkerPlanckPenalty};
use metrics::{
    Estimate, Histogram2d, HistogramDivergence, Kernel, Metric, Options, Sample, mmd2_with_error,
    w2,
};
use ndarray::{Axis, concatenate};
use score_nets::{DataSource, Dsm, ScoreNet};
use sde_core::Key;
use sde_core::analytic::DataSet;
use serde_json::Value;

use super::cell::{Cell, Purpose, key};
use super::config::{Collocation, Config};
use super::failures::NoFigures;
use super::results::{Floor, Floors, Pairs, Row};
use super::sampling::{self, Sampled};

/// The truth of a data set: independent samples, and how far apart such samples are.
pub(super) struct Truth {
    /// What everything is measured against.
    pub(super) first: Sampled,
    /// As many as of the SDE, and as many as of the ODE.
    pub(super) second: Sampled,
    pub(super) third: Sampled,
    pub(super) floor: Floor,
    kernel: Kernel,
}

/// Splits behind a noise floor.
const DRAWS: usize = 20;

/// Samples the truth of a data set, and again as many times as the samplers do: what perfect samplers
/// would measure are the noise floors of every distance.
pub(super) fn truth(config: &Config, data: DataSet) -> Result<Truth> {
    let (n, n_ode) = (config.sampling.n, config.sampling.n_ode());
    let second = key(config, Purpose::SecondTruth, data);
    let sample = |key: Key, n: u64| sampling::truth(config, data, key, n);
    let first = sample(key(config, Purpose::Truth, data), config.measuring.truth)?;
    let (second, third, draws) =
        (sample(second, n)?, sample(second.fold(1), n_ode)?, second.fold(2));
    let kernel = Kernel::rbf_median(first.cloud.view(), second.cloud.view())?;
    let floor = floors(data.name(), [&first, &second, &third], kernel, draws)?;
    Ok(Truth { first, second, third, floor, kernel })
}

/// The floors of all distances, from the samples thrown together and split at random.
fn floors(dataset: &str, all: [&Sampled; 3], kernel: Kernel, key: Key) -> Result<Floor> {
    let [first, second, third] = all;
    let mut pool = first.counted.clone();
    pool.merge(&second.counted)?;
    pool.merge(&third.counted)?;
    let pool = Sample::Histogram(pool.finish()?);
    let [truth, n, n_ode] = all.map(|s| s.counted.n_seen() as usize);
    let of = |metric: Metric, k: u64| -> Result<Floors> {
        let draw = |size: [usize; 2], key: Key| {
            metric.noise_floor_of(&pool, size, &Options::default(), key, DRAWS)
        };
        let key = key.fold(k);
        Ok(Floors {
            to_truth: draw([n, truth], key.fold(0))?,
            pair: draw([n_ode, n], key.fold(1))?,
        })
    };
    let w2 = of(Metric::W2, 0)?;
    let clouds = [first, second].map(|s| s.cloud.view());
    let clouds = Sample::cloud(concatenate(Axis(0), &clouds)?);
    let Kernel::Rbf { bandwidth } = kernel else { bail!("a kernel of one width") };
    let options = Options { bandwidth: Some(bandwidth), unbiased: true, ..Options::default() };
    let of_clouds =
        |metric: Metric, k: u64| metric.noise_floor(&clouds, &options, key.fold(k), DRAWS);
    Ok(Floor {
        dataset: dataset.into(),
        w2: Floors { to_truth: w2.to_truth.squared(), pair: w2.pair.squared() },
        tv: of(Metric::TotalVariation, 1)?,
        discarded: first.discarded(),
        cloud_w2: of_clouds(Metric::W2, 2)?.squared(),
        mmd: of_clouds(Metric::Mmd, 3)?,
    })
}

/// All distances between what ODE and SDE of a network sample and the truth.
pub(super) fn distances(truth: &Truth, ode: &Sampled, sde: &Sampled, row: &mut Row) -> Result<()> {
    let inside = |s: &Sampled, who: &str| -> Result<Histogram2d> {
        let (seen, kept) = (s.counted.n_seen(), s.counted.n_kept());
        // Distances of the smaller part would not be those of the samples.
        if kept < seen - kept {
            let outside = seen - kept;
            let line = format!("{outside} of {seen} samples of the {who} lie outside the window");
            return Err(NoFigures(line).into());
        }
        Ok(s.counted.finish()?)
    };
    let (n, n_ode) = (sde.counted.n_seen(), ode.counted.n_seen());
    (row.n, row.n_ode) = (n, (n != n_ode).then_some(n_ode));
    (row.discarded_ode, row.discarded_sde) = (ode.discarded(), sde.discarded());
    let held = [inside(ode, "ODE")?, inside(sde, "SDE")?, truth.first.counted.finish()?];
    row.w2 = pairs(&held, |x, y| Ok(x.squared_w2(y)?))?;
    row.tv = pairs(&held, |x, y| {
        let tv = HistogramDivergence::TotalVariation;
        Ok(tv.with_error(x.weights(), x.n_kept(), y.weights(), y.n_kept())?)
    })?;
    row.cloud_n = ode.cloud.nrows() as u64;
    let clouds = [ode.cloud.view(), sde.cloud.view(), truth.first.cloud.view()];
    row.cloud_w2 = pairs(&clouds, |x, y| {
        let transport = w2(*x, *y)?;
        let standard_error = transport.standard_error(None, None)?;
        Ok(Estimate { value: transport.primal, standard_error })
    })?;
    row.mmd = pairs(&clouds, |x, y| {
        let found = mmd2_with_error(*x, *y, truth.kernel)?;
        let standard_error = found.standard_error.unwrap_or_default();
        Ok(Estimate { value: found.unbiased, standard_error })
    })?;
    Ok(())
}

/// A distance between each two of ODE, SDE and truth.
fn pairs<T>([ode, sde, truth]: &[T; 3], of: impl Fn(&T, &T) -> Result<Estimate>) -> Result<Pairs> {
    Ok(Pairs { ode_truth: of(ode, truth)?, sde_truth: of(sde, truth)?, ode_sde: of(ode, sde)? })
}

/// Points handled at a time.
const CHUNK: usize = 5_000;

/// Mean squared residual over the box and on `p_t`, and the denoising loss on a held-out batch.
pub(super) fn network(config: &Config, cell: &Cell, net: &ScoreNet, row: &mut Row) -> Result<()> {
    let (t, m) = (&config.training, config.measuring);
    let source: Arc<dyn DataSource> = Arc::new(cell.data);
    let half_width = match t.residual.collocation {
        Collocation::UniformBox { half_width } => half_width,
        Collocation::OnPath => m.half_width,
    };
    let places = [
        Where::UniformBox { half_width },
        Where::OnMarginal { source: source.clone(), time: t.time_distribution },
    ];
    let points = key(config, Purpose::Residual, cell.data);
    let mut residuals = [0.0; 2];
    for (k, (place, mean)) in places.into_iter().zip(&mut residuals).enumerate() {
        let penalty = FokkerPlanckPenalty::new(m.residual_points, place).t_min(t.t_min);
        *mean = average(m.residual_points, |rows| {
            Ok(penalty.loss_of_rows(net, points.fold(k as u64), rows)?)
        })?;
    }
    [row.residual, row.residual_on_path] = residuals;
    let held_out = key(config, Purpose::HeldOut, cell.data);
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
    // Numbers that are not finite are words in our JSON, and nothing in that of estimates.
    fn bad(value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.values().any(bad),
            other => other.is_string() || other.is_null(),
        }
    }
    let figures = serde_json::to_value(row)?;
    let figures = figures.as_object().into_iter().flatten();
    match figures.filter(|(name, _)| *name != "dataset").find(|(_, value)| bad(value)) {
        Some((figure, _)) => Err(NoFigures(format!("{figure} is not finite")).into()),
        None => Ok(()),
    }
}
