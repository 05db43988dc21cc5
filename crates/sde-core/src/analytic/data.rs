//! The three data sets of the ODE-SDE-gap experiments.

use ndarray::{Array2, array};

use super::checker::{CELLS, Checker, EDGES, SIDE};
use super::mixture::GaussianMixture;
use super::score::{AnalyticScore, Target};
use crate::{Error, Key, Result, Sde};

/// A two-dimensional data set with an exact sampler. All have mean zero.
///
/// # Reference
/// Deveney et al. 2025, arXiv 2311.15996, section 5.
///
/// ```
/// use sde_core::{Key, analytic::DataSet};
/// let x = DataSet::parse("checker")?.sample(Key::root(1), 0, 100);
/// assert!(x.iter().all(|x| x.abs() <= 3.0));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataSet {
    /// Nine equal Gaussians on a diamond, spacing 1.3 and covariance 0.0845 I.
    Blob,
    /// Eight cells of a checkerboard on `[-3, 3]^2`, uniform.
    Checker,
    /// Two rings of radius 1.3 and 2.8 with a standard deviation of 0.2 across.
    Circles2,
}

impl DataSet {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Blob, Self::Checker, Self::Circles2];

    /// The name [`DataSet::parse`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Checker => "checker",
            Self::Circles2 => "circles2",
        }
    }

    /// The data set of a name.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|d| d.name() == name.trim()).ok_or_else(|| Error::Unknown {
            what: "data set",
            name: name.into(),
            expected: Self::ALL.iter().map(|d| d.name().into()).collect(),
        })
    }

    /// `E x_i^2`, the same for both coordinates.
    pub fn variance(self) -> f64 {
        match self {
            Self::Blob => 2.3378,
            Self::Checker => 3.0,
            Self::Circles2 => 2.4025,
        }
    }

    /// Particles number `first_row` to `first_row + n` of the key, as `[n, 2]`: any cut into
    /// chunks gives the same particles.
    pub fn sample(self, key: Key, first_row: u64, n: usize) -> Array2<f64> {
        if self == Self::Blob {
            return blob().sample(key, first_row, n);
        }
        let mut u = vec![0.0; 3 * n];
        key.fold(0).fill_uniforms(3 * first_row, &mut u);
        let mut z = vec![0.0; n];
        if self == Self::Circles2 {
            key.fold(1).fill_normals(first_row, &mut z);
        }
        let mut out = Vec::with_capacity(2 * n);
        for (u, z) in u.chunks(3).zip(z) {
            out.extend(if self == Self::Checker {
                let [column, row] = CELLS[(u[0] * CELLS.len() as f64) as usize];
                [EDGES[column] + SIDE * u[1], EDGES[row] + SIDE * u[2]]
            } else {
                let r = 2.0 * (if u[0] < 0.5 { 0.65 } else { 1.4 } + 0.1 * z);
                let (s, c) = (std::f64::consts::TAU * u[1]).sin_cos();
                [r * c, r * s]
            });
        }
        Array2::from_shape_vec((n, 2), out).expect("n rows of 2")
    }

    /// Its density at every time of `sde`, where there is a closed form (not for `circles2`).
    pub fn under(self, sde: &dyn Sde) -> Option<AnalyticScore<'_>> {
        match self {
            Self::Blob => Some(blob().under(sde)),
            Self::Checker => Some(AnalyticScore::new(Target::Checker(Checker), sde)),
            Self::Circles2 => None,
        }
    }
}

fn blob() -> GaussianMixture {
    let grid = array![
        [2.0, 2.0],
        [2.0, -2.0],
        [-2.0, 2.0],
        [-2.0, -2.0],
        [0.0, 0.0],
        [4.0, 0.0],
        [-4.0, 0.0],
        [0.0, 4.0],
        [0.0, -4.0]
    ];
    let cov = Array2::eye(2) * 0.0845;
    GaussianMixture::new(&[1.0; 9], &(grid * 0.65), &vec![cov; 9]).expect("valid constants")
}
