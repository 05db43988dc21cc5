//! Twisted sequential Monte Carlo: conditional samples that become exact with the number of particles.

mod filter;
mod gradient;
mod moves;
mod observation;
mod resampling;

use std::ops::ControlFlow;

use ndarray::{Array1, Array2, s};
use sde_core::counts::{in_memory, in_time};
use sde_core::sde::check_time;
use sde_core::{Error, Key, Score, Sde, State};
use solvers::{
    Event, Grid, IndependentIncrements, Result, Rows, Solution, SolveError, solve, solve_blocks,
};

use crate::{Measurement, Twist};
use filter::{EFFECTIVE, Filter, LOG_EVIDENCE, LOG_WEIGHT, Motion, RESAMPLED};
use gradient::Gradient;
use moves::{Move, Particles};
use observation::Observation;
use resampling::{log_mean_exp, normalised};

pub use resampling::systematic;

/// How particles are moved.
#[derive(Clone, Copy)]
pub enum Proposal<'a> {
    /// Twisted diffusion sampling: the twist is an approximation `p~(y | x_t)`, and a step is drawn from
    /// `N(m + c^2 grad log p~, c^2 I)`, where `N(m, c^2 I)` is that of the model.
    ///
    /// # Reference
    /// Wu et al. 2023, arXiv 2306.17775, algorithm 1.
    Gradient(&'a dyn Twist<Array2<f64>>),
    /// Without gradients: the twist is the noised measurement, `N(ybar; V^T x / alpha, s^2/d^2 + sigma^2/alpha^2)` along the
    /// singular vectors of `A`, and a step is drawn from its product with that of the model.
    ///
    /// # Reference
    /// Cardoso et al. 2023, arXiv 2308.07983 (MCGDiff), section 3; Dou, Song 2024, "Diffusion posterior sampling for linear
    /// inverse problem solving: a filtering perspective".
    Observation {
        /// The model.
        score: &'a dyn Score<Array2<f64>>,
        /// The measurement.
        measurement: &'a Measurement,
    },
}

/// Sequential Monte Carlo with twisted targets: `K` particles are taken down in time by a proposal `q`, and weighted by
///
/// `w = p(x' | x) p~(y | x') / (p~(y | x) q(x' | x))`,
///
/// so that, whatever the twist `p~`, they are a weighted sample of `p(x_0 | y)` of the model's own chain, `p(x' | x)` the step
/// of the reverse process given the denoised data. Where the effective sample size falls below a share of `K` they are
/// resampled. The error falls as `K^{-1/2}`; what is left is that of the steps in time.
///
/// At the last time the twist is taken for the likelihood: end at `t = 0`, where it is exact, if the measurement has noise.
///
/// Systems of particles are independent of each other, and a function of the key and their number: neither the others, nor
/// blocks or threads change them. Particle `k` of system `i` is number `i K + k` to a model with rows of its own
/// ([`sde_core::Score::for_rows`]), so a [`Measurement`] a system is one with `particles_each(K)`.
///
/// # Reference
/// Wu, Trippe, Naesseth, Blei, Cunningham 2023, arXiv 2306.17775, algorithm 1.
///
/// ```
/// use control::{Groups, Measurement, Proposal, ReconstructionGuidance, TwistedSmc};
/// use ndarray::array;
/// use sde_core::{Key, TimeGrid, Vp, analytic::DataSet};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.1)?;
/// let twist = ReconstructionGuidance::tmpd(&vp, &score, seen);
/// let smc = TwistedSmc::new(100, TimeGrid::Quadratic.times(&vp, 50, 1.0, 0.0)?)?;
/// // Two independent systems for the same measurement.
/// let found = smc.run(&vp, Proposal::Gradient(&twist), 2, 2, Key::root(1))?;
/// assert_eq!((found.len(), found[0].particles.dim()), (2, (100, 2)));
/// // The law is a mixture of two: the second coordinate is near 1.3 or -1.3.
/// assert!((found[0].mean()[0] - 1.3).abs() < 0.1);
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TwistedSmc {
    particles: usize,
    times: Vec<f64>,
    threshold: f64,
}

/// Weighted particles of one system.
#[derive(Clone, Debug)]
pub struct ParticleSystem {
    /// `[K, D]`.
    pub particles: Array2<f64>,
    /// `[K]`, adding to one.
    pub weights: Vec<f64>,
    /// The estimate of `log p(y)`; that of `p(y)` has no bias but that of the steps.
    pub log_evidence: f64,
    /// The effective sample size at every time, before resampling.
    pub effective: Vec<f64>,
    /// How often it was resampled.
    pub resampled: usize,
}

impl ParticleSystem {
    /// The weighted mean `[D]`.
    pub fn mean(&self) -> Array1<f64> {
        Array1::from(self.weights.clone()).dot(&self.particles)
    }

    /// `K` particles of equal weight, by systematic resampling with number 0 of the key.
    pub fn equal(&self, key: Key) -> Array2<f64> {
        let mut u = [0.0];
        key.fill_uniforms(0, &mut u);
        self.particles.select(ndarray::Axis(0), &systematic(&self.weights, u[0]))
    }
}

