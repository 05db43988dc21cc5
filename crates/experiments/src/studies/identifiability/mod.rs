//! `identifiability`: two networks trained apart encode the same data alike.

use std::path::Path;

use ::solvers::{Control, Method, flow};
use anyhow::{Context as _, Result, ensure};
use ndarray::{Array1, Array2};
use sde_core::analytic::DataSet;
use sde_core::{Key, Score, Sde, TimeGrid};
use serde::{Deserialize, Serialize};

use super::sampling::BLOCK;
use super::train::{OnRows, Training};
use crate::report::axes::{Axis, Panel};
use crate::report::colormap::{GREY, OS};
use crate::report::html::html;
use crate::report::sheet::{Sheet, Table, digits};
use crate::report::svg::{Svg, Text};
use crate::report::{Figure, columns};
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// What the seed of the second network differs by, small enough for TOML.
const OTHER: u64 = 1 << 62;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identifiability;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    points: usize,
    t_end: f64,
    steps: usize,
    training: Training,
}

/// Two encodings of the same data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pair {
    name: String,
    /// Correlation of each coordinate.
    #[serde(with = "crate::number")]
    correlation: [f64; 2],
    /// Root mean square distance of the two latents of a point.
    #[serde(with = "crate::number")]
    rms: f64,
    /// Of the latents of different points: what no relation would give.
    #[serde(with = "crate::number")]
    unrelated: f64,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    /// Latents of both networks.
    #[serde(with = "crate::number")]
    first: Vec<Vec<f64>>,
    #[serde(with = "crate::number")]
    second: Vec<Vec<f64>>,
    pairs: Vec<Pair>,
}

impl Experiment for Identifiability {
    const NAME: &'static str = "identifiability";
    const ABOUT: &'static str = "two networks trained apart give the same encodings: how nearly";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("identifiability");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let Config { points, steps, t_end, .. } = *config;
        checks::at_least("points", points, 3)?;
        checks::at_least("steps", steps, 1)?;
        let trained = config.training.check()?;
        let sde = config.training.sde()?;
        ensure!(t_end > 0.0, "t-end = {t_end:?}: must be positive");
        checks::below_horizon("t-end", &*sde, t_end)?;
        // Latents of three scores, as rows, text and discs of a drawing.
        checks::memory(&[("points", points)], 1000)?;
        config.times(&*sde)?;
        Ok(2.0 * trained + 6.0 * checks::time(&[("points", points), ("steps", steps)])?)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let set = DataSet::parse(&config.training.data_set)?;
        let first = config.training.network(config.seed, workspace)?;
        let second = config.training.network(config.seed ^ OTHER, workspace)?;
        let sde = sde_core::sde::parse(&first.sde().name())?;
        // Held out: no training sees these points.
        let data = set.sample(Key::root(config.seed).fold(0x1D), 0, config.points);
        let encode = |name: &str, score: &dyn Score<Array2<f64>>| -> Result<Array2<f64>> {
            let rows = workspace.numbers(name, || {
                let x = latents(config, &*sde, score, &data)?;
                Ok(x.rows().into_iter().map(|r| r.to_vec()).collect::<Vec<_>>())
            })?;
            crate::model::matrix(&rows, 2)
        };
        let a = encode("latents-first", &OnRows(&first))?;
        let b = encode("latents-second", &OnRows(&second))?;
        let mut pairs = vec![pair("first and second network", &a, &b)];
        if let Some(exact) = set.under(&*sde) {
            let e = encode("latents-exact", &exact)?;
            pairs.push(pair("first network and exact score", &a, &e));
            pairs.push(pair("second network and exact score", &b, &e));
        }
        let rows = |x: &Array2<f64>| x.rows().into_iter().map(|r| r.to_vec()).collect();
        Ok(Results { first: rows(&a), second: rows(&b), pairs })
    }

    fn references(config: &Config) -> Vec<String> {
        let mut all = config.training.references();
        all.extend(citations::method(Method::Heun.name()));
        all.push("song2021".into());
        all
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        let pair = results.pairs.first().context("a pair of networks")?;
        let mut sheet = Sheet {
            title: "Trained apart, encoding alike".into(),
            lead: html!(
                "Two networks with different initial weights and different batches put the latent of a data point {} apart (root mean square); latents of different points are {} apart.",
                digits(pair.rms),
                digits(pair.unrelated)
            ),
            ..Sheet::default()
        };
        sheet.section("Encodings", html!(
            "The flow ODE of the true score is one map from data to latents; two networks that both learned it must agree, without having seen each other. {} held-out points of {}, encoded by {} steps of Heun\u{2019}s method from t = {}; networks of {:?} hidden units, {} steps of SOAP on {} points each.",
            config.points, config.training.data_set, config.steps, config.t_end, config.training.hidden, config.training.steps, config.training.batch));
        sheet.figure(figure(results), "Each coordinate of the latents: first network across, second up, one disc a data point. Grey line: equal.");
        sheet.table(Table {
            name: "identifiability".into(),
            caption: "Correlation of latents coordinate by coordinate, and their distance, beside that of unrelated points. The distance to the exact score\u{2019}s latents, where there is one, says how much of the difference is what each network got wrong.".into(),
            head: ["pair", "correlation z1", "correlation z2", "RMS distance", "unrelated", "ratio"].map(String::from).to_vec(), words: 1,
            rows: results.pairs.iter().map(|p| vec![p.name.clone(), format!("{:.4}", p.correlation[0]), format!("{:.4}", p.correlation[1]), digits(p.rms), digits(p.unrelated), digits(p.rms / p.unrelated)]).collect(),
        });
        Ok(sheet)
    }
}

