//! A model of the user's data: training, samples by both equations, likelihood, and a report.
//!
//! - `config`: everything but the data; `prepared`: from rows of data to rows of a model and back;
//! - `train`: training with losses on withheld rows, of what is `trainable`; `classifier`: one of noised rows beside the model; `course`: what is written of it on the way; `sheets`: samples on the way;
//!   `draw`: samples; `measure`, `features`, `judge`, `likelihood`: what they are
//!   worth;
//! - `findings`, `pictures`, `page`: the report.

mod classifier;
mod config;
mod cost;
mod course;
mod curve;
mod draw;
mod features;
mod fill;
mod findings;
mod judge;
mod likelihood;
mod measure;
mod page;
mod parts;
mod pictures;
mod prepared;
mod sheets;
mod source;
mod tables;
mod train;
mod trainable;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use data::{Dataset, Kind};
use metrics::Estimate;
use ndarray::Array2;
use report::Sheet;
use score_nets::{DataSource as _, ScoreModel};
use sde_core::Key;
use serde::{Deserialize, Serialize};

pub(crate) use config::{Config, Measuring, Network, Sampling, Training};
pub(crate) use draw::{Equation, sampled};
pub(crate) use measure::{Distance, Pair, Ruler, of_rows};
pub(crate) use parts::Parts;
pub(crate) use prepared::{Batches, Prepared, Usual};
pub(crate) use source::Source;

use crate::checks::DIGITS;
use crate::citations;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use classifier::{Classification, Classified};
use draw::{Drawn, draw, drawn};
use features::Featured;
use fill::{Filled, Filling};
use judge::Judge;
use likelihood::{Flow, Likelihood};
use measure::{Compared, Marginal, Neighbours};
use sheets::Sheets;
use train::{Job, Trained, kept_path};

/// Purposes of the seed.
mod purpose {
    pub(super) const SPLIT: u64 = 100;
    pub(super) const PREPARE: u64 = 101;
    pub(super) const LABELS: u64 = 102;
    pub(super) const ODE: u64 = 103;
    pub(super) const SDE: u64 = 104;
    pub(super) const DISTANCES: u64 = 105;
    pub(super) const LIKELIHOOD: u64 = 106;
    pub(super) const ORDER: u64 = 107;
    pub(super) const SHEETS: u64 = 108;
    pub(super) const FEATURES: u64 = 109;
    pub(super) const FILL: u64 = 110;
    pub(super) const NEIGHBOURS: u64 = 111;
    pub(super) const CLASSIFIER: u64 = 112;
    pub(super) const GUIDED: u64 = 113;
}

/// What the data are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct About {
    source: String,
    hash: String,
    kind: Kind,
    classes: Vec<String>,
    /// Rows for training, for validation, for testing.
    rows: [usize; 3],
    /// Withheld rows that are left out, because a column that is constant in training is another in them.
    left_out: usize,
    /// Columns that no model sees, with their value.
    constants: Vec<(String, f64)>,
    #[serde(with = "crate::number")]
    sigma_data: f64,
    model_dim: usize,
}

/// Classes of samples, as a classifier of the training rows sees them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Accuracy {
    /// Of withheld rows: how far the classifier is to be trusted.
    test: Estimate,
    ode: Estimate,
    sde: Estimate,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    about: About,
    trained: Trained,
    drawn: [Drawn; 2],
    distances: Vec<Distance>,
    neighbours: Vec<Neighbours>,
    /// Of images: distances in features.
    #[serde(default)]
    features: Option<Featured>,
    marginals: Vec<Marginal>,
    accuracy: Option<Accuracy>,
    /// Lower halves filled in, where that was asked for.
    #[serde(default)]
    filled: Option<Filled>,
    /// A classifier of noised rows, where that was asked for.
    #[serde(default)]
    classified: Option<Classified>,
    likelihood: Likelihood,
    /// Seconds of all work.
    #[serde(with = "crate::number")]
    seconds: f64,
}

impl Config {
    /// What whoever takes the checkpoint does where nothing else is said.
    pub(crate) fn usual(&self) -> Usual {
        Usual { t_end: self.sampling.t_end, grid: *self.sampling.grid }
    }
}

