//! Bounds from paths of any model: means with their standard errors.

use std::ops::ControlFlow;

use ndarray::Array2;
use sde_core::{
    Dynamics, Error, Key, Potential, Result, Reverse, Score, ScoreJvp, Sde, State,
    log_density_residual,
};
use solvers::density::{Augmented, standard_log_prior};
use solvers::steppers::Heun;
use solvers::{Event, Grid, IndependentIncrements, Observer, solve};

use super::follow::{LawFlow, along, downward, no_rows, outer};
use super::pair::{FlowPair, carried};
use super::rule::TimeRule;

/// A mean over independent paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathMean {
    /// The mean.
    pub value: f64,
    /// Its standard error; NaN from a single path.
    pub standard_error: f64,
}

impl PathMean {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - value) * (v - value)).sum();
        Self { value, standard_error: (squares / (n * (n - 1.0))).sqrt() }
    }
}

/// $E |X^S_0 - X^O_0|^2$ of the two flows from the same points of the prior: an upper bound of $W_2^2$ between the samples of the SDE and
/// those of the ODE, by construction.
///
/// The flow of the SDE's law moves with $v_S = v_O + \frac{g^2}{2} \nabla r = f - g^2 s + \frac{g^2}{2} \nabla \log p^S$. No constant of the
/// model enters. Both are solved by Runge and Kutta's method of order 4 from time to time of the rule: its error comes on top of the standard error.
///
/// # Shapes
/// `start`: rows at the horizon, distributed like the prior.
///
/// # Errors
/// No rows; a rule with another horizon than the process; what the scores fail with, or paths that are not finite.
///
/// # Reference
/// V. M. Alekseev, *An estimate for the perturbations of the solutions of ordinary differential equations*, 1961; W. Groebner, *Die
/// Lie-Reihen und ihre Anwendungen*, 1960 (the displacement as an integral along paths).
///
/// ```
/// use fp_residual::bounds::{TimeRule, flow_coupling};
/// use ndarray::{Array2, array};
/// use sde_core::{FnScore, Ou};
/// // A model of a variance of 0.8 at all times; its SDE then has the variance 2 - 1.5 e^{-(1 - t) / 2}.
/// let sde = Ou::new(1.0)?;
/// let model = FnScore::new(|x: &Array2<f64>, _| Ok(x / -0.8));
/// let law = FnScore::new(|x: &Array2<f64>, t: f64| Ok(x / -(2.0 - 1.5 * (0.5 * (t - 1.0)).exp())));
/// let rule = TimeRule::gauss(1.0, 16)?;
/// let start = array![[0.5_f64.sqrt()], [-0.5_f64.sqrt()]]; // of the prior's variance
/// let found = flow_coupling(&sde, &model, &law, &start, &rule)?;
/// assert!((found.value - 2.3390808e-4).abs() < 1e-9);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn flow_coupling(
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    law: &dyn Score<Array2<f64>>,
    start: &Array2<f64>,
    rule: &TimeRule,
) -> Result<PathMean> {
    let times = downward(sde, start, rule)?;
    let (ode, flow) = (Reverse::ode(sde, score), LawFlow { sde, score, law });
    let x = along(&ode, start.clone(), &times, 1)?.pop();
    let y = along(&flow, start.clone(), &times, 1)?.pop();
    let (Some(x), Some(y)) = (x, y) else { return Err(no_rows()) };
    Ok(PathMean::of(&squares(&(x - y))))
}

