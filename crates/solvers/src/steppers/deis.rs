//! Multistep methods with exact coefficients: DEIS, and linear multistep in the noise level.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::limit;
use super::quadrature::integrate;
use super::ratio::{ratio, time_of_ratio, transfer};
use crate::{Noise, Past, Step, Stepper};

/// The variable in which the predicted noise is taken for a polynomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polynomial {
    /// Time: the tAB-DEIS of the paper.
    Time,
    /// The noise level `rho = sigma / alpha`: rhoAB-DEIS; with order 3 the linear multistep method
    /// (LMS) of order 4 of Katherine Crowson's `k-diffusion`.
    Ratio,
    /// Its logarithm: the DEIS of the library diffusers.
    LogRatio,
}

/// DEIS: the flow ODE in `rho = sigma / alpha`, with the predicted noise extrapolated by the
/// polynomial through its values at this and the last `order` steps,
///
/// `x1 = alpha1 (x0 / alpha0 + sum_j eps_j int_{rho0}^{rho1} L_j d rho)`,
///
/// `L_j` the Lagrange polynomials in time, in `rho` or in its logarithm. The integrals are exact to
/// rounding. Earlier steps than the history reaches use what there is, so the first step has order
/// 1; so has a step to `sigma = 0` when the variable is the logarithm. Order 0 is DDIM, on the predicted
/// data where `alpha` is too small for the predicted noise.
///
/// # Reference
/// Zhang, Chen 2022, arXiv 2204.13902, equations 14 and 15 (tAB) and proposition 3 (rhoAB); LMS:
/// Hairer, Norsett, Wanner 1993, section III.5 (variable steps).
#[derive(Clone, Copy, Debug)]
pub struct Deis {
    /// The variable of the polynomial.
    pub polynomial: Polynomial,
    /// Its degree; 0 to 3 in the paper.
    pub degree: usize,
    /// Steps that end here have order 1, as some implementations end.
    pub first_order_at: Option<f64>,
    /// Integrals in `rho` as left Riemann sums of so many cells instead of exactly: the authors'
    /// code takes 10000, which moves their samples by up to 3e-4. Only for [`Polynomial::Ratio`].
    pub left_sums: Option<u32>,
}

impl Deis {
    /// A polynomial of a degree in a variable, with nothing special at the end.
    pub const fn new(polynomial: Polynomial, degree: usize) -> Self {
        Self { polynomial, degree, first_order_at: None, left_sums: None }
    }

    /// The integrals of the Lagrange polynomials through the values at `times`, the first of which
    /// is the present.
    fn weights<S, P: Semilinear<S> + ?Sized>(
        &self,
        problem: &P,
        times: &[f64],
        t1: f64,
    ) -> Result<Vec<f64>> {
        let at = |t: f64| ratio(problem.marginal(t));
        let (a, b) = (at(times[0]), at(t1));
        if times.len() == 1 {
            return Ok(vec![b - a]);
        }
        let ratios = times.iter().map(|t| at(*t));
        match self.polynomial {
            Polynomial::Ratio => {
                let nodes: Vec<f64> = ratios.collect();
                if let Some(cells) = self.left_sums {
                    return Ok(left_sums(&nodes, a, (b - a) / f64::from(cells), cells));
                }
                integrate(&mut |rho| Ok(lagrange(&nodes, rho, 1.0)), a, b)
            }
            Polynomial::LogRatio => {
                let nodes: Vec<f64> = ratios.map(f64::ln).collect();
                integrate(&mut |l| Ok(lagrange(&nodes, l, l.exp())), a.ln(), b.ln())
            }
            // With rho = sinh u time is smooth in u, near rho = 0 and for large rho alike.
            Polynomial::Time => integrate(
                &mut |u| {
                    let t = time_of_ratio(problem, u.sinh())?;
                    Ok(lagrange(times, t, u.cosh()))
                },
                a.asinh(),
                b.asinh(),
            ),
        }
    }
}

/// Left Riemann sums of the Lagrange polynomials over `cells` cells of width `h` from `a`.
fn left_sums(nodes: &[f64], a: f64, h: f64, cells: u32) -> Vec<f64> {
    let mut sums = vec![0.0; nodes.len()];
    for i in 0..cells {
        let values = lagrange(nodes, a + f64::from(i) * h, h);
        sums.iter_mut().zip(values).for_each(|(s, v)| *s += v);
    }
    sums
}

/// The values at `x` of the Lagrange polynomials of `nodes`, times `factor`.
fn lagrange(nodes: &[f64], x: f64, factor: f64) -> Vec<f64> {
    let one = |j: usize| {
        let others = nodes.iter().enumerate().filter(|(k, _)| *k != j);
        others.fold(factor, |p, (_, n)| p * (x - n) / (nodes[j] - n))
    };
    (0..nodes.len()).map(one).collect()
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Deis {
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
        if limit::lost(x.resolution(), m0, m1) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let eps = problem.eps(x, t0)?;
        // sigma = 0 is infinitely far away in the logarithm.
        let near =
            |t: f64| self.polynomial != Polynomial::LogRatio || problem.marginal(t).sigma > 0.0;
        let before = (0..self.degree).filter_map(|i| past.get(i)).take_while(|(t, _)| near(*t));
        let known: Vec<(f64, &S)> = std::iter::once((t0, &eps)).chain(before).collect();
        let ends_low = self.polynomial == Polynomial::LogRatio && m1.sigma == 0.0;
        let low = ends_low || self.first_order_at == Some(t1);
        let used = if low { 1 } else { known.len() };
        let times: Vec<f64> = known[..used].iter().map(|(t, _)| *t).collect();
        let weights = self.weights(problem, &times, t1)?;
        let x1 = transfer(x, m0, m1, weights.into_iter().zip(&known).map(|(w, k)| (w, k.1)))?;
        let keep = known.iter().take(self.degree).map(|(t, e)| (*t, (*e).clone())).collect();
        Ok(Step { x: x1, error: None, past: Past::new(keep), nfe: 1 })
    }
}
