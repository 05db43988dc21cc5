//! `results.json`: what a run measured.

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
    /// Squared W2, ODE to truth, histograms on the true nodes.
    #[serde(with = "crate::number")]
    pub ode_truth: f64,
    /// Squared W2, SDE to truth, histograms on the true nodes.
    #[serde(with = "crate::number")]
    pub sde_truth: f64,
    /// Squared W2, ODE to SDE, histograms on the true nodes.
    #[serde(with = "crate::number")]
    pub ode_sde: f64,
    /// Total variation of the histograms, ODE to truth.
    #[serde(with = "crate::number")]
    pub tv_ode_truth: f64,
    /// Total variation of the histograms, SDE to truth.
    #[serde(with = "crate::number")]
    pub tv_sde_truth: f64,
    /// Total variation of the histograms, ODE to SDE.
    #[serde(with = "crate::number")]
    pub tv_ode_sde: f64,
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
    /// Squared W2 of point clouds (nothing dropped), ODE to truth.
    #[serde(with = "crate::number")]
    pub cloud_ode_truth: f64,
    /// Squared W2 of point clouds (nothing dropped), SDE to truth.
    #[serde(with = "crate::number")]
    pub cloud_sde_truth: f64,
    /// Squared W2 of point clouds (nothing dropped), ODE to SDE.
    #[serde(with = "crate::number")]
    pub cloud_ode_sde: f64,
    /// Unbiased MMD^2 of point clouds, ODE to truth.
    #[serde(with = "crate::number")]
    pub mmd_ode_truth: f64,
    /// Unbiased MMD^2 of point clouds, SDE to truth.
    #[serde(with = "crate::number")]
    pub mmd_sde_truth: f64,
    /// Unbiased MMD^2 of point clouds, ODE to SDE.
    #[serde(with = "crate::number")]
    pub mmd_ode_sde: f64,
}

/// The noise floor of every distance: an independent sample of the truth in a sampler's place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Data set.
    pub dataset: String,
    /// Samples of the independent truth, as many as of the SDE.
    pub n: u64,
    /// Squared W2 to the truth of the histograms on the true nodes, the mean over [`Floor::draws`].
    #[serde(with = "crate::number")]
    pub w2: f64,
    /// The same between two samples of the size of a sampler's: the floor of ODE against SDE.
    #[serde(with = "crate::number")]
    pub w2_pair: f64,
    /// Independent samples that the two above are averaged over.
    pub draws: u64,
    /// Total variation of the histograms.
    #[serde(with = "crate::number")]
    pub tv: f64,
    /// Share of the truth outside the window.
    #[serde(with = "crate::number")]
    pub discarded: f64,
    /// Points of each cloud.
    pub cloud_n: u64,
    /// Squared W2 of the clouds.
    #[serde(with = "crate::number")]
    pub cloud_w2: f64,
    /// Unbiased MMD^2 of the clouds.
    #[serde(with = "crate::number")]
    pub mmd: f64,
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
