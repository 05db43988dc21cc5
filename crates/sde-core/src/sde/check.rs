//! The consistency check of an SDE: coefficients, marginal, inverse and transition kernel must agree.

use super::{Marginal, Sde, brief};
use crate::{Error, Result};

/// How far apart two values may be, in units of the terms they are made of. Central differences of smooth
/// marginals agree to `1e-8`; a schedule of a table has corners.
const REL: f64 = 1e-5;

/// Checks an SDE of one's own: that its marginal belongs to its coefficients, at many times inside `(0, T)`,
///
/// `d alpha/dt = a alpha`, `d sigma^2/dt = 2 a sigma^2 + g^2`,
///
/// by central differences; that the horizon and the deviation of the prior are positive and finite, the marginal
/// finite up to both ends, `alpha` and `sigma` positive between them; that `lambda = log(alpha / sigma)` falls all the way,
/// is what [`Sde::half_log_snr`] says, and [`Sde::time_of_half_log_snr`] inverts it; that
/// [`Sde::transition`] and [`Sde::marginal_rate`] are those of the marginal.
///
/// # Errors
/// [`Error::Inconsistent`] with the time and both values.
///
/// ```
/// use sde_core::{Vp, sde};
/// sde::check(&Vp::default())?;
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn check(sde: &dyn Sde) -> Result<()> {
    let horizon = sde.horizon();
    let about = About { sde, name: brief(&sde.name()) };
    about.holds(horizon.is_finite() && horizon > 0.0, 0.0, "T > 0", horizon, 0.0)?;
    let std = sde.prior_std();
    about.holds(std.is_finite() && std > 0.0, horizon, "prior_std > 0", std, 0.0)?;
    for t in [0.0, horizon] {
        let m = sde.marginal(t);
        let fine = |v: f64| v.is_finite() && v >= 0.0;
        about.holds(fine(m.alpha), t, "0 <= alpha < infinity", m.alpha, 0.0)?;
        about.holds(fine(m.sigma), t, "0 <= sigma < infinity", m.sigma, 0.0)?;
    }
    let mut before: Option<(f64, f64)> = None;
    for t in times(horizon) {
        let m = about.inside(t)?;
        let lambda = about.log_snr(t, m)?;
        if let Some((s, earlier)) = before {
            about.holds(lambda < earlier, t, "lambda falls", lambda, earlier)?;
            about.kernel(s, t)?;
        }
        about.derivatives(t, m)?;
        before = Some((t, lambda));
    }
    Ok(())
}

/// Times inside `(0, T)`: evenly, and towards both ends.
fn times(horizon: f64) -> Vec<f64> {
    // Irrational steps: a table's corners lie at whole numbers.
    let even = (1..40).map(|k| (f64::from(k) + std::f64::consts::FRAC_1_PI) / 40.5);
    let low = (1..=6).map(|k| 0.618_033_989 * 10_f64.powi(-k));
    let high = (2..=6).map(|k| 1.0 - 0.618_033_989 * 10_f64.powi(-k));
    let mut all: Vec<f64> = even.chain(low).chain(high).map(|u| u * horizon).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The SDE under examination.
struct About<'a> {
    sde: &'a dyn Sde,
    name: String,
}

