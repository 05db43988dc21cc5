//! ER-SDE-Solvers: Taylor methods for extended reverse-time SDEs.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::exponential::{unit, with_noise};
use super::limit::lost;
use super::predicted_data::data;
use super::ratio::ratio;
use crate::{Noise, Past, Step, Stepper};

/// ER-SDE-Solver-1, -2 and -3, with `rho = sigma / alpha`, the noise scale `phi(rho)`,
/// `r = phi(rho1) / phi(rho0)` and `I_k` the integral of `(rho - rho0)^k / phi(rho)` from `rho1` to
/// `rho0`:
///
/// `x1 = alpha1/alpha0 r x0 + alpha1 [(1 - r) D_0 + (rho1 - rho0 + phi(rho1) I_0) D'
///      + ((rho1 - rho0)^2 / 2 + phi(rho1) I_1) D''] + alpha1 sqrt(rho1^2 - r^2 rho0^2) z`.
///
/// `D'` and `D''` are backward differences of the data as published: `D' = (D_0 - D_{-1}) / (rho0 -
/// rho_{-1})`, `D'' = 2 (D' - D'_{-1}) / (rho0 - rho_{-2})`. The first is exact in the middle of its
/// interval only, so ER-SDE-Solver-3 has order 2, with another constant. The first steps take the
/// terms there are; a step to or from `sigma = 0` gives `alpha1 D_0`, and one where `alpha` is too small
/// for the numbers the exponential Euler-Maruyama step.
///
/// # Reference
/// Cui et al. 2023, arXiv 2309.06169, algorithms 1 to 3; noise scales: table 1.
#[derive(Clone, Copy, Debug)]
pub struct ErSde {
    /// Terms of the Taylor series: 1 to 3.
    pub order: u8,
    /// The noise scale.
    pub scale: NoiseScale,
}

/// The noise scale `phi` of an extended reverse-time SDE: `phi'/phi = (1 + eta(rho)^2) / rho`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoiseScale {
    /// `rho^{1 + eta^2}`: the dynamics of the problem.
    #[default]
    Problem,
    /// `rho (e^{rho^0.3} + 10)`, the authors' choice (their SDE 5). The stochasticity of the problem
    /// plays no part: use it on the flow ODE.
    Published,
}

impl NoiseScale {
    /// `phi(rho1) / phi(rho0)`.
    fn ratio(self, eta: f64, rho0: f64, rho1: f64) -> f64 {
        match self {
            Self::Problem => (rho1 / rho0).powf(1.0 + eta * eta),
            Self::Published => published(rho1) / published(rho0),
        }
    }

    /// `1 - (r rho0 / rho1)^2`, the share of the noise at `rho1` that a step draws anew.
    fn variance(self, eta: f64, rho0: f64, rho1: f64) -> f64 {
        match self {
            Self::Problem => -(2.0 * eta * eta * (rho1 / rho0).ln()).exp_m1(),
            Self::Published => 1.0 - (self.ratio(eta, rho0, rho1) * rho0 / rho1).powi(2),
        }
    }

    /// `phi(rho1) I_k / rho0^{k+1}`: the integral of `(u - 1)^k phi(rho1) / phi(rho0 u)` over `u` from
    /// `q = rho1 / rho0` to 1, by Gauss-Legendre in `log u`, exact to rounding for steps of any use.
    fn integral(self, eta: f64, k: i32, rho0: f64, rho1: f64) -> f64 {
        let length = (rho0 / rho1).ln();
        // Pieces short enough for five nodes: their error is below e^-40 of the whole.
        let pieces = (length * 16.0 * (1.0 + eta * eta)).ceil().clamp(1.0, 4096.0);
        let width = length / pieces;
        let mut sum = 0.0;
        for i in 0..pieces as u32 {
            for (node, weight) in GAUSS {
                // y = log(rho / rho1)
                let y = (f64::from(i) + 0.5 + 0.5 * node) * width;
                let rho = rho1 * y.exp();
                let share = self.ratio(eta, rho, rho1) * rho / rho0;
                sum += 0.5 * width * weight * share * (rho / rho0 - 1.0).powi(k);
            }
        }
        sum
    }
}

fn published(rho: f64) -> f64 {
    rho * (rho.powf(0.3).exp() + 10.0)
}

/// Nodes and weights of Gauss-Legendre's rule of order 10.
const GAUSS: [(f64, f64); 5] = [
    (0.0, 128.0 / 225.0),
    (0.538_469_310_105_683, 0.478_628_670_499_366_5),
    (-0.538_469_310_105_683, 0.478_628_670_499_366_5),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
    (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
];

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for ErSde {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1, eta) = (problem.marginal(t0), problem.marginal(t1), problem.eta());
        let (rho0, rho1) = (ratio(m0), ratio(m1));
        if rho0 == 0.0 || lost(x.resolution(), m0, m1) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let d = data(problem, x, t0, m1)?;
        // The first difference belongs to the entry after it.
        let mut slope = None;
        if let (true, Some((t, before))) = (self.order > 1, past.get(0)) {
            let c = 1.0 / (rho0 - ratio(problem.marginal(t)));
            slope = Some(S::lincomb(&[(c, &d), (-c, before)])?);
        }
        let x1 = if rho1 == 0.0 {
            S::lincomb(&[(m1.alpha, &d)])?
        } else {
            let r = self.scale.ratio(eta, rho0, rho1);
            let mut terms = vec![(m1.alpha / m0.alpha * r, x), (m1.alpha * (1.0 - r), &d)];
            let (change, integral) =
                (rho1 / rho0 - 1.0, |k| self.scale.integral(eta, k, rho0, rho1));
            let bend;
            if let Some(slope) = &slope {
                terms.push((m1.alpha * rho0 * (change + integral(0)), slope));
                if let (true, Some((_, earlier)), Some((t, _))) =
                    (self.order > 2, past.get(1), past.get(2))
                {
                    let c = 2.0 / (rho0 - ratio(problem.marginal(t)));
                    bend = S::lincomb(&[(c, slope), (-c, earlier)])?;
                    let weight = 0.5 * change * change + integral(1);
                    terms.push((m1.alpha * rho0 * rho0 * weight, &bend));
                }
            }
            let variance = self.scale.variance(eta, rho0, rho1);
            let z = if variance > 0.0 { Some(unit(noise, x, t0, t1)?) } else { None };
            with_noise(&terms, m1.sigma * variance.sqrt(), z.as_ref())?
        };
        // Newest data; then the newest difference, and the data it goes back to.
        let mut entries = vec![(t0, d)];
        if let (Some(slope), Some((t, before))) = (slope, past.get(0)) {
            entries.extend([(t0, slope), (t, before.clone())]);
        }
        Ok(Step { x: x1, error: None, past: Past::new(entries), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
