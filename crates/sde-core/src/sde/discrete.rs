//! A discrete-time noise schedule, interpolated to continuous time.

use super::constants::lists;
use super::{Betas, Marginal, Sde, inverse_in_range};
use crate::schedule::zero_terminal_snr;
use crate::{Error, Result};

/// Which quantity is interpolated linearly in time between two training steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// `log(sigma / alpha)`: k-diffusion, and the times that diffusers gives to noise levels.
    #[default]
    LogRatio,
    /// `sigma / alpha`: the noise levels that diffusers gives to fractional times.
    Ratio,
}

/// The variance-preserving process of `N` training betas on `[0, N]`.
///
/// Time `t = i + 1` is training step `i`, where `alpha^2 = prod_{j <= i} (1 - beta_j)` and
/// `sigma^2 = 1 - alpha^2`; `t = 0` is data. Between two steps `log(sigma / alpha)` (or
/// `sigma / alpha`) is linear; before the first, where no such line reaches `sigma = 0`, the rate
/// of noise is constant, `alpha^2 = (1 - beta_0)^t`. A model of training step `i` is asked for at
/// `t - 1`.
///
/// The last beta may be 1: no signal is left at `N` (zero terminal signal-to-noise,
/// [`crate::schedule::zero_terminal_snr`]). In the last cell, where no such line reaches `alpha = 0`, then
/// `alpha / sigma` is linear; the coefficients are infinite at `N` and the flow is not.
///
/// Its name holds the table ([`Betas`]), so that [`sde::parse`](super::parse) makes the same process of it, to the bit:
/// `discrete:betas=scaled_linear,0.00085,0.012,1000`, and after it `terminal-snr=zero` for a table that is rescaled
/// and `between=ratio`.
///
/// # Reference
/// Ho et al. 2020, arXiv 2006.11239, equation 4; fractional steps: Katherine Crowson's
/// `k-diffusion`, `DiscreteSchedule`.
///
/// ```
/// use sde_core::{Discrete, Sde, schedule::ddpm_betas};
/// let sde = Discrete::new(&ddpm_betas(1000, 0.1, 20.0))?;
/// assert!((sde.marginal(1.0).sigma - 0.01).abs() < 1e-15 && sde.marginal(0.0).sigma == 0.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Discrete {
    betas: Betas,
    /// The table is rescaled so that the last step has no signal.
    rescaled: bool,
    /// `-log(1 - beta_0)`.
    first_rate: f64,
    /// `log(sigma / alpha)` at the times `1, ..., N`.
    log_ratios: Vec<f64>,
    between: Interpolation,
}

impl Discrete {
    /// The process of the betas of the training steps, first to last.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there are at least two and all lie in `(0, 1)`, but for the last, which may be 1.
    pub fn new(betas: &[f64]) -> Result<Self> {
        Self::of(Betas::Listed(betas.to_vec()))
    }

    /// The process of a table.
    ///
    /// # Errors
    /// As [`Discrete::new`].
    ///
    /// ```
    /// use sde_core::{Discrete, Sde, sde::{self, Betas}};
    /// let table = Betas::ScaledLinear { start: 0.00085, end: 0.012, steps: 1000 };
    /// let sde = Discrete::of(table)?.zero_terminal_snr()?;
    /// assert_eq!(sde.name(), "discrete:betas=scaled_linear,0.00085,0.012,1000,terminal-snr=zero");
    /// assert_eq!(sde::parse(&sde.name())?.marginal(17.5), sde.marginal(17.5));
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    pub fn of(betas: Betas) -> Result<Self> {
        let values = betas.values()?;
        Self::checked(&values)?;
        Ok(Self::from_values(betas, &values))
    }

    fn checked(betas: &[f64]) -> Result<()> {
        let refuse = |name: &str, value: String, reason: &str| {
            Err(Error::Parameter { name: name.into(), value, reason: reason.into() })
        };
        if betas.len() < 2 {
            return refuse("betas", betas.len().to_string(), "need at least two");
        }
        let last = betas.len() - 1;
        let allowed = |i: usize, b: f64| b > 0.0 && (b < 1.0 || (i == last && b == 1.0));
        match betas.iter().enumerate().find(|(i, b)| !allowed(*i, **b)) {
            None => Ok(()),
            Some((i, beta)) => {
                let reason = "must lie between 0 and 1";
                refuse(&format!("beta[{i}]"), beta.to_string(), reason)
            }
        }
    }

    fn from_values(betas: Betas, values: &[f64]) -> Self {
        // B = -log alpha^2 and (sigma / alpha)^2 = e^B - 1, which is e^B to rounding before it is
        // beyond the numbers.
        let log_ratio = |b: &mut f64, beta: &f64| {
            *b -= (-beta).ln_1p();
            Some(if *b < 700.0 { 0.5 * b.exp_m1().ln() } else { 0.5 * *b })
        };
        let log_ratios = values.iter().scan(0.0, log_ratio).collect();
        let (first_rate, between) = (-(-values[0]).ln_1p(), Interpolation::default());
        Self { betas, rescaled: false, first_rate, log_ratios, between }
    }

    /// The same table rescaled so that the last step has no signal ([`zero_terminal_snr`]).
    ///
    /// # Errors
    /// [`Error::Parameter`] for a table that cannot be rescaled.
    pub fn zero_terminal_snr(self) -> Result<Self> {
        let values = zero_terminal_snr(&self.betas.values()?);
        Self::checked(&values)?;
        Ok(Self { rescaled: true, between: self.between, ..Self::from_values(self.betas, &values) })
    }

