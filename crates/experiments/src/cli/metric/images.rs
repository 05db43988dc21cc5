//! `metric images`: everything that is usually said of a set of generated images, from one set of features.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use data::Features;
use metrics::{
    Estimate, Metric, NoiseFloor, Options, Sample, precision_recall, precision_recall_with_errors,
};
use ndarray::{Array2, Axis};
use sde_core::Key;
use serde_json::{Map, Value, json};

use super::{featured, page};
use crate::cli::Output;
use crate::cli::output::{number, short, table};
use crate::features::{Described, Extractor, NEAR};

/// Frechet distance, KID, precision, recall, density, coverage and authenticity of images
///
/// A and B are folders of PNG or JPEG, arrays of images (.npy, .npz), IDX or CIFAR-10 files, or with `--features file` arrays
/// of features, [n, d], of which an .npz may hold `mu` and `sigma` instead. Images are not resized. Everything is found from
/// the same features; the result says by what network they were made, and its hash.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  experiment metric images samples/ test/ --training train/ --floor 20 --json > a.json"
)]
pub(in crate::cli) struct Args {
    /// The generated images
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The real images
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Where features come from: random-conv:seed=N, a convolution network with random weights; classifier:FILE, what the last
    /// layer of a classifier is given that `fit --classifier` made of such images; pixels; or file
    #[arg(long, value_name = "F", default_value = "random-conv:seed=0", value_parser = parse)]
    features: Extractor,
    /// The images that the model was trained on: for authenticity, and the share of A near to them (B is withheld then)
    #[arg(long, value_name = "FILE")]
    training: Option<PathBuf>,
    /// Nearest neighbours of precision, recall, density, coverage
    #[arg(long, value_name = "N", default_value_t = 5)]
    k: usize,
    /// Random quarters that their standard errors come from
    #[arg(long, value_name = "K", default_value_t = 20)]
    resamples: usize,
    /// The noise floors, from R random splits of A and B thrown together
    #[arg(long, value_name = "R")]
    floor: Option<usize>,
    /// Seed of quarters and splits
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(super) fn parse(text: &str) -> Result<Extractor, String> {
    text.parse()
}

/// A figure.
struct Figure {
    name: &'static str,
    value: f64,
    standard_error: Option<f64>,
    floor: Option<NoiseFloor>,
}

impl Figure {
    fn new(name: &'static str, found: Estimate) -> Self {
        Self { name, value: found.value, standard_error: Some(found.standard_error), floor: None }
    }
}

impl Args {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let start = Instant::now();
        ensure!(self.resamples >= 2, "--resamples {}: expected at least 2", self.resamples);
        let paths = [self.a.as_path(), self.b.as_path()];
        let loaded = featured::of(&self.features, paths, self.training.as_deref())?;
        let sizes = loaded.sides.each_ref().map(Features::n);
        let training = match &loaded.training {
            None => None,
            Some(Features::Rows(rows)) => Some(rows),
            Some(Features::Moments(_)) => {
                bail!("--training: a mean and a covariance have no rows that samples are near to")
            }
        };
        let figures = match &loaded.sides {
            [Features::Rows(x), Features::Rows(y)] => {
                let mut figures = self.distances(x, y)?;
                figures.extend(self.overlap(x, y)?);
                figures.extend(training.map(|t| copies(x, y, t)).transpose()?.unwrap_or_default());
                figures
            }
            [a, b] => {
                let value = featured::frechet([a.moments()?, b.moments()?])?;
                vec![Figure { name: "frechet", value, standard_error: None, floor: None }]
            }
        };
        let notes = featured::notes(sizes, loaded.described.dimension);
        let n_training = training.map(Array2::nrows);
        let seconds = start.elapsed().as_secs_f64();
        self.emit((&figures, &notes), sizes, n_training, &loaded.described, seconds, output)
    }

