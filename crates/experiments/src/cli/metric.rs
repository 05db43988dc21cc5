//! `metric`: distances between two arrays on disk.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use metrics::{ExactTransport, GroundCost, Histogram2d, HistogramBuilder, Kernel};
use ndarray::{Array1, Array2, Ix2};
use serde_json::{Map, Value, json};

use super::Output;
use crate::npy;

/// Measure how far apart two sets of samples, or two histograms, are
///
/// A.npy and B.npy hold samples [n, d] (or [n]). With --grid L they are histograms on the nodes
/// linspace(-L, L, n) of both axes instead: n*n weights, entry i*n+j at (x = node j, y = node i), or
/// samples [n, 2], which are then counted at their nearest node; what lies outside is left out and
/// reported as `discarded`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  experiment metric w2 a.npy b.npy --json\n  \
    experiment metric w2 ode.npy sde.npy --grid 3.5\n  \
    experiment metric mmd a.npy b.npy --bandwidth median --unbiased")]
pub(super) struct Args {
    /// The distance
    #[arg(value_enum)]
    metric: Metric,
    /// The first array
    #[arg(value_name = "A.npy")]
    a: PathBuf,
    /// The second array
    #[arg(value_name = "B.npy")]
    b: PathBuf,
    /// w2: weights [n] of the samples in A (default: equal)
    #[arg(long, value_name = "F.npy")]
    weights_a: Option<PathBuf>,
    /// w2: weights [n] of the samples in B (default: equal)
    #[arg(long, value_name = "F.npy")]
    weights_b: Option<PathBuf>,
    /// mmd: width s of the kernel exp(-|x-y|^2 / (2 s^2)), or `median` distance
    #[arg(long, value_name = "S|median", default_value = "median", value_parser = bandwidth)]
    bandwidth: Bandwidth,
    /// mmd: leave the diagonal out (U-statistic)
    #[arg(long)]
    unbiased: bool,
    /// w2, tv: half-width L of the square grid
    #[arg(long, value_name = "L")]
    grid: Option<f64>,
    /// w2, tv: nodes an axis when samples are counted on the grid
    #[arg(long, value_name = "N", default_value_t = 64)]
    nodes: usize,
}

/// The distances there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Metric {
    /// Exact Wasserstein-2 distance, with the dual value that proves it
    W2,
    /// Squared maximum mean discrepancy under a Gaussian kernel
    Mmd,
    /// Total variation of two histograms
    Tv,
}

impl Metric {
    /// A row of `list metrics`.
    pub(super) fn row(self) -> Value {
        let possible = self.to_possible_value().expect("no variant is hidden");
        let about = possible.get_help().map(ToString::to_string).unwrap_or_default();
        json!({"name": possible.get_name(), "about": about})
    }
}

#[derive(Clone, Copy, Debug)]
enum Bandwidth {
    Median,
    Width(f64),
}

fn bandwidth(text: &str) -> Result<Bandwidth, String> {
    if text == "median" {
        return Ok(Bandwidth::Median);
    }
    match text.parse::<f64>() {
        Ok(s) if s.is_finite() && s > 0.0 => Ok(Bandwidth::Width(s)),
        _ => Err("expected `median` or a width above zero".into()),
    }
}

pub(super) fn metric(args: &Args, output: &Output) -> Result<()> {
    let mut report = Map::new();
    report.insert("metric".into(), args.metric.row()["name"].clone());
    match args.metric {
        Metric::W2 if args.grid.is_some() => grid_w2(args, &mut report)?,
        Metric::W2 => cloud_w2(args, &mut report)?,
        Metric::Mmd => mmd(args, &mut report)?,
        Metric::Tv => tv(args, &mut report)?,
    }
    let text: Vec<String> = report.iter().map(|(k, v)| format!("{k:<10} {v}")).collect();
    output.emit(&report, &text.join("\n"))
}

/// Runs the metric itself under a clock.
fn timed<T>(
    report: &mut Map<String, Value>,
    compute: impl FnOnce() -> metrics::Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let value = compute()?;
    report.insert("seconds".into(), json!(start.elapsed().as_secs_f64()));
    Ok(value)
}

fn put(report: &mut Map<String, Value>, entries: &[(&str, f64)]) {
    for (key, value) in entries {
        report.insert((*key).into(), json!(value));
    }
}

fn no_weights(args: &Args, why: &str) -> Result<()> {
    ensure!(
        args.weights_a.is_none() && args.weights_b.is_none(),
        "--weights-a and --weights-b {why}"
    );
    Ok(())
}

