//! Learning a correction by implicit score matching on paths.

use std::{ops::Range, sync::Arc};

use candle_core::{DType, Device, Tensor};
use score_nets::{Gradients, Objective, Result, ScoreNet, as_share};
use sde_core::{Key, Score};

use super::{CorrectionData, matching::points};

/// The mean over points of paths of `|grad psi|^2 / 2 + s . grad psi + Lap psi`: implicit score matching of `phi + psi` on the
/// density of the SDE, up to a constant. Its minimiser is that of [`super::CorrectionMatching`], but its noise does not vanish
/// with the residual; here for comparison.
///
/// # Reference
/// Hyvarinen 2005, "Estimation of non-normalized statistical models by score matching", equation 4.
pub struct ImplicitCorrection {
    model: ScoreNet,
    data: Arc<CorrectionData>,
    batch: usize,
}

impl ImplicitCorrection {
    /// Of a frozen model, on `batch` points of its paths a step.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn new(model: &ScoreNet, data: Arc<CorrectionData>, batch: usize) -> Result<Self> {
        Ok(Self { model: model.duplicate()?, data, batch })
    }
}

impl Objective for ImplicitCorrection {
    fn name(&self) -> &str {
        "implicit-correction"
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
        let (mut points, d) = (points(&self.data, net, key, &rows)?, self.data.dim());
        // The frozen score is evaluated time by time.
        points.sort_unstable();
        let (mut x, mut t) = (Vec::with_capacity(points.len() * d), Vec::new());
        let mut scores = Vec::new();
        for same in points.chunk_by(|a, b| a.0 == b.0) {
            let at = &self.data.levels()[same[0].0];
            let own: Vec<f64> =
                same.iter().flat_map(|(_, row)| &at.x[row * d..(row + 1) * d]).copied().collect();
            let own = Tensor::from_vec(own, (same.len(), d), &Device::Cpu)?;
            let own = own.to_dtype(self.model.dtype())?.to_device(self.model.device())?;
            scores.push(self.model.score(&own, at.t)?);
            x.push(own);
            t.extend(std::iter::repeat_n(at.t, same.len()));
        }
        let (x, score) = (Tensor::cat(&x, 0)?, Tensor::cat(&scores, 0)?);
        let psi = net.derivatives_graph(&x.to_dtype(net.dtype())?, &t)?;
        let along = (&psi.score * ((&psi.score * 0.5)? + score.to_dtype(net.dtype())?)?)?.sum(1)?;
        let loss = (along + &psi.laplacian)?.mean_all()?;
        let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        as_share((value, Gradients::of(&loss, net.parameters())?), &rows, self.batch as u64)
    }
}