/// Everything that is done with a configuration.
fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
    let data = config.open()?;
    let parts = config.parts(&data)?;
    let prepared = Prepared::fit(&parts.training, config.key(purpose::PREPARE))?;
    let prepared = prepared.noting(config.column_of_classes(), config.usual());
    let batches = Batches::new(parts.training.clone(), &prepared, false, config.data.conditional)?;
    let sigma_data = sigma_data(&batches, config.key(purpose::PREPARE).fold(1))?;
    let about = about(&data, &parts, &prepared, sigma_data);
    cost::plan(config, &parts, workspace);
    let (trained, model) = trained(config, &parts, &prepared, batches, sigma_data, workspace)?;
    let config = &config.in_time(&trained, &parts);
    let beside =
        Classification { config, parts: &parts, prepared: &prepared, sigma_data, workspace };
    let classifier = beside.train()?;
    let drawn = both(config, &model, &prepared, &parts, workspace)?;
    pictures::draw(&parts.training, &parts.test, workspace)?;
    keep_test(&parts, workspace)?;
    let compared = compared(config, &parts, workspace)?;
    let measuring = &config.measuring;
    let distances = Pair::ALL.into_iter().map(|pair| {
        let key = config.key(purpose::DISTANCES);
        let name = pair.name().replace(' ', "-").to_lowercase();
        workspace.part(&format!("distances-{name}"), || compared.distances(pair, measuring, key))
    });
    let distances = distances.collect::<Result<Vec<_>>>()?.concat();
    let key = config.key(purpose::NEIGHBOURS);
    let neighbours = workspace.part("neighbours", || compared.neighbours(measuring, key))?;
    let key = config.key(purpose::FEATURES);
    let features = features::featured(data.kind(), &compared, (measuring, key), workspace)?;
    let judge = judge(config, &parts, &compared)?;
    let accuracy = accuracy(config, &parts, &compared, judge.as_ref(), workspace)?;
    let classified = beside.measure(classifier, &model, &compared, judge.as_ref())?;
    let flow = Flow {
        model: &model,
        prepared: &prepared,
        sampling: &config.sampling,
        measuring,
        key: config.key(purpose::LIKELIHOOD),
    };
    let likelihood = workspace
        .part("likelihood", || flow.likelihood(&parts.training, &parts.test, workspace))?;
    let filled = filled(config, (&model, &prepared), &parts, workspace)?;
    let marginals = marginals(&parts, workspace)?;
    let seconds = workspace.seconds();
    Ok(Results {
        about,
        trained,
        drawn,
        distances,
        neighbours,
        features,
        marginals,
        accuracy,
        filled,
        classified,
        likelihood,
        seconds,
    })
}

fn about(data: &Dataset, parts: &Parts, prepared: &Prepared, sigma_data: f64) -> About {
    About {
        source: data.source().into(),
        hash: data.hash(),
        kind: data.kind().clone(),
        classes: data.labels().map(|l| l.classes.clone()).unwrap_or_default(),
        rows: [parts.training.len(), parts.validation.len(), parts.test.len()],
        left_out: parts.left_out,
        constants: prepared.transform.constants(),
        sigma_data,
        model_dim: prepared.transform.model_dim(),
    }
}

/// The trained model, and how its training went.
fn trained(
    config: &Config,
    parts: &Parts,
    prepared: &Prepared,
    batches: Batches,
    sigma_data: f64,
    workspace: &Workspace,
) -> Result<(Trained, ScoreModel)> {
    let (withheld, conditional) = (parts.validation.clone(), config.data.conditional);
    let classes = batches.n_classes();
    let trained = Job::<ScoreModel> {
        training: &config.training,
        model: config.model(prepared, classes, sigma_data)?,
        steps: config.training.steps,
        seconds: config.seconds()[0],
        key: Key::root(config.seed),
        train: Arc::new(batches),
        // Few withheld rows count several times, each time with other noise.
        n_validation: withheld.len().clamp(1024, 4096),
        validation: Arc::new(Batches::new(withheld, prepared, true, conditional)?),
        sheets: matches!(parts.training.kind(), Kind::Images { .. }).then(|| {
            let key = config.key(purpose::SHEETS);
            let sheets = Sheets { prepared, sampling: &config.sampling, key };
            Box::new(move |model: &ScoreModel, at| sheets.draw(model, at, workspace))
                as train::Sheet<'_, _>
        }),
    }
    .run(workspace)?;
    let path = kept_path::<ScoreModel>(workspace);
    let model = ScoreModel::open(&path).with_context(|| {
        format!("{}: delete samples/training.json to train again", path.display())
    })?;
    Ok((trained, model))
}

