//! What a network's output is: every parametrisation of the score in the literature, and the exact
//! linear maps between them.

mod dual;

use std::fmt;
use std::str::FromStr;

use crate::sde::parse::known;
use crate::sde::{Marginal, positive};
use crate::{Error, Result, Sde, Short};
use dual::Dual;

/// Derivatives in time of a [`Marginal`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// `d alpha / dt`.
    pub alpha: f64,
    /// `d sigma / dt`, which may be infinite where `sigma` is zero.
    pub sigma: f64,
    /// `d sigma^2 / dt`.
    pub variance: f64,
}

/// The noise level at a time: `x = alpha x_0 + sigma eps`, and how both scales change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Scale of the mean.
    pub alpha: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// Their derivatives in time; only [`Parametrisation::Velocity`] and the functions named
    /// `_rate` read them.
    pub rates: Rates,
}

impl Level {
    /// That of a process at time `t`.
    pub fn at(sde: &dyn Sde, t: f64) -> Self {
        let (m, rate) = (sde.marginal(t), sde.marginal_rate(t));
        // (sigma^2)' = 2 a sigma^2 + g^2.
        let variance =
            if m.sigma == 0.0 { sde.diffusion_squared(t) } else { 2.0 * m.sigma * rate.sigma };
        let rates = Rates { alpha: rate.alpha, sigma: rate.sigma, variance };
        Self { alpha: m.alpha, sigma: m.sigma, rates }
    }

    /// `(alpha / sigma)^2`.
    pub fn snr(&self) -> f64 {
        (self.alpha / self.sigma).powi(2)
    }

    /// `-d log(alpha^2 / sigma^2) / dt`, which is `g^2 / sigma^2` for every linear SDE.
    pub fn snr_decay(&self) -> f64 {
        2.0 * self.wronskian() / (self.alpha * self.sigma)
    }

    /// The level of the same signal-to-noise ratio with `alpha^2 + sigma^2 = 1`, without its rates.
    #[must_use]
    pub fn variance_preserving(&self) -> Self {
        let norm = self.alpha.hypot(self.sigma);
        Self::from(Marginal { alpha: self.alpha / norm, sigma: self.sigma / norm })
    }

    /// `alpha sigma' - sigma alpha'`, two terms of one sign where signal falls and noise grows.
    fn wronskian(&self) -> f64 {
        self.alpha * self.rates.sigma - self.sigma * self.rates.alpha
    }
}

impl From<Marginal> for Level {
    /// With rates that are not known (NaN).
    fn from(m: Marginal) -> Self {
        let unknown = f64::NAN;
        let rates = Rates { alpha: unknown, sigma: unknown, variance: unknown };
        Self { alpha: m.alpha, sigma: m.sigma, rates }
    }
}

/// A linear combination `x X + p P` of a noised point `X` and the network's output `P` there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combination {
    /// What multiplies the noised point.
    pub x: f64,
    /// What multiplies the output.
    pub p: f64,
}

impl Combination {
    /// `x X + p P`; a coefficient of zero counts for nothing, whatever it multiplies.
    pub fn of(&self, x: f64, p: f64) -> f64 {
        let term = |c: f64, v: f64| if c == 0.0 { 0.0 } else { c * v };
        term(self.x, x) + term(self.p, p)
    }
}

/// A regression target `x0 X_0 + eps E` of data `X_0` and unit noise `E`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// What multiplies the data.
    pub x0: f64,
    /// What multiplies the noise.
    pub eps: f64,
}

