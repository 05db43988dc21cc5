//! Langevin correctors, and the samplers made of them.

use sde_core::{Result, Semilinear, State};

use super::discrete::score;
use crate::{Noise, Past, Step, Stepper};

/// A Langevin step `x + e s(x, t) + sqrt(2 e) z` at one noise level, which pulls the law towards
/// `p_t` up to a bias that shrinks with `e` and not with the number of levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corrector {
    /// `e = 2 a (snr |z| / |s|)^2`, with the norms of each row alone: the published code averages
    /// them over the batch, and a sample then depends on its neighbours. A row whose score vanishes
    /// stays where it is.
    ///
    /// A step that knows its row's `|s|` and `|z|` is longer where the score is small and where the
    /// noise is large. In `D` dimensions either makes a Gaussian wider by `(D + 2) / D`: nothing for
    /// images, a lot in the plane. There use the annealed rule, which has no such bias.
    Langevin {
        /// The signal-to-noise ratio of a step; 0.16 in the paper.
        snr: f64,
    },
    /// `e = 2 a (snr sigma(t))^2`: annealed Langevin dynamics.
    Annealed {
        /// The signal-to-noise ratio of a step; 0.16 in the paper.
        snr: f64,
    },
}

impl Corrector {
    /// One step at time `t` with the normals `z`, and `a` the factor of the process: `alpha^2` of its
    /// discrete step (`1 - b` for VP, 1 for VE).
    ///
    /// # Errors
    /// Whatever the problem fails with.
    ///
    /// # Reference
    /// Song et al. 2021, arXiv 2011.13456, algorithms 4 and 5.
    pub fn correct<S: State, P: Semilinear<S> + ?Sized>(
        self,
        problem: &P,
        x: &S,
        t: f64,
        a: f64,
        z: &S,
    ) -> Result<S> {
        match self {
            Self::Annealed { snr } => {
                // e s = -2 a snr^2 sigma eps: fine at sigma = 0 too, where nothing moves.
                let (sigma, eps) = (problem.marginal(t).sigma, problem.eps(x, t)?);
                let e = 2.0 * a * (snr * sigma).powi(2);
                let pull = -2.0 * a * snr * snr * sigma;
                S::lincomb(&[(1.0, x), (pull, &eps), ((2.0 * e).sqrt(), z)])
            }
            Self::Langevin { snr } => {
                let s = score(problem, x, t)?;
                let size = |(z2, s2): (f64, f64)| {
                    if s2 == 0.0 { 0.0 } else { 2.0 * a * snr * snr * z2 / s2 }
                };
                let norms = z.row_dot(z)?.into_iter().zip(s.row_dot(&s)?);
                let e: Vec<f64> = norms.map(size).collect();
                let spread: Vec<f64> = e.iter().map(|e| (2.0 * e).sqrt()).collect();
                S::lincomb(&[(1.0, x), (1.0, &s.scale_rows(&e)?), (1.0, &z.scale_rows(&spread)?)])
            }
        }
    }
}

/// Predictor-corrector sampling: some corrector steps at `t0`, then the predictor's to `t1`. Noise of
/// the correctors is apart from the predictor's path, so with a last step without noise
/// ([`crate::QuietEnd`]) the sampler returns the predictor's mean, as published.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, algorithm 1.
#[derive(Clone, Copy, Debug)]
pub struct PredictorCorrector<T> {
    /// Takes the steps in time.
    pub predictor: T,
    /// Takes the steps at a noise level.
    pub corrector: Corrector,
    /// Corrector steps at each level; 1 in the paper.
    pub corrections: u64,
}

impl<T> PredictorCorrector<T> {
    /// One Langevin correction a level, with a signal-to-noise ratio of 0.16.
    pub const fn langevin(predictor: T) -> Self {
        Self { predictor, corrector: Corrector::Langevin { snr: 0.16 }, corrections: 1 }
    }

    /// One annealed Langevin correction a level, with a signal-to-noise ratio of 0.16.
    pub const fn annealed(predictor: T) -> Self {
        Self { predictor, corrector: Corrector::Annealed { snr: 0.16 }, corrections: 1 }
    }
}

impl<S: State, P: Semilinear<S> + ?Sized, T: Stepper<S, P>> Stepper<S, P>
    for PredictorCorrector<T>
{
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let mut x = x.clone();
        for i in 0..self.corrections {
            let z = noise.normals(&x, t0, i)?;
            let a = squared_alpha(problem, &x, t0, t1)?;
            x = self.corrector.correct(problem, &x, t0, a, &z)?;
        }
        let mut step = self.predictor.step(problem, &x, t0, t1, past, noise)?;
        step.nfe += self.corrections;
        Ok(step)
    }

    fn takes_noise(&self) -> bool {
        self.predictor.takes_noise()
    }
}

/// `alpha^2` of the discrete step. A time that the problem refuses is its error to report.
fn squared_alpha<S: State, P: Semilinear<S> + ?Sized>(
    problem: &P,
    x: &S,
    t0: f64,
    t1: f64,
) -> Result<f64> {
    match problem.discretise(t0, t1) {
        Ok(forward) => Ok(forward.alpha * forward.alpha),
        Err(error) => problem.eps(x, t0).and(Err(error)),
    }
}

/// No predictor: the state stays and the noise level falls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stay;

impl<S: State, P: ?Sized> Stepper<S, P> for Stay {
    fn step(&self, _: &P, x: &S, _: f64, _: f64, _: &Past<S>, _: &dyn Noise<S>) -> Result<Step<S>> {
        Ok(Step { x: x.clone(), error: None, past: Past::default(), nfe: 0 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// Annealed Langevin dynamics: a step lowers the noise level from `t0` to `t1` and takes Langevin
/// steps there. With a last step without noise ([`crate::QuietEnd`]) the last Langevin step of all
/// has none.
///
/// # Reference
/// Song, Ermon 2019, arXiv 1907.05600, algorithm 1; the step sizes of Song et al. 2021,
/// arXiv 2011.13456, algorithm 4.
#[derive(Clone, Copy, Debug)]
pub struct AnnealedLangevin {
    /// The rule of the steps.
    pub corrector: Corrector,
    /// Langevin steps at each level.
    pub corrections: u64,
}

impl Default for AnnealedLangevin {
    fn default() -> Self {
        Self { corrector: Corrector::Annealed { snr: 0.16 }, corrections: 5 }
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for AnnealedLangevin {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let a = squared_alpha(problem, x, t0, t1)?;
        let mut x = x.clone();
        for i in 0..self.corrections {
            // The last one's noise belongs to the time of arrival, where it may be left out.
            let at = if i + 1 == self.corrections { t1 } else { t0 };
            let z = noise.normals(&x, at, i)?;
            x = self.corrector.correct(problem, &x, t1, a, &z)?;
        }
        Ok(Step { x, error: None, past: Past::default(), nfe: self.corrections })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
