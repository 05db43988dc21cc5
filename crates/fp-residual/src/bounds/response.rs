//! What the residual at each time does to the densities that the samplers draw from, point by point.

use ndarray::{Array1, Array2, Axis};
use sde_core::{Error, Potential, Result, Reverse, Score, Sde, log_density_residual};
use solvers::density::standard_log_prior;

use super::follow::along;
use super::pair::in_blocks;
use super::rule::TimeRule;

/// Parts of $\log p - \varphi$ at points, $p$ the law of a sampler at the time of the data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// From the prior: $h = \log p_T - \varphi(\cdot, T)$ where the paths arrive, a point each.
    pub prior: Vec<f64>,
    /// From the residual: its mean over the paths at every time of the rule, a point each. Its integral over an interval is what that
    /// interval adds.
    pub residual: Vec<Vec<f64>>,
}

impl Response {
    /// The sum of all parts, a point each.
    ///
    /// # Panics
    /// With another rule than that of the response.
    #[must_use]
    pub fn total(&self, rule: &TimeRule) -> Vec<f64> {
        assert_eq!(self.residual.len(), rule.times().len(), "the rule of the response");
        let part = |row: usize| {
            let course: Vec<f64> = self.residual.iter().map(|at| at[row]).collect();
            self.prior[row] + rule.integral(&course)
        };
        (0..self.prior.len()).map(part).collect()
    }
}

/// The parts of $\log p^O - \varphi$ at rows `x`, exactly: along the path of the probability-flow ODE through each,
///
/// $$\log p^O(x, 0) = \varphi(x, 0) + h(X_T) + \int_0^T R(X_t, t) dt, \quad X_0 = x.$$
///
/// A line integral: the density of the ODE is linear in the residual along its own paths. Paths are solved by Runge and Kutta's method of
/// order 4, `steps` steps from each time of the rule to the next.
///
/// # Shapes
/// `x`: `[N, D]`; a number a row. `model` and `score` are of one network.
///
/// # Errors
/// No rows; a rule with another horizon than the process; what the model fails with, or paths that are not finite.
///
/// # Reference
/// Along the ODE `d log p^O / dt = -div v`: Chen et al. 2018, arXiv 1806.07366; less the same of the potential, whose residual is that of
/// Deveney et al. 2025, arXiv 2311.15996.
///
/// ```
/// use fp_residual::bounds::{TimeRule, flow_response};
/// use ndarray::array;
/// use sde_core::{Ou, analytic::GaussianMixture};
/// // An exact model: no residual, and a prior that is e^-16 from the law at the horizon.
/// let sde = Ou::new(8.0)?;
/// let model = GaussianMixture::isotropic(&[1.0], &array![[0.0]], &[0.8])?.under(&sde);
/// let rule = TimeRule::gauss(8.0, 4)?;
/// let found = flow_response(&sde, &model, &model, &array![[0.4]], &rule, 2)?;
/// assert!(found.total(&rule)[0].abs() < 1e-6);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn flow_response(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    score: &dyn Score<Array2<f64>>,
    x: &Array2<f64>,
    rule: &TimeRule,
    steps: usize,
) -> Result<Response> {
    check(sde, x, rule)?;
    let mut times = vec![0.0];
    times.extend(rule.times().iter().filter(|t| **t > 0.0));
    if rule.times().last() != Some(&sde.horizon()) {
        times.push(sde.horizon());
    }
    let flow = Reverse::ode(sde, score);
    let places = in_blocks(x, |x| along(&flow, x, &times, steps))?;
    let known = |(x, t): (&Array2<f64>, &f64)| {
        rule.times().contains(t).then(|| each(x, &|x| residual(sde, model, x, *t)))
    };
    Ok(Response {
        prior: each(&places[places.len() - 1], &|x| mismatch(sde, model, x))?,
        residual: places.iter().zip(&times).filter_map(known).collect::<Result<_>>()?,
    })
}

