//! `guidance`: what the weight of guidance does to a known density, with exact scores and with ones that are too smooth.

mod figures;
mod findings;
mod measure;
mod page;
mod tree;

use std::path::Path;
use std::sync::Arc;

use ::control::{Guidance, Strength};
use ::solvers::{ConfiguredMethod, Control, End, Method, Sampler, Scheme};
use anyhow::{Context as _, Result, ensure};
use metrics::{Metric, NoiseFloor};
use ndarray::Array2;
use rayon::prelude::*;
use report::Sheet;
use sde_core::analytic::{GaussianMixture, MixtureClasses};
use sde_core::{Key, Score, Sde, TimeGrid};
use serde::{Deserialize, Serialize};

use crate::distance::{Sizes, Window};
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

use measure::{Measures, Ruler};
use tree::Trees;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuidanceStudy;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    sde: Named<dyn Sde>,
    grid: Named<TimeGrid>,
    method: Named<ConfiguredMethod>,
    steps: usize,
    /// Where the steps end; what is left is denoised.
    t_end: f64,
    generations: usize,
    widths: Vec<f64>,
    weak_width: f64,
    weights: Vec<f64>,
    plus_plus: Vec<f64>,
    interval: [f64; 2],
    n: usize,
    rows: usize,
    truth: usize,
    floors: usize,
    window: Window,
}

/// Ways of guidance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Free,
    Interval,
    Auto,
    PlusPlus,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Free, Self::Interval, Self::Auto, Self::PlusPlus];

    fn name(self) -> &'static str {
        match self {
            Self::Free => "classifier-free",
            Self::Interval => "in an interval",
            Self::Auto => "autoguidance",
            Self::PlusPlus => "CFG++",
        }
    }

    fn weights(self, config: &Config) -> &[f64] {
        if self == Self::PlusPlus { &config.plus_plus } else { &config.weights }
    }
}

/// Samples of one way at one weight.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    /// How much wider the data of the guided model are.
    width: f64,
    kind: Kind,
    weight: f64,
    /// Nothing where samples left the numbers.
    found: Option<Measures>,
    /// The first samples, for the figure.
    points: Vec<[f64; 2]>,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    rows: Vec<Row>,
    exact: Exact,
}

/// What exact samples of the class have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Exact {
    found: Option<Measures>,
    floor: NoiseFloor,
    energy_floor: NoiseFloor,
    /// Log-densities that [`measure::LEVELS`] of them are below.
    levels: [f64; 3],
}

/// Purposes of keys.
const RULER: u64 = 0;
const SAMPLES: u64 = 1;
const EXACT: u64 = 2;

/// The class that is sampled.
const CLASS: usize = 0;

impl Experiment for GuidanceStudy {
    const NAME: &'static str = "guidance";
    const ABOUT: &'static str = "what the weight of guidance does to a known density: classifier-free, in an interval, CFG++, autoguidance";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("guidance");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let Config { n, rows, truth, floors, steps, generations, .. } = *config;
        let kinds = [("widths", &config.widths), ("weights", &config.weights)];
        for (key, list) in kinds.into_iter().chain([("plus-plus", &config.plus_plus)]) {
            ensure!(!list.is_empty(), "{key}: none given");
        }
        checks::all_within("widths", &config.widths, 0.0..=1e3)?;
        checks::within("weak-width", config.weak_width, 0.0..=1e3)?;
        checks::all_within("weights", &config.weights, -1e3..=1e3)?;
        checks::all_within("plus-plus", &config.plus_plus, 0.0..=1.0)?;
        let [lowest, highest] = config.interval;
        ensure!(
            lowest >= 0.0 && lowest < highest,
            "interval = [{}, {}]: must be two noise levels, the lower first",
            sde_core::Short(lowest),
            sde_core::Short(highest)
        );
        ensure!((1..=8).contains(&generations), "generations = {generations}: must be from 1 to 8");
        Sizes { n, truth, floors }.check("")?;
        checks::at_least("rows", rows, measure::NEIGHBOURS + 1)?;
        ensure!(rows <= n, "rows = {rows}: there are only n = {n}");
        config.window.check()?;
        let samplers = config.widths.len() * (3 * config.weights.len() + config.plus_plus.len());
        checks::memory(&[("n", n), ("weights, widths", samplers)], 64)?;
        let compared = checks::time(&[("rows", rows), ("rows", rows), ("floors", floors)])?;
        let counts = [("steps", steps), ("n", n), ("weights, widths", samplers)];
        let drawn = checks::time(&counts)?;
        let (sde, method) = (&*config.sde, &*config.method);
        checks::below_horizon("t-end", sde, config.t_end)?;
        let per_step = method.nfe(steps as u64) as f64 / steps.max(1) as f64;
        let control = Control::Grid(config.times(steps)?);
        Scheme::<Array2<f64>>::control(method, sde, control).context("method")?;
        Ok(2.0 * drawn * per_step + 0.01 * compared)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let key = Key::root(config.seed);
        let trees = Trees { generations: config.generations };
        let (_, classes) = trees.widened(0.0)?;
        let class = classes.class(CLASS);
        // Of a run that goes on everything may be known.
        let ruler = std::cell::OnceCell::new();
        let ruled = || -> Result<&Ruler<'_>> {
            if let Some(ruler) = ruler.get() {
                return Ok(ruler);
            }
            let made = Ruler::new(config, class, key.fold(RULER))?;
            Ok(ruler.get_or_init(|| made))
        };
        let exact = workspace.part("exact", || {
            let ruler = ruled()?;
            let found = ruler.measure(&class.sample(key.fold(EXACT), 0, config.n))?;
            let (floor, energy_floor) = (ruler.floor().clone(), ruler.energy_floor.clone());
            Ok(Exact { found, floor, energy_floor, levels: ruler.levels })
        })?;
        let mut rows = Vec::new();
        for (k, width) in config.widths.iter().copied().enumerate() {
            let models = Models::new(trees, width, config.weak_width)?;
            for kind in Kind::ALL {
                let part = format!("{}-{k}", kind.name().replace(' ', "-"));
                let found = workspace.part::<Vec<Row>>(&part, || {
                    let ruler = ruled()?;
                    let row = |w: &f64| row(config, &models, (kind, *w), ruler, key.fold(SAMPLES));
                    kind.weights(config).par_iter().map(row).collect()
                })?;
                rows.extend(found);
            }
        }
        Ok(Results { rows, exact })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let works = ["hosalimans2022", "kynkaanniemi2024", "karras2024bad", "chung2024"];
        let metrics = [Metric::W2, Metric::Energy].map(|m| m.info().reference);
        let own = [citations::sde(&*config.sde), config.method.method().reference()];
        works.into_iter().chain(metrics).chain(own).chain(["naeem2020"]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        page::page(config, results)
    }
}

