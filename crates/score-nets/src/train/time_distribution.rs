//! The distribution of the training times.

use sde_core::{Level, Sde};
use serde::{Deserialize, Serialize};

use super::distributions::{self, Normal};
use crate::{Error, Result};

/// How training times are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum TimeDistribution {
    /// Uniform on `[t_min, T]`.
    Uniform,
    /// `t = t_min + T B` with `B ~ Beta(a, b)`; `a = 1, b = 2` in arXiv 2311.15996.
    Beta {
        /// First shape parameter.
        a: f64,
        /// Second shape parameter.
        b: f64,
    },
    /// Uniform in `lambda = log(alpha / sigma)` between `t_min` and `T`: density
    /// `g^2 / (sigma^2 Z)`, `Z = 2 (lambda(t_min) - lambda(T))` ([`super::importance_integral`]), so
    /// that the weighting `sigma^2` has the expectation of the likelihood weighting `g^2` under
    /// [`TimeDistribution::Uniform`], up to a constant and with less variance: the importance sampling of
    /// continuous time. `Z`, the distribution function and its inverse are closed forms wherever
    /// lambda and its inverse are, which is every SDE of `sde-core`.
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
    /// `log(sigma / alpha)` is normal, cut to `[t_min, T]`.
    ///
    /// # Reference
    /// Karras et al. 2022, arXiv 2206.00364, table 1 (-1.2 and 1.2); EDM2, arXiv 2312.02696 (-0.4 and 1).
    LogNormal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// `log(t / (T - t))` is normal, cut to `[t_min, T]`.
    ///
    /// # Reference
    /// Esser et al. 2024, arXiv 2403.03206, equation 19 (0 and 1).
    LogitNormal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// `t / T = u + scale (u - sin^2(pi u / 2))` of a uniform `u`, cut to `[t_min, T]`: more (or, for
    /// a negative scale, fewer) times in the middle.
    ///
    /// # Reference
    /// Esser et al. 2024, equation 20 (1.29).
    Mode {
        /// From -1 to `2 / (pi - 2)`.
        scale: f64,
    },
    /// `alpha / sigma = cot(pi u / 2)` of a uniform `u` on straight paths: density
    /// `(2 / pi) / (1 - 2 t + 2 t^2)` with `t` in units of `T`, cut to `[t_min, T]`.
    ///
    /// # Reference
    /// Esser et al. 2024, equation 21.
    CosMap,
    /// Uniform over the steps `T / n, 2 T / n, ..., T` that are not below `t_min`: those of DDPM, for
    /// [`sde_core::Discrete`] with its own number of steps.
    Steps {
        /// Number of steps.
        n: u32,
    },
    /// Uniform over the levels `0, T / (n - 1), ..., T` that are not below `t_min`: those of score
    /// matching with Langevin dynamics, for [`sde_core::Ve`].
    Levels {
        /// Number of levels.
        n: u32,
    },
}

