//! The weight of a noise level in the loss.

use std::fmt;
use std::str::FromStr;

use sde_core::sde::constants;
use sde_core::{Level, Parametrisation, Sde, Short};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The weight of a time in the loss.
///
/// One loss has many forms: the squared errors of noise, data, score, `v`, EDM's `F` and velocity
/// are multiples of each other at a time. A weighting is given below by its weight `w` on the error of
/// the noise, `w |eps_hat - eps|^2`; [`Weighting::on`] turns it into the weight on any other. With
/// `snr = (alpha / sigma)^2` and `lambda = log snr`:
///
/// | name | `w` on the noise | |
/// | --- | --- | --- |
/// | `one` | `1 / sigma^2` | 1 on the score |
/// | `sigma-squared` | 1 | `sigma^2` on the score; `snr` on the data |
/// | `diffusion-squared` | `g^2 / sigma^2` | `g^2` on the score: a bound on the likelihood, Song et al. 2021, 2101.09258 |
/// | `vdm` | `-lambda' / 2` | half of it: the bound itself, Kingma et al. 2021, 2107.00630 |
/// | `min-snr:gamma=5` | `min(snr, gamma) / snr` | Hang et al. 2023, 2303.09556 |
/// | `p2:k=1,gamma=1` | `(k + snr)^-gamma` | Choi et al. 2022, 2204.00227, for uniform times of DDPM |
/// | `edm:sigma-data=0.5` | `1 + 1 / (snr sigma_data^2)` | 1 on EDM's `F`: Karras et al. 2022, 2206.00364 |
/// | `sigmoid:b=2` | `sigmoid(b - lambda)` | for times uniform in `lambda`: Kingma, Gao 2023, 2303.00848 |
/// | `sigmoid-time:b=2` | `sigmoid(b - lambda) (-lambda' / 2)` | the same for uniform times |
/// | `data` | `1 / snr` | 1 on the data |
/// | `cosmap` | | `(2 / pi) / (alpha^2 + sigma^2)` on the velocity: Esser et al. 2024, 2403.03206 |
/// | `sigma-sqrt` | | `1 / sigma^2` on the velocity: the same |
/// | `native` | | 1 on what the network gives: flow matching, `v` and so on |
///
/// ```
/// use score_nets::Weighting;
/// use sde_core::{Level, Parametrisation, Vp};
/// let level = Level::at(&Vp::default(), 0.3);
/// let min_snr: Weighting = "min-snr:gamma=5".parse()?;
/// let on_data = min_snr.on(Parametrisation::X0, &level);
/// assert!((on_data / level.snr().min(5.0) - 1.0).abs() < 1e-14);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Weighting {
    /// 1 on the score.
    #[default]
    One,
    /// `sigma(t)^2` on the score: the squared error of the predicted noise.
    SigmaSquared,
    /// `g(t)^2` on the score: a bound on the likelihood.
    DiffusionSquared,
    /// `-lambda' / 2` on the noise: half of [`Weighting::DiffusionSquared`].
    Vdm,
    /// `min(snr, gamma)` on the data.
    MinSnr {
        /// The signal-to-noise ratio from which on weights on the data are constant.
        gamma: f64,
    },
    /// `(k + snr)^-gamma` on the noise.
    P2 {
        /// Offset.
        k: f64,
        /// Exponent.
        gamma: f64,
    },
    /// 1 on the `F` of Karras et al.
    Edm {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
    /// `sigmoid(b - lambda)` on the noise, meant for an integral over `lambda`.
    Sigmoid {
        /// The log signal-to-noise ratio at which it is 1/2.
        b: f64,
    },
    /// The same for an integral over time.
    SigmoidTime {
        /// The log signal-to-noise ratio at which the sigmoid is 1/2.
        b: f64,
    },
    /// 1 on the data.
    Data,
    /// `(2 / pi) / (alpha^2 + sigma^2)` on the velocity.
    CosMap,
    /// `1 / sigma^2` on the velocity.
    SigmaSqrt,
    /// 1 on whatever the network gives.
    Native,
}

impl Weighting {
    /// The names [`Weighting::from_str`] knows.
    pub const NAMES: [&str; 13] = [
        "one",
        "sigma-squared",
        "diffusion-squared",
        "vdm",
        "min-snr",
        "p2",
        "edm",
        "sigmoid",
        "sigmoid-time",
        "data",
        "cosmap",
        "sigma-sqrt",
        "native",
    ];

    /// The weight on the squared error of the score, `|s_hat - s|^2`.
    pub fn at(&self, sde: &dyn Sde, t: f64) -> f64 {
        match self {
            Self::One => 1.0,
            Self::SigmaSquared => sde.marginal(t).sigma.powi(2),
            Self::DiffusionSquared => sde.diffusion_squared(t),
            _ => self.on(Parametrisation::Score, &Level::at(sde, t)),
        }
    }

    /// The weight on the squared error of what a network of a parametrisation gives.
    pub fn on(&self, output: Parametrisation, level: &Level) -> f64 {
        let per_eps = output.error_per_eps(level).powi(2);
        match *self {
            Self::Native => 1.0,
            // Without the detour where there is no need of one: finite at the ends.
            Self::Data if output == Parametrisation::X0 => 1.0,
            Self::MinSnr { gamma } if output == Parametrisation::X0 => level.snr().min(gamma),
            Self::SigmaSquared if output == Parametrisation::X0 => level.snr(),
            Self::Edm { sigma_data } if output == (Parametrisation::F { sigma_data }) => 1.0,
            Self::CosMap | Self::SigmaSqrt if output == Parametrisation::Velocity => {
                self.on_velocity(level)
            }
            _ => self.on_eps(level) / per_eps,
        }
    }

