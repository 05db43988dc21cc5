//! The mean squared Fokker-Planck residual as a term of the training loss.

use std::{ops::Range, sync::Arc};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use score_nets::{
    DataSource, Draws, Error, Gradients, NoisedRows, Noising, Objective, OperatorRow, Proposal,
    Result, ScoreNet, TimeDistribution, as_share,
};
use sde_core::{Key, KroneckerSequence, Sde};

use crate::time_weight::TimeWeight;

/// Rows that one piece of host work takes at a time; a loss does not depend on it.
const ROWS_A_TASK: usize = 1024;

/// Where the residual is evaluated: the distribution of the collocation points.
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
        time: TimeDistribution,
    },
}

/// Collocation points: where a residual is evaluated.
///
/// # Shapes
/// `x` is `[B, D]` row by row, `t` and `weight` `[B]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollocationPoints {
    /// The points.
    pub x: Vec<f64>,
    /// Their times.
    pub t: Vec<f64>,
    /// What the square of a residual counts in the mean.
    pub weight: Vec<f64>,
}

impl CollocationPoints {
    /// Without the points whose residual counts nothing.
    fn that_count(self, dim: usize) -> Self {
        if self.weight.iter().all(|weight| *weight != 0.0) {
            return self;
        }
        let mut kept = Self::default();
        for ((x, t), weight) in self.x.chunks(dim).zip(self.t).zip(self.weight) {
            if weight != 0.0 {
                kept.x.extend_from_slice(x);
                kept.t.push(t);
                kept.weight.push(weight);
            }
        }
        kept
    }
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
    proposal: Proposal,
    draws: Draws,
    time_weight: TimeWeight,
}

impl FokkerPlanckPenalty {
    /// On `points` points, `t` from 1e-4.
    pub fn new(points: usize, collocation: Collocation) -> Self {
        let (proposal, draws) = (Proposal::default(), Draws::default());
        let time_weight = TimeWeight::One;
        Self { points, t_min: 1e-4, collocation, proposal, draws, time_weight }
    }

    /// On the uniform box `[1e-4, T] x [-3.5, 3.5]^D`.
    pub fn uniform(points: usize) -> Self {
        Self::new(points, Collocation::UniformBox { half_width: 3.5 })
    }

    /// On perturbed data.
    pub fn on_marginal(points: usize, source: Arc<dyn DataSource>, time: TimeDistribution) -> Self {
        Self::new(points, Collocation::OnMarginal { source, time })
    }

    /// With another smallest time.
    #[must_use]
    pub fn t_min(self, t_min: f64) -> Self {
        Self { t_min, ..self }
    }

    /// With a share of the times drawn from another law; the mean is the same in expectation.
    #[must_use]
    pub fn proposal(self, proposal: Proposal) -> Self {
        Self { proposal, ..self }
    }

    /// With points drawn another way; the mean is the same in expectation.
    #[must_use]
    pub fn draws(self, draws: Draws) -> Self {
        Self { draws, ..self }
    }

    /// With squares that count more at some times than at others.
    #[must_use]
    pub fn time_weight(self, time_weight: TimeWeight) -> Self {
        Self { time_weight, ..self }
    }

    /// The points under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] for no points; [`Error::Shape`] when the data do not fit the network.
    pub fn points(&self, net: &ScoreNet, key: Key) -> Result<CollocationPoints> {
        self.rows_of_points(net, key, 0..self.points as u64)
    }

    /// Points `rows` of those under `key`.
    ///
    /// # Errors
    /// As [`FokkerPlanckPenalty::points`].
    pub fn rows_of_points(
        &self,
        net: &ScoreNet,
        key: Key,
        rows: Range<u64>,
    ) -> Result<CollocationPoints> {
        let (sde, d, n) = (net.sde(), net.dim(), rows.end.saturating_sub(rows.start) as usize);
        if n == 0 {
            let (value, reason) = ("0".into(), "must be at least 1".into());
            return Err(Error::Setting { name: "points".into(), value, reason });
        }
        let mut points = match &self.collocation {
            Collocation::UniformBox { half_width } => {
                self.in_box(sde, *half_width, d, key, rows)?
            }
            Collocation::OnMarginal { source, .. } if source.dim() != d => {
                let (expected, found) = (vec![n, d], vec![n, source.dim()]);
                return Err(Error::Shape { what: "collocation data".into(), expected, found });
            }
            Collocation::OnMarginal { source, time } => {
                let noising = Noising {
                    t_min: self.t_min,
                    time: *time,
                    proposal: self.proposal,
                    draws: self.draws,
                    antithetic: false,
                    ..Noising::new(source.clone(), self.points)
                };
                let NoisedRows { x, t, time_weight: share, .. } = noising.rows(sde, key, rows)?;
                CollocationPoints { x, t, weight: share }
            }
        };
        if self.time_weight != TimeWeight::One {
            let counts = self.time_weight.at(sde, &points.t)?;
            points.weight.iter_mut().zip(counts).for_each(|(weight, count)| *weight *= count);
        }
        Ok(points)
    }

