//! Learning a correction by regression on paths.

use std::{ops::Range, sync::Arc};

use score_nets::{Error, Gradients, Objective, Result, ScoreBatch, ScoreNet, as_share};
use sde_core::{Key, KroneckerSequence};

use super::CorrectionData;

/// The mean over points of paths of `w(t) |grad psi - A_t|^2 / D`, least squares whose minimiser is `grad psi = grad r`
/// ([`super::GapGradient`]).
///
/// Every recorded time counts alike unless weights say otherwise: where the grid is dense, much is learned. Points are drawn
/// evenly spread over times and paths, with replacement.
///
/// # Reference
/// The gradient of the Feynman-Kac representation of the gap; unlike score matching on the paths
/// ([`super::ImplicitCorrection`]) its noise vanishes with the residual.
///
/// ```
/// use std::sync::{Arc, atomic::AtomicBool};
/// use candle_core::{DType, Device};
/// use fp_residual::{
///     CorrectedFlow, CorrectionData, CorrectionMatching, correction_config, without_correction,
/// };
/// use score_nets::{NetConfig, ScoreNet, TrainConfig, Trainer};
/// use sde_core::{Key, ScoreJvp, TimeGrid};
///
/// let model = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F32, &Device::Cpu)?;
/// let times = TimeGrid::Quadratic.times(model.sde(), 10, model.sde().horizon(), 0.0)?;
/// let mut paths = CorrectionData::of_network(&model, &times, 100, Key::root(2))?;
/// paths.keep_within(5.0); // runaways
/// let psi = without_correction(correction_config(model.config(), vec![8, 8]), Key::root(3), &model)?;
/// let matching = CorrectionMatching::new(Arc::new(paths), 200);
/// let mut trainer = Trainer::new(psi, TrainConfig::soap_cosine(5))?.term(1.0, Box::new(matching));
/// trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
/// // A score with derivatives, for samplers and log-densities.
/// let flow = CorrectedFlow::ode(&model, trainer.into_net());
/// let flow: &dyn ScoreJvp<candle_core::Tensor> = &flow;
/// # let _ = flow;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CorrectionMatching {
    data: Arc<CorrectionData>,
    batch: usize,
    weights: Vec<f64>,
}

impl CorrectionMatching {
    /// On `batch` points of the paths a step.
    pub fn new(data: Arc<CorrectionData>, batch: usize) -> Self {
        Self { data, batch, weights: Vec::new() }
    }

    /// With weights `w(t)`; they are divided by their mean over the recorded times.
    #[must_use]
    pub fn weighting(self, w: impl Fn(f64) -> f64) -> Self {
        let weights: Vec<f64> = self.data.levels().iter().map(|level| w(level.t)).collect();
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        Self { weights: weights.iter().map(|w| w / mean).collect(), ..self }
    }

    /// Rows `rows` of the batch under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty batch or no paths; [`Error::Shape`] when they do not fit the network.
    pub fn rows_of_batch(&self, net: &ScoreNet, key: Key, rows: Range<u64>) -> Result<ScoreBatch> {
        let (points, d) = (points(&self.data, net, key, &rows)?, self.data.dim());
        let mut batch = ScoreBatch::default();
        for (level, row) in points {
            let at = &self.data.levels()[level];
            batch.t.push(at.t);
            batch.x.extend_from_slice(&at.x[row * d..(row + 1) * d]);
            batch.target.extend_from_slice(&at.target[row * d..(row + 1) * d]);
            batch.weight.push(self.weights.get(level).copied().unwrap_or(1.0));
        }
        Ok(batch)
    }
}

impl Objective for CorrectionMatching {
    fn name(&self) -> &str {
        "correction"
    }

    fn rows(&self) -> u64 {
        self.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let batch = self.rows_of_batch(net, key, rows.clone())?;
        as_share(net.score_loss_and_grad(&batch)?, &rows, self.batch as u64)
    }
}

/// Level and row of points `rows` drawn under `key`.
pub(super) fn points(
    data: &CorrectionData,
    net: &ScoreNet,
    key: Key,
    rows: &Range<u64>,
) -> Result<Vec<(usize, usize)>> {
    let n = rows.end.saturating_sub(rows.start) as usize;
    if n == 0 || data.is_empty() {
        let (value, reason) = ((n * data.len()).to_string(), "must be at least 1".into());
        return Err(Error::Setting { name: "points".into(), value, reason });
    }
    let d = data.dim();
    if d != net.dim() {
        let (expected, found) = (vec![n, net.dim()], vec![n, d]);
        return Err(Error::Shape { what: "points of paths".into(), expected, found });
    }
    let mut u = vec![0.0; 2 * n];
    KroneckerSequence::new(key, 2).fill_uniforms(rows.start, &mut u);
    let place = |u: f64, n: usize| ((u * n as f64) as usize).min(n - 1);
    let point = |u: &[f64]| {
        let level = place(u[0], data.levels().len());
        (level, place(u[1], data.levels()[level].x.len() / d))
    };
    Ok(u.chunks(2).map(point).collect())
}