/// $E |D\Phi_{0 \leftarrow t}(X^S_t) \nabla r(X^S_t, t)|^2$ at the times of a rule, whose roots [`along_paths`](super::along_paths) takes.
///
/// From points of the flow of the SDE's law at every time the ODE is followed down to 0 with its variational equation $w' = (Dv_O) w$
/// from $\nabla r$. So many solves as times, each with a directional derivative of the score a stage: choose few times.
///
/// # Shapes
/// As [`flow_coupling`]; a mean a time.
///
/// # Errors
/// As [`flow_coupling`].
///
/// ```
/// use fp_residual::bounds::{TimeRule, along_paths, flow_coupling, transported};
/// use ndarray::{Array2, array};
/// use sde_core::{Ou, analytic::GaussianMixture};
/// // An exact model: nothing but the prior, which is not the law at the horizon.
/// let sde = Ou::new(3.0)?;
/// let model = GaussianMixture::isotropic(&[1.0], &array![[0.0]], &[1.0])?.under(&sde);
/// let rule = TimeRule::gauss(3.0, 1)?;
/// let start = array![[0.6], [-0.6]];
/// let found = transported(&sde, &model, &model, &start, &rule)?;
/// // Here the law of the SDE is taken to be the model's: there is no gap.
/// assert!(found.iter().all(|mean| mean.value < 1e-20));
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn transported(
    sde: &dyn Sde,
    score: &dyn ScoreJvp<Array2<f64>>,
    law: &dyn Score<Array2<f64>>,
    start: &Array2<f64>,
    rule: &TimeRule,
) -> Result<Vec<PathMean>> {
    let pair = FlowPair::follow(sde, &score, law, start, rule, 1)?;
    let all = carried(sde, score, law, &pair, 1)?;
    // The ends of the interval are no times of a Gauss rule.
    let of_rule = all.iter().filter(|at| rule.times().contains(&at.t));
    Ok(of_rule.map(|at| PathMean::of(&squares(&at.moved))).collect())
}

/// $E_Q F - E_P F$ with $F = h(X_T) + \int_0^T R(X_t, t) dt$: the residual that accumulates along the paths $Q$ of the SDE, less that along
/// the paths $P$ of the forward process from its samples.
///
/// It is $\mathrm{KL}(Q \Vert P) + \mathrm{KL}(P \Vert Q)$, where $Q$ is forward in time the process with the drift $f + g^2 \nabla r$, so
/// at least the entropy of the paths [`path_entropy`](super::path_entropy), $\frac12 \int g^2 E_{p^S} |\nabla r|^2$: the residual
/// alone bounds it, in any dimension, whatever is added to the potential in time.
///
/// Paths are solved by Heun's stochastic method (weak order 2 in the steps of the rule); particle `j` is a function of `key` and `j`. The
/// standard error is that of the differences particle by particle, without the error of the steps.
///
/// # Errors
/// Fewer than two particles; a rule with another horizon than the process; what the model fails with, or paths that are not finite.
///
/// # Reference
/// I. V. Girsanov, *On transforming a certain class of stochastic processes by absolutely continuous substitution of measures*, 1960.
///
/// ```
/// use fp_residual::bounds::{TimeRule, residual_excess};
/// use ndarray::array;
/// use sde_core::{Key, Ou, analytic::GaussianMixture};
/// // An exact model has no residual; what is left is the prior, e^-20 from the law at the horizon.
/// let sde = Ou::new(10.0)?;
/// let model = GaussianMixture::isotropic(&[0.5, 0.5], &array![[-1.0], [1.0]], &[0.5, 0.5])?.under(&sde);
/// let rule = TimeRule::gauss(10.0, 4)?;
/// let found = residual_excess(&sde, &model, 1, 100, &rule, Key::root(1))?;
/// assert!(found.value.abs() < 1e-3);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn residual_excess(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    dimension: usize,
    n_particles: usize,
    rule: &TimeRule,
    key: Key,
) -> Result<PathMean> {
    let size = (dimension, n_particles);
    Ok(residual_excess_within(sde, model, size, rule, key, f64::INFINITY)?.0)
}