    /// The weight on the squared error of the noise; of [`Weighting::Native`], 1.
    pub fn on_eps(&self, level: &Level) -> f64 {
        let (snr, ratio) = (level.snr(), (level.sigma / level.alpha).powi(2));
        // sigmoid(b - lambda) = 1 / (1 + e^-b snr).
        let sigmoid = |b: f64| 1.0 / (1.0 + (-b).exp() * snr);
        match *self {
            Self::One => level.sigma.powi(-2),
            Self::SigmaSquared | Self::Native => 1.0,
            Self::DiffusionSquared => level.snr_decay(),
            Self::Vdm => 0.5 * level.snr_decay(),
            Self::MinSnr { gamma } => (gamma * ratio).min(1.0),
            Self::P2 { k, gamma } => (k + snr).powf(-gamma),
            Self::Edm { sigma_data } => 1.0 + ratio / (sigma_data * sigma_data),
            Self::Sigmoid { b } => sigmoid(b),
            Self::SigmoidTime { b } => sigmoid(b) * 0.5 * level.snr_decay(),
            Self::Data => ratio,
            Self::CosMap | Self::SigmaSqrt => {
                self.on_velocity(level) * Parametrisation::Velocity.error_per_eps(level).powi(2)
            }
        }
    }

    /// The weight that is given on the velocity.
    fn on_velocity(&self, level: &Level) -> f64 {
        let Level { alpha, sigma, .. } = *level;
        match self {
            Self::CosMap => std::f64::consts::FRAC_2_PI / (alpha * alpha + sigma * sigma),
            _ => sigma.powi(-2),
        }
    }
}

impl fmt::Display for Weighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::One => f.write_str("one"),
            Self::SigmaSquared => f.write_str("sigma-squared"),
            Self::DiffusionSquared => f.write_str("diffusion-squared"),
            Self::Vdm => f.write_str("vdm"),
            Self::MinSnr { gamma } => write!(f, "min-snr:gamma={}", Short(gamma)),
            Self::P2 { k, gamma } => write!(f, "p2:k={},gamma={}", Short(k), Short(gamma)),
            Self::Edm { sigma_data } => write!(f, "edm:sigma-data={}", Short(sigma_data)),
            Self::Sigmoid { b } => write!(f, "sigmoid:b={}", Short(b)),
            Self::SigmoidTime { b } => write!(f, "sigmoid-time:b={}", Short(b)),
            Self::Data => f.write_str("data"),
            Self::CosMap => f.write_str("cosmap"),
            Self::SigmaSqrt => f.write_str("sigma-sqrt"),
            Self::Native => f.write_str("native"),
        }
    }
}

impl FromStr for Weighting {
    type Err = Error;

    /// One of [`Weighting::NAMES`], with its constants.
    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let read = |key, default| -> Result<f64> { Ok(constants(rest, &[(key, default)])?[0]) };
        let positive = |name: &str, v: f64| -> Result<f64> {
            if v.is_finite() && v > 0.0 {
                return Ok(v);
            }
            Err(Error::setting(name, format!("{v:?}"), "must be finite and positive"))
        };
        let finite = |v: f64| -> Result<f64> {
            if v.is_finite() {
                return Ok(v);
            }
            Err(Error::setting("b", format!("{v:?}"), "must be finite"))
        };
        let plain = match name.trim() {
            "min-snr" => {
                return Ok(Self::MinSnr { gamma: positive("gamma", read("gamma", 5.0)?)? });
            }
            "p2" => {
                let values = constants(rest, &[("k", 1.0), ("gamma", 1.0)])?;
                let (k, gamma) = (positive("k", values[0])?, positive("gamma", values[1])?);
                return Ok(Self::P2 { k, gamma });
            }
            "edm" => {
                let sigma_data = positive("sigma-data", read("sigma-data", 0.5)?)?;
                return Ok(Self::Edm { sigma_data });
            }
            "sigmoid" => return Ok(Self::Sigmoid { b: finite(read("b", 2.0)?)? }),
            "sigmoid-time" => return Ok(Self::SigmoidTime { b: finite(read("b", 2.0)?)? }),
            "one" => Self::One,
            "sigma-squared" => Self::SigmaSquared,
            "diffusion-squared" => Self::DiffusionSquared,
            "vdm" => Self::Vdm,
            "data" => Self::Data,
            "cosmap" => Self::CosMap,
            "sigma-sqrt" => Self::SigmaSqrt,
            "native" => Self::Native,
            other => {
                let reason = format!("expected one of {}", Self::NAMES.join(", "));
                return Err(Error::setting("weighting", other, reason));
            }
        };
        constants(rest, &[])?;
        Ok(plain)
    }
}

impl TryFrom<String> for Weighting {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Weighting> for String {
    fn from(weighting: Weighting) -> Self {
        weighting.to_string()
    }
}

/// How the squared errors of the coordinates of a row add up to its loss; over rows it is a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their mean: `reduce_mean=True` of Song et al., and diffusers.
    #[default]
    Mean,
    /// Half their sum: `reduce_mean=False` of Song et al., the convention of bounds on the likelihood.
    HalfSum,
    /// Their sum: EDM.
    Sum,
}

impl Reduction {
    /// What the sum over `d` coordinates is multiplied by.
    ///
    /// ```
    /// use score_nets::Reduction;
    /// assert_eq!(Reduction::Mean.scale(4), 0.25);
    /// assert_eq!(Reduction::HalfSum.scale(4), 0.5);
    /// ```
    pub fn scale(self, d: usize) -> f64 {
        match self {
            Self::Mean => (d as f64).recip(),
            Self::HalfSum => 0.5,
            Self::Sum => 1.0,
        }
    }
}
