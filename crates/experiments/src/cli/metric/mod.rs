//! `metric`: distances between two arrays on disk, with their error bars.

mod classified;
mod compare;
mod featured;
mod files;
mod flags;
mod images;
mod load;
mod page;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use metrics::{
    Interval, Metric, NoiseFloor, Options, Resampled, Resampling, Sample, TransportPlan,
};
use ndarray::Array2;
use sde_core::Key;

use super::Output;
use crate::atomic::AtomicFile;
use crate::features::Extractor;
use crate::npy;
use featured::Sides;
use page::Page;

/// A metric, or one of the commands about several.
///
/// The flags of a metric are those of the command itself, so that its subcommands stand in their place.
#[derive(Debug)]
pub(super) enum MetricCommand {
    One(Box<Args>),
    Other(Other),
}

#[derive(Debug, Subcommand)]
pub(super) enum Other {
    Images(images::Args),
    Compare(compare::Args),
}

impl clap::FromArgMatches for MetricCommand {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_name() {
            Some(_) => <Other as clap::FromArgMatches>::from_arg_matches(matches).map(Self::Other),
            None => <Args as clap::FromArgMatches>::from_arg_matches(matches)
                .map(|args| Self::One(Box::new(args))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for MetricCommand {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = <Args as clap::Args>::augment_args(command);
        <Other as Subcommand>::augment_subcommands(command)
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Measure how far apart two sets of samples, or two histograms, are, and how sure that is
///
/// A.npy and B.npy hold samples [n, d] (or [n]). With --grid L they are histograms on the nodes
/// linspace(-L, L, n) of both axes instead: n*n weights, entry i*n+j at (x = node j, y = node i), or
/// samples [n, 2], which are then counted at their nearest node; what lies outside is left out and
/// reported as `discarded`.
///
/// Either may be a data file instead, in any of the formats that `fit` reads (.csv, .npz, IDX, folders of PNG, `digits`): the
/// samples are its rows in their own units, with columns found by name, a column of categories as one coordinate each
/// (rows that differ in one name are 1 apart), and without the classes. Columns, sizes and categories must be the same.
///
/// With --features, A and B are images (folders of PNG or JPEG, .npy, .npz, IDX, CIFAR-10), and the metric is of their features;
/// an .npz may hold features, or `mu` and `sigma` of some for `frechet`. `images` has all that is usually said of images at once,
/// `compare` the difference of two results.
///
/// The value comes with its standard error where there is a closed form. --bootstrap adds one from
/// resamples, and an interval; --floor the value between two halves of B, below which no value means
/// anything.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  experiment metric w2 a.npy b.npy --bootstrap 200 --json\n  \
    experiment metric w2 ode.npy sde.npy --grid 3.5 --floor 20\n  \
    experiment metric mmd a.npy b.npy --bandwidth median --unbiased\n  \
    experiment metric w1 a.npy b.npy --weights-a wa.npy --plan plan.npy\n  \
    experiment metric energy new.csv wine.csv --floor 20")]
pub(super) struct Args {
    /// The metric
    #[arg(value_name = "NAME", value_parser = names())]
    metric: Metric,
    /// The first array, or data file
    #[arg(value_name = "A.npy")]
    a: PathBuf,
    /// The second array, or data file: the truth, where there is one
    #[arg(value_name = "B.npy")]
    b: Option<PathBuf>,
    /// What makes features of images: random-conv:seed=N, a convolution network with random weights, classifier:FILE, a classifier
    /// that `fit --classifier` made of such images, or pixels; file: A and B hold features
    #[arg(long, value_name = "F", value_parser = images::parse)]
    features: Option<Extractor>,
    /// Weights [n] of the samples in A (default: equal)
    #[arg(long, value_name = "F.npy")]
    weights_a: Option<PathBuf>,
    /// Weights [n] of the samples in B (default: equal)
    #[arg(long, value_name = "F.npy")]
    weights_b: Option<PathBuf>,
    /// Half-width L of the square grid of two histograms
    #[arg(long, value_name = "L")]
    grid: Option<f64>,
    /// Nodes an axis when samples are counted on the grid (default: 64)
    #[arg(long, value_name = "N", requires = "grid")]
    nodes: Option<usize>,
    /// How many samples the weights in A were counted from: error bars of a histogram need it
    #[arg(long, value_name = "N", requires = "grid")]
    samples_a: Option<u64>,
    /// How many samples the weights in B were counted from
    #[arg(long, value_name = "N", requires = "grid")]
    samples_b: Option<u64>,
    /// Write the optimal plan: an array [k, 3] of rows (i, j, mass)
    #[arg(long, value_name = "OUT.npy")]
    plan: Option<PathBuf>,
    /// Standard error and interval from K resamples
    #[arg(long, value_name = "K")]
    bootstrap: Option<usize>,
    /// Confidence level of the interval (default: 0.95)
    #[arg(long, value_name = "P", requires = "bootstrap")]
    level: Option<f64>,
    /// The noise floor, from R random halvings of B
    #[arg(long, value_name = "R")]
    floor: Option<usize>,
    /// Seed of resamples, halvings, directions (default: 0)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    own: flags::Own,
}

/// The names on the command line, each with its line of help.
fn names() -> impl TypedValueParser<Value = Metric> {
    let values = Metric::ALL.iter().map(|metric| {
        let (info, about) = (metric.info(), metric.summary().trim_end_matches('.'));
        PossibleValue::new(metric.name())
            .aliases(info.aliases)
            .help(format!("{about}: {}", info.formula))
    });
    PossibleValuesParser::new(values).try_map(|name| Metric::parse(&name))
}

/// What --bootstrap and --floor found.
#[derive(Debug, Default)]
struct Uncertainty {
    resampled: Option<(Resampled, f64)>,
    floor: Option<(NoiseFloor, f64)>,
}

pub(super) fn metric(command: &MetricCommand, output: &Output) -> Result<()> {
    match command {
        MetricCommand::One(args) => one(args, output),
        MetricCommand::Other(Other::Images(args)) => args.run(output),
        MetricCommand::Other(Other::Compare(args)) => args.run(output),
    }
}

fn one(args: &Args, output: &Output) -> Result<()> {
    let options = flags::options(args)?;
    if let Some(path) = &args.plan {
        // Whether it can be written at all is known before hours of work, not after.
        drop(AtomicFile::create(path)?);
    }
    let (x, y, described) = match featured::load(args)? {
        None => {
            let (x, y) = load::samples(args)?;
            (x, y, None)
        }
        Some(loaded) => match Sides::from(loaded.sides) {
            Sides::Rows([x, y]) => (x, Some(y), Some(loaded.described)),
            Sides::Moments(sides) => {
                return featured::of_moments(args, &sides, &loaded.described, output);
            }
        },
    };
    // What is chosen by the samples is chosen once: resamples and halves are of the same metric.
    let settled = args.metric.settle(&x, y.as_ref(), &options)?;
    let (found, seconds) = timed(|| args.metric.evaluate(&x, y.as_ref(), &settled))?;
    let uncertainty = uncertainty(args, &settled, &x, y.as_ref())?;
    if let (Some(path), Some(plan)) = (&args.plan, &found.plan) {
        output.replacing(path);
        write_plan(path, plan)?;
    }
    let page = Page {
        args,
        options: &settled,
        x: &x,
        y: y.as_ref(),
        described: described.as_ref(),
        found: &found,
        seconds,
    };
    page.emit(&uncertainty, output)
}

/// Runs a computation under a clock.
fn timed<T>(compute: impl FnOnce() -> metrics::Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let value = compute()?;
    Ok((value, start.elapsed().as_secs_f64()))
}

fn uncertainty(
    args: &Args,
    options: &Options,
    x: &Sample,
    y: Option<&Sample>,
) -> Result<Uncertainty> {
    let key = Key::root(args.seed.unwrap_or(0));
    let mut found = Uncertainty::default();
    if let Some(resamples) = args.bootstrap {
        let how = Resampling::new(key.fold(1), resamples);
        let (resampled, seconds) = timed(|| args.metric.resample(x, y, options, &how))
            .with_context(|| format!("--bootstrap {resamples}"))?;
        // A level that is none is refused before anything is printed.
        resampled.interval(Interval::Centred, args.level())?;
        found.resampled = Some((resampled, seconds));
    }
    if let Some(halvings) = args.floor {
        let truth = y.context("--floor needs a second array, the truth")?;
        let floor = timed(|| args.metric.noise_floor(truth, options, key.fold(2), halvings));
        found.floor = Some(floor.with_context(|| format!("--floor {halvings}"))?);
    }
    Ok(found)
}

impl Args {
    fn level(&self) -> f64 {
        self.level.unwrap_or(0.95)
    }
}

fn write_plan(path: &Path, plan: &TransportPlan) -> Result<()> {
    let moves = plan.moves();
    let mut rows = Array2::zeros((moves.len(), 3));
    for (mut row, &(i, j, mass)) in rows.rows_mut().into_iter().zip(moves) {
        row.assign(&ndarray::aview1(&[i as f64, j as f64, mass]));
    }
    ensure!(!moves.is_empty(), "the plan is empty");
    Ok(npy::write(path, rows.view())?)
}

/// A row of `list metrics`.
pub(super) fn row(metric: Metric) -> serde_json::Value {
    let info = metric.info();
    let parameters: Vec<&str> = info.parameters.iter().map(|p| p.name()).collect();
    serde_json::json!({
        "name": metric.name(),
        "aliases": info.aliases.join(" "),
        "about": metric.summary(),
        "formula": info.formula,
        "takes": info.takes(),
        "parameters": parameters.join(" "),
        "cost": info.cost,
        "standard-error": info.error,
        "resampling": info.scheme.name(),
        "reference": info.reference,
    })
}
