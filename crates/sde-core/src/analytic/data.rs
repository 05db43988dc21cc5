//! The data sets in the plane: one table, and what it draws from.

use ndarray::Array2;

use super::checker::{CELLS, Checker, EDGES, SIDE};
use super::mixture::GaussianMixture;
use super::score::{AnalyticScore, Target};
use crate::{Error, Key, Result, Sde};

/// Radii of the rings, and the standard deviation across.
const RINGS: [f64; 2] = [1.3, 2.8];
const RING_STD: f64 = 0.2;

/// Means of the Gaussians in units of [`BLOB_SCALE`], and their variance.
const BLOB: [[f64; 2]; 9] = [
    [2.0, 2.0],
    [2.0, -2.0],
    [-2.0, 2.0],
    [-2.0, -2.0],
    [0.0, 0.0],
    [4.0, 0.0],
    [-4.0, 0.0],
    [0.0, 4.0],
    [0.0, -4.0],
];
const BLOB_SCALE: f64 = 0.65;
const BLOB_VARIANCE: f64 = 0.0845;

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
    /// The logarithm of the density of the data themselves at a point.
    log_density: fn([f64; 2]) -> f64,
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
        log_density: log_blob,
    };
    /// Eight cells of a checkerboard on `[-3, 3]^2`, uniform.
    Checker "checker": Entry {
        variance: 3.0,
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 5",
        sample: checker,
        density: Some(|sde| AnalyticScore::new(Target::Checker(Checker), sde)),
        log_density: log_checker,
    };
    /// Two rings of radius 1.3 and 2.8 with a standard deviation of 0.2 across.
    Circles2 "circles2": Entry {
        variance: 2.4025,
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 5",
        sample: circles,
        density: None,
        log_density: log_circles,
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

    /// The logarithm of the density of the data themselves at rows `x`, minus infinity outside of their support.
    ///
    /// ```
    /// use ndarray::array;
    /// use sde_core::analytic::DataSet;
    /// // Uniform on eight cells of side 1.5; the one at the lower right of the origin is empty.
    /// let log_p = DataSet::Checker.log_density(&array![[0.5, 0.5], [0.5, -1.0]])?;
    /// assert!((log_p[0] + 18_f64.ln()).abs() < 1e-12 && log_p[1] == f64::NEG_INFINITY);
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for rows that are no points in the plane.
    pub fn log_density(self, x: &Array2<f64>) -> Result<Vec<f64>> {
        if x.ncols() != 2 {
            return Err(Error::Shape { expected: vec![x.nrows(), 2], found: x.shape().to_vec() });
        }
        let of = self.entry().log_density;
        Ok(x.rows().into_iter().map(|x| of([x[0], x[1]])).collect())
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

/// The logarithm of the sum of the exponentials.
fn log_sum(terms: &[f64]) -> f64 {
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + terms.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
}

fn log_checker(x: [f64; 2]) -> f64 {
    let within = |x: f64, edge: f64| x >= edge && x < edge + SIDE;
    let inside =
        |[column, row]: [usize; 2]| within(x[0], EDGES[column]) && within(x[1], EDGES[row]);
    if CELLS.into_iter().any(inside) {
        -(CELLS.len() as f64 * SIDE * SIDE).ln()
    } else {
        f64::NEG_INFINITY
    }
}

/// A radius that is normal and may be negative, on a circle: both signs are at one distance.
fn log_circles([x, y]: [f64; 2]) -> f64 {
    let r = x.hypot(y).max(f64::MIN_POSITIVE);
    let normal = |mean: f64| {
        let z = (r - mean) / RING_STD;
        -0.5 * z * z - (2.0 * RING_STD * std::f64::consts::TAU.sqrt()).ln()
    };
    let [inner, outer] = RINGS;
    let sum = log_sum(&[normal(inner), normal(outer), normal(-inner), normal(-outer)]);
    sum - (std::f64::consts::TAU * r).ln()
}

fn log_blob(x: [f64; 2]) -> f64 {
    let of = |mean: &[f64; 2]| {
        let [dx, dy] = [0, 1].map(|i| x[i] - BLOB_SCALE * mean[i]);
        -0.5 * (dx * dx + dy * dy) / BLOB_VARIANCE
    };
    let terms = BLOB.map(|mean| of(&mean));
    log_sum(&terms) - (BLOB.len() as f64 * std::f64::consts::TAU * BLOB_VARIANCE).ln()
}

fn blob() -> GaussianMixture {
    let means = Array2::from_shape_fn((BLOB.len(), 2), |(k, i)| BLOB_SCALE * BLOB[k][i]);
    let cov = Array2::eye(2) * BLOB_VARIANCE;
    GaussianMixture::new(&[1.0; 9], &means, &vec![cov; 9]).expect("valid constants")
}
