//! Steps conditioned on a linear measurement, for the loop of [`solvers`].
//!
//! [`Replacement`] and [`TimeTravel`] change any method of the registry; [`DpsStep`] any stepper; [`Ddrm`] and [`Ddnm`] are
//! steppers of their own ([`solvers::CustomStepper`]).
//!
//! | method | needs | reference |
//! |---|---|---|
//! | [`Replacement`] | a score | Song et al. 2021, arXiv 2011.13456 |
//! | [`TimeTravel::repaint`] | a score | Lugmayr et al. 2022, arXiv 2201.09865 |
//! | [`Ddrm`] | a score | Kawar et al. 2022, arXiv 2201.11793 |
//! | [`Ddnm`] | a score | Wang, Yu, Zhang 2023, arXiv 2212.00490 |
//! | [`DpsStep`] | vector-Jacobian products | Chung et al. 2023, arXiv 2209.14687 |

mod ddnm;
mod ddrm;
mod dps;
mod replacement;
mod time_travel;

pub use ddnm::Ddnm;
pub use ddrm::Ddrm;
pub use dps::DpsStep;
pub use replacement::Replacement;
pub use time_travel::TimeTravel;

use ndarray::Array2;
use sde_core::Result;
use solvers::Noise;

use crate::Measurement;

/// The measurement of the rows that a stepper is given: those from the first of the noise onward.
fn measured(
    seen: &Measurement,
    x: &Array2<f64>,
    noise: &dyn Noise<Array2<f64>>,
) -> Result<Measurement> {
    let first = noise.first_row();
    seen.for_rows(&(first..first + x.nrows() as u64).collect::<Vec<_>>())
}
