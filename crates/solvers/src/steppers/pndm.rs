//! Adams-Bashforth with fixed coefficients under the DDIM transfer: iPNDM and PNDM.

use sde_core::{Result, Semilinear, State};

use super::exponential::Leap;
use super::ratio::{ratio, transfer};
use super::{limit, predicted_data};
use crate::{Noise, Past, Step, Stepper};

/// The Adams-Bashforth methods of orders 1 to 4 on equal steps, newest value first.
const ADAMS: [&[f64]; 4] = [
    &[1.0],
    &[3.0 / 2.0, -1.0 / 2.0],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// DDIM from `t0` to `t1` with the Adams-Bashforth extrapolation of the predicted noise, and the
/// history for the next step. Where `alpha` is too small for the predicted noise the step is DDIM's on
/// the predicted data, and the history has the noise that belongs to these.
fn adams<S: State, P: Semilinear<S> + ?Sized>(
    problem: &P,
    x: &S,
    (t0, t1): (f64, f64),
    past: &Past<S>,
    order: usize,
) -> Result<Step<S>> {
    let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
    let before = (0..order.clamp(1, 4) - 1).filter_map(|i| past.get(i));
    let keep = |known: &[(f64, &S)]| {
        let newest = known.iter().take(order.clamp(1, 4) - 1);
        Past::new(newest.map(|(t, e)| (*t, (*e).clone())).collect())
    };
    let (x1, past) = if limit::lost(x.resolution(), m0, m1) {
        let d = predicted_data::data(problem, x, t0, m1)?;
        let leap = Leap::new(m0, m1, 0.0);
        let x1 = S::lincomb(&[(leap.decay, x), (leap.gain, &d)])?;
        if m0.sigma == 0.0 {
            (x1, Past::default())
        } else {
            let eps = S::lincomb(&[(1.0 / m0.sigma, x), (-m0.alpha / m0.sigma, &d)])?;
            let known: Vec<(f64, &S)> = std::iter::once((t0, &eps)).chain(before).collect();
            (x1, keep(&known))
        }
    } else {
        let eps = problem.eps(x, t0)?;
        let known: Vec<(f64, &S)> = std::iter::once((t0, &eps)).chain(before).collect();
        let step = ratio(m1) - ratio(m0);
        let weights = ADAMS[known.len() - 1].iter().zip(&known);
        let x1 = transfer(x, m0, m1, weights.map(|(b, (_, eps))| (b * step, *eps)))?;
        (x1, keep(&known))
    };
    Ok(Step { x: x1, error: None, past, nfe: 1 })
}

/// iPNDM: the DDIM step
///
/// `x1 = alpha1 (x0 / alpha0 + (rho1 - rho0) eps')`, `rho = sigma / alpha`,
///
/// (on the predicted data where `alpha` is too small for the predicted noise)
/// with `eps' = (55 eps_0 - 59 eps_{-1} + 37 eps_{-2} - 9 eps_{-3}) / 24` at order 4, the lower
/// Adams-Bashforth formulas while the history is shorter or by choice. Beyond steps of equal length
/// in `rho` its order is at most 2, whatever the formula's: the transfer weighs the step with
/// `rho`, the formula with its index.
///
/// # Reference
/// Zhang, Chen 2022, arXiv 2204.13902, appendix H.2 (improved PNDM).
#[derive(Clone, Copy, Debug)]
pub struct Ipndm {
    /// The order of the formula, 1 to 4; others are taken for the nearest.
    pub order: usize,
}

impl Default for Ipndm {
    fn default() -> Self {
        Self { order: 4 }
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Ipndm {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        _: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        adams(problem, x, (t0, t1), past, self.order)
    }
}

/// PNDM: three steps of the pseudo Runge-Kutta method, then the pseudo linear multistep method of
/// four values, which is [`Ipndm`].
///
/// The first is the classical method of four stages with every increment `h k` replaced by the DDIM
/// transfer with `k`; the middle stages lie halfway in time.
///
/// # Reference
/// Liu, Ren, Lin, Zhao 2022, arXiv 2202.09778, equations 11 to 13 and algorithm 2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pndm;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Pndm {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        _: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let lost = limit::lost(x.resolution(), problem.marginal(t0), problem.marginal(t1));
        if lost || past.len() >= 3 {
            return adams(problem, x, (t0, t1), past, 4);
        }
        let half = 0.5 * (t0 + t1);
        let m = [t0, half, t1].map(|t| problem.marginal(t));
        let [to_half, to_end] = [m[1], m[2]].map(|m1| ratio(m1) - ratio(m[0]));
        let e1 = problem.eps(x, t0)?;
        let e2 = problem.eps(&transfer(x, m[0], m[1], [(to_half, &e1)])?, half)?;
        let e3 = problem.eps(&transfer(x, m[0], m[1], [(to_half, &e2)])?, half)?;
        let e4 = problem.eps(&transfer(x, m[0], m[2], [(to_end, &e3)])?, t1)?;
        let weights = [(1.0, &e1), (2.0, &e2), (2.0, &e3), (1.0, &e4)];
        let x1 = transfer(x, m[0], m[2], weights.map(|(w, e)| (w * to_end / 6.0, e)))?;
        let before = (0..past.len()).filter_map(|i| past.get(i)).map(|(t, e)| (t, e.clone()));
        let keep = std::iter::once((t0, e1)).chain(before).collect();
        Ok(Step { x: x1, error: None, past: Past::new(keep), nfe: 4 })
    }
}