/// What the output `P` of a network stands for. Each is a linear function of data and noise, so from
/// the noised point and the output all others follow, without cancellation, and finite wherever
/// their limits are (`alpha = 0` for `x0`, `v`, `edm-f` and `velocity`; `sigma = 0` for every denoised
/// value).
///
/// | name | `P` estimates | reference |
/// | --- | --- | --- |
/// | `eps` | the noise `eps` | Ho et al. 2020, arXiv 2006.11239 |
/// | `x0` | the data `x_0` | |
/// | `v` | `alpha eps - sigma x_0` | Salimans, Ho 2022, arXiv 2202.00512 |
/// | `score` | `-eps / sigma` | Song et al. 2021, arXiv 2011.13456 |
/// | `sigma-score` | `-eps`, the score times `sigma` | Karras et al. 2022, column VE |
/// | `edm-f` | `(x_0 - c_skip x / alpha) / c_out` | Karras et al. 2022, arXiv 2206.00364 |
/// | `velocity` | `alpha' x_0 + sigma' eps` | Lipman et al. 2023, arXiv 2210.02747 |
/// | `potential` | a scalar whose gradient is the score; `P` below is that gradient | |
///
/// ```
/// use sde_core::{Level, Parametrisation, Vp};
/// let level = Level::at(&Vp::default(), 0.5);
/// let (x0, eps) = (0.3, -1.2);
/// let x = level.alpha * x0 + level.sigma * eps;
/// for name in ["eps", "x0", "v", "score", "edm-f:sigma-data=0.7", "velocity"] {
///     let p: Parametrisation = name.parse()?;
///     let target = p.target(&level);
///     let output = target.x0 * x0 + target.eps * eps;
///     assert!((p.denoised(&level).of(x, output) - x0).abs() < 1e-14, "{name}");
///     assert!((p.eps(&level).of(x, output) - eps).abs() < 1e-14, "{name}");
/// }
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parametrisation {
    /// The noise.
    Eps,
    /// The data.
    X0,
    /// `alpha eps - sigma x_0`.
    V,
    /// The score.
    Score,
    /// The score times `sigma`: minus the noise.
    SigmaScore,
    /// The output `F` of Karras et al. in `D = c_skip x / alpha + c_out F`.
    F {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
    /// The velocity of the flow, `d(alpha x_0 + sigma eps) / dt`.
    Velocity,
    /// A scalar potential; its gradient in the noised point is the score.
    Potential,
}

impl Parametrisation {
    /// The names [`Parametrisation::from_str`] knows.
    pub const NAMES: [&str; 8] =
        ["eps", "x0", "v", "score", "sigma-score", "edm-f", "velocity", "potential"];

    /// The standard deviation of the data that it speaks of: that of `edm-f`.
    pub fn sigma_data(self) -> Option<f64> {
        match self {
            Self::F { sigma_data } => Some(sigma_data),
            _ => None,
        }
    }

    /// What the output is trained to be, as a combination of data and noise.
    pub fn target(&self, level: &Level) -> Target {
        let Level { alpha, sigma, rates } = *level;
        let (x0, eps) = match *self {
            Self::Eps => (0.0, 1.0),
            Self::X0 => (1.0, 0.0),
            Self::V => (-sigma, alpha),
            Self::Score | Self::Potential => (0.0, -1.0 / sigma),
            Self::SigmaScore => (0.0, -1.0),
            Self::F { sigma_data } => {
                let r = sigma.hypot(alpha * sigma_data);
                (sigma / (sigma_data * r), -alpha * (sigma_data / r))
            }
            Self::Velocity => (rates.alpha, rates.sigma),
        };
        Target { x0, eps }
    }

    /// The error of the output that goes with an error of one in the predicted noise at the same
    /// point: the loss on the output is the square of this times the loss on the noise.
    pub fn error_per_eps(&self, level: &Level) -> f64 {
        let Level { alpha, sigma, rates } = *level;
        match *self {
            Self::Eps => 1.0,
            Self::X0 => -sigma / alpha,
            Self::V => alpha + sigma * (sigma / alpha),
            Self::Score | Self::Potential => -1.0 / sigma,
            Self::SigmaScore => -1.0,
            Self::F { sigma_data } => -(sigma / alpha).hypot(sigma_data) / sigma_data,
            Self::Velocity => rates.sigma - sigma * (rates.alpha / alpha),
        }
    }

    /// The expected data `E[x_0 | x]`: for [`Parametrisation::F`] these are `c_skip / alpha` and
    /// `c_out` of Karras et al.
    pub fn denoised(&self, level: &Level) -> Combination {
        self.denoised_dual(level).value()
    }

    /// The expected noise.
    pub fn eps(&self, level: &Level) -> Combination {
        self.eps_dual(level).value()
    }

    /// The score.
    pub fn score(&self, level: &Level) -> Combination {
        self.score_dual(level).value()
    }

    /// The velocity of the probability flow, `alpha' D + sigma' eps`.
    pub fn velocity(&self, level: &Level) -> Combination {
        if *self == Self::Velocity {
            return Combination { x: 0.0, p: 1.0 };
        }
        let (d, e, rates) = (self.denoised(level), self.eps(level), level.rates);
        let of = |d: f64, e: f64| Combination { x: d, p: e }.of(rates.alpha, rates.sigma);
        Combination { x: of(d.x, e.x), p: of(d.p, e.p) }
    }

    /// The derivative in time of the coefficients of [`Parametrisation::denoised`]; NaN for a
    /// velocity, whose coefficients hold the rates themselves.
    pub fn denoised_rate(&self, level: &Level) -> Combination {
        self.denoised_dual(level).rate()
    }

    /// The derivative in time of the coefficients of [`Parametrisation::score`]; NaN for a velocity.
    pub fn score_rate(&self, level: &Level) -> Combination {
        self.score_dual(level).rate()
    }

    fn denoised_dual(&self, level: &Level) -> Pair {
        let [alpha, sigma] = duals(level);
        let (zero, one) = (Dual::from(0.0), Dual::from(1.0));
        match *self {
            Self::Eps => Pair(one / alpha, -(sigma / alpha)),
            Self::X0 => Pair(zero, one),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                Pair(alpha / norm, -(sigma / norm))
            }
            Self::Score | Self::Potential => Pair(one / alpha, sigma * (sigma / alpha)),
            Self::SigmaScore => Pair(one / alpha, sigma / alpha),
            Self::F { sigma_data } => {
                let data = alpha * sigma_data.into();
                let r = sigma.hypot(data);
                Pair(
                    (data / r) * (Dual::from(sigma_data) / r),
                    sigma * (Dual::from(sigma_data) / r),
                )
            }
            // Without noise the point is the data, however fast the noise sets in.
            Self::Velocity if level.sigma == 0.0 => {
                Pair(Dual::unknown(1.0 / level.alpha), Dual::unknown(0.0))
            }
            Self::Velocity => {
                let w = level.wronskian();
                Pair(Dual::unknown(level.rates.sigma / w), Dual::unknown(-level.sigma / w))
            }
        }
    }

    fn eps_dual(&self, level: &Level) -> Pair {
        let [alpha, sigma] = duals(level);
        let (zero, one) = (Dual::from(0.0), Dual::from(1.0));
        match *self {
            Self::Eps => Pair(zero, one),
            Self::X0 => Pair(one / sigma, -(alpha / sigma)),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                Pair(sigma / norm, alpha / norm)
            }
            Self::Score | Self::Potential => Pair(zero, -sigma),
            Self::SigmaScore => Pair(zero, -one),
            Self::F { sigma_data } => {
                let data = alpha * sigma_data.into();
                let r = sigma.hypot(data);
                Pair((sigma / r) / r, -(data / r))
            }
            Self::Velocity => {
                let w = level.wronskian();
                Pair(Dual::unknown(-level.rates.alpha / w), Dual::unknown(level.alpha / w))
            }
        }
    }

    fn score_dual(&self, level: &Level) -> Pair {
        let [alpha, sigma] = duals(level);
        let (zero, one) = (Dual::from(0.0), Dual::from(1.0));
        match *self {
            Self::Eps => Pair(zero, -(one / sigma)),
            Self::X0 => Pair(-(one / (sigma * sigma)), alpha / (sigma * sigma)),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                Pair(-(one / norm), -((alpha / sigma) / norm))
            }
            Self::Score | Self::Potential => Pair(zero, one),
            Self::SigmaScore => Pair(zero, one / sigma),
            Self::F { sigma_data } => {
                let data = alpha * sigma_data.into();
                let r = sigma.hypot(data);
                Pair(-(one / (r * r)), (data / r) / sigma)
            }
            Self::Velocity => {
                // sigma times the Wronskian, finite where the rate of sigma is not.
                let w = 0.5 * level.alpha * level.rates.variance
                    - level.sigma * level.sigma * level.rates.alpha;
                Pair(Dual::unknown(level.rates.alpha / w), Dual::unknown(-level.alpha / w))
            }
        }
    }
}

