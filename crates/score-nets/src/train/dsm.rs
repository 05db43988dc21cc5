//! Denoising score matching.

use std::{ops::Range, sync::Arc};

use sde_core::Key;

use super::{
    DataSource, Draws, NoisedRows, Noising, Objective, OutlierWeighting, Proposal,
    TimeDistribution, Weighting, as_share,
};
use crate::{Error, Gradients, Result, ScoreBatch, ScoreNet};

/// Denoising score matching: the mean over rows and coordinates of
/// `lambda(t) (s(x_t, t) + z / sigma(t))^2`, `x_t = alpha(t) x_0 + sigma(t) z`.
///
/// # Reference
/// Vincent 2011; Song et al. 2021, arXiv 2011.13456, equation 7.
///
/// ```
/// use std::sync::Arc;
/// use score_nets::{Dsm, FnSource};
/// use sde_core::Key;
/// // Data of one's own: rows on a circle.
/// let circle = |key: Key, first_row: u64, out: &mut [f64]| {
///     let mut u = vec![0.0; out.len() / 2];
///     key.fill_uniforms(first_row, &mut u);
///     for (row, u) in out.chunks_mut(2).zip(u) {
///         let (sin, cos) = (std::f64::consts::TAU * u).sin_cos();
///         row.copy_from_slice(&[cos, sin]);
///     }
///     Ok(())
/// };
/// let dsm = Dsm::new(Arc::new(FnSource::new(2, circle)), 256);
/// ```
pub struct Dsm {
    noising: Noising,
    weighting: Weighting,
}

impl Dsm {
    /// The loss on `batch` rows of `source` a step, with settings that work on most data: `lambda = sigma^2`, the squared
    /// error of the predicted noise, at times from 1e-4 on that are uniform in the log signal-to-noise ratio. Every noise
    /// level counts alike.
    ///
    /// Processes without signal at the horizon (`rectified`, `cosine`) have no such distribution of the times: give another
    /// with [`Dsm::time`].
    pub fn new(source: Arc<dyn DataSource>, batch: usize) -> Self {
        let noising = Noising { time: TimeDistribution::LogSnr, ..Noising::new(source, batch) };
        Self { noising, weighting: Weighting::SigmaSquared }
    }

    /// The loss as in the ODE-SDE-gap study: `lambda = 1`, `t = 1e-4 + T Beta(1, 2)`. Its weight lies at small times, so it
    /// needs many steps.
    ///
    /// # Reference
    /// Deveney et al. 2025, arXiv 2311.15996.
    pub fn published(source: Arc<dyn DataSource>, batch: usize) -> Self {
        let time = TimeDistribution::Beta { a: 1.0, b: 2.0 };
        let noising = Noising { time, ..Noising::new(source, batch) };
        Self { noising, weighting: Weighting::One }
    }

    /// With another law of the times.
    #[must_use]
    pub fn time(mut self, time: TimeDistribution) -> Self {
        self.noising.time = time;
        self
    }

    /// With a share of the times drawn from another law; the loss is the same in expectation.
    #[must_use]
    pub fn proposal(mut self, proposal: Proposal) -> Self {
        self.noising.proposal = proposal;
        self
    }

    /// With batches drawn another way; the loss is the same in expectation.
    #[must_use]
    pub fn draws(mut self, draws: Draws) -> Self {
        self.noising.draws = draws;
        self
    }

    /// With points outside the data that count for more (or not, which is the default); the
    /// minimiser is the same.
    #[must_use]
    pub fn outlier_weighting(mut self, outliers: Option<OutlierWeighting>) -> Self {
        self.noising.outlier_weighting = outliers;
        self
    }

    /// With another smallest time.
    #[must_use]
    pub fn t_min(mut self, t_min: f64) -> Self {
        self.noising.t_min = t_min;
        self
    }

    /// With another weighting.
    #[must_use]
    pub fn weighting(self, weighting: Weighting) -> Self {
        Self { weighting, ..self }
    }

    /// The batch under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty batch or a setting that does not work; [`Error::Shape`] when
    /// the data do not fit the network.
    pub fn batch(&self, net: &ScoreNet, key: Key) -> Result<ScoreBatch> {
        self.rows_of_batch(net, key, 0..self.noising.batch as u64)
    }

    /// Rows `rows` of the batch under `key`; their first is an even number.
    ///
    /// # Errors
    /// As [`Dsm::batch`].
    pub fn rows_of_batch(&self, net: &ScoreNet, key: Key, rows: Range<u64>) -> Result<ScoreBatch> {
        let (sde, d, found) = (net.sde(), net.dim(), self.noising.source.dim());
        if found != d {
            let n = rows.end.saturating_sub(rows.start) as usize;
            let (expected, found) = (vec![n, d], vec![n, found]);
            return Err(Error::Shape { what: "training data".into(), expected, found });
        }
        let NoisedRows { z: mut target, x, t, time_weight: mut share, outlier_weight, .. } =
            self.noising.rows(sde, key, rows)?;
        for (row, (z, t)) in target.chunks_mut(d).zip(&t).enumerate() {
            let sigma = sde.marginal(*t).sigma;
            // The target takes the place of the noise.
            z.iter_mut().for_each(|z| *z = -*z / sigma);
            share[row] *= self.weighting.at(sde, *t);
            let (Some(weight), Some(outliers)) =
                (outlier_weight.get(row), &self.noising.outlier_weighting)
            else {
                continue;
            };
            share[row] *= weight;
            if !(share[row] as f32).is_finite() {
                let (x, weight) = (&x[row * d..(row + 1) * d], share[row]);
                let reason =
                    format!("the data leave the box: the weight at {x:?}, t = {t}, is {weight:e}");
                return Err(Error::setting(
                    "outlier-weighting.half-width",
                    outliers.half_width,
                    reason,
                ));
            }
        }
        Ok(ScoreBatch { x, t, target, weight: share })
    }

    /// The loss without gradients, on the batch under `key`.
    ///
    /// # Errors
    /// As [`Dsm::batch`].
    pub fn loss(&self, net: &ScoreNet, key: Key) -> Result<f64> {
        net.score_loss(&self.batch(net, key)?)
    }
}

impl Objective for Dsm {
    fn name(&self) -> &str {
        "dsm"
    }

    fn rows(&self) -> u64 {
        self.noising.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let batch = self.rows_of_batch(net, key, rows.clone())?;
        as_share(net.score_loss_and_grad(&batch)?, &rows, self.noising.batch as u64)
    }
}
