//! Consistency of the denoiser along the model's own reverse SDE.

use std::ops::Range;

use candle_core::Tensor;
use score_nets::{Gradients, Noising, Objective, Result, ScoreNet};
use sde_core::Key;

use super::batch::{column, dot, noised, of_rows};
use crate::penalty::tensor;

/// The consistency of a diffusion model: under its reverse SDE the expected data `D(x, t) = (x + sigma^2 s) / alpha` are a
/// martingale. The mean over noised rows of
///
/// `alpha(t)^2 (D(x_1, t - h) - D(x, t)) . (D(x_2, t - h) - D(x, t))`,
///
/// `x_i` after an ancestral step of length `h = step t` of the reverse SDE from `x` (that of `p(x_(t-h) | x_t, x_0 = D)`) with
/// independent noises, without gradient through them: the product of two has the expectation of the squared mean, of a potential `h^2 sigma^4 |grad R|^2` for a small step. A
/// single batch may come out negative.
///
/// # Reference
/// Daras et al. 2023, arXiv 2302.09057 (there six steps a path); its equivalence to the Fokker-Planck equation:
/// Lai et al. 2023, arXiv 2306.00367.
#[derive(Clone)]
pub struct MartingalePenalty {
    noising: Noising,
    step: f64,
}

impl MartingalePenalty {
    /// On noised rows, over steps of a share `step` of their times.
    pub fn new(noising: Noising, step: f64) -> Self {
        Self { noising, step }
    }

    /// `alpha(t)` times the difference of the denoiser after a step with the noise `z` and before it.
    fn rise(&self, net: &ScoreNet, at: &Point<'_>, z: Vec<f64>) -> Result<Tensor> {
        let sde = net.sde();
        let of_times = |f: &dyn Fn(f64) -> f64| column(net, at.t.iter().map(|&t| f(t)).collect());
        let h = |t: f64| self.step * t;
        // The law of x_(t - h) given x_t and expected data that stay as they are.
        let level = |t: f64| (sde.marginal(t), sde.marginal(t - h(t)));
        let left = |t: f64| {
            let (now, next) = level(t);
            (now.alpha * next.sigma / (next.alpha * now.sigma)).powi(2)
        };
        let kept = of_times(&|t| left(t) * level(t).1.alpha / level(t).0.alpha)?;
        let pulled = of_times(&|t| (1.0 - left(t)) * level(t).1.alpha / level(t).0.alpha)?;
        let noise = of_times(&|t| level(t).1.sigma * (1.0 - left(t)).sqrt())?;
        let own = of_times(&|t| level(t).0.sigma.powi(2))?;
        let z = tensor(net, z, at.t.len())?;
        let scaled = (at.x + at.score.broadcast_mul(&own)?)?;
        let x = (at.x.broadcast_mul(&kept)? + scaled.detach().broadcast_mul(&pulled)?)?;
        let x = (x + z.broadcast_mul(&noise)?)?;
        let after: Vec<f64> = at.t.iter().map(|&t| t - h(t)).collect();
        let score = net.score_graph(&x, &after)?.detach();
        let signal = of_times(&|t| level(t).0.alpha / level(t).1.alpha)?;
        let variance = of_times(&|t| level(t).1.sigma.powi(2))?;
        let moved = (x + score.broadcast_mul(&variance)?)?.broadcast_mul(&signal)?;
        Ok((moved - scaled)?)
    }
}

/// Rows, with a score that leads back to the parameters.
struct Point<'a> {
    x: &'a Tensor,
    t: &'a [f64],
    score: &'a Tensor,
}

impl Objective for MartingalePenalty {
    fn name(&self) -> &str {
        "martingale"
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
        let batch = noised(&self.noising, net, key, rows.clone())?;
        let x = tensor(net, batch.x, batch.t.len())?;
        let score = net.score_graph(&x, &batch.t)?;
        let at = Point { x: &x, t: &batch.t, score: &score };
        let noise = |purpose: u64| {
            let mut z = vec![0.0; batch.t.len() * net.dim()];
            key.fold(purpose).fill_normals(rows.start * net.dim() as u64, &mut z);
            z
        };
        let (first, second) = (self.rise(net, &at, noise(5))?, self.rise(net, &at, noise(6))?);
        of_rows(net, &dot(&first, &second)?, batch.time_weight, self.noising.batch)
    }
}
