//! Samples of both equations and their distances, in pixels and in features.

use anyhow::Result;
use metrics::Metric;
use ndarray::{Array2, ArrayView2, s};
use score_nets::ScoreModel;
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::train::{Setup, purpose};
use crate::features::Extractor;
use crate::fit::{self, Distance, Equation, Pair, Ruler, of_rows, sampled};

/// Where a distance is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Space {
    Pixels,
    Features,
}

impl Space {
    pub(super) const BOTH: [Self; 2] = [Self::Pixels, Self::Features];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pixels => "pixels",
            Self::Features => "features",
        }
    }

    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Pixels => &[Metric::W2, Metric::Energy],
            Self::Features => &[Metric::W2, Metric::Frechet, Metric::Kid],
        }
    }
}

/// Features of images: a convolution network of random weights, the same in every report.
pub(super) const EXTRACTOR: Extractor = Extractor::RandomConv { seed: 0 };

/// A distance in one of the spaces.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Measured {
    pub(super) space: Space,
    #[serde(flatten)]
    pub(super) distance: Distance,
}

/// What twice as many steps change, for one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Doubled {
    #[serde(with = "crate::number")]
    pub(super) weight: f64,
    /// The mean squared distance of an ODE's sample to that of the same noise in twice the steps, in pixels: at least
    /// the squared W2 of the two laws.
    #[serde(with = "crate::number")]
    pub(super) ode: f64,
    /// Distances of the SDE's samples to those in twice the steps.
    pub(super) sde: Vec<Measured>,
}

/// What is measured of rows of images.
pub(super) struct Measuring<'a> {
    setup: &'a Setup<'a>,
    ruler: Ruler,
    /// Withheld rows in pixels.
    test: Array2<f64>,
    /// The classes of samples.
    labels: Option<Vec<u32>>,
    size: [usize; 3],
}

impl<'a> Measuring<'a> {
    pub(super) fn new(setup: &'a Setup<'a>) -> Result<Self> {
        let ruler = Ruler::new(&setup.parts.training)?;
        let rows = setup.parts.test.len().min(setup.config.measuring.rows);
        let test = ruler.put(setup.parts.test.rows(0, rows)?.view())?;
        let told = setup.config.data.conditional;
        let labels = told.then(|| fit::sampled_labels(&setup.fit, &setup.parts)).flatten();
        Ok(Self { setup, ruler, test, labels, size: setup.size()? })
    }

    /// Samples in the units of the data.
    fn draw(
        &self,
        model: &ScoreModel,
        equation: Equation,
        (n, doubled): (usize, bool),
        key: Key,
    ) -> Result<Array2<f64>> {
        let (setup, times) = (self.setup, if doubled { 2 } else { 1 });
        let mut sampling = setup.config.sampling.clone();
        sampling.n = n;
        sampling.ode_steps *= times;
        sampling.sde_steps *= times;
        let labels = self.labels.as_ref().map(|l| &l[..n.min(l.len())]);
        let go_on = &mut |_| setup.workspace.go_on();
        let model = (model, &setup.prepared);
        Ok(sampled(model, &sampling, equation, labels, key, go_on)?.0)
    }

    /// All distances of two sets of rows in pixels: between equally many.
    fn between(&self, [x, y]: [&Array2<f64>; 2], pair: Pair, key: Key) -> Result<Vec<Measured>> {
        let n = x.nrows().min(y.nrows()).min(self.setup.config.measuring.rows);
        let first = |rows: &Array2<f64>| rows.slice(s![..n, ..]).to_owned();
        let (x, y) = (first(x), first(y));
        let mut found = Vec::new();
        for space in Space::BOTH {
            let of = |rows: ArrayView2<'_, f64>| match space {
                Space::Pixels => Ok(rows.to_owned()),
                Space::Features => EXTRACTOR.features(rows, self.size).map(|f| f.0),
            };
            if space == Space::Features && !EXTRACTOR.takes(self.size) {
                continue;
            }
            let (x, y) = (of(x.view())?, of(y.view())?);
            let draws = (self.setup.config.measuring.floors, key);
            let distances = of_rows(space.metrics(), [x.view(), y.view()], pair, draws)?;
            found.extend(distances.into_iter().map(|distance| Measured { space, distance }));
        }
        Ok(found)
    }

    /// Training rows with withheld rows: what a perfect copy of the training data would have.
    pub(super) fn copies(&self) -> Result<Vec<Measured>> {
        let training = &self.setup.parts.training;
        let rows = training.len().min(self.setup.config.measuring.rows);
        let training = self.ruler.put(training.rows(0, rows)?.view())?;
        let key = self.setup.config.key(0, purpose::DISTANCES).fold(9);
        self.between([&training, &self.test], Pair::TrainTest, key)
    }

    /// All distances of a network's samples.
    pub(super) fn distances(&self, model: &ScoreModel, seed: usize) -> Result<Vec<Measured>> {
        let (config, n) = (self.setup.config, self.setup.config.sampling.n);
        let one = |equation, purpose| {
            let rows = self.draw(model, equation, (n, false), config.key(seed, purpose))?;
            self.ruler.put(rows.view())
        };
        let ode = one(Equation::Ode, purpose::ODE)?;
        let sde = one(Equation::Sde, purpose::SDE)?;
        let key = |k| config.key(seed, purpose::DISTANCES).fold(k);
        let mut found = self.between([&ode, &sde], Pair::OdeSde, key(0))?;
        found.extend(self.between([&ode, &self.test], Pair::OdeTest, key(1))?);
        found.extend(self.between([&sde, &self.test], Pair::SdeTest, key(2))?);
        Ok(found)
    }

    /// What twice the steps change.
    pub(super) fn doubled(&self, model: &ScoreModel, weight: f64) -> Result<Doubled> {
        let (config, n) = (self.setup.config, self.setup.config.sampling.n);
        let draw = |equation, doubled, key| {
            self.ruler.put(self.draw(model, equation, (n, doubled), key)?.view())
        };
        let key = config.key(0, purpose::ODE);
        let (ode, more) = (draw(Equation::Ode, false, key)?, draw(Equation::Ode, true, key)?);
        let ode = (&ode - &more).mapv(|d| d * d).sum() / n as f64;
        let key = config.key(0, purpose::SDE);
        let sde = draw(Equation::Sde, false, key)?;
        let more = draw(Equation::Sde, true, key.fold(1))?;
        let sde = self.between([&sde, &more], Pair::OdeSde, key.fold(2))?;
        Ok(Doubled { weight, ode, sde })
    }

    /// Pictures of samples of both equations from the same noise.
    pub(super) fn sheets(&self, model: &ScoreModel, cell: &str, shown: usize) -> Result<()> {
        let (setup, kind) = (self.setup, self.setup.parts.test.kind());
        let n = shown.min(setup.config.sampling.n);
        for equation in Equation::BOTH {
            let key = setup.config.key(0, purpose::SHEET);
            let rows = self.draw(model, equation, (n, false), key)?;
            let path = format!("samples/{}-{cell}.png", equation.name());
            data::save(&setup.workspace.path(&path), kind, rows.view(), None)?;
        }
        Ok(())
    }
}
