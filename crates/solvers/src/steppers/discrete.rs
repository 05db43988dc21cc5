//! Samplers of the reverse of a discrete-time process.

use sde_core::{Result, Semilinear, State};

use super::exponential::{unit, with_noise};
use crate::{Noise, Past, Step, Stepper};

/// The score `-eps / sigma`.
pub(super) fn score<S: State, P: Semilinear<S> + ?Sized>(problem: &P, x: &S, t: f64) -> Result<S> {
    let eps = problem.eps(x, t)?;
    S::lincomb(&[(-1.0 / problem.marginal(t).sigma, &eps)])
}

/// Reverse diffusion: the forward step `x_t = alpha x_s + G z` of
/// [`discretise`](Semilinear::discretise), reversed as the SDE is,
///
/// `x1 = x0 - (alpha - 1) x0 + (1 + eta^2)/2 G^2 s(x0, t0) + eta G z`.
///
/// `eta = 1` and 0 are the published sampler and its flow ODE. For sub-VP and OU, whose
/// discretisation is Euler's, it is Euler-Maruyama.
///
/// # Errors
/// [`sde_core::Error::Parameter`] for a step too long for the discretisation.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, appendix E, equation 46.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReverseDiffusion;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for ReverseDiffusion {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let eta = problem.eta();
        // First, for its error of a time outside the horizon.
        let s = score(problem, x, t0)?;
        let forward = problem.discretise(t0, t1)?;
        let gain = 0.5 * (1.0 + eta * eta) * forward.variance;
        let z = if eta == 0.0 { None } else { Some(unit(noise, x, t0, t1)?) };
        let terms = [(2.0 - forward.alpha, x), (gain, &s)];
        let x = with_noise(&terms, eta * forward.variance.sqrt(), z.as_ref())?;
        Ok(Step { x, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// Ancestral sampling: the forward step `x_t = alpha x_s + G z` of
/// [`discretise`](Semilinear::discretise), reversed by Bayes' rule,
///
/// `x1 = (x0 + (1 + eta^2)/2 G^2 s(x0, t0)) / alpha + eta v z`
///
/// with `v^2` its ancestral variance: `b` for VP, where `eta = 1` is DDPM, and
/// `sigma1^2 (sigma0^2 - sigma1^2) / sigma0^2` for VE. For the others, whose ancestral sampler was
/// never published, the form of VP with the Euler step. Other `eta` are the same interpolation of
/// drift and noise as everywhere.
///
/// # Errors
/// As [`ReverseDiffusion`].
///
/// # Reference
/// Ho et al. 2020, arXiv 2006.11239, algorithm 2; Song et al. 2021, arXiv 2011.13456, equations 4
/// and 47.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ancestral;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Ancestral {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let eta = problem.eta();
        let s = score(problem, x, t0)?;
        let forward = problem.discretise(t0, t1)?;
        let gain = 0.5 * (1.0 + eta * eta) * forward.variance;
        let z = if eta == 0.0 { None } else { Some(unit(noise, x, t0, t1)?) };
        let terms = [(1.0 / forward.alpha, x), (gain / forward.alpha, &s)];
        let x = with_noise(&terms, eta * forward.ancestral_variance.sqrt(), z.as_ref())?;
        Ok(Step { x, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
