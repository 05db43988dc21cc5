//! The methods, what each costs, and how samples are drawn by it.

use std::sync::atomic::{AtomicU64, Ordering};

use ::control::steppers::{Ddnm, Ddrm, DpsStep, Replacement, TimeTravel};
use ::control::{Covariance, Proposal, ReconstructionGuidance, TwistedSmc};
use ::solvers::steppers::ExponentialEulerMaruyama;
use ::solvers::{CustomStepper, Method as Solver, Sampler, Scheme, SolveError};
use anyhow::Result;
use ndarray::Array2;
use sde_core::analytic::AnalyticScore;
use sde_core::{Key, Pullback, Score, ScoreVjp, Sde, TimeGrid};
use serde::{Deserialize, Serialize};

use super::problem::{DIM, Setup};

/// The methods of [`::control`] for linear measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Method {
    Replacement,
    Repaint,
    Ddrm,
    Ddnm,
    DpsStep,
    Dps,
    Pigdm,
    PigdmVariance,
    RowSums,
    Diagonal,
    Tmpd,
    SmcFree,
    SmcPigdm,
    SmcTmpd,
}

/// How often a method goes over its steps where it does more than once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Repaint {
    pub(super) jump: usize,
    pub(super) passes: usize,
}

impl Method {
    pub(super) const ALL: [Self; 14] = [
        Self::Replacement,
        Self::Repaint,
        Self::Ddrm,
        Self::Ddnm,
        Self::DpsStep,
        Self::Dps,
        Self::Pigdm,
        Self::PigdmVariance,
        Self::RowSums,
        Self::Diagonal,
        Self::Tmpd,
        Self::SmcFree,
        Self::SmcPigdm,
        Self::SmcTmpd,
    ];

    /// Those that correct themselves by weights.
    pub(super) const PARTICLES: [Self; 3] = [Self::SmcFree, Self::SmcPigdm, Self::SmcTmpd];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Replacement => "replacement",
            Self::Repaint => "RePaint",
            Self::Ddrm => "DDRM",
            Self::Ddnm => "DDNM+",
            Self::DpsStep => "DPS (step)",
            Self::Dps => "DPS (likelihood)",
            Self::Pigdm => "\u{3a0}GDM",
            Self::PigdmVariance => "\u{3a0}GDM (variance)",
            Self::RowSums => "row sums",
            Self::Diagonal => "diagonal",
            Self::Tmpd => "TMPD",
            Self::SmcFree => "SMC (no gradient)",
            Self::SmcPigdm => "SMC (\u{3a0}GDM)",
            Self::SmcTmpd => "SMC (TMPD)",
        }
    }

    /// In file names.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Replacement => "replacement",
            Self::Repaint => "repaint",
            Self::Ddrm => "ddrm",
            Self::Ddnm => "ddnm",
            Self::DpsStep => "dps-step",
            Self::Dps => "dps",
            Self::Pigdm => "pigdm",
            Self::PigdmVariance => "pigdm-variance",
            Self::RowSums => "row-sums",
            Self::Diagonal => "diagonal",
            Self::Tmpd => "tmpd",
            Self::SmcFree => "smc-free",
            Self::SmcPigdm => "smc-pigdm",
            Self::SmcTmpd => "smc-tmpd",
        }
    }

    /// Scores and vector-Jacobian products of a step, where so many numbers are seen.
    pub(super) fn per_step(self, seen: usize, repaint: Repaint) -> usize {
        match self {
            Self::Replacement | Self::Ddrm | Self::Ddnm | Self::SmcFree => 1,
            Self::Repaint => repaint.passes,
            Self::Dps | Self::Pigdm | Self::PigdmVariance | Self::SmcPigdm => 2,
            // The score is evaluated by the step and by the gradient; the diagonal and the row sums need products of
            // their own beside the gradient's.
            Self::DpsStep | Self::RowSums => 3,
            Self::Diagonal => seen + 2,
            Self::Tmpd | Self::SmcTmpd => seen + 1,
        }
    }

    /// The covariance of the data given the state, of guidance by a Gaussian likelihood.
    pub(super) fn covariance(self, setup: &Setup) -> Option<Covariance> {
        let isotropic = |data_variance| Covariance::Isotropic { data_variance };
        Some(match self {
            Self::Dps => Covariance::Zero,
            Self::Pigdm | Self::SmcPigdm => isotropic(1.0),
            Self::PigdmVariance => isotropic(setup.data_variance),
            Self::RowSums => Covariance::RowSum,
            Self::Diagonal => Covariance::Diagonal,
            Self::Tmpd | Self::SmcTmpd => Covariance::Full,
            _ => return None,
        })
    }
}

/// A score that counts the rows it is asked for.
pub(super) struct Counted<'a> {
    inner: AnalyticScore<'a>,
    scores: AtomicU64,
    products: AtomicU64,
}

impl<'a> Counted<'a> {
    pub(super) fn new(inner: AnalyticScore<'a>) -> Self {
        Self { inner, scores: AtomicU64::new(0), products: AtomicU64::new(0) }
    }

    /// Scores and vector-Jacobian products so far.
    pub(super) fn counts(&self) -> [u64; 2] {
        [&self.scores, &self.products].map(|n| n.load(Ordering::Relaxed))
    }

    fn count(&self, rows: usize) {
        self.scores.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Score<Array2<f64>> for Counted<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
        self.count(x.nrows());
        self.inner.score(x, t)
    }

