//! What a solver integrates: drift and noise of a process, backward or forward in time.

use crate::sde::{Discretisation, check_time};
use crate::{Error, Marginal, Result, Score, Sde, State};

/// A process `dX = b(X, t) dt + c(t) dW` with additive noise.
pub trait Dynamics<S>: Send + Sync {
    /// The drift `b(x, t)`, row by row.
    ///
    /// # Errors
    /// Whatever the model behind it fails with.
    fn drift(&self, x: &S, t: f64) -> Result<S>;

    /// The noise amplitude `c(t) >= 0`; zero for an ODE.
    fn diffusion(&self, t: f64) -> f64;
}

/// Dynamics that are linear apart from a predicted noise `eps`: what exponential integrators use.
pub trait Semilinear<S>: Dynamics<S> {
    /// `alpha(t)` and `sigma(t)` of the forward process.
    fn marginal(&self, t: f64) -> Marginal;

    /// The time at which `log(alpha / sigma)` has the value `lambda`.
    ///
    /// # Errors
    /// As [`Sde::time_of_half_log_snr`].
    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64>;

    /// The stochasticity `eta` of [`Reverse`]: 0 for the flow ODE, 1 for the reverse SDE. From
    /// `lambda = log(alpha / sigma)` to `lambda + h`, with the predicted data `D` held,
    ///
    /// `x1 = sigma1/sigma0 e^{-eta^2 h} x0 + alpha1 (1 - e^{-(1 + eta^2) h}) D
    ///      + sigma1 sqrt(1 - e^{-2 eta^2 h}) z`.
    fn eta(&self) -> f64;

    /// The predicted noise `eps(x, t) = -sigma(t) s(x, t)`.
    ///
    /// # Errors
    /// Whatever the model behind it fails with.
    fn eps(&self, x: &S, t: f64) -> Result<S>;

    /// The expected data at `x` and `t` as the model knows it, see [`Score::denoised`].
    ///
    /// # Errors
    /// Whatever the model behind it fails with.
    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        let _ = (x, t);
        Ok(None)
    }

    /// The forward step from `s` up to `t` in discrete time, see [`Sde::discretise`].
    ///
    /// # Errors
    /// [`Error::Parameter`] for a step too long for it, or dynamics that have no discrete-time form.
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        let reason = format!("these dynamics have no discrete-time form (asked for down to {s})");
        Err(Error::Parameter { name: "t".into(), value: t.to_string(), reason })
    }
}

/// The family behind every sampler: for the forward process `dX = a(t) X dt + g(t) dW`,
///
/// `dX = [a X - (1 + eta^2)/2 g^2 s(X, t)] dt + eta g dW`, integrated from `t = T` down to 0.
///
/// `eta = 0` is the probability-flow ODE, `eta = 1` the reverse SDE. With the exact score all have
/// the marginals `p_t`.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, equations 6 and 13; the family in `eta`: Zhang and Chen
/// 2022, arXiv 2204.13902, equation 5.
pub struct Reverse<'a, S> {
    sde: &'a dyn Sde,
    score: &'a dyn Score<S>,
    eta: f64,
}

impl<'a, S> Reverse<'a, S> {
    /// Reverse dynamics of `sde` under `score` with stochasticity `eta`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] unless `eta` is finite and non-negative.
    pub fn new(sde: &'a dyn Sde, score: &'a dyn Score<S>, eta: f64) -> Result<Self> {
        if !(eta.is_finite() && eta >= 0.0) {
            return Err(Error::Parameter {
                name: "eta".into(),
                value: eta.to_string(),
                reason: "must be finite and non-negative".into(),
            });
        }
        Ok(Self { sde, score, eta })
    }

    /// The probability-flow ODE, `eta = 0`.
    pub fn ode(sde: &'a dyn Sde, score: &'a dyn Score<S>) -> Self {
        Self { sde, score, eta: 0.0 }
    }

    /// The reverse SDE, `eta = 1`.
    pub fn sde(sde: &'a dyn Sde, score: &'a dyn Score<S>) -> Self {
        Self { sde, score, eta: 1.0 }
    }

    /// The stochasticity.
    pub fn eta(&self) -> f64 {
        self.eta
    }
}