/// Withheld rows of a table, which the page is drawn from.
fn keep_test(parts: &Parts, workspace: &Workspace) -> Result<()> {
    if !matches!(parts.test.kind(), Kind::Table { .. }) {
        return Ok(());
    }
    Ok(crate::npy::write(&workspace.path("samples/test.npy"), parts.test.rows(0, MOST)?.view())?)
}

pub(crate) fn sigma_data(batches: &Batches, key: Key) -> Result<f64> {
    let rows = score_nets::sigma_data(batches, key, 2000.max(400_000 / batches.dim() as u64))?;
    Ok(rows.value)
}

/// Samples of both equations; with classes in the proportions of the withheld rows.
fn both(
    config: &Config,
    model: &ScoreModel,
    prepared: &Prepared,
    parts: &Parts,
    workspace: &Workspace,
) -> Result<[Drawn; 2]> {
    let labels = (model.n_classes() > 0).then(|| sampled_labels(config, parts)).flatten();
    let one = |equation: Equation| {
        let purpose = match equation {
            Equation::Ode => purpose::ODE,
            Equation::Sde => purpose::SDE,
        };
        let key = config.key(purpose);
        draw((model, prepared), &config.sampling, equation, labels.as_deref(), key, workspace)
    };
    Ok([one(Equation::Ode)?, one(Equation::Sde)?])
}

/// The classes of samples: those of the withheld rows in their order, over and over, so that the first as many have the
/// very proportions of what they are compared with.
pub(crate) fn sampled_labels(config: &Config, parts: &Parts) -> Option<Vec<u32>> {
    let labels = &parts.test.labels()?.of;
    let order = order(labels.len(), config.key(purpose::LABELS));
    Some((0..config.sampling.n).map(|i| labels[order[i % order.len()]]).collect())
}

/// Samples and rows in the units of distances.
fn compared(config: &Config, parts: &Parts, workspace: &Workspace) -> Result<Compared> {
    let ruler = Ruler::new(&parts.training)?;
    let folder = workspace.folder.root();
    let put = |rows: &Array2<f64>| ruler.put(rows.view());
    Ok(Compared {
        ode: put(&drawn(folder, Equation::Ode)?)?,
        sde: put(&drawn(folder, Equation::Sde)?)?,
        training: put(&shuffled(&parts.training, config.key(purpose::ORDER))?)?,
        test: put(&shuffled(&parts.test, config.key(purpose::ORDER).fold(1))?)?,
    })
}

/// Rows in an order that has nothing to do with their file's, [`MOST`] of them at most.
fn shuffled(data: &Dataset, key: Key) -> Result<Array2<f64>> {
    let order = order(data.len(), key);
    Ok(data.select(&order[..order.len().min(MOST)])?.to_array()?)
}

fn order(n: usize, key: Key) -> Vec<usize> {
    let mut u = vec![0.0; n];
    key.fill_uniforms(0, &mut u);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| u[*a].total_cmp(&u[*b]).then(a.cmp(b)));
    order
}

/// Rows of the data that are compared with, at most.
const MOST: usize = 20_000;

/// A classifier of training rows as they are, in the units of distances.
fn judge(config: &Config, parts: &Parts, compared: &Compared) -> Result<Option<Judge>> {
    let Some(labels) = parts.training.labels() else { return Ok(None) };
    if !config.data.conditional && config.classifier.is_none() {
        return Ok(None);
    }
    let learned = shuffled_labels(&labels.of, config.key(purpose::ORDER));
    Judge::fit(compared.training.view(), &learned, labels.classes.len()).map(Some)
}

/// The classes of [`shuffled`] rows.
fn shuffled_labels(labels: &[u32], key: Key) -> Vec<u32> {
    order(labels.len(), key).into_iter().take(MOST).map(|i| labels[i]).collect()
}

