//! The constants of methods: names, usual values, allowed ranges.

use super::Method;

/// What values a constant may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Allowed {
    /// Finite, zero or more.
    NotNegative,
    /// Finite and positive.
    Positive,
    /// Above 0, up to this.
    UpTo(f64),
    /// A whole number between these, both included.
    Whole(u32, u32),
}

impl Allowed {
    pub(super) fn has(self, value: f64) -> bool {
        match self {
            Self::NotNegative => value.is_finite() && value >= 0.0,
            Self::Positive => value.is_finite() && value > 0.0,
            Self::UpTo(most) => value > 0.0 && value <= most,
            Self::Whole(least, most) => {
                value.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&value)
            }
        }
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotNegative => f.write_str("must be finite and not negative"),
            Self::Positive => f.write_str("must be finite and positive"),
            Self::UpTo(most) => write!(f, "must lie above 0 and not above {most}"),
            Self::Whole(least, most) => write!(f, "must be a whole number from {least} to {most}"),
        }
    }
}

/// A constant of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// Its name.
    pub name: &'static str,
    /// Its usual value.
    pub usual: f64,
    /// What it is.
    pub what: &'static str,
    pub(super) allowed: Allowed,
}

const fn constant(
    name: &'static str,
    usual: f64,
    allowed: Allowed,
    what: &'static str,
) -> Constant {
    Constant { name, usual, what, allowed }
}

const SNR: Constant =
    constant("snr", 0.16, Allowed::Positive, "signal-to-noise ratio of a Langevin step");

impl Method {
    /// The constants that [`Method::with`] changes.
    pub fn constants(self) -> &'static [Constant] {
        use Allowed::{NotNegative, Positive, UpTo, Whole};
        match self {
            Self::EdmChurn => {
                const {
                    &[
                        constant("churn", 40.0, NotNegative, "`S_churn`, the noise added in all"),
                        constant("lowest", 0.05, NotNegative, "`S_min`, none below this level"),
                        constant("highest", 50.0, Positive, "`S_max`, none above this level"),
                        constant("noise-scale", 1.0, NotNegative, "`S_noise`, the noise's size"),
                    ]
                }
            }
            Self::EdmHeun => {
                const { &[constant("second-stage", 1.0, UpTo(1.0), "where in a step it lies")] }
            }
            Self::DpmSolver2 | Self::DpmSolverPP2S => {
                const { &[constant("r1", 0.5, UpTo(1.0), "where in a step the middle lies")] }
            }
            Self::Ipndm => const { &[constant("order", 4.0, Whole(1, 4), "order of the formula")] },
            Self::SaSolver => {
                const {
                    &[
                        constant("predictor", 3.0, Whole(1, 4), "data the predictor uses"),
                        constant("corrector", 4.0, Whole(0, 4), "data the corrector uses"),
                    ]
                }
            }
            Self::PcReverseDiffusionLangevin
            | Self::PcAncestralLangevin
            | Self::PcEulerMaruyamaLangevin
            | Self::PcReverseDiffusionAld
            | Self::PcNoneAld => {
                const { &[SNR, constant("corrections", 1.0, Whole(1, 1000), "Langevin steps a level")] }
            }
            Self::AnnealedLangevin => {
                const { &[SNR, constant("corrections", 5.0, Whole(1, 1000), "Langevin steps a level")] }
            }
            Self::Restart => {
                const {
                    &[
                        constant(
                            "low",
                            0.06,
                            Positive,
                            "level `sigma/alpha` where a restart begins",
                        ),
                        constant("high", 0.3, Positive, "level it goes up to"),
                        constant("steps", 3.0, Whole(1, 100_000), "steps of a way down again"),
                        constant("repeats", 0.0, Whole(0, 100_000), "restarts; none usually"),
                    ]
                }
            }
            _ => &[],
        }
    }
}
