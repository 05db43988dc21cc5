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
}

impl TimeLaw {
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
        }
    }
}

fn beta_quantile(a: f64, b: f64, u: f64) -> Result<f64> {
    for (name, v) in [("time.a", a), ("time.b", b)] {
        if !(v.is_finite() && v > 0.0) {
            return Err(Error::setting(name, v, "must be finite and positive"));
        }
    }
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
