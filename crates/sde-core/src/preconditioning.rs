//! What a network is given: how its input is scaled and which number stands for the noise level.

mod names;

use std::sync::Arc;

use crate::schedule::iddpm_sigmas;
use crate::sde::softplus;
use crate::{Error, Level, Parametrisation, Result, Sde, Short};

/// What the noised point `x` is multiplied by before the network sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputScale {
    /// 1.
    One,
    /// `1 / alpha`: the network sees data plus noise of standard deviation `sigma / alpha`.
    Signal,
    /// `1 / sqrt(sigma^2 + alpha^2 sigma_data^2)`: the network sees unit variance.
    Unit {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
}

impl InputScale {
    /// The scale at a level.
    pub fn at(&self, level: &Level) -> f64 {
        match *self {
            Self::One => 1.0,
            Self::Signal => 1.0 / level.alpha,
            Self::Unit { sigma_data } => 1.0 / level.sigma.hypot(level.alpha * sigma_data),
        }
    }

    /// Its derivative in time.
    pub fn rate(&self, level: &Level) -> f64 {
        let Level { alpha, sigma, rates } = *level;
        match *self {
            Self::One => 0.0,
            Self::Signal => -rates.alpha / (alpha * alpha),
            Self::Unit { sigma_data } => {
                let r = sigma.hypot(alpha * sigma_data);
                let slope = 0.5 * rates.variance + alpha * rates.alpha * sigma_data * sigma_data;
                -slope / (r * r) / r
            }
        }
    }
}

/// Noise-to-signal ratios `sigma / alpha` by step, in either order: the levels a network was trained
/// at.
#[derive(Clone, Debug)]
pub struct NoiseTable {
    ratios: Arc<[f64]>,
    /// How it is constructed, where it has a name.
    name: Option<String>,
}

impl PartialEq for NoiseTable {
    fn eq(&self, other: &Self) -> bool {
        self.ratios == other.ratios
    }
}

impl NoiseTable {
    /// The table of the ratios of steps `0, 1, ...`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there are at least two, none negative or infinite, and they rise
    /// or fall strictly.
    pub fn new(ratios: impl Into<Arc<[f64]>>) -> Result<Self> {
        let ratios = ratios.into();
        let refuse = |name: String, value: String, reason: &str| {
            Err(Error::Parameter { name, value, reason: reason.into() })
        };
        if ratios.len() < 2 {
            let n = ratios.len().to_string();
            return refuse("noise levels".into(), n, "need at least two");
        }
        for (i, r) in ratios.iter().enumerate() {
            let against = if i == 0 { None } else { Some(ratios[i - 1]) };
            let rises = ratios[1] > ratios[0];
            let ordered = against.is_none_or(|a| if rises { *r > a } else { *r < a });
            if !(r.is_finite() && *r >= 0.0 && ordered) {
                let reason = "must be finite, not negative and strictly ordered";
                return refuse(format!("noise level {i}"), r.to_string(), reason);
            }
        }
        Ok(Self { ratios, name: None })
    }

    /// The table of improved DDPM by rising noise, from the zero that ends its sampling:
    /// [`iddpm_sigmas`].
    ///
    /// # Errors
    /// As [`NoiseTable::new`], for fewer than two steps or constants that give no falling levels.
    pub fn iddpm(steps: usize, c1: f64, c2: f64) -> Result<Self> {
        let mut ratios = iddpm_sigmas(steps, c1, c2);
        ratios.push(0.0);
        ratios.reverse();
        let name = Some(format!("iddpm:steps={steps},c1={},c2={}", Short(c1), Short(c2)));
        Ok(Self { name, ..Self::new(ratios)? })
    }

    /// The ratios, step by step.
    pub fn ratios(&self) -> &[f64] {
        &self.ratios
    }

    /// The step whose ratio is nearest, the first of two at the same distance.
    pub fn nearest(&self, ratio: f64) -> usize {
        let distance = |i: usize| (self.ratios[i] - ratio).abs();
        let rises = self.ratios[1] > self.ratios[0];
        let beyond = self.ratios.partition_point(|r| if rises { *r < ratio } else { *r > ratio });
        let (before, after) = (beyond.saturating_sub(1), beyond.min(self.ratios.len() - 1));
        if distance(before) <= distance(after) { before } else { after }
    }
}

