//! How the last step is taken.

use sde_core::{Error, Marginal, Result, Semilinear, State};

use crate::steppers::data;

/// What happens at the end of a sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The last step is like the others.
    Plain,
    /// The last step is taken without noise, as published samplers do.
    #[default]
    NoNoise,
    /// The last step is taken without noise and followed by [`denoise`] (one more evaluation).
    Denoise,
}

impl End {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Plain, Self::NoNoise, Self::Denoise];

    /// The name [`End::parse`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::NoNoise => "no-noise",
            Self::Denoise => "denoise",
        }
    }

    /// The rule of a name.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|e| e.name() == name.trim()).ok_or_else(|| Error::Unknown {
            what: "end rule",
            name: name.into(),
            expected: Self::ALL.iter().map(|e| e.name().into()).collect(),
        })
    }
}

/// The expected data point given `x` at `t` (Tweedie's formula), `(x - sigma eps(x, t)) / alpha`; where
/// `alpha` is too small for that, what the model itself says ([`Semilinear::denoised`]).
///
/// # Errors
/// [`Error::Parameter`] where neither gives a useful digit; whatever the problem fails with.
///
/// # Reference
/// Efron 2011, "Tweedie's formula and selection bias".
pub fn denoise<S: State, P: Semilinear<S> + ?Sized>(problem: &P, x: &S, t: f64) -> Result<S> {
    data(problem, x, t, Marginal { alpha: 1.0, sigma: 0.0 })
}