impl About<'_> {
    fn holds(&self, holds: bool, t: f64, what: &'static str, found: f64, other: f64) -> Result<()> {
        if holds {
            return Ok(());
        }
        Err(Error::Inconsistent { sde: self.name.clone(), t, what, found, expected: other })
    }

    /// `found` and `expected` agree in units of `size`.
    fn agree(
        &self,
        t: f64,
        what: &'static str,
        (found, expected, size): (f64, f64, f64),
    ) -> Result<()> {
        let gap = (found - expected).abs();
        self.holds(gap <= REL * size.max(f64::MIN_POSITIVE), t, what, found, expected)
    }

    /// The marginal at a time inside, and finite coefficients.
    fn inside(&self, t: f64) -> Result<Marginal> {
        let m = self.sde.marginal(t);
        let (a, g2, g) =
            (self.sde.drift_coef(t), self.sde.diffusion_squared(t), self.sde.diffusion(t));
        let positive = |v: f64| v.is_finite() && v > 0.0;
        self.holds(positive(m.alpha), t, "0 < alpha < infinity", m.alpha, 0.0)?;
        self.holds(positive(m.sigma), t, "0 < sigma < infinity", m.sigma, 0.0)?;
        self.holds(a.is_finite(), t, "a is finite", a, 0.0)?;
        self.holds(g2.is_finite() && g2 >= 0.0, t, "0 <= g^2 < infinity", g2, 0.0)?;
        self.agree(t, "g^2 = diffusion_squared", (g * g, g2, g2))?;
        Ok(m)
    }

    /// `lambda`, and its inverse.
    fn log_snr(&self, t: f64, m: Marginal) -> Result<f64> {
        let (lambda, plain) = (self.sde.half_log_snr(t), m.alpha.ln() - m.sigma.ln());
        self.agree(t, "lambda = log(alpha / sigma)", (lambda, plain, 1.0 + plain.abs()))?;
        let back = self.sde.time_of_half_log_snr(lambda)?;
        self.agree(t, "the time of lambda(t) is t", (back, t, self.sde.horizon()))?;
        let again = self.sde.half_log_snr(back);
        self.agree(t, "lambda of the time of lambda", (again, lambda, 1.0 + lambda.abs()))?;
        Ok(lambda)
    }

    /// The kernel from `s` to `t` takes one marginal to the other.
    fn kernel(&self, s: f64, t: f64) -> Result<()> {
        let (a, b, k) = (self.sde.marginal(s), self.sde.marginal(t), self.sde.transition(s, t));
        self.agree(
            t,
            "alpha = alpha(s) transition(s, t).alpha",
            (k.alpha * a.alpha, b.alpha, b.alpha),
        )?;
        let carried = (k.alpha * a.sigma).powi(2) + k.sigma * k.sigma;
        let variance = b.sigma * b.sigma;
        self.agree(t, "sigma^2 = that of transition(s, t)", (carried, variance, variance))
    }

    /// The equations of the marginal, and its rate.
    fn derivatives(&self, t: f64, m: Marginal) -> Result<()> {
        let (a, g2) = (self.sde.drift_coef(t), self.sde.diffusion_squared(t));
        let (log, var) = (|m: Marginal| m.alpha.ln(), |m: Marginal| m.sigma * m.sigma);
        // Constant alpha has a rate of zero, and only in units of time.
        let unit = 1.0 / self.sde.horizon();
        let slope = self.slope(t, &log, (a, a.abs() + unit));
        let found = (slope * m.alpha, a * m.alpha, (a.abs() + unit) * m.alpha);
        self.agree(t, "d alpha/dt = a alpha", found)?;
        let v = var(m);
        let (rate, size) = (2.0 * a * v + g2, 2.0 * a.abs() * v + g2);
        let slope = self.slope(t, &var, (rate, size));
        self.agree(t, "d sigma^2/dt = 2 a sigma^2 + g^2", (slope, rate, size))?;
        let both = self.sde.marginal_rate(t);
        let found = (both.alpha, a * m.alpha, (a.abs() + unit) * m.alpha);
        self.agree(t, "marginal_rate.alpha = a alpha", found)?;
        let found = (2.0 * m.sigma * both.sigma, rate, size);
        self.agree(t, "2 sigma marginal_rate.sigma = 2 a sigma^2 + g^2", found)
    }

    /// The central difference of a function of the marginal at `t` that is nearest to what is expected, of several
    /// steps: the longest has the least rounding, the shortest no corner of a table inside.
    fn slope(&self, t: f64, f: &dyn Fn(Marginal) -> f64, (expected, size): (f64, f64)) -> f64 {
        let room = t.min(self.sde.horizon() - t);
        let mut best = f64::NAN;
        for share in [1e-3, 1e-4, 1e-5, 1e-6, 1e-7] {
            let h = share * room;
            let at = |t: f64| f(self.sde.marginal(t));
            let (near, far) = (at(t + h) - at(t - h), at(t + 2.0 * h) - at(t - 2.0 * h));
            // The step as it is in the numbers.
            let h = 0.5 * ((t + h) - (t - h));
            let slope = (8.0 * near - far) / (12.0 * h);
            if best.is_nan() || (slope - expected).abs() < (best - expected).abs() {
                best = slope;
            }
            if (best - expected).abs() <= REL * size {
                break;
            }
        }
        best
    }
}