/// Rows that are solved together.
const BLOCK: usize = 256;

impl TwistedSmc {
    /// So many particles a system, on steps between `times`, from the first down.
    ///
    /// # Errors
    /// [`SolveError::BadGrid`] unless the times go down; [`SolveError::Setup`] for no particles.
    pub fn new(particles: usize, times: Vec<f64>) -> Result<Self> {
        if particles == 0 {
            return refuse("particles", particles, "needs at least one");
        }
        Grid::new(times.clone())?;
        if times.len() > 1 && times[1] > times[0] {
            return refuse("times", times[1], "must go down");
        }
        Ok(Self { particles, times, threshold: 0.5 })
    }

    /// Resamples below this share of `K`; 0 never, and above 1 at every step. Else 1/2.
    #[must_use]
    pub fn threshold(mut self, share: f64) -> Self {
        self.threshold = share;
        self
    }

    /// Systems of particles of dimension `dim`: `n`, or a range of their numbers.
    ///
    /// # Errors
    /// [`SolveError::Setup`] for a time outside `[0, T]` or more particles than fit; as [`solve`].
    pub fn run(
        &self,
        sde: &dyn Sde,
        proposal: Proposal<'_>,
        systems: impl Into<Rows>,
        dim: usize,
        key: Key,
    ) -> Result<Vec<ParticleSystem>> {
        let (systems, k) = (systems.into(), self.particles as u64);
        let counts = [("systems", systems.len()), ("particles", k), ("dimensions", dim as u64)];
        in_memory(&counts, 8).map_err(Error::Excess)?;
        let steps = ("steps", self.times.len() as u64);
        in_time(&[counts[0], counts[1], steps]).map_err(Error::Excess)?;
        for t in &self.times {
            check_time(sde, *t)?;
        }
        let block = (BLOCK / self.particles).max(1) as u64;
        let solve_block = |first: u64, n: usize| self.block(sde, proposal, (first, n), dim, key);
        let mut all = vec![];
        let mut keep = |_: u64, found: Vec<ParticleSystem>| {
            all.extend(found);
            Ok::<(), SolveError>(())
        };
        solve_blocks(systems, block, &solve_block, &mut keep)?;
        Ok(all)
    }

    /// Some systems at a time.
    fn block(
        &self,
        sde: &dyn Sde,
        proposal: Proposal<'_>,
        (first, n): (u64, usize),
        dim: usize,
        key: Key,
    ) -> Result<Solution<Vec<ParticleSystem>>> {
        let (k, first_row) = (self.particles, first * self.particles as u64);
        let rows: Vec<u64> = (first_row..first_row + (n * k) as u64).collect();
        let moves: Box<dyn Move + '_> = match proposal {
            Proposal::Gradient(twist) => {
                Box::new(Gradient { sde, twist: twist.twist_for_rows(&rows)? })
            }
            Proposal::Observation { score, measurement } => Box::new(Observation {
                sde,
                score: score.for_rows(&rows)?,
                measurement: measurement.for_rows(&rows)?,
            }),
        };
        let filter = Filter { particles: k, threshold: self.threshold };
        let z = Array2::zeros((n * k, dim)).normals_like(key.fold(0), first_row)?;
        let (x, log_weights) = moves.start(&z, self.times[0])?;
        let start = filter.start(x, log_weights)?;
        let sizes = |x: &Particles| -> Vec<f64> {
            x.integrals[EFFECTIVE].iter().step_by(k).copied().collect()
        };
        let mut effective = vec![sizes(&start)];
        let mut observer = |event: Event<'_, Particles>| {
            effective.push(sizes(event.x));
            ControlFlow::Continue(())
        };
        let noise = IndependentIncrements::new(key.fold(1), first_row);
        let mut grid = Grid::new(self.times.clone())?;
        let problem = Motion { sde, moves: &*moves };
        let t = self.times[0];
        let done = solve(&filter, &problem, start, t, &mut grid, &noise, &mut observer)?;
        let system = |i: usize| {
            let rows = i * k..(i + 1) * k;
            let logs = &done.x.integrals[LOG_WEIGHT][rows.clone()];
            ParticleSystem {
                particles: done.x.x.slice(s![rows.clone(), ..]).to_owned(),
                weights: normalised(logs),
                log_evidence: done.x.integrals[LOG_EVIDENCE][rows.start] + log_mean_exp(logs),
                effective: effective.iter().map(|sizes| sizes[i]).collect(),
                resampled: done.x.integrals[RESAMPLED][rows.start] as usize,
            }
        };
        Ok(Solution { t: done.t, x: (0..n).map(system).collect(), stats: done.stats })
    }
}

fn refuse<T>(name: &str, value: impl std::fmt::Display, reason: &str) -> Result<T> {
    let (name, value, reason) = (name.into(), value.to_string(), reason.into());
    Err(SolveError::Setup(Error::Parameter { name, value, reason }))
}