    /// Frechet distance and KID.
    fn distances(&self, x: &Array2<f64>, y: &Array2<f64>) -> Result<Vec<Figure>> {
        let key = Key::root(self.seed);
        let options = Options { key: key.fold(0), ..Options::default() };
        let size = [x.nrows(), y.nrows()];
        let pool = self.floor.map(|_| ndarray::concatenate(Axis(0), &[x.view(), y.view()]));
        let pool = pool.transpose()?.map(Sample::cloud);
        let (x, y) = (Sample::cloud(x.clone()), Sample::cloud(y.clone()));
        let one = |metric: Metric| {
            let found = metric.evaluate(&x, &y, &options)?;
            let floor = self.floor.zip(pool.as_ref());
            let floor = floor.map(|(splits, pool)| {
                metric.noise_floor_of(pool, size, &options, key.fold(2), splits)
            });
            let (value, standard_error) = (found.value, found.standard_error);
            Ok(Figure { name: metric.name(), value, standard_error, floor: floor.transpose()? })
        };
        [Metric::Frechet, Metric::Kid].into_iter().map(one).collect()
    }

    /// Precision, recall, density and coverage; their errors come from quarters, each of which must have more than `k` rows.
    fn overlap(&self, x: &Array2<f64>, y: &Array2<f64>) -> Result<Vec<Figure>> {
        crate::checks::time(&[("--resamples", self.resamples), ("images", x.nrows())])?;
        let (x, y, key) = (x.view(), y.view(), Key::root(self.seed).fold(1));
        let errors = x.nrows().min(y.nrows()) / 4 > self.k;
        let found = match errors {
            true => precision_recall_with_errors(y, x, self.k, (key, self.resamples))?,
            false => precision_recall(y, x, self.k)?,
        };
        let figure = |(name, found): (&'static str, Estimate)| Figure {
            name,
            value: found.value,
            standard_error: errors.then_some(found.standard_error),
            floor: None,
        };
        let all = [
            ("precision", found.precision),
            ("recall", found.recall),
            ("density", found.density),
            ("coverage", found.coverage),
        ];
        Ok(all.map(figure).into())
    }

    fn emit(
        &self,
        (figures, notes): (&[Figure], &[String]),
        samples: [Option<usize>; 2],
        training: Option<usize>,
        described: &Described,
        seconds: f64,
        output: &Output,
    ) -> Result<()> {
        let mut values = Map::new();
        let mut lines = Vec::new();
        for figure in figures {
            let Figure { name, value, standard_error, floor } = figure;
            let mut line = page::with_error(*value, *standard_error);
            let mut entry = json!({
                "value": page::exact(*value),
                "standard-error": standard_error.map(page::exact),
            });
            if let Some(floor) = floor {
                let (mean, spread) = (floor.mean(), floor.standard_deviation());
                let p = floor.share_above(*value);
                entry["floor"] = json!({
                    "splits": floor.values.len(),
                    "mean": page::exact(mean),
                    "standard-deviation": page::exact(spread),
                    "samples": floor.size,
                    "share-above": p,
                });
                let floor = page::with_error(mean, Some(spread));
                line += &format!("; floor {floor}, a share of {} above", number(p));
            }
            values.insert((*name).into(), entry);
            lines.push(vec![(*name).to_owned(), line]);
        }
        let unknown = |n: Option<usize>| n.map_or_else(|| "unknown".into(), |n| n.to_string());
        let mut counts = samples.map(unknown).join(" and ");
        counts += &training.map_or_else(String::new, |n| format!(", {n} for training"));
        lines.push(vec!["samples".into(), counts]);
        lines.push(vec!["features".into(), featured::words(described)]);
        lines.push(vec!["k".into(), self.k.to_string()]);
        lines.extend(notes.iter().map(|note| vec!["note".into(), note.clone()]));
        lines.push(vec!["seconds".into(), short(seconds)]);
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.into(), value);
        put("values", Value::Object(values));
        put("parameters", json!({"k": self.k}));
        put("samples", json!(samples));
        put("training", json!(training));
        put("dimension", json!(described.dimension));
        put("features", json!(described));
        put("resamples", json!(self.resamples));
        put("seed", json!(self.seed));
        put("notes", json!(notes));
        put("seconds", json!(seconds));
        output.emit(&object, &table(&lines))
    }
}

/// How near generated images are to those that a model was trained on, with real images that were withheld beside them.
fn copies(x: &Array2<f64>, y: &Array2<f64>, training: &Array2<f64>) -> Result<Vec<Figure>> {
    let (x, y, training) = (x.view(), y.view(), training.view());
    Ok(vec![
        Figure::new("authenticity", metrics::authenticity(x, training)?),
        Figure::new("near-training", metrics::near_training(x, training, y, NEAR)?),
    ])
}
