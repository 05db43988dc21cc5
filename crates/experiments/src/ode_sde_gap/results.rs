//! `results.json`: what a run measured.

use metrics::{Estimate, NoiseFloor, W2Bracket};
use serde::{Deserialize, Serialize};

/// Everything a run measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// `ode-sde-gap`.
    pub experiment: String,
    /// The preset the configuration started from, or `custom`.
    pub preset: String,
    /// Hash of the configuration.
    pub hash: String,
    /// Seed.
    pub seed: u64,
    /// Histogram nodes along each axis.
    pub grid: usize,
    /// Half the width of the histogram's window.
    #[serde(with = "crate::number")]
    pub half_width: f64,
    /// Samples of the truth that everything is measured against.
    #[serde(default)]
    pub truth: u64,
    /// One row for each data set and weight that has figures.
    pub rows: Vec<Row>,
    /// The same for the networks of the other recipe, where the configuration has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contrast: Vec<Row>,
    /// The networks that gave no figures, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Failed>,
    /// One row for each data set: truth against an independent truth.
    pub floors: Vec<Floor>,
    /// Seconds the run has computed, all sessions together.
    #[serde(with = "crate::number")]
    pub total_seconds: f64,
}

/// One network without figures: its training, its samples or its distances failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Data set.
    pub dataset: String,
    /// Weight of the residual in the training loss.
    pub w_r: f64,
    /// What failed, in a line.
    pub reason: String,
}

/// One network: how far its ODE, its SDE and the truth lie apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Data set.
    pub dataset: String,
    /// Weight of the residual in the training loss.
    #[serde(with = "crate::number")]
    pub w_r: f64,
    /// Samples of the SDE.
    pub n: u64,
    /// Samples of the ODE, where they are not as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_ode: Option<u64>,
    /// Squared W2 of the histograms on the true nodes.
    pub w2: Pairs,
    /// Total variation of the histograms.
    pub tv: Pairs,
    /// Share of ODE samples outside the window (dropped before the histogram).
    #[serde(with = "crate::number")]
    pub discarded_ode: f64,
    /// Share of SDE samples outside the window.
    #[serde(with = "crate::number")]
    pub discarded_sde: f64,
    /// Mean squared Fokker-Planck residual over the collocation box.
    #[serde(with = "crate::number")]
    pub residual: f64,
    /// Mean squared Fokker-Planck residual on points of `p_t`.
    #[serde(with = "crate::number")]
    pub residual_on_path: f64,
    /// Denoising score matching loss on held-out points, mean over coordinates.
    #[serde(with = "crate::number")]
    pub dsm_loss: f64,
    /// Training steps behind the network (0 when it was given).
    pub train_steps: u64,
    /// Seconds of training.
    #[serde(with = "crate::number")]
    pub train_seconds: f64,
    /// Seconds of sampling, ODE and SDE together.
    #[serde(with = "crate::number")]
    pub sample_seconds: f64,
    /// Seconds of measuring.
    #[serde(with = "crate::number")]
    pub measure_seconds: f64,
    /// Evaluations of the score for one particle of the ODE.
    #[serde(default)]
    pub nfe_ode: u64,
    /// Evaluations of the score for one particle of the SDE.
    #[serde(default)]
    pub nfe_sde: u64,
    /// Points of each cloud below.
    pub cloud_n: u64,
    /// Squared W2 of point clouds (nothing dropped).
    pub cloud_w2: Pairs,
    /// Unbiased MMD^2 of point clouds.
    pub mmd: Pairs,
    /// Squared W2 of the laws themselves, where they were solved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_free: Option<NoiseFree>,
}

/// Squared W2 between the laws of a network and of the data without a sample: from below and from above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseFree {
    /// ODE to truth.
    pub ode_truth: W2Bracket,
    /// SDE to truth.
    pub sde_truth: W2Bracket,
    /// ODE to SDE.
    pub ode_sde: W2Bracket,
    /// Estimated errors in total variation of the laws of ODE and SDE.
    pub errors: [f64; 2],
    /// Seconds it took.
    #[serde(with = "crate::number")]
    pub seconds: f64,
}

impl NoiseFree {
    /// All three, in the order of [`Pairs::each`].
    #[must_use]
    pub fn each(&self) -> [W2Bracket; 3] {
        [self.ode_truth, self.sde_truth, self.ode_sde]
    }
}

/// A distance between each two of ODE, SDE and truth, with standard errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// ODE to truth.
    pub ode_truth: Estimate,
    /// SDE to truth.
    pub sde_truth: Estimate,
    /// ODE to SDE.
    pub ode_sde: Estimate,
}

impl Pairs {
    /// What they are called, in the order of [`Pairs::each`].
    pub const NAMES: [&str; 3] = ["ODE\u{2013}truth", "SDE\u{2013}truth", "ODE\u{2013}SDE"];

    /// All three.
    #[must_use]
    pub fn each(&self) -> [Estimate; 3] {
        [self.ode_truth, self.sde_truth, self.ode_sde]
    }
}

/// The floors of a distance: samples of the truth in the samplers' place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Floors {
    /// Of one, as large as that of the SDE, to the truth.
    pub to_truth: NoiseFloor,
    /// Of two, as large as those of ODE and SDE, to each other.
    pub pair: NoiseFloor,
}

impl Floors {
    /// The floor of each of [`Pairs::each`].
    #[must_use]
    pub fn each(&self) -> [&NoiseFloor; 3] {
        [&self.to_truth, &self.to_truth, &self.pair]
    }
}

/// The noise floors of a data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Data set.
    pub dataset: String,
    /// Of squared W2 of the histograms on the true nodes.
    pub w2: Floors,
    /// Of their total variation.
    pub tv: Floors,
    /// Share of the truth outside the window.
    #[serde(with = "crate::number")]
    pub discarded: f64,
    /// Of squared W2 of clouds.
    pub cloud_w2: NoiseFloor,
    /// Of unbiased MMD^2 of clouds.
    pub mmd: NoiseFloor,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, w_R = {:?}: {}", self.dataset, self.w_r, self.reason)
    }
}

impl Results {
    /// The data sets, in order of their first row.
    pub fn datasets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.dataset.as_str()) {
                names.push(&row.dataset);
            }
        }
        names
    }

    /// All weights that occur, ascending.
    pub fn weights(&self) -> Vec<f64> {
        let mut weights: Vec<f64> = self.rows.iter().map(|r| r.w_r).collect();
        weights.sort_by(f64::total_cmp);
        weights.dedup();
        weights
    }

    /// The rows of a data set by ascending weight.
    pub fn rows_of(&self, dataset: &str) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|r| r.dataset == dataset).collect();
        rows.sort_by(|a, b| a.w_r.total_cmp(&b.w_r));
        rows
    }

    /// The noise floor of a data set.
    pub fn floor_of(&self, dataset: &str) -> Option<&Floor> {
        self.floors.iter().find(|f| f.dataset == dataset)
    }
}
