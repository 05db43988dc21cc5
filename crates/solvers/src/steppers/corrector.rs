//! Langevin correctors, and the samplers made of them.

use sde_core::{Result, Semilinear, State};

use crate::{Noise, Past, Step, Stepper};

/// A Langevin step `x + e s(x, t) + sqrt(2 e) z` at one noise level, which pulls the law towards
/// `p_t` up to a bias that shrinks with `e` and not with the number of levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corrector {
    /// `e = 2 a (snr |z| / |s|)^2`, with norms that are means over particles in the published code, where a
    /// sample depends on its neighbours. Here `|z|^2` is its expectation `D`, and `|s|^2` is a mean of the row's
    /// own and of the expectation for data without width, `D / sigma^2`, which is the most it can be:
    ///
    /// `e = 2 a (snr sigma)^2 D / (w |sigma s|^2 + (1 - w) D)`, `w = D / (D + 2 / snr^2)`.
    ///
    /// For images that is the row's own norm, nearly the same in every row; in few dimensions, where the
    /// norm of one row says nothing of the others' (and `1 / |s|^2` has no mean), it is the annealed rule.
    ///
    /// A step that knows its row's `|s|` is longer where the score is small, and widens a Gaussian. With
    /// `w = 1` that would be by `(D + 2) / D`; as it is by `1 + 2 / (D + 2 / snr^2)` at most, less than the
    /// `1 + snr^2` that a step of this length costs by itself.
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
                let (sigma, eps) = (problem.marginal(t).sigma, problem.eps(x, t)?);
                let d = x.row_len() as f64;
                let own = d / (d + 2.0 / (snr * snr));
                // In units of the annealed rule's, which is fine at sigma = 0 too.
                let length = |square: f64| d / (own * square + (1.0 - own) * d);
                let lengths: Vec<f64> = eps.row_dot(&eps)?.into_iter().map(length).collect();
                let pull = -2.0 * a * snr * snr * sigma;
                let pulls: Vec<f64> = lengths.iter().map(|l| pull * l).collect();
                let spread = |l: &f64| 2.0 * snr * sigma * (a * l).sqrt();
                let spreads: Vec<f64> = lengths.iter().map(spread).collect();
                let (pull, noise) = (eps.scale_rows(&pulls)?, z.scale_rows(&spreads)?);
                S::lincomb(&[(1.0, x), (1.0, &pull), (1.0, &noise)])
            }
        }
    }
}

/// Predictor-corrector sampling: some corrector steps at `t0`, then the predictor's to `t1`. Noise of
/// the correctors is apart from the predictor's path, so with a last step without noise
/// ([`crate::NoiselessEnd`]) the sampler returns the predictor's mean, as published.
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
        let a = if self.corrections > 0 { squared_alpha(problem, x, t0, t1)? } else { 1.0 };
        let draw = |x: &S, i: u64| noise.normals(x, t0, i);
        let x = self.corrector.repeat(problem, x, (t0, a), self.corrections, &draw)?;
        let mut step = self.predictor.step(problem, &x, t0, t1, past, noise)?;
        step.nfe += self.corrections;
        Ok(step)
    }

    fn takes_noise(&self) -> bool {
        self.predictor.takes_noise()
    }
}

impl Corrector {
    /// So many steps at one time, with the normals that `draw` gives for the state and number of each: what every
    /// sampler with Langevin steps repeats.
    fn repeat<S: State, P: Semilinear<S> + ?Sized>(
        self,
        problem: &P,
        x: &S,
        (t, a): (f64, f64),
        steps: u64,
        draw: &dyn Fn(&S, u64) -> Result<S>,
    ) -> Result<S> {
        let mut x = x.clone();
        for i in 0..steps {
            let z = draw(&x, i)?;
            x = self.correct(problem, &x, t, a, &z)?;
        }
        Ok(x)
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
pub struct NoPredictor;

impl<S: State, P: ?Sized> Stepper<S, P> for NoPredictor {
    fn step(&self, _: &P, x: &S, _: f64, _: f64, _: &Past<S>, _: &dyn Noise<S>) -> Result<Step<S>> {
        Ok(Step { x: x.clone(), error: None, past: Past::default(), nfe: 0 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// Annealed Langevin dynamics: a step lowers the noise level from `t0` to `t1` and takes Langevin
/// steps there. With a last step without noise ([`crate::NoiselessEnd`]) the last Langevin step of all
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
        let draw = |x: &S, i: u64| {
            // The last one's noise belongs to the time of arrival, where it may be left out.
            noise.normals(x, if i + 1 == self.corrections { t1 } else { t0 }, i)
        };
        let x = self.corrector.repeat(problem, x, (t1, a), self.corrections, &draw)?;
        Ok(Step { x, error: None, past: Past::default(), nfe: self.corrections })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
