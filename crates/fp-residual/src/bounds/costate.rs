//! The gradient of $\log p^O - \varphi$ along the paths of the ODE.

use ndarray::{Array2, Axis, concatenate, s};
use sde_core::{Dynamics, Result, ScoreJvp, Sde};

use super::follow::{along, downward, joined_rows};
use super::pair::in_blocks;
use super::rule::TimeRule;
use crate::prior_mismatch;

/// Places of the probability-flow ODE at one time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlowGap {
    /// The time.
    pub t: f64,
    /// $X_t$, `[N, D]`.
    pub x: Array2<f64>,
    /// $\nabla \rho^0(X_t, t)$, $\rho^0 = \log p^O_t - \varphi_t$.
    pub gradient: Array2<f64>,
}

/// $\nabla \rho^0$ along the paths of the probability-flow ODE from rows at the horizon, at the times of a rule (ascending), for
/// [`relative_entropy_bound`](super::relative_entropy_bound).
///
/// Along a path $\rho^0$ changes by the residual alone, so that $a = \nabla \rho^0(X_t, t)$ solves
///
/// $$a' = -\nabla R(X_t, t) - (D v_O)^T a, \quad a(T) = \nabla \log \text{prior} - s(X_T, T).$$
///
/// The score must be a gradient: its derivative is symmetric and one directional derivative a stage suffices. Solved in `steps` steps of
/// Runge and Kutta's method of order 4 from time to time.
///
/// # Shapes
/// `start`: rows at the horizon, distributed like the prior. `grad_residual`: $\nabla R$ at rows at a common time.
///
/// # Errors
/// As [`flow_coupling`](super::flow_coupling); what `grad_residual` fails with.
///
/// ```
/// use fp_residual::bounds::{TimeRule, flow_gap};
/// use ndarray::{Array2, array};
/// use sde_core::{Ou, analytic::GaussianMixture};
/// // An exact model has no residual: what is left is the prior, e^-16 from the law at the horizon.
/// let sde = Ou::new(8.0)?;
/// let model = GaussianMixture::isotropic(&[1.0], &array![[0.0]], &[0.8])?.under(&sde);
/// let rule = TimeRule::trapezoid(&[0.0, 1.0, 8.0])?;
/// let none = |x: &Array2<f64>, _: f64| Ok(Array2::zeros(x.dim()));
/// let found = flow_gap(&sde, &model, &none, &array![[0.4]], &rule, 16)?;
/// assert!(found[0].t == 0.0 && found[0].gradient[[0, 0]].abs() < 1e-5);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn flow_gap(
    sde: &dyn Sde,
    score: &dyn ScoreJvp<Array2<f64>>,
    grad_residual: &GradResidual<'_>,
    start: &Array2<f64>,
    rule: &TimeRule,
    steps: usize,
) -> Result<Vec<FlowGap>> {
    let times = downward(sde, start, rule)?;
    let (d, problem) = (start.ncols(), Costate { sde, score, grad_residual });
    let states = in_blocks(start, |x| {
        let mismatch = prior_mismatch(sde, &x, &score.score(&x, sde.horizon())?)?;
        let joined = concatenate(Axis(1), &[x.view(), mismatch.view()]).map_err(joined_rows)?;
        along(&problem, joined, &times, steps)
    })?;
    let of = |(state, t): (&Array2<f64>, &f64)| {
        let [x, gradient] = [s![.., ..d], s![.., d..]].map(|part| state.slice(part).to_owned());
        FlowGap { t: *t, x, gradient }
    };
    Ok(states.iter().zip(&times).map(of).rev().collect())
}

/// $\nabla R$ at rows at a common time.
pub type GradResidual<'a> = dyn Fn(&Array2<f64>, f64) -> Result<Array2<f64>> + Sync + 'a;

struct Costate<'a> {
    sde: &'a dyn Sde,
    score: &'a dyn ScoreJvp<Array2<f64>>,
    grad_residual: &'a GradResidual<'a>,
}

impl Dynamics<Array2<f64>> for Costate<'_> {
    fn drift(&self, joined: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let d = joined.ncols() / 2;
        let [x, p] = [s![.., ..d], s![.., d..]].map(|part| joined.slice(part).to_owned());
        let (score, along) = self.score.score_jvp(&x, t, &p)?;
        let (a, half) = (self.sde.drift_coef(t), 0.5 * self.sde.diffusion_squared(t));
        let p = half * along - a * p - (self.grad_residual)(&x, t)?;
        let x = a * x - half * score;
        concatenate(Axis(1), &[x.view(), p.view()]).map_err(joined_rows)
    }

    fn diffusion(&self, _: f64) -> f64 {
        0.0
    }
}