fn cloud_w2(args: &Args, report: &mut Map<String, Value>) -> Result<()> {
    let (a, b) = (npy::read_rows(&args.a)?, npy::read_rows(&args.b)?);
    let weights = |path: &Option<PathBuf>| path.as_deref().map(npy::read_vector).transpose();
    let (wa, wb): (Option<Array1<f64>>, Option<Array1<f64>>) =
        (weights(&args.weights_a)?, weights(&args.weights_b)?);
    // Weights on one side only: the other side carries the same mass in equal parts.
    let other = |w: &Option<Array1<f64>>, n: usize| {
        w.as_ref().map(|w| Array1::from_elem(n, w.sum() / n as f64))
    };
    let left = wa.clone().or_else(|| other(&wb, a.nrows()));
    let right = wb.or_else(|| other(&wa, b.nrows()));
    let solver = ExactTransport::new(GroundCost::SquaredEuclidean);
    let transport = timed(report, || {
        let (left, right) = (left.as_ref().map(|w| w.view()), right.as_ref().map(|w| w.view()));
        solver.solve(a.view(), left, b.view(), right)
    })?;
    let (value, primal, dual) = (transport.distance(), transport.primal, transport.dual);
    put(report, &[("value", value), ("squared", primal), ("primal", primal), ("dual", dual)]);
    Ok(())
}

fn mmd(args: &Args, report: &mut Map<String, Value>) -> Result<()> {
    no_weights(args, "belong to w2")?;
    ensure!(args.grid.is_none(), "--grid belongs to w2 and tv");
    let (a, b) = (npy::read_rows(&args.a)?, npy::read_rows(&args.b)?);
    let kernel = match args.bandwidth {
        Bandwidth::Median => Kernel::rbf_median(a.view(), b.view())?,
        Bandwidth::Width(bandwidth) => Kernel::Rbf { bandwidth },
    };
    let found = timed(report, || metrics::mmd2(a.view(), b.view(), kernel))?;
    let value = if args.unbiased { found.unbiased } else { found.biased };
    put(report, &[("value", value), ("biased", found.biased), ("unbiased", found.unbiased)]);
    if let Kernel::Rbf { bandwidth } = kernel {
        put(report, &[("bandwidth", bandwidth)]);
    }
    Ok(())
}

/// The two histograms of `--grid`.
fn histograms(args: &Args, report: &mut Map<String, Value>) -> Result<[Histogram2d; 2]> {
    let half_width =
        args.grid.context("two histograms, or samples to be counted, need --grid L")?;
    no_weights(args, "do not go with --grid: the arrays are the weights")?;
    let (a, mass_a) = histogram(&args.a, half_width, args.nodes)?;
    let (b, mass_b) = histogram(&args.b, half_width, args.nodes)?;
    if (mass_a - mass_b).abs() > 1e-9 * mass_a.max(mass_b) {
        bail!(metrics::Error::UnequalMass { left: mass_a, right: mass_b });
    }
    let nodes = (a.nodes().len(), b.nodes().len());
    ensure!(
        nodes.0 == nodes.1,
        "{} nodes an axis in the first, {} in the second",
        nodes.0,
        nodes.1
    );
    report.insert("nodes".into(), json!(nodes.0));
    report.insert("discarded".into(), json!([a.discarded_share(), b.discarded_share()]));
    Ok([a, b])
}

/// One histogram and the mass it came with.
fn histogram(path: &Path, half_width: f64, nodes: usize) -> Result<(Histogram2d, f64)> {
    let array = npy::read(path)?;
    let shape = array.shape().to_vec();
    let named = || path.display().to_string();
    let side = match shape[..] {
        // Two columns: samples.
        [_, 2] => {
            let rows: Array2<f64> = array.into_dimensionality::<Ix2>()?;
            let mut builder = HistogramBuilder::new(half_width, nodes)?;
            builder.add(rows.view()).with_context(named)?;
            return Ok((builder.finish().with_context(named)?, 1.0));
        }
        [cells] => cells.isqrt(),
        [rows, columns] if rows == columns => rows,
        _ => 0,
    };
    ensure!(
        side > 1 && side * side == array.len(),
        "{}: expected n*n weights or samples [n, 2], found {shape:?}",
        path.display()
    );
    let weights = Array2::from_shape_vec((side, side), array.iter().copied().collect())?;
    let mass = weights.sum();
    Ok((Histogram2d::from_weights(half_width, weights).with_context(named)?, mass))
}

fn grid_w2(args: &Args, report: &mut Map<String, Value>) -> Result<()> {
    let [a, b] = histograms(args, report)?;
    let transport = timed(report, || a.w2(&b))?;
    let (value, squared, dual) = (transport.distance(), transport.squared, transport.dual);
    put(report, &[("value", value), ("squared", squared), ("primal", squared), ("dual", dual)]);
    Ok(())
}

fn tv(args: &Args, report: &mut Map<String, Value>) -> Result<()> {
    let [a, b] = histograms(args, report)?;
    let value = timed(report, || a.total_variation(&b))?;
    put(report, &[("value", value)]);
    Ok(())
}