/// The velocity of the probability-flow ODE in the form that stays finite where the coefficients of an SDE do not,
///
/// `u = alpha' D + sigma' eps`, `D = E[x_0 | x]`, `eps = -sigma s`,
///
/// with the rates of [`Sde::marginal_rate`]: the flow velocity of flow matching. Elsewhere it is `a x - g^2/2 s`.
/// `D` is what the model says of it, [`Score::denoised`], or comes from its score.
///
/// # Errors
/// [`Error::Parameter`] where `alpha` is zero and the model does not say `D`, or where the rates are infinite too;
/// whatever the model fails with.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Rectified, analytic::DataSet, flow_velocity};
/// let score = DataSet::Blob.under(&Rectified).expect("a mixture");
/// // At t = 1, u = x - E[x_0]; the blob's mean is the origin.
/// let (x, u) = (array![[0.5, -1.0]], flow_velocity(&Rectified, &score, &array![[0.5, -1.0]], 1.0)?);
/// assert!((u - x).iter().all(|e| e.abs() < 1e-12));
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn flow_velocity<S: State>(
    sde: &dyn Sde,
    score: &(impl Score<S> + ?Sized),
    x: &S,
    t: f64,
) -> Result<S> {
    let t = check_time(sde, t)?;
    let (m, rate) = (sde.marginal(t), sde.marginal_rate(t));
    let refuse = |name: &str, value: f64, reason: String| {
        Err(Error::Parameter { name: name.into(), value: format!("{value:e}"), reason })
    };
    if !(rate.alpha.is_finite() && rate.sigma.is_finite()) {
        let reason = format!("at t = {t} the coefficients are infinite: begin where they are not");
        return refuse("a", sde.drift_coef(t), reason);
    }
    let s = score.score(x, t)?;
    let data = match score.denoised(x, t)? {
        Some(data) => data,
        None if m.alpha == 0.0 => {
            let reason = format!(
                "at t = {t} no signal is left, and the score alone does not know the data: begin below it, or give a model that predicts the data itself"
            );
            return refuse("alpha", m.alpha, reason);
        }
        None => S::lincomb(&[(1.0 / m.alpha, x), (m.sigma * m.sigma / m.alpha, &s)])?,
    };
    S::lincomb(&[(rate.alpha, &data), (-rate.sigma * m.sigma, &s)])
}

impl<S: State> Dynamics<S> for Reverse<'_, S> {
    fn drift(&self, x: &S, t: f64) -> Result<S> {
        let t = check_time(self.sde, t)?;
        let a = self.sde.drift_coef(t);
        if !a.is_finite() {
            if self.eta == 0.0 {
                return flow_velocity(self.sde, self.score, x, t);
            }
            let reason = format!(
                "at t = {t} the drift of the reverse SDE is infinite: begin below it, take eta = 0, or an exponential method"
            );
            return Err(Error::Parameter { name: "a".into(), value: a.to_string(), reason });
        }
        let s = self.score.score(x, t)?;
        let g2 = self.sde.diffusion_squared(t);
        let c = -0.5 * (1.0 + self.eta * self.eta) * g2;
        S::lincomb(&[(a, x), (c, &s)])
    }

    fn diffusion(&self, t: f64) -> f64 {
        // No noise is none, also where g is infinite.
        if self.eta == 0.0 { 0.0 } else { self.eta * self.sde.diffusion(t) }
    }
}

impl<S: State> Semilinear<S> for Reverse<'_, S> {
    fn marginal(&self, t: f64) -> Marginal {
        // A time that is outside is the score's to refuse.
        self.sde.marginal(check_time(self.sde, t).unwrap_or(t))
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        self.sde.time_of_half_log_snr(lambda)
    }

    fn eta(&self) -> f64 {
        self.eta
    }

    fn eps(&self, x: &S, t: f64) -> Result<S> {
        let t = check_time(self.sde, t)?;
        let s = self.score.score(x, t)?;
        S::lincomb(&[(-self.sde.marginal(t).sigma, &s)])
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        self.score.denoised(x, check_time(self.sde, t)?)
    }

    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        self.sde.discretise(t, s)
    }
}