    /// Points `rows` of those in a box, where time and place are one point of a sequence.
    fn in_box(
        &self,
        sde: &dyn Sde,
        half_width: f64,
        d: usize,
        key: Key,
        rows: Range<u64>,
    ) -> Result<CollocationPoints> {
        let n = (rows.end - rows.start) as usize;
        let mut points =
            CollocationPoints { x: vec![0.0; n * d], t: vec![0.0; n], weight: vec![0.0; n] };
        let (places, times) = (key.fold(0), key.fold(1));
        let sequence = KroneckerSequence::new(times, 1 + d);
        let tasks = points.x.par_chunks_mut(ROWS_A_TASK * d);
        let tasks = tasks.zip(points.t.par_chunks_mut(ROWS_A_TASK));
        let tasks = tasks.zip(points.weight.par_chunks_mut(ROWS_A_TASK));
        tasks.enumerate().try_for_each(|(i, ((x, t), weight))| -> Result<()> {
            let first = rows.start + (i * ROWS_A_TASK) as u64;
            match self.draws {
                Draws::Independent => {
                    times.fill_uniforms(first, t);
                    places.fill_uniforms(first * d as u64, x);
                }
                Draws::QuasiMonteCarlo => {
                    let mut u = vec![0.0; t.len() * (1 + d)];
                    sequence.fill_uniforms(first, &mut u);
                    for ((u, t), x) in u.chunks(1 + d).zip(&mut *t).zip(x.chunks_mut(d)) {
                        *t = u[0];
                        x.copy_from_slice(&u[1..]);
                    }
                }
            }
            for (t, weight) in t.iter_mut().zip(weight) {
                (*t, *weight) =
                    self.proposal.draw(TimeDistribution::Uniform, sde, self.t_min, *t)?;
            }
            x.iter_mut().for_each(|x| *x = half_width * (2.0 * *x - 1.0));
            Ok(())
        })?;
        Ok(points)
    }

    /// The mean of `R^2` without gradients, on the points under `key`.
    ///
    /// # Errors
    /// As [`FokkerPlanckPenalty::points`].
    pub fn loss(&self, net: &ScoreNet, key: Key) -> Result<f64> {
        self.loss_of_rows(net, key, 0..self.points as u64)
    }

    /// The mean of `R^2` without gradients, on points `rows` of those under `key`.
    ///
    /// # Errors
    /// As [`FokkerPlanckPenalty::points`].
    pub fn loss_of_rows(&self, net: &ScoreNet, key: Key, rows: Range<u64>) -> Result<f64> {
        let CollocationPoints { x, t, weight } = self.rows_of_points(net, key, rows)?;
        let residual = crate::network_residual(net, &x, &t)?;
        let squares = residual.iter().zip(&weight).map(|(r, weight)| weight * r * r);
        Ok(squares.sum::<f64>() / t.len() as f64)
    }
}

impl Objective for FokkerPlanckPenalty {
    fn name(&self) -> &str {
        "fokker-planck"
    }

    fn rows(&self) -> u64 {
        self.points as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let points = self.rows_of_points(net, key, rows.clone())?.that_count(net.dim());
        if points.t.is_empty() {
            return Ok((0.0, Gradients::none(net.parameters())));
        }
        // The mean over those that count, as what they add to the mean over all.
        let counted = 0..points.t.len() as u64;
        as_share(residual_loss_and_grad(net, &points)?, &counted, self.points as u64)
    }
}

/// The mean of `weight R^2` over given points, and its gradients; no weights at all stand for ones.
///
/// # Errors
/// [`Error::Shape`] when the points do not fit together or to the network, [`Error::Unsupported`]
/// when the network's output is not a potential.
pub fn residual_loss_and_grad(
    net: &ScoreNet,
    points: &CollocationPoints,
) -> Result<(f64, Gradients)> {
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
    net.operator_loss_and_grad(&points.x, &points.t, &points.weight, &operator)
}

/// Rows on the host as a batch of the network.
pub(crate) fn tensor(net: &ScoreNet, x: Vec<f64>, rows: usize) -> Result<Tensor> {
    let x = Tensor::from_vec(x, (rows, net.dim()), &Device::Cpu)?;
    Ok(x.to_dtype(net.dtype())?.to_device(net.device())?)
}
