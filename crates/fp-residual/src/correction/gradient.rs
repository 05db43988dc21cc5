//! The gradient of the gap as an integral along paths of the reverse SDE.

use sde_core::{Error, Result, Sde, State};

/// The integral whose conditional expectation is `grad r`, along paths of the learned reverse SDE:
///
/// `A_t = (alpha(T) / alpha(t)) grad h(X_T) + int_t^T (alpha(u) / alpha(t)) grad R(X_u, u) du`,
///
/// `grad r(x, t) = E[A_t | X_t = x]`, where `r = log p_S - phi`, `h = log prior - phi_T` and `R` is the Fokker-Planck residual
/// of `phi` ([`crate::log_density_residual`]). The paths start from the prior at `T`; `alpha` is that of the linear SDE. Where
/// the residual vanishes so does `A`, and its variance with it.
///
/// *Why.* `r` solves `d_t r + f . grad r + (g^2/2)(Lap r + |grad r|^2) = -R` with `r_T = h`. Its gradient in `x` is
/// `d_t w + (f + g^2 w) . grad w + (g^2/2) Lap w = -grad R - a w`, `w = grad r`, and seen forward in time the paths are a diffusion
/// of drift `f + g^2 w` and noise `g`: so `d(alpha w) = -alpha grad R dt` in the mean.
///
/// The integral is the trapezoidal rule over the visited times, so its error goes with the square of the steps beside that
/// of the solver.
///
/// ```
/// use fp_residual::GapGradient;
/// use ndarray::array;
/// use sde_core::Brownian;
/// // Without drift (alpha = 1): the mismatch, and the integral of a residual gradient that is 2 everywhere.
/// let sde = Brownian::new(1.0)?;
/// let mut gap = GapGradient::start(1.0, array![[0.3]], array![[2.0]]);
/// gap.advance(&sde, 0.5, array![[2.0]])?;
/// gap.advance(&sde, 0.0, array![[2.0]])?;
/// assert!((gap.value()[[0, 0]] - 2.3).abs() < 1e-12);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GapGradient<S> {
    t: f64,
    value: S,
    residual: S,
}

impl<S: State> GapGradient<S> {
    /// At the first time: `mismatch` is `grad h` there ([`prior_mismatch`]), `residual` is `grad R`.
    pub fn start(t: f64, mismatch: S, residual: S) -> Self {
        Self { t, value: mismatch, residual }
    }

    /// After a step down to `t`, where the gradient of the residual is `residual`.
    ///
    /// # Errors
    /// [`Error::Time`] unless `t` is below the time before; [`Error::Shape`] for another shape.
    pub fn advance(&mut self, sde: &dyn Sde, t: f64, residual: S) -> Result<()> {
        if t.is_nan() || t >= self.t {
            return Err(Error::Time { t, horizon: self.t });
        }
        // The signal that is left over the step, alpha(u) / alpha(t): at most 1.
        let kept = sde.transition(t, self.t).alpha;
        let half = 0.5 * (self.t - t);
        self.value =
            S::lincomb(&[(kept, &self.value), (half * kept, &self.residual), (half, &residual)])?;
        (self.t, self.residual) = (t, residual);
        Ok(())
    }

    /// The time that was reached.
    pub fn t(&self) -> f64 {
        self.t
    }

    /// `A_t`, a row a path.
    pub fn value(&self) -> &S {
        &self.value
    }
}

/// `grad h = -x / prior_std^2 - s(x, T)` at the horizon, the mismatch of the prior and the model.
///
/// # Errors
/// [`Error::Shape`] when the two do not fit.
pub fn prior_mismatch<S: State>(sde: &dyn Sde, x: &S, score: &S) -> Result<S> {
    let precision = sde.prior_std().powi(-2);
    S::lincomb(&[(-precision, x), (-1.0, score)])
}