/// [`residual_excess`] of the particles that stay in the cube of a half-width at all times of both ways, and their share.
///
/// Far from the data a learned score may drive particles away, and what a few of them gather outweighs all others: what is said is
/// then of the others only.
///
/// # Shapes
/// Dimension and number of particles.
///
/// # Errors
/// As [`residual_excess`]; fewer than two particles that stay.
///
/// ```
/// use fp_residual::bounds::{TimeRule, residual_excess_within};
/// use ndarray::array;
/// use sde_core::{Key, Ou, analytic::GaussianMixture};
/// let sde = Ou::new(10.0)?;
/// let model = GaussianMixture::isotropic(&[1.0], &array![[0.0]], &[1.0])?.under(&sde);
/// let rule = TimeRule::gauss(10.0, 4)?;
/// let (found, share) = residual_excess_within(&sde, &model, (1, 200), &rule, Key::root(1), 2.0)?;
/// assert!(found.value.abs() < 1e-3 && share > 0.7 && share < 1.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn residual_excess_within(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    (dimension, n_particles): (usize, usize),
    rule: &TimeRule,
    key: Key,
    half_width: f64,
) -> Result<(PathMean, f64)> {
    let few = |n: usize, what: &str| Error::Parameter {
        name: "particles".into(),
        value: n.to_string(),
        reason: what.into(),
    };
    if n_particles < 2 {
        return Err(few(n_particles, "must be at least 2"));
    }
    let unit = Array2::zeros((n_particles, dimension)).normals_like(key.fold(0), 0)?;
    let start = unit * sde.prior_std();
    let mut times = downward(sde, &start, rule)?;
    let mut stays = Stays { half_width, rows: vec![true; n_particles] };
    stays.look(&start);
    let down = Residuals { sde, model, back: true };
    let first = log_ratio(sde, model, &start)?;
    let sampled = integrate(&down, start, &times, key.fold(1), &mut stays)?;
    times.reverse();
    let up = Residuals { sde, model, back: false };
    let noised = integrate(&up, sampled.x, &times, key.fold(2), &mut stays)?;
    let last = log_ratio(sde, model, &noised.x)?;
    // Downward in time the integral of R has the other sign.
    let difference =
        |b: usize| first[b] - sampled.integrals[0][b] - last[b] - noised.integrals[0][b];
    let kept: Vec<f64> = (0..n_particles).filter(|b| stays.rows[*b]).map(difference).collect();
    if kept.len() < 2 {
        return Err(few(kept.len(), "stay in the box, at least 2 must"));
    }
    Ok((PathMean::of(&kept), kept.len() as f64 / n_particles as f64))
}

/// Which rows have been in a cube so far.
struct Stays {
    half_width: f64,
    rows: Vec<bool>,
}

impl Stays {
    fn look(&mut self, x: &Array2<f64>) {
        for (stays, row) in self.rows.iter_mut().zip(x.outer_iter()) {
            *stays &= row.iter().all(|v| v.abs() <= self.half_width);
        }
    }
}

impl Observer<Augmented<Array2<f64>>> for Stays {
    fn on_step(&mut self, event: Event<'_, Augmented<Array2<f64>>>) -> ControlFlow<()> {
        self.look(&event.x.x);
        ControlFlow::Continue(())
    }
}

/// $\log \text{prior} - \varphi_T$.
fn log_ratio(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    x: &Array2<f64>,
) -> Result<Vec<f64>> {
    let potential = model.derivatives(x, &vec![sde.horizon(); x.nrows()])?.potential;
    let prior = standard_log_prior(sde, x)?;
    Ok(prior.iter().zip(&potential).map(|(prior, phi)| prior - phi).collect())
}

/// The reverse SDE, or the forward process, with the integral of the residual.
struct Residuals<'a> {
    sde: &'a dyn Sde,
    model: &'a dyn Potential<Array2<f64>>,
    back: bool,
}

impl Dynamics<Augmented<Array2<f64>>> for Residuals<'_> {
    fn drift(&self, state: &Augmented<Array2<f64>>, t: f64) -> Result<Augmented<Array2<f64>>> {
        let times = vec![t; state.x.nrows()];
        let phi = self.model.derivatives(&state.x, &times)?;
        let residual = log_density_residual(&phi, &state.x, &times, self.sde)?;
        let weight = if self.back { -self.sde.diffusion_squared(t) } else { 0.0 };
        let drift = self.sde.drift_coef(t) * &state.x + weight * phi.score;
        Augmented::new(drift, vec![residual])
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.sde.diffusion(t)
    }
}

fn integrate(
    problem: &Residuals,
    start: Array2<f64>,
    times: &[f64],
    key: Key,
    stays: &mut Stays,
) -> Result<Augmented<Array2<f64>>> {
    let mut grid = Grid::new(times.to_vec()).map_err(outer)?;
    let noise = IndependentIncrements::new(key, 0);
    let start = Augmented::start(start, 1);
    let found = solve(&Heun, problem, start, times[0], &mut grid, &noise, stays);
    Ok(found.map_err(outer)?.x)
}

fn squares(rows: &Array2<f64>) -> Vec<f64> {
    rows.outer_iter().map(|row| row.dot(&row)).collect()
}