/// The parts of $\log p^S - \varphi$ at rows `x` to first order in the residual: means over the forward process from each,
///
/// $$\log p^S(x, 0) = \varphi(x, 0) + E\Big[h(X_T) + \int_0^T R(X_t, t) dt\Big] + O(R^2), \quad X_t = \alpha_t x + \sigma_t z.$$
///
/// The exponential of what is in the brackets has the exact mean ([`solvers::density::sampler_log_density`]); this is its first cumulant.
/// The same `normals` serve every point and time: a sequence of low discrepancy does for smooth residuals.
///
/// # Shapes
/// `x`: `[N, D]`; `normals`: `[K, D]`, rows of $z$. A number a row of `x`.
///
/// # Errors
/// No rows; a rule with another horizon than the process; normals of another dimension; what the model fails with.
///
/// # Reference
/// Feynman-Kac, as of [`solvers::density::sampler_log_density`], at its first cumulant.
///
/// ```
/// use fp_residual::bounds::{TimeRule, noised_response};
/// use ndarray::array;
/// use sde_core::{Ou, analytic::GaussianMixture};
/// let sde = Ou::new(8.0)?;
/// let model = GaussianMixture::isotropic(&[1.0], &array![[0.0]], &[0.8])?.under(&sde);
/// let rule = TimeRule::gauss(8.0, 4)?;
/// let found = noised_response(&sde, &model, &array![[0.4]], &rule, &array![[1.0], [-1.0]])?;
/// assert!(found.total(&rule)[0].abs() < 1e-6);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn noised_response(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    x: &Array2<f64>,
    rule: &TimeRule,
    normals: &Array2<f64>,
) -> Result<Response> {
    check(sde, x, rule)?;
    if normals.is_empty() || normals.ncols() != x.ncols() {
        let expected = vec![normals.nrows().max(1), x.ncols()];
        return Err(Error::Shape { expected, found: normals.shape().to_vec() });
    }
    let k = normals.nrows();
    let mean = |t: f64, of: &(dyn Fn(&Array2<f64>) -> Result<Vec<f64>> + Sync)| {
        let at = sde.marginal(t);
        each(x, &|x| {
            let noised = Array2::from_shape_fn((x.nrows() * k, x.ncols()), |(row, j)| {
                at.alpha * x[[row / k, j]] + at.sigma * normals[[row % k, j]]
            });
            Ok(of(&noised)?.chunks(k).map(|all| all.iter().sum::<f64>() / k as f64).collect())
        })
    };
    let residual = |t: &f64| mean(*t, &|x| residual(sde, model, x, *t));
    Ok(Response {
        prior: mean(sde.horizon(), &|x| mismatch(sde, model, x))?,
        residual: rule.times().iter().map(residual).collect::<Result<_>>()?,
    })
}

fn check(sde: &dyn Sde, x: &Array2<f64>, rule: &TimeRule) -> Result<()> {
    super::follow::downward(sde, x, rule).map(|_| ())
}

/// A number a row, blocks of rows side by side.
fn each(
    x: &Array2<f64>,
    of: &(dyn Fn(&Array2<f64>) -> Result<Vec<f64>> + Sync),
) -> Result<Vec<f64>> {
    let column = |x: Array2<f64>| Ok(vec![Array1::from(of(&x)?).insert_axis(Axis(1))]);
    Ok(in_blocks(x, column)?.into_iter().flatten().collect())
}

/// `R` at rows.
fn residual(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    x: &Array2<f64>,
    t: f64,
) -> Result<Vec<f64>> {
    let times = vec![t; x.nrows()];
    log_density_residual(&model.derivatives(x, &times)?, x, &times, sde)
}

/// `log p_T - phi(., T)` at rows.
fn mismatch(
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    x: &Array2<f64>,
) -> Result<Vec<f64>> {
    let phi = model.derivatives(x, &vec![sde.horizon(); x.nrows()])?.potential;
    Ok(standard_log_prior(sde, x)?.iter().zip(phi).map(|(p, phi)| p - phi).collect())
}