impl TimeDistribution {
    /// Checks every constant, for times from `t_min` to `horizon`.
    ///
    /// # Errors
    /// [`Error::Setting`] for the exponents of a Beta law outside `[0.01, 100]`, for a shift that is
    /// negative, not finite, or so large that the law is uniform, for a normal law without width, for
    /// a mode that turns time around, and for too few steps.
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
            Self::LogNormal { mean, std } | Self::LogitNormal { mean, std } => {
                Normal { mean, std }.validate()
            }
            Self::Mode { scale } => distributions::validate_mode(scale),
            Self::CosMap => Ok(()),
            Self::Steps { n } => distributions::steps(n, 1, t_min, horizon).map(|_| ()),
            Self::Levels { n } => distributions::steps(n, 0, t_min, horizon).map(|_| ()),
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
                let (start, end) = lambda_ends(sde, t_min)?;
                let lambda = start + (end - start) * u;
                Ok(sde.time_of_half_log_snr(lambda)?.clamp(t_min, horizon))
            }
            Self::LogUniform { shift } => {
                let span = log_span(shift, t_min, horizon)?;
                Ok((t_min + (t_min + shift) * (u * span).exp_m1()).min(horizon))
            }
            Self::LogNormal { mean, std } => {
                let ends = [t_min, horizon].map(|t| -sde.half_log_snr(t));
                let log_ratio = Normal { mean, std }.between(ends)?.quantile(u);
                Ok(sde.time_of_half_log_snr(-log_ratio)?.clamp(t_min, horizon))
            }
            Self::LogitNormal { mean, std } => {
                let ends = [t_min, horizon].map(|t| distributions::logit(t, horizon));
                let logit = Normal { mean, std }.between(ends)?.quantile(u);
                Ok((horizon / (1.0 + (-logit).exp())).clamp(t_min, horizon))
            }
            Self::Mode { scale } => {
                distributions::validate_mode(scale)?;
                let first = distributions::mode_inverse(scale, t_min / horizon);
                let t = horizon * distributions::mode(scale, first + (1.0 - first) * u);
                Ok(t.clamp(t_min, horizon))
            }
            Self::CosMap => {
                let first = distributions::cos_map_cdf(t_min / horizon);
                let t = horizon * distributions::cos_map(first + (1.0 - first) * u);
                Ok(t.clamp(t_min, horizon))
            }
            Self::Steps { n } => Ok(distributions::steps(n, 1, t_min, horizon)?.at(u)),
            Self::Levels { n } => Ok(distributions::steps(n, 0, t_min, horizon)?.at(u)),
        }
    }

    /// The share of the law below `t`.
    ///
    /// ```
    /// use score_nets::TimeDistribution;
    /// use sde_core::Vp;
    /// let (law, sde) = (TimeDistribution::LogNormal { mean: -1.2, std: 1.2 }, Vp::default());
    /// let t = law.time(&sde, 1e-5, 0.3)?;
    /// assert!((law.cdf(&sde, 1e-5, t)? - 0.3).abs() < 1e-12);
    /// # Ok::<(), score_nets::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`TimeDistribution::time`].
    pub fn cdf(&self, sde: &dyn Sde, t_min: f64, t: f64) -> Result<f64> {
        let horizon = sde.horizon();
        let cut = |first: f64, at: f64| (at - first) / (1.0 - first);
        let share = match *self {
            Self::Uniform => (t - t_min) / (horizon - t_min),
            Self::Beta { a, b } => {
                positive_exponents(a, b)?;
                let x = ((t - t_min) / horizon).clamp(0.0, 1.0);
                statrs::function::beta::beta_reg(a, b, x)
            }
            Self::LogSnr => {
                let (start, end) = lambda_ends(sde, t_min)?;
                (start - sde.half_log_snr(t)) / (start - end)
            }
            Self::LogUniform { shift } => {
                ((t - t_min) / (t_min + shift)).ln_1p() / log_span(shift, t_min, horizon)?
            }
            Self::LogNormal { mean, std } => {
                let ends = [t_min, horizon].map(|t| -sde.half_log_snr(t));
                Normal { mean, std }.between(ends)?.cdf(-sde.half_log_snr(t))
            }
            Self::LogitNormal { mean, std } => {
                let ends = [t_min, horizon].map(|t| distributions::logit(t, horizon));
                Normal { mean, std }.between(ends)?.cdf(distributions::logit(t, horizon))
            }
            Self::Mode { scale } => {
                distributions::validate_mode(scale)?;
                let share = |t: f64| distributions::mode_inverse(scale, t / horizon);
                cut(share(t_min), share(t))
            }
            Self::CosMap => cut(
                distributions::cos_map_cdf(t_min / horizon),
                distributions::cos_map_cdf(t / horizon),
            ),
            Self::Steps { n } => distributions::steps(n, 1, t_min, horizon)?.below(t),
            Self::Levels { n } => distributions::steps(n, 0, t_min, horizon)?.below(t),
        };
        Ok(share.clamp(0.0, 1.0))
    }

    /// The density of the law at a time `t` of its support.
    ///
    /// # Errors
    /// As [`TimeDistribution::time`]; for a law over steps, which has none.
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
            Self::LogNormal { mean, std } => {
                let ends = [t_min, horizon].map(|t| -sde.half_log_snr(t));
                let density = Normal { mean, std }.between(ends)?.density(-sde.half_log_snr(t));
                density * 0.5 * Level::at(sde, t).snr_decay()
            }
            Self::LogitNormal { mean, std } => {
                let ends = [t_min, horizon].map(|t| distributions::logit(t, horizon));
                let density =
                    Normal { mean, std }.between(ends)?.density(distributions::logit(t, horizon));
                density * horizon / (t * (horizon - t))
            }
            Self::Mode { scale } => {
                distributions::validate_mode(scale)?;
                let share = |t: f64| distributions::mode_inverse(scale, t / horizon);
                let left = 1.0 - share(t_min);
                1.0 / (distributions::mode_slope(scale, share(t)) * horizon * left)
            }
            Self::CosMap => {
                let left = 1.0 - distributions::cos_map_cdf(t_min / horizon);
                distributions::cos_map_density(t / horizon) / (horizon * left)
            }
            Self::Steps { n } | Self::Levels { n } => {
                return Err(Error::setting("time law", format!("{n} steps"), "has no density"));
            }
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
/// use score_nets::{Proposal, TimeDistribution};
/// use sde_core::Ou;
/// let sde = Ou::default();
/// let proposal = Proposal { share: 0.5, distribution: TimeDistribution::LogUniform { shift: 0.01 } };
/// let n = 10_000;
/// // The mean of 1 / (t + 0.1) over uniform times, from weighted times of the mixture.
/// let mean = (0..n).map(|i| -> Result<f64, score_nets::Error> {
///     let (t, weight) = proposal.draw(TimeDistribution::Uniform, &sde, 1e-4, (i as f64 + 0.5) / n as f64)?;
///     Ok(weight / (t + 0.1) / n as f64)
/// }).sum::<Result<f64, _>>()?;
/// let exact = (10.1_f64 / 0.1001).ln() / (10.0 - 1e-4);
/// assert!((mean / exact - 1.0).abs() < 1e-3);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Proposal {
    /// Share of the times that come from [`Proposal::distribution`]; 0 for none.
    pub share: f64,
    /// The distribution of that share.
    #[serde(alias = "law")]
    pub distribution: TimeDistribution,
}