/// The number that tells a network the noise level.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// `scale t + offset`: continuous time (`scale = 1`), `999 t` of Song's VP networks, the step
    /// `t - 1` of a network trained under [`crate::Discrete`].
    Time {
        /// Factor.
        scale: f64,
        /// What is added.
        offset: f64,
    },
    /// `scale log(sigma / (alpha unit))`: `log(s) / 4` of EDM, `log(s / 2)` of its VE networks,
    /// `log s` of Song's.
    LogRatio {
        /// Factor.
        scale: f64,
        /// The ratio whose label is zero.
        unit: f64,
    },
    /// `sigma / alpha`.
    Ratio,
    /// `scale t(s)`, `t(s)` the time at which the VP process of these rates has the ratio `s`,
    /// whatever process the model runs under.
    VpTime {
        /// Rate of noise at time 0.
        beta0: f64,
        /// Rate of noise at time 1.
        beta1: f64,
        /// Factor.
        scale: f64,
    },
    /// The step of a table whose ratio is nearest to `sigma / alpha`, plus an offset; its derivative is
    /// zero.
    Step {
        /// The ratios by step.
        table: NoiseTable,
        /// The label of step 0.
        offset: f64,
    },
}

impl Label {
    /// The label at time `t` of a process.
    pub fn at(&self, sde: &dyn Sde, t: f64) -> f64 {
        match *self {
            Self::Time { scale, offset } => scale * t + offset,
            _ => self.of_log_ratio(-sde.half_log_snr(t)).unwrap_or(f64::NAN),
        }
    }

    /// The label at a value of `log(sigma / alpha)`; `None` where it is a matter of time.
    pub fn of_log_ratio(&self, log_ratio: f64) -> Option<f64> {
        Some(match *self {
            Self::Time { .. } => return None,
            Self::LogRatio { scale, unit: 1.0 } => scale * log_ratio,
            Self::LogRatio { scale, unit } => scale * (log_ratio - unit.ln()),
            Self::Ratio => log_ratio.exp(),
            Self::VpTime { beta0, beta1, scale } => {
                let (b, slope) = (softplus(2.0 * log_ratio), beta1 - beta0);
                scale * (2.0 * b / (beta0 + (beta0 * beta0 + 2.0 * slope * b).sqrt()))
            }
            Self::Step { ref table, offset } => table.nearest(log_ratio.exp()) as f64 + offset,
        })
    }

    /// The derivative of the label in time.
    pub fn rate(&self, sde: &dyn Sde, t: f64) -> f64 {
        // d log(sigma / alpha) / dt
        let grow = || 0.5 * Level::at(sde, t).snr_decay();
        match *self {
            Self::Time { scale, .. } => scale,
            Self::LogRatio { scale, .. } => scale * grow(),
            Self::Ratio => (-sde.half_log_snr(t)).exp() * grow(),
            Self::VpTime { beta0, beta1, scale } => {
                // B = log(1 + s^2): dB = 2 s^2 / (1 + s^2) d log s, dt = dB / beta(t).
                let y = -2.0 * sde.half_log_snr(t);
                let b = softplus(y);
                let beta = (beta0 * beta0 + 2.0 * (beta1 - beta0) * b).sqrt();
                scale * 2.0 * (y - b).exp() * grow() / beta
            }
            Self::Step { .. } => 0.0,
        }
    }
}

/// The four numbers of Karras et al. at one noise level: `D = c_skip x + c_out F(c_in x, c_noise)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Scale of the input.
    pub c_in: f64,
    /// The label.
    pub c_noise: f64,
    /// What the noised point is multiplied by.
    pub c_skip: f64,
    /// What the output is multiplied by.
    pub c_out: f64,
}