impl Config {
    /// The steps up from the data.
    fn times(&self, sde: &dyn Sde) -> Result<Vec<f64>> {
        let times = TimeGrid::Quadratic.times(sde, self.steps, sde.horizon(), self.t_end);
        let mut times = times.context("steps, t-end")?;
        times.reverse();
        Ok(times)
    }
}

/// Latents by Heun's method on a grid with short steps near the data.
fn latents(
    config: &Config,
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    data: &Array2<f64>,
) -> Result<Array2<f64>> {
    let times = config.times(sde)?;
    Ok(flow(Method::Heun, &Control::Grid(times), sde, score, data, 0, BLOCK as u64)?.0)
}

fn pair(name: &str, a: &Array2<f64>, b: &Array2<f64>) -> Pair {
    let rms = |d: Array2<f64>| (d.mapv(|v| v * v).sum() / d.nrows() as f64).sqrt();
    // Each point against the one half the data further on.
    let n = a.nrows();
    let other = Array2::from_shape_fn(b.dim(), |(i, j)| b[[(i + n / 2) % n, j]]);
    let correlation = |j: usize| {
        let centred = |x: &Array2<f64>| -> Array1<f64> {
            let column = x.column(j).to_owned();
            let mean = column.mean().unwrap_or_default();
            column - mean
        };
        let (x, y) = (centred(a), centred(b));
        x.dot(&y) / (x.dot(&x) * y.dot(&y)).sqrt()
    };
    Pair {
        name: name.into(),
        correlation: [correlation(0), correlation(1)],
        rms: rms(a - b),
        unrelated: rms(a - &other),
    }
}

fn figure(results: &Results) -> Figure {
    let both = results.first.iter().chain(&results.second).flatten();
    let reach = 1.08 * both.fold(0.5_f64, |m, v| m.max(v.abs()));
    let mut svg = Svg::new(1080.0, 520.0);
    let (left, _) = columns(66.0, 1066.0, 80.0, 2);
    for (j, left) in left.iter().enumerate() {
        let name = |who: &str| format!("z_{{{}}}, {who} network", j + 1);
        let panel = Panel {
            x: *left,
            y: 36.0,
            w: 430.0,
            h: 430.0,
            across: Axis::linear(-reach, reach, &name("first")),
            up: Axis::linear(-reach, reach, &name("second")),
        };
        panel.draw_axes(&mut svg, true);
        panel.line(&mut svg, &[(-reach, -reach), (reach, reach)], "#9ca3af", 1.2, "", 1.0);
        for (a, b) in results.first.iter().zip(&results.second) {
            svg.circle(panel.at(a[j], b[j]), 1.9, OS, "none", 0.0, "");
        }
        if let Some(pair) = results.pairs.first() {
            let note = Text { size: 12.0, fill: GREY, ..Text::default() };
            svg.text(
                (panel.x + 8.0, panel.y + 12.0),
                &format!("correlation {:.4}", pair.correlation[j]),
                &note,
            );
        }
    }
    Figure::new("latents", svg.finish("Latents of two networks against each other"))
}