impl Default for Proposal {
    /// No share at all.
    fn default() -> Self {
        Self { share: 0.0, distribution: TimeDistribution::Uniform }
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
    /// As [`TimeDistribution::time`].
    pub fn draw(
        &self,
        target: TimeDistribution,
        sde: &dyn Sde,
        t_min: f64,
        u: f64,
    ) -> Result<(f64, f64)> {
        if self.share == 0.0 {
            return Ok((target.time(sde, t_min, u)?, 1.0));
        }
        let t = if u < self.share {
            self.distribution.time(sde, t_min, u / self.share)?
        } else {
            target.time(sde, t_min, (u - self.share) / (1.0 - self.share))?
        };
        Ok((t, self.weight(target, sde, t_min, t)?))
    }

    /// The weight of a time in a loss over `target`.
    ///
    /// # Errors
    /// As [`TimeDistribution::density`].
    pub fn weight(
        &self,
        target: TimeDistribution,
        sde: &dyn Sde,
        t_min: f64,
        t: f64,
    ) -> Result<f64> {
        if self.share == 0.0 {
            return Ok(1.0);
        }
        let (p, q) = (target.density(sde, t_min, t)?, self.distribution.density(sde, t_min, t)?);
        Ok(p / ((1.0 - self.share) * p + self.share * q))
    }
}

/// `lambda(t_min)` and `lambda(T)`.
pub(super) fn lambda_ends(sde: &dyn Sde, t_min: f64) -> Result<(f64, f64)> {
    let (start, end) = (sde.half_log_snr(t_min), sde.half_log_snr(sde.horizon()));
    if (start - end).is_finite() {
        return Ok((start, end));
    }
    let reason = format!("log-SNR goes from {start} to {end} under {}: no uniform law", sde.name());
    Err(Error::setting("t-min", t_min, reason))
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
