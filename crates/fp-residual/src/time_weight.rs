//! Weights of a penalty by time.

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use score_nets::{Error, Result};

/// What the square of a residual counts at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum TimeWeight {
    /// 1.
    #[default]
    One,
    /// 1 before a time and 0 from it on.
    Before {
        /// The time.
        t: f64,
    },
    /// What the gradient of the residual at a time contributes to the bound on the distance of ODE and SDE,
    ///
    /// `omega(u) = (1/2) int_0^u g^2(t) e^(growth t) alpha(u) / alpha(t) dt`,
    ///
    /// where `growth` bounds the one-sided Lipschitz constant of the ODE's velocity:
    /// `W2(p_S, p_O) <= int omega(u) |grad R_u|_(L2(p_S)) du` and the mismatch of the prior. It goes like `u` at small times.
    Gap {
        /// The growth rate; 0 where the flow contracts.
        growth: f64,
    },
    /// `(2 sigma^4 / (g^2 alpha))^2`: of a potential the squared residual is then that of the expected data
    /// `D = (x + sigma^2 s) / alpha`, the square of their drift along the model's own reverse SDE in a unit of
    /// `log(alpha / sigma)`; under `sigma = t` it is `t^6`. In units of the data, so that no time dominates.
    Denoiser,
}

/// Pieces that the integral of a weight is cut into.
const PIECES: usize = 400;

impl TimeWeight {
    /// The weights of times.
    ///
    /// # Errors
    /// [`Error::Setting`] for a constant, or a weight, that is not finite.
    ///
    /// ```
    /// use fp_residual::TimeWeight;
    /// use sde_core::Ou;
    /// let w = TimeWeight::Gap { growth: 0.0 }.at(&Ou::default(), &[0.0, 0.7])?;
    /// assert!(w[0] == 0.0 && (w[1] - 0.5 * (1.0 - (-0.7_f64).exp())).abs() < 1e-6);
    /// # Ok::<(), score_nets::Error>(())
    /// ```
    pub fn at(self, sde: &dyn Sde, t: &[f64]) -> Result<Vec<f64>> {
        match self {
            Self::One => Ok(vec![1.0; t.len()]),
            Self::Before { t: end } if end.is_finite() => {
                Ok(t.iter().map(|t| f64::from(u8::from(*t < end))).collect())
            }
            Self::Gap { growth } if growth.is_finite() => {
                let table = Omega::new(sde, growth);
                Ok(t.iter().map(|t| table.at(sde, *t)).collect())
            }
            Self::Denoiser => t.iter().map(|t| denoiser(sde, *t)).collect(),
            Self::Before { t: value } | Self::Gap { growth: value } => {
                let (name, value) = ("time-weight".into(), format!("{value:?}"));
                Err(Error::Setting { name, value, reason: "must be finite".into() })
            }
        }
    }
}

fn denoiser(sde: &dyn Sde, t: f64) -> Result<f64> {
    let (m, g2) = (sde.marginal(t), sde.diffusion_squared(t));
    let weight = (2.0 * m.sigma.powi(4) / (g2 * m.alpha)).powi(2);
    if weight.is_finite() {
        return Ok(weight);
    }
    let (name, value) = ("time-weight".into(), "denoiser".into());
    Err(Error::Setting { name, value, reason: format!("is {weight} at t = {t}") })
}

/// The integral at nodes that are even in the square root of time.
struct Omega {
    horizon: f64,
    integral: Vec<f64>,
    growth: f64,
}

impl Omega {
    fn new(sde: &dyn Sde, growth: f64) -> Self {
        let mut omega = Self { horizon: sde.horizon(), integral: vec![0.0], growth };
        for i in 0..PIECES {
            let (a, b) = (omega.node(i), omega.node(i + 1));
            let last = omega.integral[i];
            omega.integral.push(last + piece(sde, growth, a, b));
        }
        omega
    }

    fn node(&self, i: usize) -> f64 {
        self.horizon * (i as f64 / PIECES as f64).powi(2)
    }

    fn at(&self, sde: &dyn Sde, t: f64) -> f64 {
        let place = (t / self.horizon).clamp(0.0, 1.0).sqrt() * PIECES as f64;
        let i = (place as usize).min(PIECES - 1);
        let integral = self.integral[i] + piece(sde, self.growth, self.node(i), t);
        0.5 * sde.marginal(t).alpha * integral
    }
}

/// The integral of `g^2 e^(growth t) / alpha` by the midpoint rule of Gauss with two points, which sees neither end.
fn piece(sde: &dyn Sde, growth: f64, a: f64, b: f64) -> f64 {
    let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
    let shift = half / 3_f64.sqrt();
    let f = |t: f64| sde.diffusion_squared(t) * (growth * t).exp() / sde.marginal(t).alpha;
    half * (f(middle - shift) + f(middle + shift))
}
