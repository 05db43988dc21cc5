//! The arrays of `metric`, as what its metric takes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use metrics::{Histogram2d, HistogramBuilder, Kind, Sample};
use ndarray::{Array1, Array2, Ix1, Ix2};

use super::{Args, files};
use crate::npy;

/// Nodes an axis where nobody says how many.
const NODES: usize = 64;

/// One side of the command line.
struct Side<'a> {
    path: &'a Path,
    /// Of a data file.
    points: Option<Array2<f64>>,
    weights: Option<&'a PathBuf>,
    samples: Option<u64>,
    flag: &'static str,
}

/// Both sides; of log-densities the second may be missing.
pub(super) fn samples(args: &Args) -> Result<(Sample, Option<Sample>)> {
    let (name, info) = (args.metric.name(), args.metric.info());
    let takes = |kind: Kind| info.kinds().any(|k| k == kind);
    let kind = if args.grid.is_some() {
        let takes_words = info.takes();
        ensure!(
            takes(Kind::Histogram),
            "--grid does not go with {name}, which takes {takes_words}"
        );
        Kind::Histogram
    } else {
        let kind = info.kinds().find(|kind| *kind != Kind::Histogram);
        kind.with_context(|| {
            format!("{name} takes histograms, or samples to be counted: it needs --grid L")
        })?
    };
    let b_path = args.b.as_deref();
    let data = kind != Kind::LogDensities
        && [Some(&*args.a), b_path].into_iter().flatten().any(files::is_data);
    let (of_a, of_b) = match data {
        true => {
            let (a, b) = files::points(&args.a, b_path)?;
            (Some(a), b)
        }
        false => (None, None),
    };
    let a = Side {
        path: &args.a,
        points: of_a,
        weights: args.weights_a.as_ref(),
        samples: args.samples_a,
        flag: "--samples-a",
    };
    let first = sample(args, a, kind)?;
    let Some(path) = &args.b else {
        ensure!(kind == Kind::LogDensities, "{name} compares two arrays: B.npy is missing");
        return Ok((first, None));
    };
    let b = Side {
        path,
        points: of_b,
        weights: args.weights_b.as_ref(),
        samples: args.samples_b,
        flag: "--samples-b",
    };
    Ok((first, Some(sample(args, b, kind)?)))
}

fn sample(args: &Args, side: Side<'_>, kind: Kind) -> Result<Sample> {
    Ok(match kind {
        Kind::Histogram => {
            let half_width = args.grid.context("--grid is missing")?;
            Sample::Histogram(histogram(&side, half_width, args.nodes)?)
        }
        Kind::LogDensities => Sample::LogDensities(values(side.path)?),
        _ => {
            let rows = match side.points {
                Some(points) => points,
                None => npy::read_rows(side.path)?,
            };
            match side.weights {
                None => Sample::cloud(rows),
                Some(path) => {
                    let weights = weights(path, side.path, rows.nrows())?;
                    Sample::weighted(rows, weights)
                }
            }
        }
    })
}

/// A weight for each of the rows in `of`.
fn weights(path: &Path, of: &Path, rows: usize) -> Result<Array1<f64>> {
    let weights = npy::read_vector(path)?;
    let (shown, found) = (path.display(), weights.len());
    ensure!(
        found == rows,
        "{shown}: expected {rows} weights, one a row of {}, found {found}",
        of.display()
    );
    if let Some((i, weight)) = weights.iter().enumerate().find(|(_, weight)| **weight < 0.0) {
        bail!("{shown}: entry {i} is {weight}, expected a weight >= 0");
    }
    let total = weights.sum();
    ensure!(total > 0.0 && total.is_finite(), "{shown}: the weights add up to {total}");
    Ok(weights)
}

/// Log-densities, which may be infinite: points of density zero are counted.
fn values(path: &Path) -> Result<Array1<f64>> {
    let array = npy::read(path)?;
    let shape = array.shape().to_vec();
    let vector = array.into_dimensionality::<Ix1>();
    vector.map_err(|_| anyhow!("{}: expected an array [n], found {shape:?}", path.display()))
}

fn histogram(side: &Side, half_width: f64, nodes: Option<usize>) -> Result<Histogram2d> {
    let array = match &side.points {
        Some(points) => points.clone().into_dyn(),
        None => npy::read(side.path)?,
    };
    let shape = array.shape().to_vec();
    let named = || side.path.display().to_string();
    let n = match shape[..] {
        // Two columns: samples.
        [_, 2] => {
            let flag = side.flag;
            ensure!(
                side.samples.is_none(),
                "{flag} does not go with {}: samples are counted",
                named()
            );
            let rows: Array2<f64> = array.into_dimensionality::<Ix2>()?;
            let mut builder = HistogramBuilder::new(half_width, nodes.unwrap_or(NODES))?;
            builder.add(rows.view()).with_context(named)?;
            let seen = builder.n_seen();
            ensure!(seen > 0, "{}: expected at least one row, found {shape:?}", named());
            ensure!(
                builder.n_kept() > 0,
                "{}: none of its {seen} samples lies within --grid {half_width}",
                named()
            );
            return builder.finish().with_context(named);
        }
        [cells] => cells.isqrt(),
        [rows, columns] if rows == columns => rows,
        _ => 0,
    };
    ensure!(
        n > 1 && n * n == array.len(),
        "{}: expected n*n weights or samples [n, 2], found {shape:?}",
        side.path.display()
    );
    let weights = Array2::from_shape_vec((n, n), array.iter().copied().collect())?;
    let histogram = Histogram2d::from_weights(half_width, weights).with_context(named)?;
    match side.samples {
        None => Ok(histogram),
        Some(n) => histogram.with_samples(n).with_context(|| format!("{} {n}", side.flag)),
    }
}
