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
    pub half_width: f64,
    /// Samples of the truth that everything is measured against.
    #[serde(default)]
    pub truth: u64,
    /// One row for each data set and weight.
    pub rows: Vec<Row>,
    /// One row for each data set: truth against an independent truth.
    pub floors: Vec<Floor>,
    /// Seconds the run has computed, all sessions together.
    pub total_seconds: f64,
}

/// One network: how far its ODE, its SDE and the truth lie apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Data set.
    pub dataset: String,
    /// Weight of the residual in the training loss.
    pub w_r: f64,
    /// Samples of the SDE.
    pub n: u64,
    /// Samples of the ODE, where they are not as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_ode: Option<u64>,
    /// Squared W2, ODE to truth, histograms on the true nodes.
    pub ode_truth: f64,
    /// Squared W2, SDE to truth, histograms on the true nodes.
    pub sde_truth: f64,
    /// Squared W2, ODE to SDE, histograms on the true nodes.
    pub ode_sde: f64,
    /// Total variation of the histograms, ODE to truth.
    pub tv_ode_truth: f64,
    /// Total variation of the histograms, SDE to truth.
    pub tv_sde_truth: f64,
    /// Total variation of the histograms, ODE to SDE.
    pub tv_ode_sde: f64,
    /// Share of ODE samples outside the window (dropped before the histogram).
    pub discarded_ode: f64,
    /// Share of SDE samples outside the window.
    pub discarded_sde: f64,
    /// Mean squared Fokker-Planck residual over the collocation box.
    pub residual: f64,
    /// Mean squared Fokker-Planck residual on points of `p_t`.
    pub residual_on_path: f64,
    /// Denoising score matching loss on held-out points, mean over coordinates.
    pub dsm_loss: f64,
    /// Training steps behind the network (0 when it was given).
    pub train_steps: u64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of sampling, ODE and SDE together.
    pub sample_seconds: f64,
    /// Seconds of measuring.
    pub measure_seconds: f64,
    /// Points of each cloud below.
    pub cloud_n: u64,
    /// Squared W2 of point clouds (nothing dropped), ODE to truth.
    pub cloud_ode_truth: f64,
    /// Squared W2 of point clouds (nothing dropped), SDE to truth.
    pub cloud_sde_truth: f64,
    /// Squared W2 of point clouds (nothing dropped), ODE to SDE.
    pub cloud_ode_sde: f64,
    /// Unbiased MMD^2 of point clouds, ODE to truth.
    pub mmd_ode_truth: f64,
    /// Unbiased MMD^2 of point clouds, SDE to truth.
    pub mmd_sde_truth: f64,
    /// Unbiased MMD^2 of point clouds, ODE to SDE.
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
    pub w2: f64,
    /// The same between two samples of the size of a sampler's: the floor of ODE against SDE.
    pub w2_pair: f64,
    /// Independent samples that the two above are averaged over.
    pub draws: u64,
    /// Total variation of the histograms.
    pub tv: f64,
    /// Share of the truth outside the window.
    pub discarded: f64,
    /// Points of each cloud.
    pub cloud_n: u64,
    /// Squared W2 of the clouds.
    pub cloud_w2: f64,
    /// Unbiased MMD^2 of the clouds.
    pub mmd: f64,
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
