//! Linear forward processes `dX = a(t) X dt + g(t) dW`: everything about them is scalars in `t`.

mod betas;
mod brownian;
mod check;
pub(crate) mod constants;
mod cosine;
mod discrete;
mod discretisation;
mod edm;
mod ou;
pub(crate) mod parse;
mod rectified;
mod subvp;
mod ve;
mod vp;

pub use betas::Betas;
pub use brownian::Brownian;
pub use check::check;
pub use cosine::CosineVp;
pub use discrete::{Discrete, Interpolation};
pub use discretisation::Discretisation;
pub use edm::Edm;
pub use ou::Ou;
pub use parse::{brief, constants, parse, reference};
pub use rectified::Rectified;
pub use subvp::SubVp;
pub use ve::Ve;
pub use vp::Vp;

use parse::known;

use crate::{Error, Result};

/// A process by its name.
struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    /// The work it comes from.
    reference: &'static str,
    /// From constants, of which those that are left out keep their defaults.
    parse: fn(&str) -> Result<Box<dyn Sde>>,
}

/// An entry without other names.
const fn named(
    name: &'static str,
    reference: &'static str,
    parse: fn(&str) -> Result<Box<dyn Sde>>,
) -> Entry {
    Entry { name, aliases: &[], reference, parse }
}

const TABLE: &[Entry] = &[
    named("ou", "Deveney et al. 2025, arXiv 2311.15996", |text| {
        let [horizon] = known(text, [("horizon", 10.0)])?;
        Ok(Box::new(Ou::new(horizon)?))
    }),
    named("vp", "Song et al. 2021, arXiv 2011.13456", |text| {
        let [b0, b1] = known(text, [("beta0", 0.1), ("beta1", 20.0)])?;
        Ok(Box::new(Vp::new(b0, b1)?))
    }),
    Entry {
        aliases: &["subvp"],
        ..named("sub-vp", "Song et al. 2021, arXiv 2011.13456", |text| {
            let [b0, b1] = known(text, [("beta0", 0.1), ("beta1", 20.0)])?;
            Ok(Box::new(SubVp::new(b0, b1)?))
        })
    },
    named("ve", "Song et al. 2021, arXiv 2011.13456", |text| {
        let [lo, hi] = known(text, [("sigma-min", 0.01), ("sigma-max", 50.0)])?;
        Ok(Box::new(Ve::new(lo, hi)?))
    }),
    named("edm", "Karras et al. 2022, arXiv 2206.00364", |text| {
        let [sigma_max] = known(text, [("sigma-max", 80.0)])?;
        Ok(Box::new(Edm::new(sigma_max)?))
    }),
    named("brownian", "Karras et al. 2022, arXiv 2206.00364", |text| {
        let [horizon] = known(text, [("horizon", 10_000.0)])?;
        Ok(Box::new(Brownian::new(horizon)?))
    }),
    named("rectified", "Liu et al. 2023, arXiv 2209.03003", |text| {
        known(text, []).map(|[]| Box::new(Rectified) as Box<dyn Sde>)
    }),
    named("cosine", "Nichol, Dhariwal 2021, arXiv 2102.09672", |text| {
        known(text, []).map(|[]| Box::new(CosineVp) as Box<dyn Sde>)
    }),
    named("discrete", "Ho et al. 2020, arXiv 2006.11239", |text| {
        Ok(Box::new(Discrete::parse(text)?))
    }),
];

/// The names [`parse`] knows.
pub const NAMES: &[&str] = &{
    let mut names = [""; TABLE.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = TABLE[i].name;
        i += 1;
    }
    names
};

/// The Gaussian `X_t | X_s ~ N(alpha X_s, sigma^2 I)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginal {
    /// Scale of the mean.
    pub alpha: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
}

/// A linear forward SDE `dX = a(t) X dt + g(t) dW` on `[0, T]`, data at `t = 0`, noise at `t = T`.
///
/// One of one's own says its coefficients, its marginal and the inverse of its log-SNR; [`check`] holds them
/// against each other. Everything else follows, and may be said better where the formulas cancel. Here the
/// variance-preserving process whose time is its noise level `sigma / alpha`:
///
/// ```
/// use sde_core::{Marginal, Result, Sde, sde};
///
/// struct Tangent;
///
/// impl Sde for Tangent {
///     fn name(&self) -> String {
///         "tangent".into()
///     }
///     fn horizon(&self) -> f64 {
///         100.0
///     }
///     fn drift_coef(&self, t: f64) -> f64 {
///         -t / (1.0 + t * t)
///     }
///     fn diffusion_squared(&self, t: f64) -> f64 {
///         2.0 * t / (1.0 + t * t)
///     }
///     fn marginal(&self, t: f64) -> Marginal {
///         let alpha = 1.0 / t.hypot(1.0);
///         Marginal { alpha, sigma: t * alpha }
///     }
///     fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
///         sde::check_time(self, (-lambda).exp())
///     }
///     fn prior_std(&self) -> f64 {
///         1.0
///     }
/// }
///
/// sde::check(&Tangent)?;
/// # Ok::<(), sde_core::Error>(())
/// ```
pub trait Sde: Send + Sync {
    /// The name it is constructed by, with its constants (`vp:beta0=0.1,beta1=20`).
    fn name(&self) -> String;

    /// The horizon `T`.
    fn horizon(&self) -> f64;

    /// The drift coefficient `a(t)`.
    fn drift_coef(&self, t: f64) -> f64;

    /// `g(t)^2`.
    fn diffusion_squared(&self, t: f64) -> f64;