impl Config {
    /// The steps.
    fn times(&self, steps: usize) -> Result<Vec<f64>> {
        let (sde, grid) = (&*self.sde, &self.grid);
        let times = grid.times(sde, steps, sde.horizon(), self.t_end);
        times.with_context(|| format!("grid = {grid:?}, steps = {steps}, t-end = {:?}", self.t_end))
    }

    /// With a denoised end, where there is noise left.
    fn end(&self) -> End {
        if self.t_end > 0.0 { End::Denoise } else { End::NoNoise }
    }
}

/// The model that is guided, and the one that it is guided away from.
struct Models {
    width: f64,
    strong: MixtureClasses,
    weak: MixtureClasses,
    /// Both classes of the strong model.
    all: GaussianMixture,
}

impl Models {
    fn new(trees: Trees, width: f64, weak: f64) -> Result<Self> {
        let (all, strong) = trees.widened(width)?;
        let (_, weak) = trees.widened(width.hypot(weak))?;
        Ok(Self { width, strong, weak, all })
    }
}

fn row(
    config: &Config,
    models: &Models,
    (kind, weight): (Kind, f64),
    ruler: &Ruler<'_>,
    key: Key,
) -> Result<Row> {
    let sde = &*config.sde;
    let strong = models.strong.class(CLASS).under(sde);
    let (all, weak) = (models.all.under(sde), models.weak.class(CLASS).under(sde));
    let [lowest, highest] = config.interval;
    let constant = Strength::Constant(weight);
    let x = match kind {
        Kind::Free => draw(config, &Guidance::new(sde, strong, all, constant), key),
        Kind::Auto => draw(config, &Guidance::new(sde, strong, weak, constant), key),
        Kind::Interval => {
            let strength = Strength::Interval { weight, lowest, highest };
            draw(config, &Guidance::new(sde, strong, all, strength), key)
        }
        Kind::PlusPlus => {
            // DDIM, on as many evaluations as the others have.
            let steps = config.method.nfe(config.steps as u64) as usize;
            let mut times = config.times(steps)?;
            let control = Control::Grid(times.clone());
            // Denoising is a step to the data.
            times.extend((config.t_end > 0.0).then_some(0.0));
            let times: Arc<[f64]> = times.into();
            let score = Guidance::new(sde, strong, all, Strength::PlusPlus { weight, times });
            by(config, Method::Ddim.into(), control, &score, key)
        }
    };
    let x = x.with_context(|| format!("{}, weight {weight}", kind.name()))?;
    let found = x.as_ref().map(|x| ruler.measure(x)).transpose()?.flatten();
    let short = |v: f64| (1e4 * v).round() / 1e4;
    let kept = x.filter(|_| found.is_some()).unwrap_or_else(|| Array2::zeros((0, 2)));
    let points = kept.outer_iter().take(figures::POINTS).map(|r| [short(r[0]), short(r[1])]);
    Ok(Row { width: models.width, kind, weight, found, points: points.collect() })
}

fn draw(config: &Config, score: &dyn Score<Array2<f64>>, key: Key) -> Result<Option<Array2<f64>>> {
    let control = Control::Grid(config.times(config.steps)?);
    by(config, ConfiguredMethod::clone(&config.method), control, score, key)
}

/// Samples; nothing where the sampler left the numbers.
fn by(
    config: &Config,
    method: ConfiguredMethod,
    control: Control,
    score: &dyn Score<Array2<f64>>,
    key: Key,
) -> Result<Option<Array2<f64>>> {
    let sampler = Sampler { method, eta: 0.0, control, end: config.end(), block_rows: 250 };
    let starts = Array2::zeros((1, 2));
    let mut out = Array2::zeros((0, 2));
    let mut keep = |_: u64, x: Array2<f64>| -> ::solvers::Result<()> {
        let shape = |e: ndarray::ShapeError| sde_core::Error::Model(Box::new(e));
        Ok(out.append(ndarray::Axis(0), x.view()).map_err(shape)?)
    };
    let n = config.n as u64;
    match ::solvers::sample(&sampler, &*config.sde, score, n, key, &starts, &mut keep) {
        Ok(_) => Ok(Some(out)),
        Err(error) if error.of_a_row() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