/// The two coefficients of a combination with their derivatives in time.
struct Pair(Dual, Dual);

impl Pair {
    fn value(&self) -> Combination {
        Combination { x: self.0.value, p: self.1.value }
    }

    fn rate(&self) -> Combination {
        Combination { x: self.0.rate, p: self.1.rate }
    }
}

fn duals(level: &Level) -> [Dual; 2] {
    [
        Dual { value: level.alpha, rate: level.rates.alpha },
        Dual { value: level.sigma, rate: level.rates.sigma },
    ]
}

impl fmt::Display for Parametrisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Eps => f.write_str("eps"),
            Self::X0 => f.write_str("x0"),
            Self::V => f.write_str("v"),
            Self::Score => f.write_str("score"),
            Self::SigmaScore => f.write_str("sigma-score"),
            Self::F { sigma_data } => write!(f, "edm-f:sigma-data={}", Short(sigma_data)),
            Self::Velocity => f.write_str("velocity"),
            Self::Potential => f.write_str("potential"),
        }
    }
}

impl FromStr for Parametrisation {
    type Err = Error;

    /// One of [`Parametrisation::NAMES`]; `edm-f:sigma-data=0.5` with its constant.
    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let plain = match name.trim() {
            "edm-f" => {
                let [sigma_data] = known(rest, [("sigma-data", 0.5)])?;
                return Ok(Self::F { sigma_data: positive("sigma-data", sigma_data)? });
            }
            "eps" => Self::Eps,
            "x0" => Self::X0,
            "v" => Self::V,
            "score" => Self::Score,
            "sigma-score" => Self::SigmaScore,
            "velocity" => Self::Velocity,
            "potential" => Self::Potential,
            other => {
                return Err(Error::Unknown {
                    what: "parametrisation",
                    name: other.into(),
                    expected: Self::NAMES.iter().map(|n| (*n).into()).collect(),
                });
            }
        };
        let [] = known(rest, [])?;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests;