    /// The noise amplitude `g(t)`.
    fn diffusion(&self, t: f64) -> f64 {
        self.diffusion_squared(t).sqrt()
    }

    /// `alpha(t)` and `sigma(t)` of `X_t | X_0`.
    fn marginal(&self, t: f64) -> Marginal;

    /// The rates `alpha'(t) = a alpha` and `sigma'(t) = a sigma + g^2 / (2 sigma)`. An SDE whose coefficients are
    /// infinite somewhere says there what is finite of them, see [`crate::flow_velocity`].
    fn marginal_rate(&self, t: f64) -> Marginal {
        let (m, a) = (self.marginal(t), self.drift_coef(t));
        let sigma = a * m.sigma + 0.5 * self.diffusion_squared(t) / m.sigma;
        Marginal { alpha: a * m.alpha, sigma }
    }

    /// The transition kernel `X_t | X_s` for `s <= t`; its `sigma` is NaN for `s > t`.
    fn transition(&self, s: f64, t: f64) -> Marginal {
        let (a, b) = (self.marginal(s), self.marginal(t));
        let alpha = b.alpha / a.alpha;
        let var = b.sigma * b.sigma - alpha * alpha * a.sigma * a.sigma;
        Marginal { alpha, sigma: var.sqrt() }
    }

    /// Half the log signal-to-noise ratio, `lambda(t) = log(alpha / sigma)`; infinite where
    /// `sigma` is zero.
    fn half_log_snr(&self, t: f64) -> f64 {
        let m = self.marginal(t);
        (m.alpha / m.sigma).ln()
    }

    /// The time at which [`Sde::half_log_snr`] has the value `lambda`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when no time in `[0, T]` has it.
    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64>;

    /// Standard deviation of the prior `N(0, prior_std^2 I)` that samplers start from at `T`.
    fn prior_std(&self) -> f64;

    /// Where samplers of a learned score usually stop: 0, or a little before, where the noise is too small to
    /// learn its score.
    fn usual_end(&self) -> f64 {
        0.0
    }

    /// The forward step from `s` up to `t` of the process in discrete time; that of Euler-Maruyama,
    /// `alpha = 1 + a(t) (t - s)` and `G^2 = g(t)^2 (t - s)`, where a process has none of its own.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `s < t`, and for a step too long for the scheme.
    ///
    /// # Reference
    /// Song et al. 2021, arXiv 2011.13456, appendices E and F.
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        discretisation::euler(self, t, s)
    }
}

/// A time that lies in `[0, T]`; one that rounding took past an end, by `1e-12 T` at most, is that end.
///
/// # Errors
/// [`Error::Time`] for any other, or what is not a number.
///
/// ```
/// use sde_core::{Edm, sde::check_time};
/// assert_eq!(check_time(&Edm::default(), 80.000_000_000_000_01)?, 80.0);
/// assert!(check_time(&Edm::default(), 80.001).is_err());
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn check_time(sde: &dyn Sde, t: f64) -> Result<f64> {
    let horizon = sde.horizon();
    within(t, horizon).ok_or(Error::Time { t, horizon })
}

/// `t` in `[0, T]`, where it lies there up to rounding.
fn within(t: f64, horizon: f64) -> Option<f64> {
    let slack = 1e-12 * horizon;
    (t >= -slack && t <= horizon + slack).then(|| t.clamp(0.0, horizon))
}

impl std::fmt::Debug for dyn Sde + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&brief(&self.name()))
    }
}

impl<T: Sde + ?Sized> Sde for &T {
    fn name(&self) -> String {
        (**self).name()
    }
    fn horizon(&self) -> f64 {
        (**self).horizon()
    }
    fn drift_coef(&self, t: f64) -> f64 {
        (**self).drift_coef(t)
    }
    fn diffusion_squared(&self, t: f64) -> f64 {
        (**self).diffusion_squared(t)
    }
    fn diffusion(&self, t: f64) -> f64 {
        (**self).diffusion(t)
    }
    fn marginal(&self, t: f64) -> Marginal {
        (**self).marginal(t)
    }
    fn marginal_rate(&self, t: f64) -> Marginal {
        (**self).marginal_rate(t)
    }
    fn transition(&self, s: f64, t: f64) -> Marginal {
        (**self).transition(s, t)
    }
    fn half_log_snr(&self, t: f64) -> f64 {
        (**self).half_log_snr(t)
    }
    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        (**self).time_of_half_log_snr(lambda)
    }
    fn prior_std(&self) -> f64 {
        (**self).prior_std()
    }
    fn usual_end(&self) -> f64 {
        (**self).usual_end()
    }
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        (**self).discretise(t, s)
    }
}

/// A constant that must be finite and positive.
pub(crate) fn positive(name: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(Error::Parameter {
        name: name.into(),
        value: value.to_string(),
        reason: "must be finite and positive".into(),
    })
}

/// Accepts the inverse `t` of `lambda` when it lies in `[0, T]` up to rounding.
fn inverse_in_range(lambda: f64, t: f64, horizon: f64) -> Result<f64> {
    within(t, horizon).ok_or_else(|| Error::Parameter {
        name: "lambda".into(),
        value: lambda.to_string(),
        reason: format!("its time {t:?} is outside [0, {horizon:?}]"),
    })
}

/// `log(1 + e^y)`, accurate for every `y`.
pub(crate) fn softplus(y: f64) -> f64 {
    y.max(0.0) + (-y.abs()).exp().ln_1p()
}