/// What a network is given at a noise level: its input is `c_in x`, its label `c_noise`. What it gives
/// back is a matter of its [`Parametrisation`]: together with a process the two are the four functions
/// of Karras et al., and `network + parametrisation + preconditioning + process` is a model of the
/// score. With `s = sigma / alpha`:
///
/// | name | `c_in` | `c_noise` | trained as | networks |
/// | --- | --- | --- | --- | --- |
/// | `none` | 1 | `t` | any | own, flow matching |
/// | `time:scale=999,offset=0` | 1 | `scale t + offset` | `eps` | Song's VP and sub-VP |
/// | `step` | 1 | `t - 1` | any | diffusers and guided-diffusion under [`crate::Discrete`] |
/// | `sigma` | 1 | `s` | `score` | Song's VE, where the network takes the logarithm |
/// | `log-sigma` | `1 / alpha` | `log s` | `score` | Song's VE |
/// | `edm:sigma-data=0.5` | `1 / sqrt(sigma^2 + alpha^2 sigma_data^2)` | `log(s) / 4` | `edm-f` | EDM, EDM2 |
/// | `vp:beta0=0.1,beta1=20,scale=999` | `1 / sqrt(sigma^2 + alpha^2)` | `999 t(s)` | `eps` | EDM's VP |
/// | `ve` | `1 / alpha` | `log(s / 2)` | `sigma-score` | EDM's VE |
/// | `iddpm:steps=1000,c1=0.001,c2=0.008` | as `vp` | step of the nearest of its levels | `eps` | EDM's iDDPM |
///
/// Any other has a name too, `custom:input=INPUT,label=LABEL`: `one`, `signal` or `unit,SIGMA_DATA` and `time,SCALE,OFFSET`,
/// `log-ratio,SCALE,UNIT`, `ratio`, `vp-time,BETA0,BETA1,SCALE` or `table,OFFSET,RATIO,RATIO,...`.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, table 1; Song et al. 2021, arXiv 2011.13456.
///
/// ```
/// use sde_core::{Edm, Parametrisation, Preconditioning};
/// let edm: Preconditioning = "edm:sigma-data=0.5".parse()?;
/// let c = edm.coefficients(Parametrisation::F { sigma_data: 0.5 }, &Edm::default(), 1.0);
/// assert!(c.c_noise == 0.0 && (c.c_skip - 0.2).abs() < 1e-15);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preconditioning {
    /// What multiplies the input.
    pub input: InputScale,
    /// What stands for the noise level.
    pub label: Label,
}

impl Preconditioning {
    /// The names that [`str::parse`] knows, beside `custom`.
    pub const NAMES: [&str; 9] =
        ["none", "time", "step", "sigma", "log-sigma", "edm", "vp", "ve", "iddpm"];

    /// The input as it is and the time as it is.
    pub fn none() -> Self {
        Self { input: InputScale::One, label: Label::Time { scale: 1.0, offset: 0.0 } }
    }

    /// That of Karras et al. for data of standard deviation `sigma_data`.
    pub fn edm(sigma_data: f64) -> Self {
        Self {
            input: InputScale::Unit { sigma_data },
            label: Label::LogRatio { scale: 0.25, unit: 1.0 },
        }
    }

    /// Unit variance for unit data, and the step of a table of `sigma / alpha` as label; the first has
    /// the label `offset` (-1 for the tables of improved DDPM, which begin with no noise).
    pub fn table(table: NoiseTable, offset: f64) -> Self {
        Self { input: InputScale::Unit { sigma_data: 1.0 }, label: Label::Step { table, offset } }
    }

    /// All four functions of Karras et al. at time `t`; [`Level::at`] and
    /// [`Parametrisation::denoised`] have the latter two.
    pub fn coefficients(&self, output: Parametrisation, sde: &dyn Sde, t: f64) -> Coefficients {
        let level = Level::at(sde, t);
        let denoised = output.denoised(&level);
        Coefficients {
            c_in: self.input.at(&level),
            c_noise: self.label.at(sde, t),
            c_skip: denoised.x,
            c_out: denoised.p,
        }
    }
}

#[cfg(test)]
mod tests;
