//! The law of the training times.

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How training times are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum TimeLaw {
    /// Uniform on `[t_min, T]`.
    Uniform,
    /// `t = t_min + T B` with `B ~ Beta(a, b)`; `a = 1, b = 2` in arXiv 2311.15996.
    Beta {
        /// First shape parameter.
        a: f64,
        /// Second shape parameter.
        b: f64,
    },
    /// Uniform in `lambda = log(alpha / sigma)` between `t_min` and `T`: density proportional to
    /// `g^2 / sigma^2`, so that the weighting `sigma^2` has the expectation of the likelihood
    /// weighting `g^2` under [`TimeLaw::Uniform`], up to a constant and with less variance.
    ///
    /// # Reference
    /// Song, Durkan, Murray, Ermon 2021, arXiv 2101.09258, section 4.4.
    LogSnr,
    /// Uniform in `log(t + shift)` between `t_min` and `T`: density proportional to
    /// `1 / (t + shift)`, as many points in every octave of time above `shift`.
    LogUniform {
        /// The time below which it is uniform.
        shift: f64,
    },
}

impl TimeLaw {
    /// Checks every constant, for times from `t_min` to `horizon`.
    ///
    /// # Errors
    /// [`Error::Setting`] for the exponents of a Beta law outside `[0.01, 100]` and for a shift
    /// that is negative, not finite, or so large that the law is uniform.
    pub fn validate(&self, t_min: f64, horizon: f64) -> Result<()> {
        match *self {
            Self::Uniform | Self::LogSnr => Ok(()),
            Self::Beta { a, b } => {
                match [("a", a), ("b", b)].iter().find(|(_, v)| !(0.01..=100.0).contains(v)) {
                    Some((name, v)) => Err(Error::setting(name, v, "must be from 0.01 to 100")),
                    None => Ok(()),
                }
            }
            Self::LogUniform { shift } => {
                if log_span(shift, t_min, horizon)? > 0.0 {
                    return Ok(());
                }
                let reason = "leaves nothing of the logarithm: use the uniform law";
                Err(Error::setting("shift", format!("{shift:?}"), reason))
            }
        }
    }

    /// The time at the quantile `u` in (0, 1).
    ///
    /// # Errors
    /// [`Error::Setting`] for shape parameters that are not positive; [`Error::Sde`] when the SDE
    /// cannot invert its log-SNR.
    pub fn time(&self, sde: &dyn Sde, t_min: f64, u: f64) -> Result<f64> {
        let horizon = sde.horizon();
        match *self {
            Self::Uniform => Ok(t_min + (horizon - t_min) * u),
            Self::Beta { a, b } => Ok(t_min + horizon * beta_quantile(a, b, u)?),
            Self::LogSnr => {
                let (start, end) = (sde.half_log_snr(t_min), sde.half_log_snr(horizon));
                let lambda = start + (end - start) * u;
                Ok(sde.time_of_half_log_snr(lambda)?.clamp(t_min, horizon))
            }
            Self::LogUniform { shift } => {
                let span = log_span(shift, t_min, horizon)?;
                Ok((t_min + (t_min + shift) * (u * span).exp_m1()).min(horizon))
            }
        }
    }

    /// The density of the law at a time `t` of its support.
    ///
    /// # Errors
    /// As [`TimeLaw::time`].
    pub fn density(&self, sde: &dyn Sde, t_min: f64, t: f64) -> Result<f64> {
        let horizon = sde.horizon();
        Ok(match *self {
            Self::Uniform => (horizon - t_min).recip(),
            Self::Beta { a, b } => beta_density(a, b, (t - t_min) / horizon)? / horizon,
            Self::LogSnr => {
                // d lambda / d t = -g^2 / (2 sigma^2) under a linear SDE.
                let sigma = sde.marginal(t).sigma;
                let span = sde.half_log_snr(t_min) - sde.half_log_snr(horizon);
                0.5 * sde.diffusion_squared(t) / (sigma * sigma * span)
            }
            Self::LogUniform { shift } => ((t + shift) * log_span(shift, t_min, horizon)?).recip(),
        })
    }
}

