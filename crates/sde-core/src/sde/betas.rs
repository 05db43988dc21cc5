//! Beta schedules of discrete-time processes, by name.

use std::fmt;
use std::str::FromStr;

use crate::counts::in_memory;
use crate::{Error, Result, Short};

/// The betas of the training steps of a process in discrete time, first to last. With `u_i = i / (N - 1)`:
///
/// | name | `beta_i` | used by |
/// | --- | --- | --- |
/// | `linear,START,END,N` | `start + (end - start) u_i` | DDPM |
/// | `scaled_linear,START,END,N` | `(sqrt(start) + (sqrt(end) - sqrt(start)) u_i)^2` | latent diffusion |
/// | `squaredcos_cap_v2,N` | `min(1 - abar_{i+1} / abar_i, 0.999)`, `abar_i = cos^2(pi/2 (i/N + 0.008) / 1.008)` | improved DDPM |
/// | `sigmoid,START,END,N` | `start + (end - start) sigmoid(12 u_i - 6)` | GeoDiff |
/// | `listed,B_0,B_1,...` | as listed | |
///
/// The names are those of diffusers. A text of a table is read back to the same bits.
///
/// # Reference
/// Ho et al. 2020, arXiv 2006.11239, section 4; Nichol, Dhariwal 2021, arXiv 2102.09672, equation 17.
///
/// ```
/// use sde_core::sde::Betas;
/// let betas: Betas = "linear,0.0001,0.02,1000".parse()?;
/// assert_eq!(betas.values()?[999], 0.02);
/// assert_eq!(Betas::Listed(vec![0.1, 0.3]).to_string(), "listed,0.1,0.3");
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Betas {
    /// Evenly spaced.
    Linear {
        /// The first.
        start: f64,
        /// The last.
        end: f64,
        /// How many.
        steps: usize,
    },
    /// Their roots evenly spaced.
    ScaledLinear {
        /// The first.
        start: f64,
        /// The last.
        end: f64,
        /// How many.
        steps: usize,
    },
    /// The products of `1 - beta` are a squared cosine; no beta is above 0.999.
    SquaredCosine {
        /// How many.
        steps: usize,
    },
    /// A sigmoid of evenly spaced numbers from -6 to 6.
    Sigmoid {
        /// Where it rises from.
        start: f64,
        /// Where it rises to.
        end: f64,
        /// How many.
        steps: usize,
    },
    /// As listed.
    Listed(Vec<f64>),
}

impl Default for Betas {
    /// Those of DDPM: `linear,0.0001,0.02,1000`.
    fn default() -> Self {
        Self::Linear { start: 1e-4, end: 0.02, steps: 1000 }
    }
}

impl Betas {
    /// The names [`Betas::from_str`] knows.
    pub const NAMES: [&str; 5] =
        ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "listed"];

    /// Number of steps.
    pub fn steps(&self) -> usize {
        match self {
            Self::Linear { steps, .. }
            | Self::ScaledLinear { steps, .. }
            | Self::SquaredCosine { steps }
            | Self::Sigmoid { steps, .. } => *steps,
            Self::Listed(betas) => betas.len(),
        }
    }

    /// The betas, first to last.
    ///
    /// # Errors
    /// [`Error::Excess`] for more than there is memory for.
    pub fn values(&self) -> Result<Vec<f64>> {
        let steps = in_memory(&[("steps", self.steps() as u64)], 8).map_err(Error::Excess)?;
        let line = |a: f64, b: f64| {
            let last = steps.saturating_sub(1).max(1) as f64;
            (0..steps).map(move |i| a + (b - a) * i as f64 / last)
        };
        Ok(match self {
            Self::Linear { start, end, .. } => line(*start, *end).collect(),
            Self::ScaledLinear { start, end, .. } => {
                line(start.sqrt(), end.sqrt()).map(|root| root * root).collect()
            }
            Self::SquaredCosine { .. } => {
                let abar = |i: usize| {
                    let t = i as f64 / steps as f64;
                    ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2)
                };
                (0..steps).map(|i| (1.0 - abar(i + 1) / abar(i)).min(0.999)).collect()
            }
            Self::Sigmoid { start, end, .. } => {
                line(-6.0, 6.0).map(|x| (end - start) / (1.0 + (-x).exp()) + start).collect()
            }
            Self::Listed(betas) => betas.clone(),
        })
    }

    /// The table of a name and its numbers; numbers that are left out keep their defaults.
    pub(super) fn of_words(words: &[&str]) -> Result<Self> {
        let name = words.first().copied().unwrap_or_default();
        let numbers: Vec<f64> = words
            .iter()
            .skip(1)
            .map(|word| word.parse().map_err(|_| refused(word, "is not a number")))
            .collect::<Result<_>>()?;
        if name == "listed" {
            return Ok(Self::Listed(numbers));
        }
        let mut ends = [1e-4, 0.02];
        let spaced = name != "squaredcos_cap_v2";
        let (given, rest) = numbers.split_at(if spaced { numbers.len().min(2) } else { 0 });
        ends[..given.len()].copy_from_slice(given);
        let [start, end] = ends;
        let steps = match rest {
            [] => 1000,
            [n] if (1.0..=1e7).contains(n) && n.fract() == 0.0 => *n as usize,
            [n] => {
                return Err(refused(&n.to_string(), "must be a whole number of steps up to 1e7"));
            }
            _ => return Err(refused(&words.join(","), "has too many numbers")),
        };
        Ok(match name {
            "linear" => Self::Linear { start, end, steps },
            "scaled_linear" => Self::ScaledLinear { start, end, steps },
            "squaredcos_cap_v2" => Self::SquaredCosine { steps },
            "sigmoid" => Self::Sigmoid { start, end, steps },
            other => {
                let expected = Self::NAMES.map(String::from).to_vec();
                return Err(Error::Unknown { what: "betas", name: other.into(), expected });
            }
        })
    }
}

fn refused(value: &str, reason: &str) -> Error {
    Error::Parameter { name: "betas".into(), value: value.into(), reason: reason.into() }
}

impl FromStr for Betas {
    type Err = Error;

    /// A name of the table above, with its numbers.
    fn from_str(text: &str) -> Result<Self> {
        Self::of_words(&text.split(',').map(str::trim).collect::<Vec<_>>())
    }
}

impl fmt::Display for Betas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut spaced = |name: &str, start: f64, end: f64, steps: usize| {
            write!(f, "{name},{},{},{steps}", Short(start), Short(end))
        };
        match *self {
            Self::Linear { start, end, steps } => spaced("linear", start, end, steps),
            Self::ScaledLinear { start, end, steps } => spaced("scaled_linear", start, end, steps),
            Self::Sigmoid { start, end, steps } => spaced("sigmoid", start, end, steps),
            Self::SquaredCosine { steps } => write!(f, "squaredcos_cap_v2,{steps}"),
            Self::Listed(ref betas) => {
                f.write_str("listed")?;
                betas.iter().try_for_each(|beta| write!(f, ",{}", Short(*beta)))
            }
        }
    }
}
