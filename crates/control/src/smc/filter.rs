//! The step of a particle filter: resampling where it is due, a move, new weights.

use ndarray::{Array2, Axis};
use sde_core::{Dynamics, Result, Sde, normal};
use solvers::{Noise, Past, Step, Stepper};

use super::moves::{Kept, Move, Moved, Particles};
use super::resampling::{effective, log_mean_exp, normalised, systematic};

/// What a particle carries beside its place, each a column of [`Particles`].
pub(super) const LOG_WEIGHT: usize = 0;
/// The logarithm of the evidence up to the last resampling; the same for a whole system, as the next two.
pub(super) const LOG_EVIDENCE: usize = 1;
/// The effective sample size.
pub(super) const EFFECTIVE: usize = 2;
/// How often it was resampled.
pub(super) const RESAMPLED: usize = 3;

/// The reverse process that particles follow.
pub(super) struct Motion<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) moves: &'a dyn Move,
}

impl Dynamics<Particles> for Motion<'_> {
    fn drift(&self, x: &Particles, t: f64) -> Result<Particles> {
        let s = self.moves.score(&x.x, t)?;
        let drift = &x.x * self.sde.drift_coef(t) - s * self.sde.diffusion_squared(t);
        Particles::new(drift, vec![vec![0.0; x.x.nrows()]; x.integrals.len()])
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.sde.diffusion(t)
    }
}

/// Systems of `particles` rows each, resampled where the effective sample size is below `threshold` times that.
pub(super) struct Filter {
    pub(super) particles: usize,
    pub(super) threshold: f64,
}

impl Filter {
    /// Particles at the first time with their weights.
    pub(super) fn start(&self, x: Array2<f64>, log_weights: Vec<f64>) -> Result<Particles> {
        let zero = vec![0.0; x.nrows()];
        let mut start = Particles::new(x, vec![log_weights, zero.clone(), zero.clone(), zero])?;
        self.measure(&mut start);
        Ok(start)
    }

    /// Writes the effective sample size of every system.
    fn measure(&self, x: &mut Particles) {
        let [weights, .., sizes, _] = &mut x.integrals[..] else { return };
        let systems = weights.chunks(self.particles).zip(sizes.chunks_mut(self.particles));
        systems.for_each(|(w, size)| size.fill(effective(&normalised(w))));
    }

    /// Draws particles by weight in every system that needs it.
    fn resample(
        &self,
        x: &Particles,
        kept: &mut Kept,
        t: f64,
        noise: &dyn Noise<Particles>,
    ) -> Result<Particles> {
        let (k, rows) = (self.particles, x.x.nrows());
        let due = |size: f64| size < self.threshold * k as f64;
        let mut x = x.clone();
        if !x.integrals[EFFECTIVE].iter().any(|size| due(*size)) {
            return Ok(x);
        }
        let z = noise.normals(&Particles::start(Array2::zeros((rows, 1)), 0), t, RESAMPLING)?.x;
        let mut ancestors: Vec<usize> = (0..rows).collect();
        for first in (0..rows).step_by(k) {
            if !due(x.integrals[EFFECTIVE][first]) {
                continue;
            }
            let logs = &mut x.integrals[LOG_WEIGHT][first..first + k];
            let (mean, u) = (log_mean_exp(logs), normal::cdf(z[[first, 0]]));
            for (i, j) in systematic(&normalised(logs), u).into_iter().enumerate() {
                ancestors[first + i] = first + j;
            }
            logs.fill(0.0);
            x.integrals[LOG_EVIDENCE][first..first + k].iter_mut().for_each(|e| *e += mean);
            x.integrals[RESAMPLED][first..first + k].iter_mut().for_each(|n| *n += 1.0);
        }
        x.x = x.x.select(Axis(0), &ancestors);
        for kept in kept.iter_mut() {
            let pick = |c: &Vec<f64>| ancestors.iter().map(|i| c[*i]).collect();
            let integrals = kept.integrals.iter().map(pick).collect();
            *kept = Particles::new(kept.x.select(Axis(0), &ancestors), integrals)?;
        }
        Ok(x)
    }
}

/// The numbers of the normals of a time: of moves to it, and of resampling at it.
const MOVES: u64 = 0;
const RESAMPLING: u64 = 1;

impl Stepper<Particles, Motion<'_>> for Filter {
    fn step(
        &self,
        problem: &Motion<'_>,
        x: &Particles,
        t0: f64,
        t1: f64,
        past: &Past<Particles>,
        noise: &dyn Noise<Particles>,
    ) -> Result<Step<Particles>> {
        let moves = problem.moves;
        let mut kept: Kept = (0..past.len()).filter_map(|i| Some(past.get(i)?.1.clone())).collect();
        if past.is_empty() {
            kept = moves.arrive(&x.x, t0)?;
        }
        let mut x = self.resample(x, &mut kept, t0, noise)?;
        let z = noise.normals(&x, t1, MOVES)?.x;
        let Moved { x: next, log_factors, kept } = moves.advance(&x.x, &kept, (t0, t1), &z)?;
        x.x = next;
        x.integrals[LOG_WEIGHT].iter_mut().zip(&log_factors).for_each(|(w, f)| *w += f);
        self.measure(&mut x);
        let past = Past::new(kept.into_iter().map(|kept| (t1, kept)).collect());
        Ok(Step { x, error: None, past, nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
