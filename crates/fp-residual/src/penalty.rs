//! Training against the residual.

use std::sync::Arc;

use candle_core::{Device, Tensor, backprop::GradStore};
use rayon::prelude::*;
use score_nets::{DataSource, Error, Objective, OperatorRow, Result, ScoreNet, TimeLaw};
use sde_core::Key;

/// Rows that one piece of host work takes at a time; a loss does not depend on it.
const ROWS_A_TASK: usize = 1024;

/// Where the residual is taken.
#[derive(Clone)]
pub enum Collocation {
    /// `t` uniform on `[t_min, T]`, `x` uniform on `[-half_width, half_width]^D`.
    UniformBox {
        /// Half the side of the box.
        half_width: f64,
    },
    /// `x ~ p_t`: perturbed data.
    OnMarginal {
        /// The data.
        source: Arc<dyn DataSource>,
        /// The law of the times.
        time: TimeLaw,
    },
}

/// The mean of `R^2` over collocation points drawn afresh at every step.
///
/// # Reference
/// Deveney et al. 2025, arXiv 2311.15996, section 4 (the uniform box with half-width 3.5).
#[derive(Clone)]
pub struct FokkerPlanckPenalty {
    points: usize,
    t_min: f64,
    collocation: Collocation,
}

impl FokkerPlanckPenalty {
    /// On `points` points, `t` from 1e-4.
    pub fn new(points: usize, collocation: Collocation) -> Self {
        Self { points, t_min: 1e-4, collocation }
    }

    /// On the uniform box `[1e-4, T] x [-3.5, 3.5]^D`.
    pub fn uniform(points: usize) -> Self {
        Self::new(points, Collocation::UniformBox { half_width: 3.5 })
    }

    /// On perturbed data.
    pub fn on_marginal(points: usize, source: Arc<dyn DataSource>, time: TimeLaw) -> Self {
        Self::new(points, Collocation::OnMarginal { source, time })
    }

    /// With another smallest time.
    #[must_use]
    pub fn t_min(self, t_min: f64) -> Self {
        Self { t_min, ..self }
    }

    /// The points under `key`: `x` `[B, D]` row by row, and `t` `[B]`.
    ///
    /// # Errors
    /// [`Error::Setting`] for no points; [`Error::Shape`] when the data do not fit the network.
    pub fn points(&self, net: &ScoreNet, key: Key) -> Result<(Vec<f64>, Vec<f64>)> {
        let (sde, d, n) = (net.sde(), net.dim(), self.points);
        if n == 0 {
            let (value, reason) = ("0".into(), "must be at least 1".into());
            return Err(Error::Setting { name: "points".into(), value, reason });
        }
        if let Collocation::OnMarginal { source, .. } = &self.collocation
            && source.dim() != d
        {
            let (expected, found) = (vec![n, d], vec![n, source.dim()]);
            return Err(Error::Shape { what: "collocation data".into(), expected, found });
        }
        let (mut x, mut t) = (vec![0.0; n * d], vec![0.0; n]);
        let (places, times, noise) = (key.fold(0), key.fold(1), key.fold(2));
        let tasks = x.par_chunks_mut(ROWS_A_TASK * d).zip(t.par_chunks_mut(ROWS_A_TASK));
        tasks.enumerate().try_for_each(|(i, (x, t))| -> Result<()> {
            let first = (i * ROWS_A_TASK) as u64;
            times.fill_uniforms(first, t);
            match &self.collocation {
                Collocation::UniformBox { half_width } => {
                    places.fill_uniforms(first * d as u64, x);
                    x.iter_mut().for_each(|x| *x = half_width * (2.0 * *x - 1.0));
                    for t in t {
                        *t = TimeLaw::Uniform.time(sde, self.t_min, *t)?;
                    }
                }
                Collocation::OnMarginal { source, time } => {
                    source.fill(places, first, x)?;
                    let mut z = vec![0.0; x.len()];
                    noise.fill_normals(first * d as u64, &mut z);
                    for ((x, z), t) in x.chunks_mut(d).zip(z.chunks(d)).zip(t) {
                        *t = time.time(sde, self.t_min, *t)?;
                        let m = sde.marginal(*t);
                        x.iter_mut().zip(z).for_each(|(x, z)| *x = m.alpha * *x + m.sigma * z);
                    }
                }
            }
            Ok(())
        })?;
        Ok((x, t))
    }

    /// The mean of `R^2` without gradients, on the points under `key`.
    ///
    /// # Errors
    /// As [`FokkerPlanckPenalty::points`].
    pub fn loss(&self, net: &ScoreNet, key: Key) -> Result<f64> {
        let (x, t) = self.points(net, key)?;
        let x = tensor(net, x, t.len())?;
        let residual = crate::potential_residual(net, &x, &t, net.sde())?;
        Ok(residual.iter().map(|r| r * r).sum::<f64>() / t.len() as f64)
    }
}

impl Objective for FokkerPlanckPenalty {
    fn name(&self) -> &str {
        "fokker-planck"
    }

    fn loss_and_grad(&self, net: &ScoreNet, _: u64, key: Key) -> Result<(f64, GradStore)> {
        let (x, t) = self.points(net, key)?;
        residual_loss_and_grad(net, &x, &t)
    }
}

/// The mean of `R^2` over rows `x` `[B, D]` at times `t` `[B]`, and its gradients.
///
/// # Errors
/// [`Error::Shape`] when `x` and `t` do not fit, [`Error::Unsupported`] when the network's output is
/// not a potential.
pub fn residual_loss_and_grad(net: &ScoreNet, x: &[f64], t: &[f64]) -> Result<(f64, GradStore)> {
    let sde = net.sde();
    // R is quadratic in s; frozen there it is d_t + (a x - g^2 s) . grad - (g^2/2) Lap, and
    // a D + (g^2/2) |s|^2 remains.
    let operator = |row: &OperatorRow<'_>, direction: &mut [f64]| {
        let (a, g2) = (sde.drift_coef(row.t), sde.diffusion_squared(row.t));
        let mut square = 0.0;
        for ((c, x), s) in direction.iter_mut().zip(row.x).zip(row.score) {
            *c = a * x - g2 * s;
            square += s * s;
        }
        (-0.5 * g2, a * direction.len() as f64 + 0.5 * g2 * square)
    };
    net.operator_loss_and_grad(x, t, &operator)
}

/// Rows on the host as a batch of the network.
pub(crate) fn tensor(net: &ScoreNet, x: Vec<f64>, rows: usize) -> Result<Tensor> {
    let x = Tensor::from_vec(x, (rows, net.dim()), &Device::Cpu)?;
    Ok(x.to_dtype(net.dtype())?.to_device(net.device())?)
}