    fn denoised(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Option<Array2<f64>>> {
        self.count(x.nrows());
        self.inner.denoised(x, t)
    }
}

impl ScoreVjp<Array2<f64>> for Counted<'_> {
    fn score_vjp(
        &self,
        x: &Array2<f64>,
        t: f64,
    ) -> sde_core::Result<(Array2<f64>, Pullback<'_, Array2<f64>>)> {
        self.count(x.nrows());
        let (s, pull) = self.inner.score_vjp(x, t)?;
        let counted = move |v: &Array2<f64>| {
            self.products.fetch_add(v.nrows() as u64, Ordering::Relaxed);
            pull(v)
        };
        Ok((s, Box::new(counted)))
    }
}

/// Values beyond which a sample is lost.
const FAR: f64 = 1e6;

/// How samples are drawn.
pub(super) struct Draw<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) setup: &'a Setup,
    pub(super) score: &'a Counted<'a>,
    pub(super) grid: TimeGrid,
    pub(super) steps: usize,
    pub(super) n: usize,
    pub(super) repaint: Repaint,
    pub(super) zeta: f64,
}

impl Draw<'_> {
    /// `n` samples of a method, of particles those of one system; nothing where they left the numbers.
    pub(super) fn samples(&self, method: Method, key: Key) -> Result<Option<Array2<f64>>> {
        let (sde, score, seen) = (self.sde, self.score, || self.setup.seen.clone());
        let solver = Solver::ExponentialEulerMaruyama;
        if Method::PARTICLES.contains(&method) {
            return self.particles(method, key);
        }
        if let Some(covariance) = method.covariance(self.setup) {
            let guided = ReconstructionGuidance::new(sde, score, seen(), covariance);
            return self.by(solver, &guided, 1.0, key);
        }
        let Repaint { jump, passes } = self.repaint;
        match method {
            Method::Repaint => {
                let scheme = TimeTravel::repaint(solver, seen(), jump, passes)?;
                self.by(scheme, score, 1.0, key)
            }
            // These two draw their noise themselves.
            Method::Ddrm => self.by(CustomStepper(Ddrm::new(seen())), score, 0.0, key),
            Method::Ddnm => self.by(CustomStepper(Ddnm::new(seen())), score, 0.0, key),
            Method::DpsStep => {
                let step = DpsStep::new(ExponentialEulerMaruyama, sde, score, seen(), self.zeta);
                self.by(CustomStepper(step), score, 1.0, key)
            }
            _ => self.by(Replacement::new(solver, seen()), score, 1.0, key),
        }
    }

    fn by<M: Scheme<Array2<f64>>>(
        &self,
        scheme: M,
        score: &dyn Score<Array2<f64>>,
        eta: f64,
        key: Key,
    ) -> Result<Option<Array2<f64>>> {
        let plan = Sampler::builder(scheme, eta, self.steps).grid(self.grid).stop(0.0);
        let like = Array2::zeros((1, DIM));
        kept(plan.draw(self.sde, score, self.n as u64, &like, key))
    }

    fn particles(&self, method: Method, key: Key) -> Result<Option<Array2<f64>>> {
        let times = self.grid.times(self.sde, self.steps, self.sde.horizon(), 0.0)?;
        let smc = TwistedSmc::new(self.n, times)?;
        let run = |proposal: Proposal<'_>| smc.run(self.sde, proposal, 1, DIM, key.fold(0));
        let found = proposed(method, self.sde, self.setup, self.score, &run);
        kept(found.map(|systems| systems[0].equal(key.fold(1))))
    }
}

/// What is made of the proposal of a method of particles.
pub(super) fn proposed<T>(
    method: Method,
    sde: &dyn Sde,
    setup: &Setup,
    score: &Counted<'_>,
    run: &dyn Fn(Proposal<'_>) -> T,
) -> T {
    let measurement = &setup.seen;
    match method.covariance(setup) {
        None => run(Proposal::Observation { score, measurement }),
        Some(covariance) => {
            let twist = ReconstructionGuidance::new(sde, score, measurement.clone(), covariance);
            run(Proposal::Gradient(&twist))
        }
    }
}

/// Samples that are numbers of the size of data; nothing where a row has left them.
fn kept(found: Result<Array2<f64>, SolveError>) -> Result<Option<Array2<f64>>> {
    match found {
        Ok(x) => Ok(x.iter().all(|v| v.abs() < FAR).then_some(x)),
        Err(error) if error.of_a_row() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::ByName as _;
    use crate::studies::control::problem::Problem;
    use sde_core::Vp;

    /// What a step is said to cost is what is counted, up to the ends.
    #[test]
    fn costs_are_those_counted() {
        let (vp, steps, n) = (Vp::default(), 20, 6);
        let problem = Problem::by_name("modes-2").expect("a problem");
        let setup = problem.set_up(Key::root(1)).expect("a problem");
        let repaint = Repaint { jump: 5, passes: 3 };
        for method in Method::ALL {
            let score = Counted::new(setup.prior.under(&vp));
            let (grid, zeta) = (TimeGrid::Quadratic, 1.0);
            let draw =
                Draw { sde: &vp, setup: &setup, score: &score, grid, steps, n, repaint, zeta };
            draw.samples(method, Key::root(2)).expect("samples");
            let counted = score.counts().iter().sum::<u64>() as f64 / n as f64;
            let said = (method.per_step(2, repaint) * steps) as f64;
            let name = method.name();
            // Likelihoods without a width may lose their samples on the way.
            let least = if method == Method::Dps { 0.0 } else { 0.9 * said };
            let most = said + 2.0 * method.per_step(2, repaint) as f64;
            assert!((least..=most).contains(&counted), "{name}: {counted} of {said}");
        }
    }
}