    /// The process of what stands behind `discrete:` in a name.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (mut betas, mut rescaled) = (Betas::default(), false);
        let mut between = Interpolation::default();
        for (key, words) in lists(text)? {
            match (key, words.as_slice()) {
                ("betas", words) => betas = Betas::of_words(words)?,
                ("terminal-snr", ["zero"]) => rescaled = true,
                ("between", ["ratio"]) => between = Interpolation::Ratio,
                ("between", ["log-ratio"]) => between = Interpolation::LogRatio,
                ("terminal-snr" | "between", words) => {
                    let known = if key == "between" { "log-ratio or ratio" } else { "zero" };
                    return Err(Error::Parameter {
                        name: key.into(),
                        value: words.join(","),
                        reason: format!("must be {known}"),
                    });
                }
                (other, _) => {
                    let expected = ["betas", "terminal-snr", "between"].map(String::from).to_vec();
                    let (what, name) = ("constant", other.into());
                    return Err(Error::Unknown { what, name, expected });
                }
            }
        }
        let table = Self::of(betas)?;
        Ok(if rescaled { table.zero_terminal_snr()? } else { table }.with_interpolation(between))
    }

    /// The same process with another rule between training steps.
    #[must_use]
    pub fn with_interpolation(mut self, between: Interpolation) -> Self {
        self.between = between;
        self
    }

    /// The values of `log(sigma / alpha)` around `t >= 1`, and where `t` lies between them.
    fn cell(&self, t: f64) -> (f64, f64, f64) {
        let last = self.log_ratios.len() - 2;
        let i = ((t - 1.0).max(0.0) as usize).min(last);
        (self.log_ratios[i], self.log_ratios[i + 1], t - 1.0 - i as f64)
    }

    /// `log(sigma / alpha)`.
    fn log_ratio(&self, t: f64) -> f64 {
        if t < 1.0 {
            return 0.5 * (self.first_rate * t).exp_m1().ln();
        }
        let (a, b, u) = self.cell(t);
        match self.between {
            // To no signal, linear in alpha / sigma.
            _ if b == f64::INFINITY => a - (1.0 - u).ln(),
            Interpolation::LogRatio => a + u * (b - a),
            // The same where the ratios are beyond the numbers.
            Interpolation::Ratio if b > 700.0 => a + (u * (b - a).exp_m1()).ln_1p(),
            Interpolation::Ratio => (a.exp() + u * (b.exp() - a.exp())).ln(),
        }
    }

    /// `B(t) = -log alpha(t)^2 = log(1 + (sigma / alpha)^2)`.
    fn integral(&self, t: f64) -> f64 {
        if t < 1.0 { self.first_rate * t } else { super::softplus(2.0 * self.log_ratio(t)) }
    }
}

impl Sde for Discrete {
    fn name(&self) -> String {
        let mut name = format!("discrete:betas={}", self.betas);
        if self.rescaled {
            name += ",terminal-snr=zero";
        }
        if self.between == Interpolation::Ratio {
            name += ",between=ratio";
        }
        name
    }

    fn horizon(&self) -> f64 {
        self.log_ratios.len() as f64
    }

    fn drift_coef(&self, t: f64) -> f64 {
        -0.5 * self.diffusion_squared(t)
    }

    /// The rate `B'(t) = 2 sigma^2 d log(sigma / alpha) / dt`, that of the later cell at a node.
    fn diffusion_squared(&self, t: f64) -> f64 {
        if t < 1.0 {
            return self.first_rate;
        }
        let (a, b, u) = self.cell(t);
        let slope = match self.between {
            _ if b == f64::INFINITY => 1.0 / (1.0 - u),
            Interpolation::LogRatio => b - a,
            Interpolation::Ratio if b > 700.0 => (b - a).exp_m1() / (self.log_ratio(t) - a).exp(),
            Interpolation::Ratio => (b.exp() - a.exp()) / self.log_ratio(t).exp(),
        };
        -2.0 * (-self.integral(t)).exp_m1() * slope
    }

    fn marginal(&self, t: f64) -> Marginal {
        let b = self.integral(t);
        Marginal { alpha: (-0.5 * b).exp(), sigma: (-(-b).exp_m1()).sqrt() }
    }

    fn marginal_rate(&self, t: f64) -> Marginal {
        let m = self.marginal(t);
        if m.alpha == 0.0 && t == self.horizon() {
            // d(alpha / sigma)/dt of the last cell, where sigma is flat.
            return Marginal { alpha: -(-self.cell(t).0).exp(), sigma: 0.0 };
        }
        let a = self.drift_coef(t);
        let sigma = a * m.sigma + 0.5 * self.diffusion_squared(t) / m.sigma;
        Marginal { alpha: a * m.alpha, sigma }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        if s == t {
            return Marginal { alpha: 1.0, sigma: 0.0 };
        }
        let b = self.integral(t) - self.integral(s);
        Marginal { alpha: (-0.5 * b).exp(), sigma: (-(-b).exp_m1()).sqrt() }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        -self.log_ratio(t)
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        let l = -lambda;
        let first = self.log_ratios[0];
        let t = if l < first {
            super::softplus(2.0 * l) / self.first_rate
        } else {
            let last = self.log_ratios.len() - 2;
            let i = self.log_ratios.partition_point(|x| *x <= l).saturating_sub(1).min(last);
            let (a, b) = (self.log_ratios[i], self.log_ratios[i + 1]);
            let u = match self.between {
                _ if b == f64::INFINITY => -(a - l).exp_m1(),
                Interpolation::LogRatio => (l - a) / (b - a),
                Interpolation::Ratio => (l - a).exp_m1() / (b - a).exp_m1(),
            };
            1.0 + i as f64 + u
        };
        inverse_in_range(lambda, t, self.horizon())
    }

    fn prior_std(&self) -> f64 {
        1.0
    }
}
