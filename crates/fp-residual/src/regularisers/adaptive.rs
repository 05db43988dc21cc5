//! Collocation where the residual is large.

use std::ops::Range;

use score_nets::{Error, Gradients, Objective, Result, ScoreNet, as_share};
use sde_core::Key;

use super::batch::residuals;
use crate::{CollocationPoints, FokkerPlanckPenalty, residual_loss_and_grad};

/// The mean of `R^2` over points that are drawn from a larger pool with probabilities `p` proportional to `|R| / mean |R| + 1`.
///
/// Every point counts `1 / (n p)`: the mean is that over the pool in expectation, with less noise; without that
/// ([`AdaptivePenalty::concentrated`]) the loss itself moves to where the residual is large.
///
/// # Reference
/// Wu et al. 2023, arXiv 2207.10289, "A comprehensive study of non-adaptive and residual-based adaptive sampling" (RAD with
/// `k = 1`, `c = 1`, there without the weights).
#[derive(Clone)]
pub struct AdaptivePenalty {
    pool: FokkerPlanckPenalty,
    points: usize,
    weighted: bool,
}

impl AdaptivePenalty {
    /// On `points` of the points of `pool`.
    pub fn new(pool: FokkerPlanckPenalty, points: usize) -> Self {
        Self { pool, points, weighted: true }
    }

    /// Without the weights that make up for the choice.
    #[must_use]
    pub fn concentrated(self) -> Self {
        Self { weighted: false, ..self }
    }

    /// Points `rows` of those that are chosen under `key`.
    ///
    /// # Errors
    /// As [`FokkerPlanckPenalty::points`]; [`Error::NonFinite`] when a residual of the pool is not finite.
    pub fn points(
        &self,
        net: &ScoreNet,
        step: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<CollocationPoints> {
        let (pool, d) = (self.pool.points(net, key)?, net.dim());
        let size = pool.t.len() as f64;
        let sizes: Vec<f64> = residuals(net, &pool.x, &pool.t)?.iter().map(|r| r.abs()).collect();
        let mean = sizes.iter().sum::<f64>() / size;
        if !mean.is_finite() {
            return Err(Error::NonFinite { what: "residual of a pool".into(), value: mean, step });
        }
        // Where the residual vanishes all points are alike.
        let chance = |r: f64| if mean > 0.0 { (r / mean + 1.0) / (2.0 * size) } else { 1.0 / size };
        let mut shift = [0.0];
        key.fold(7).fill_uniforms(0, &mut shift);
        let mut chosen = CollocationPoints::default();
        let (mut above, mut row) = (0.0, 0_u64);
        for (i, r) in sizes.iter().enumerate() {
            let p = chance(*r);
            above += p * self.points as f64;
            // Systematic sampling: row k is the point whose piece of the sum holds k + shift.
            while row < self.points as u64
                && (row as f64 + shift[0] < above || i + 1 == sizes.len())
            {
                if rows.contains(&row) {
                    chosen.x.extend_from_slice(&pool.x[i * d..(i + 1) * d]);
                    chosen.t.push(pool.t[i]);
                    let share = if self.weighted { 1.0 / (size * p) } else { 1.0 };
                    chosen.weight.push(pool.weight[i] * share);
                }
                row += 1;
            }
        }
        Ok(chosen)
    }
}

impl Objective for AdaptivePenalty {
    fn name(&self) -> &str {
        "adaptive-residual"
    }

    fn rows(&self) -> u64 {
        self.points as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        step: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let points = self.points(net, step, key, rows.clone())?;
        as_share(residual_loss_and_grad(net, &points)?, &rows, self.points as u64)
    }
}