fn accuracy(
    config: &Config,
    parts: &Parts,
    compared: &Compared,
    judge: Option<&Judge>,
    workspace: &Workspace,
) -> Result<Option<Accuracy>> {
    let (Some(judge), Some(test)) = (judge, parts.test.labels()) else { return Ok(None) };
    if !config.data.conditional {
        return Ok(None);
    }
    let Some(sampled) = sampled_labels(config, parts) else { return Ok(None) };
    workspace.part("accuracy", || {
        let withheld = shuffled_labels(&test.of, config.key(purpose::ORDER).fold(1));
        Ok(Some(Accuracy {
            test: judge.accuracy(compared.test.view(), &withheld),
            ode: judge.accuracy(compared.ode.view(), &sampled),
            sde: judge.accuracy(compared.sde.view(), &sampled),
        }))
    })
}

fn filled(
    config: &Config,
    (model, prepared): (&ScoreModel, &Prepared),
    parts: &Parts,
    workspace: &Workspace,
) -> Result<Option<Filled>> {
    let Some(fill) = &config.measuring.fill else { return Ok(None) };
    let (sampling, key) = (&config.sampling, config.key(purpose::FILL));
    let filling = Filling { model, prepared, sampling, fill, key };
    workspace.part("filled", || filling.measure(&parts.training, &parts.test, workspace))
}

fn marginals(parts: &Parts, workspace: &Workspace) -> Result<Vec<Marginal>> {
    if !matches!(parts.test.kind(), Kind::Table { .. }) || parts.test.dim() > 1000 {
        return Ok(Vec::new());
    }
    let folder = workspace.folder.root();
    let rows =
        [parts.test.to_array()?, drawn(folder, Equation::Ode)?, drawn(folder, Equation::Sde)?];
    Ok(measure::marginals(parts.test.kind(), [&rows[0], &rows[1], &rows[2]]))
}

/// An experiment that fits a model to data; they differ in their presets.
macro_rules! fitting {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal [$($preset:literal),*]: $about:literal;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl Experiment for $name {
            const NAME: &'static str = $text;
            const ABOUT: &'static str = $about;
            const PRESETS: &'static [(&'static str, &'static str)] = presets!($text: $($preset),*);
            type Config = Config;
            type Results = Results;

            fn check(config: &Config) -> Result<f64> {
                let evaluations = config.check()?;
                // What is wrong with the data is said before there is a folder.
                let data = config.open()?;
                config.check_classes(&data)?;
                config.parts(&data)?;
                Ok(evaluations)
            }

            fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
                work(config, workspace)
            }

            fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
                page::page(config, results, folder)
            }

            fn references(config: &Config) -> Vec<&'static str> {
                references(config)
            }

            fn given(config: &Config) -> Result<Vec<(String, PathBuf)>> {
                given(config)
            }
        }
    )*};
}

fitting! {
    /// A model of a file or a folder.
    Fit "fit" ["smoke", "quick", "full", "images-quick", "images-full"]: "a model of your own table or images: samples, likelihood, distances to withheld rows";
    /// A model of the digits in the box.
    Digits "digits" ["smoke", "quick", "full"]: "the 8 x 8 digits, class by class: samples of ODE and SDE beside withheld digits";
    /// A model of larger images.
    Images "images" ["smoke", "quick", "full"]: "a model of images: MNIST, Fashion-MNIST, CIFAR-10 or a folder of your own";
}

pub(crate) fn references(config: &Config) -> Vec<&'static str> {
    let more = ["karras2022", "naeem2020", "alaa2022", "theis2016", "heusel2017", "binkowski2018"];
    let digits = (config.data.path == DIGITS).then_some("alpaydin1998");
    let guided = config.classifier.as_ref().map(|_| "dhariwal2021");
    more.into_iter().chain([citations::sde(&*config.sde)]).chain(digits).chain(guided).collect()
}

/// The files of the data: a run is one of their content.
pub(crate) fn given(config: &Config) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for path in [&config.data.path, &config.data.labels] {
        let path = Path::new(path);
        if path.is_file() {
            files.push((path.display().to_string(), path.to_path_buf()));
        } else if path.is_dir() {
            collect(path, &mut files)?;
        }
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            false => files.push((path.display().to_string(), path)),
        }
    }
    Ok(())
}
