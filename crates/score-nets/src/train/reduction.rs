//! How the errors of a row's coordinates add up.

use serde::{Deserialize, Serialize};

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