/// Another law that a share of the training times is drawn from. Every time then carries the weight
/// `p / ((1 - share) p + share q)`, `p` the law of the loss and `q` this one: the loss is the same in
/// expectation, and spends its points where the integrand needs them. No weight exceeds
/// `1 / (1 - share)`.
///
/// # Reference
/// Hesterberg 1995, "Weighted average importance sampling and defensive mixture distributions".
///
/// ```
/// use score_nets::{Proposal, TimeLaw};
/// use sde_core::Ou;
/// let sde = Ou::default();
/// let proposal = Proposal { share: 0.5, law: TimeLaw::LogUniform { shift: 0.01 } };
/// let n = 10_000;
/// // The mean of 1 / (t + 0.1) over uniform times, from weighted times of the mixture.
/// let mean = (0..n).map(|i| -> Result<f64, score_nets::Error> {
///     let (t, weight) = proposal.draw(TimeLaw::Uniform, &sde, 1e-4, (i as f64 + 0.5) / n as f64)?;
///     Ok(weight / (t + 0.1) / n as f64)
/// }).sum::<Result<f64, _>>()?;
/// let exact = (10.1_f64 / 0.1001).ln() / (10.0 - 1e-4);
/// assert!((mean / exact - 1.0).abs() < 1e-3);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Proposal {
    /// Share of the times that come from [`Proposal::law`]; 0 for none.
    pub share: f64,
    /// Its law.
    pub law: TimeLaw,
}

impl Default for Proposal {
    /// No share at all.
    fn default() -> Self {
        Self { share: 0.0, law: TimeLaw::Uniform }
    }
}

impl Proposal {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share outside `[0, 1)`.
    pub fn validate(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.share) {
            return Ok(());
        }
        Err(Error::setting("proposal.share", self.share, "must be in [0, 1)"))
    }

    /// The time at the quantile `u` in (0, 1) and its weight in a loss over `target`.
    ///
    /// # Errors
    /// As [`TimeLaw::time`].
    pub fn draw(&self, target: TimeLaw, sde: &dyn Sde, t_min: f64, u: f64) -> Result<(f64, f64)> {
        if self.share == 0.0 {
            return Ok((target.time(sde, t_min, u)?, 1.0));
        }
        let t = if u < self.share {
            self.law.time(sde, t_min, u / self.share)?
        } else {
            target.time(sde, t_min, (u - self.share) / (1.0 - self.share))?
        };
        let (p, q) = (target.density(sde, t_min, t)?, self.law.density(sde, t_min, t)?);
        Ok((t, p / ((1.0 - self.share) * p + self.share * q)))
    }
}

/// `log((T + shift) / (t_min + shift))`.
fn log_span(shift: f64, t_min: f64, horizon: f64) -> Result<f64> {
    if !(shift.is_finite() && shift >= 0.0 && shift + t_min > 0.0) {
        let shift = format!("{shift:?}");
        return Err(Error::setting("shift", shift, "must be finite and not negative"));
    }
    Ok(((horizon + shift) / (t_min + shift)).ln())
}

fn beta_density(a: f64, b: f64, x: f64) -> Result<f64> {
    positive_exponents(a, b)?;
    Ok(if a == 1.0 && b == 2.0 {
        2.0 * (1.0 - x)
    } else {
        x.powf(a - 1.0) * (1.0 - x).powf(b - 1.0) / statrs::function::beta::beta(a, b)
    })
}

fn positive_exponents(a: f64, b: f64) -> Result<()> {
    match [("time.a", a), ("time.b", b)].iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
        Some((name, v)) => Err(Error::setting(name, v, "must be finite and positive")),
        None => Ok(()),
    }
}

fn beta_quantile(a: f64, b: f64, u: f64) -> Result<f64> {
    positive_exponents(a, b)?;
    Ok(if a == 1.0 && b == 2.0 {
        // 1 - sqrt(1 - u) without cancellation.
        u / (1.0 + (1.0 - u).sqrt())
    } else if a == 1.0 {
        -f64::exp_m1((-u).ln_1p() / b)
    } else if b == 1.0 {
        u.powf(1.0 / a)
    } else {
        statrs::function::beta::inv_beta_reg(a, b, u)
    })
}
