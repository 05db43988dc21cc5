//! DPM-Solver++ for SDEs: one single-step and two multistep methods.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::exponential::{Leap, half_log_snr, unit, with_noise};
use super::limit;
use super::predicted_data::data;
use crate::{Noise, Past, Step, Stepper};

/// DPM-Solver++ (SDE): a stage at the middle of the step in `lambda`, with its own noise, then the
/// whole step with the data predicted there (`r = 1/2`):
///
/// `x_s = ` the exponential Euler-Maruyama step to `s`, `x1 = decay x0 + gain D(x_s, s) + noise z`.
///
/// The noise of the stage is that of the first half of the path. At `eta = 0` it is
/// DPM-Solver++(2S), at `eta = 1` the published method; between and beyond, the noise is that of
/// the dynamics instead of the authors' ancestral rule. A step to `sigma = 0` has order 1; so has one
/// from `alpha = 0` with noise, and without it is the midpoint rule, as from `sigma = 0`.
///
/// # Reference
/// Crowson 2022, k-diffusion, `sample_dpmpp_sde`, after Lu et al. 2022, arXiv 2211.01095.
#[derive(Clone, Copy, Debug, Default)]
pub struct DpmSolverPPSde;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmSolverPPSde {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1, eta) = (problem.marginal(t0), problem.marginal(t1), problem.eta());
        let whole = Leap::new(m0, m1, eta);
        if whole.at_limit() {
            return limit::step(problem, x, (t0, t1), noise);
        }
        let d = data(problem, x, t0, m1)?;
        let s = problem.time_of_half_log_snr(half_log_snr(m0) + 0.5 * whole.h)?;
        let half = Leap::new(m0, problem.marginal(s), eta);
        let first = half.draw(|| noise.increment(x, t0, s))?;
        let terms = [(half.decay, x), (half.gain, &d)];
        let y = with_noise(&terms, half.noise / (s - t0).abs().sqrt(), first.as_ref())?;
        let d = data(problem, &y, s, m1)?;
        let w = match &first {
            None => None,
            Some(first) => {
                let second = noise.increment(x, s, t1)?;
                Some(S::lincomb(&[(1.0, first), (1.0, &second)])?)
            }
        };
        let terms = [(whole.decay, x), (whole.gain, &d)];
        let x = with_noise(&terms, whole.noise / (t1 - t0).abs().sqrt(), w.as_ref())?;
        Ok(Step { x, error: None, past: Past::default(), nfe: 2 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// How the two-step method uses the difference of its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correction {
    /// `1/2 (1 - e^{-w})`: the data at the middle of the step, held.
    #[default]
    Midpoint,
    /// `1 - (1 - e^{-w}) / w`: the data's line, integrated exactly.
    Heun,
}

/// DPM-Solver++(2M) SDE: two predicted data, `w = (1 + eta^2) h`,
/// `r = (lambda0 - lambda_{-1}) / h`:
///
/// `x1 = decay x0 + alpha1 (1 - e^{-w}) D_0 + alpha1 c (D_0 - D_{-1}) / r + noise z`
///
/// with `c` of the [`Correction`]. At `eta = 0` the midpoint form is DPM-Solver++(2M). The first
/// step, and one to or from `sigma = 0` or `alpha = 0`, have order 1.
///
/// # Reference
/// Crowson 2022, k-diffusion, `sample_dpmpp_2m_sde`, after Lu et al. 2022, arXiv 2211.01095,
/// equation 19.
#[derive(Clone, Copy, Debug, Default)]
pub struct DpmSolverPP2MSde {
    /// What the difference weighs.
    pub correction: Correction,
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmSolverPP2MSde {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        let leap = Leap::new(m0, m1, problem.eta());
        if leap.at_limit() {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let d = data(problem, x, t0, m1)?;
        let z = leap.draw(|| unit(noise, x, t0, t1))?;
        let mut terms = vec![(leap.decay, x), (leap.gain, &d)];
        if let Some((t, before)) = past.get(0) {
            let r = (half_log_snr(m0) - half_log_snr(problem.marginal(t))) / leap.h;
            let c = match self.correction {
                Correction::Midpoint => 0.5 * leap.gain,
                Correction::Heun => leap.moment(2),
            };
            terms.extend([(c / r, &d), (-c / r, before)]);
        }
        let x = with_noise(&terms, leap.noise, z.as_ref())?;
        Ok(Step { x, error: None, past: Past::new(vec![(t0, d)]), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// DPM-Solver++(3M) SDE: three predicted data, with `d_i` their divided differences in units of the
/// step, `r_0 = (lambda0 - lambda_{-1}) / h`, `r_1 = (lambda_{-1} - lambda_{-2}) / h`:
///
/// `x1 = decay x0 + alpha1 w (phi_1 D_0 + phi_2 d1 + phi_3 d2) + noise z` at `-w`,
/// `d1 = d_0 + (d_0 - d_1) r_0 / (r_0 + r_1)`, `d2 = (d_0 - d_1) / (r_0 + r_1)`.
///
/// As published, the last term has half the weight that a parabola through the data would give it:
/// the order is 2, with a small constant ([`super::SaSolver`] has the parabola's). The first step
/// has order 1, the second is the two-step method's ([`Correction::Heun`]), one to or from `sigma = 0`
/// or `alpha = 0` has order 1.
///
/// # Reference
/// Crowson 2022, k-diffusion, `sample_dpmpp_3m_sde`, after Lu et al. 2022, arXiv 2211.01095.
#[derive(Clone, Copy, Debug, Default)]
pub struct DpmSolverPP3MSde;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmSolverPP3MSde {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        let leap = Leap::new(m0, m1, problem.eta());
        if leap.at_limit() {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let d = data(problem, x, t0, m1)?;
        let z = leap.draw(|| unit(noise, x, t0, t1))?;
        let lambda = |t: f64| half_log_snr(problem.marginal(t));
        let mut terms = vec![(leap.decay, x), (leap.gain, &d)];
        if let Some((ta, a)) = past.get(0) {
            let r0 = (half_log_snr(m0) - lambda(ta)) / leap.h;
            // Weights of the divided differences d_0 and d_1.
            let mut w0 = leap.moment(2);
            if let Some((tb, b)) = past.get(1) {
                let r1 = (lambda(ta) - lambda(tb)) / leap.h;
                let bend = (leap.moment(2) * r0 + leap.moment(3)) / (r0 + r1);
                w0 += bend;
                let w1 = -bend / r1;
                terms.extend([(w1, a), (-w1, b)]);
            }
            terms.extend([(w0 / r0, &d), (-w0 / r0, a)]);
        }
        let x = with_noise(&terms, leap.noise, z.as_ref())?;
        let mut entries = vec![(t0, d)];
        entries.extend(past.get(0).map(|(t, d)| (t, d.clone())));
        Ok(Step { x, error: None, past: Past::new(entries), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
