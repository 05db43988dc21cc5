//! Score matching in time.

use std::ops::Range;

use score_nets::{Gradients, Noising, Objective, OperatorRow, Result, ScoreNet, as_share};
use sde_core::{Key, Sde};

use super::batch::noised;

/// Dual score matching: the mean of `sigma^4 (d_t phi - d_t log p(x_t | x_0))^2` over noised rows. Its minimiser is
/// `d_t phi = d_t log p_t`, so it fixes the potential in time where denoising score matching fixes it in space; the weight
/// takes the growth of the target's variance away.
///
/// # Reference
/// Guth, Kadkhodaie, Simoncelli 2025, arXiv 2506.05310.
#[derive(Clone)]
pub struct DualScoreMatching(pub Noising);

/// `d_t log p(x_t | x_0)` at fixed `x_t` under a linear SDE,
/// `(sigma' / sigma)(|z|^2 - D) + (alpha' / sigma) z . x_0`.
///
/// ```
/// use fp_residual::time_score;
/// use sde_core::{Ou, Sde};
/// // Under the Ornstein-Uhlenbeck process: (e^-2t / (2 sigma^2)) (|z|^2 - D) - e^-t z . x_0 / sigma.
/// let (sde, t, z, x0) = (Ou::default(), 0.3_f64, [0.4, -1.0], [0.5, 2.0]);
/// let sigma = sde.marginal(t).sigma;
/// let expected = (-2.0 * t).exp() / (2.0 * sigma * sigma) * (1.16 - 2.0) - (-t).exp() * -1.8 / sigma;
/// assert!((time_score(&sde, t, &x0, &z) / expected - 1.0).abs() < 1e-12);
/// ```
pub fn time_score(sde: &dyn Sde, t: f64, x0: &[f64], z: &[f64]) -> f64 {
    let (m, rate) = (sde.marginal(t), sde.marginal_rate(t));
    let square: f64 = z.iter().map(|z| z * z).sum();
    let along: f64 = z.iter().zip(x0).map(|(z, x0)| z * x0).sum();
    (rate.sigma * (square - z.len() as f64) + rate.alpha * along) / m.sigma
}

impl Objective for DualScoreMatching {
    fn name(&self) -> &str {
        "dual-score-matching"
    }

    fn rows(&self) -> u64 {
        self.0.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let (sde, d) = (net.sde(), net.dim());
        let batch = noised(&self.0, net, key, rows.clone())?;
        let each = batch.t.iter().zip(batch.x0.chunks(d)).zip(batch.z.chunks(d));
        let target: Vec<f64> = each.map(|((t, x0), z)| time_score(sde, *t, x0, z)).collect();
        let weights = batch.t.iter().zip(&batch.time_weight);
        let weight: Vec<f64> =
            weights.map(|(t, share)| share * sde.marginal(*t).sigma.powi(4)).collect();
        let operator = |row: &OperatorRow<'_>, direction: &mut [f64]| {
            direction.fill(0.0);
            (0.0, -target[row.row])
        };
        let found = net.operator_loss_and_grad(&batch.x, &batch.t, &weight, &operator)?;
        as_share(found, &rows, self.0.batch as u64)
    }
}
