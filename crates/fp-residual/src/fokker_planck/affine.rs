//! The law of a sampler with an affine score, exactly.

use ndarray::{Array1, Array2};
use sde_core::sde::check_time;
use sde_core::{Dynamics, Error, Key, Result, Sde, Tolerance};
use solvers::steppers::RungeKutta;
use solvers::tableau::DOPRI5;
use solvers::{Adaptive, IndependentIncrements, solve};

use super::grid::{outer, refuse};

/// A score `s(x, t) = A(t) x + b(t)` at one time: the matrix `A` and the vector `b`.
pub type Affine = (Array2<f64>, Array1<f64>);

/// The mean and the covariance at `t_end` of what `dx = (a x - (1 + eta^2)/2 g^2 s) dt + eta g dW` draws with the affine score
/// `s = A(t) x + b(t)`, run backward from `N(0, prior_std^2 I)` at the horizon: Gaussian, whatever `eta`, with
/// `tau = T - t`
///
/// `d_tau m = M m + c b`, `d_tau V = M V + V M' + eta^2 g^2 I`, `M = c A - a I`, `c = (1 + eta^2)/2 g^2`,
///
/// solved to a tolerance of 1e-12. `A` need not be symmetric.
///
/// # Shapes
/// `A`: `[D, D]`, `b`: `[D]`; the mean `[D]`, the covariance `[D, D]`.
///
/// # Errors
/// [`Error::Parameter`] for a negative `eta` or no dimension; [`Error::Time`] for a time outside of the process; [`Error::Shape`] for an
/// affine score of another dimension; what the solve fails with.
///
/// ```
/// use fp_residual::fokker_planck::gaussian_moments;
/// use ndarray::{Array1, Array2};
/// use sde_core::Ou;
/// // The mis-specified potential -x^2 / 1.6 at all times.
/// let score = |_| (Array2::eye(1) / -0.8, Array1::zeros(1));
/// let (_, flow) = gaussian_moments(&Ou::new(1.0)?, 0.0, 1, &score, 0.0)?;
/// assert!((flow[[0, 0]] - 0.5 * (2.0_f64 - 1.0 / 0.8).exp()).abs() < 1e-11);
/// # Ok::<(), sde_core::Error>(())
/// ```
///
/// # Reference
/// Moments of linear SDEs: Sarkka, Solin 2019, "Applied stochastic differential equations", section 6.1.
pub fn gaussian_moments(
    sde: &dyn Sde,
    eta: f64,
    dim: usize,
    score: &(dyn Fn(f64) -> Affine + Sync),
    t_end: f64,
) -> Result<(Array1<f64>, Array2<f64>)> {
    if !(eta >= 0.0 && eta.is_finite()) {
        return refuse("eta", eta, "must be finite and not negative");
    }
    if dim == 0 {
        return refuse("dim", dim, "must be at least 1");
    }
    let moments = Moments { sde, eta, dim, score };
    let horizon = sde.horizon();
    let mut start = Array2::zeros((1, dim + dim * dim));
    for i in 0..dim {
        start[[0, dim + i * dim + i]] = sde.prior_std().powi(2);
    }
    let tol = Tolerance { abs: 1e-13, rel: 1e-12 };
    let end = if t_end == horizon {
        start
    } else {
        let t_end = check_time(sde, t_end)?;
        let mut steps = Adaptive::new(horizon, t_end, tol).map_err(outer)?;
        let noise = IndependentIncrements::new(Key::root(0), 0);
        let stepper = RungeKutta(&DOPRI5);
        solve(&stepper, &moments, start, horizon, &mut steps, &noise, &mut ()).map_err(outer)?.x
    };
    let (mean, covariance) = moments.split(&end);
    let symmetric = 0.5 * (&covariance + &covariance.t());
    Ok((mean, symmetric))
}

/// Mean and covariance as one row.
struct Moments<'a> {
    sde: &'a dyn Sde,
    eta: f64,
    dim: usize,
    score: &'a (dyn Fn(f64) -> Affine + Sync),
}

impl Moments<'_> {
    fn split(&self, row: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
        let d = self.dim;
        let mean = Array1::from_shape_fn(d, |i| row[[0, i]]);
        (mean, Array2::from_shape_fn((d, d), |(i, j)| row[[0, d + i * d + j]]))
    }
}

impl Dynamics<Array2<f64>> for Moments<'_> {
    /// In `t`, so with the opposite sign of what is said in `tau`.
    fn drift(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let (d, (mean, covariance)) = (self.dim, self.split(x));
        let (matrix, offset) = (self.score)(t);
        if matrix.dim() != (d, d) || offset.len() != d {
            return Err(Error::Shape { expected: vec![d, d], found: matrix.shape().to_vec() });
        }
        let g2 = self.sde.diffusion_squared(t);
        let pull = 0.5 * (1.0 + self.eta * self.eta) * g2;
        let moving = pull * matrix - self.sde.drift_coef(t) * Array2::<f64>::eye(d);
        let mean = moving.dot(&mean) + pull * offset;
        let one_side = moving.dot(&covariance);
        let noise = self.eta * self.eta * g2 * Array2::<f64>::eye(d);
        let covariance = &one_side + &one_side.t() + noise;
        let row = mean.iter().chain(covariance.iter()).map(|v| -v).collect();
        Ok(Array2::from_shape_vec((1, d + d * d), row).expect("a mean and a covariance"))
    }

    fn diffusion(&self, _: f64) -> f64 {
        0.0
    }
}
