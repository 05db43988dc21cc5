//! What a report is made from.

use ndarray::{Array2, Array3};

use crate::ode_sde_gap::results::Results;

/// Everything a report shows; all of it can be read back from a run's folder.
#[derive(Clone, Debug, Default)]
pub struct ReportData {
    /// The figures.
    pub results: Results,
    /// One entry a network.
    pub cells: Vec<Cell>,
    /// One entry a data set.
    pub truths: Vec<Truth>,
    /// What in the configuration differs from the published recipe.
    pub differences: Vec<Difference>,
}

/// What one network sampled, as the histograms' counts (row = y, column = x).
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Data set.
    pub dataset: String,
    /// Weight of the residual.
    pub w_r: f64,
    /// Histogram of the ODE.
    pub ode: Array2<f64>,
    /// Histogram of the SDE.
    pub sde: Array2<f64>,
    /// A few particles over time.
    pub paths: Option<Paths>,
    /// The course of training; empty for given networks.
    pub losses: Vec<Loss>,
}

/// Independent samples of a data set, as histograms.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Data set.
    pub dataset: String,
    /// The sample everything is measured against.
    pub first: Array2<f64>,
    /// One as large as that of the SDE.
    pub second: Array2<f64>,
    /// One as large as that of the ODE.
    pub third: Array2<f64>,
}

/// Particles over time: `[times, particles, 2]`.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Times, descending.
    pub times: Vec<f64>,
    /// Particles of the ODE.
    pub ode: Array3<f64>,
    /// Particles of the SDE, from the same starting points.
    pub sde: Array3<f64>,
}

/// The losses at one step of training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Step.
    pub step: u64,
    /// Denoising score matching loss.
    pub dsm: f64,
    /// Mean squared residual on the collocation points (absent when it is not computed).
    pub residual: Option<f64>,
}

/// A setting that is not the published one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Its place in the configuration (`training.batch`).
    pub key: String,
    /// The published value.
    pub published: String,
    /// The value of this run.
    pub here: String,
}

impl ReportData {
    /// The network of a data set and weight.
    pub fn cell(&self, dataset: &str, w_r: f64) -> Option<&Cell> {
        self.cells.iter().find(|c| c.dataset == dataset && c.w_r == w_r)
    }
}
