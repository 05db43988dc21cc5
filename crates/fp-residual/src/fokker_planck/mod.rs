//! Densities of samplers without samples: the Fokker-Planck equation of every sampler of the family, on a line or a
//! square, in double precision.
//!
//! | sampler | what is solved | by |
//! |---|---|---|
//! | `eta > 0` | the equation on cells | [`FiniteVolumes`] |
//! | `eta = 0` | along paths: densities at points, and cells from their borders | [`Characteristics`] |
//! | any, with an affine score | two moments | [`gaussian_moments`] |
//!
//! Beside them stand the density that a potential itself means, [`Density::of_potential`], and one that is known,
//! [`Density::known`]. Every result has an estimate of its error.

mod affine;
mod borders;
mod characteristics;
mod density;
mod grid;
mod lines;
mod model;
#[cfg(feature = "networks")]
mod network;
mod own;
mod richardson;
mod volumes;

pub use affine::{Affine, gaussian_moments};
pub use characteristics::Characteristics;
pub use density::{Density, Evolution};
pub use grid::{Grid, graded_times};
pub use model::Model;
#[cfg(feature = "networks")]
pub use network::OnRows;
pub use volumes::FiniteVolumes;
