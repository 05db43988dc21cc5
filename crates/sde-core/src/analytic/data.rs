//! The data sets in the plane: one table, and what it draws from.

use ndarray::{Array2, array};

use super::checker::{CELLS, Checker, EDGES, SIDE};
use super::mixture::GaussianMixture;
use super::score::{AnalyticScore, Target};
use crate::{Error, Key, Result, Sde};

/// What a data set is.
struct Entry {
    /// `E x_i^2`, the same for both coordinates.
    variance: f64,
    /// The work it comes from.
    reference: &'static str,
    /// Some particles of a key.
    sample: fn(Key, u64, usize) -> Array2<f64>,
    /// The density at every time of a process, where it has a closed form.
    density: Option<for<'a> fn(&'a dyn Sde) -> AnalyticScore<'a>>,
}

macro_rules! data_sets {
    ($($(#[$doc:meta])* $variant:ident $name:literal: $entry:expr;)*) => {
        /// A two-dimensional data set with an exact sampler. All have mean zero.
        ///
        /// ```
        /// use sde_core::{Key, analytic::DataSet};
        /// let x = DataSet::parse("checker")?.sample(Key::root(1), 0, 100);
        /// assert!(x.iter().all(|x| x.abs() <= 3.0));
        /// # Ok::<(), sde_core::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DataSet {
            $($(#[$doc])* $variant,)*
        }

        impl DataSet {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name [`DataSet::parse`] knows it by.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$variant => const { &$entry },)*
                }
            }
        }
    };
}

data_sets! {
    /// Nine equal Gaussians on a diamond, spacing 1.3 and covariance 0.0845 I.
    Blob "blob": Entry {
        variance: 2.3378,
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 5",
        sample: |key, first_row, n| blob().sample(key, first_row, n),
        density: Some(|sde| blob().under(sde)),
    };
    /// Eight cells of a checkerboard on `[-3, 3]^2`, uniform.
    Checker "checker": Entry {
        variance: 3.0,
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 5",
        sample: checker,
        density: Some(|sde| AnalyticScore::new(Target::Checker(Checker), sde)),
    };
    /// Two rings of radius 1.3 and 2.8 with a standard deviation of 0.2 across.
    Circles2 "circles2": Entry {
        variance: 2.4025,
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 5",
        sample: circles,
        density: None,
    };
}

impl DataSet {
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
        self.entry().variance
    }

    /// The work it comes from.
    pub fn reference(self) -> &'static str {
        self.entry().reference
    }

    /// Particles number `first_row` to `first_row + n` of the key, as `[n, 2]`: any cut into
    /// chunks gives the same particles.
    pub fn sample(self, key: Key, first_row: u64, n: usize) -> Array2<f64> {
        (self.entry().sample)(key, first_row, n)
    }

    /// Its density at every time of `sde`, where there is a closed form (not for `circles2`).
    pub fn under(self, sde: &dyn Sde) -> Option<AnalyticScore<'_>> {
        self.entry().density.map(|density| density(sde))
    }
}

/// Points of three uniform numbers each.
fn points(
    key: Key,
    first_row: u64,
    n: usize,
    mut point: impl FnMut(usize, &[f64]) -> [f64; 2],
) -> Array2<f64> {
    let mut u = vec![0.0; 3 * n];
    key.fold(0).fill_uniforms(3 * first_row, &mut u);
    let rows: Vec<[f64; 2]> = u.chunks(3).enumerate().map(|(i, u)| point(i, u)).collect();
    Array2::from(rows)
}

fn checker(key: Key, first_row: u64, n: usize) -> Array2<f64> {
    points(key, first_row, n, |_, u| {
        let [column, row] = CELLS[(u[0] * CELLS.len() as f64) as usize];
        [EDGES[column] + SIDE * u[1], EDGES[row] + SIDE * u[2]]
    })
}

fn circles(key: Key, first_row: u64, n: usize) -> Array2<f64> {
    let mut z = vec![0.0; n];
    key.fold(1).fill_normals(first_row, &mut z);
    points(key, first_row, n, |i, u| {
        let r = 2.0 * (if u[0] < 0.5 { 0.65 } else { 1.4 } + 0.1 * z[i]);
        let (s, c) = (std::f64::consts::TAU * u[1]).sin_cos();
        [r * c, r * s]
    })
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
