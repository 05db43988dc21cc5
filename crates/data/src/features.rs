use std::path::Path;

use ndarray::{Array1, Array2, Axis};

use crate::npy::{self, Npz};
use crate::{Error, Result};

/// Features of images, computed by a network elsewhere: what Frechet and kernel distances compare.
///
/// ```
/// use data::Features;
/// use ndarray::array;
/// let features = Features::Rows(array![[0.0, 1.0], [2.0, 1.0]]);
/// let moments = features.moments()?;
/// assert_eq!((moments.mean, moments.covariance), (array![1.0, 1.0], array![[2.0, 0.0], [0.0, 0.0]]));
/// assert!(features.note().unwrap().starts_with("2 rows of 2 features"));
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// A row for each image, `[n, d]`.
    Rows(Array2<f64>),
    /// Their mean and covariance.
    Moments(Moments),
}

/// Mean and covariance (over `n - 1`) of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// `[d]`.
    pub mean: Array1<f64>,
    /// `[d, d]`.
    pub covariance: Array2<f64>,
    /// Number of images, where it is known.
    pub n: Option<usize>,
}

/// Names under which tools store a row for each image.
const ROWS: [&str; 5] = ["reps", "feats", "features", "pool_3", "arr_0"];

/// Names of the number of images beside moments.
const COUNTS: [&str; 3] = ["n", "num_images", "n_samples"];

/// An entry of a covariance and its mirror image, in parts of the largest: what single precision leaves.
const SYMMETRIC: f64 = 1e-5;

impl Features {
    /// Reads the files of pytorch-fid and EDM (`.npz` with `mu`, `sigma`), clean-fid (`feats`), dgm-eval (`reps`),
    /// score_sde (`pool_3`), others (`features`, `arr_0`), an array that is named, or a two-dimensional `.npy`.
    ///
    /// # Errors
    /// When the file holds none of these, an array has another number of dimensions, a covariance another shape than its
    /// mean or no symmetry, or a number is not finite.
    pub fn open(path: &Path, array: Option<&str>) -> Result<Self> {
        let packed = std::fs::File::open(path).and_then(|mut file| {
            let mut start = [0; 2];
            std::io::Read::read_exact(&mut file, &mut start).map(|()| start == *b"PK")
        });
        if !packed.map_err(|e| Error::file(path, format!("cannot read: {e}")))? {
            if let Some(name) = array {
                return Err(Error::file(path, format!("array `{name}`: a .npy file has no names")));
            }
            return Ok(Self::Rows(npy::read_rows(path)?));
        }
        let mut npz = Npz::open(path)?;
        if array.is_none() && npz.has("mu") && npz.has("sigma") {
            return moments(&mut npz).map(Self::Moments).map_err(|e| e.of(path));
        }
        let known = || ROWS.iter().copied().find(|name| npz.has(name));
        let Some(name) = array.or_else(known) else {
            let (found, rows) = (npz.names().join(", "), ROWS.join(", "));
            let reason =
                format!("no features: it has {found}, expected mu and sigma, or one of {rows}");
            return Err(Error::file(path, reason));
        };
        let array = npz.get(name)?;
        let shape = array.shape().to_vec();
        let within = |reason: String| Error::file(path, format!("array `{name}`: {reason}"));
        let rows: Array2<f64> = array.into_dimensionality().map_err(|_| {
            let images =
                if shape.len() == 4 { ": images, of which a network makes features" } else { "" };
            within(format!("expected features [n, d], found {shape:?}{images}"))
        })?;
        if rows.is_empty() {
            return Err(within(format!("no features: {shape:?}")));
        }
        npy::check_finite(rows.view()).map_err(|e| within(e.to_string()))?;
        Ok(Self::Rows(rows))
    }

    /// Whether a file says by the names of its arrays that it holds features: an archive with `mu` and `sigma`, `reps`, `feats`,
    /// `features` or `pool_3`. Others may hold features as well, under names that say nothing.
    pub fn are_in(path: &Path) -> bool {
        let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
        let told = |npz: Npz| {
            let moments = npz.has("mu") && npz.has("sigma");
            moments || ROWS.iter().any(|name| *name != "arr_0" && npz.has(name))
        };
        named && Npz::open(path).is_ok_and(told)
    }

    /// Numbers of a feature.
    pub fn dim(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.ncols(),
            Self::Moments(moments) => moments.mean.len(),
        }
    }

    /// Number of images, where it is known.
    pub fn n(&self) -> Option<usize> {
        match self {
            Self::Rows(rows) => Some(rows.nrows()),
            Self::Moments(moments) => moments.n,
        }
    }

    /// What makes distances of these features misleading: fewer images than it takes for a covariance of full rank.
    pub fn note(&self) -> Option<String> {
        let (n, d) = (self.n()?, self.dim());
        (n <= d).then(|| {
            format!(
                "{n} rows of {d} features: the covariance has at most rank {}, and Frechet distances are biased upward",
                n.saturating_sub(1)
            )
        })
    }

    /// Mean and covariance.
    ///
    /// # Errors
    /// When there is one row, or a `d x d` covariance does not fit into the memory that is left.
    pub fn moments(&self) -> Result<Moments> {
        let rows = match self {
            Self::Moments(moments) => return Ok(moments.clone()),
            Self::Rows(rows) => rows,
        };
        let (n, d) = rows.dim();
        if n < 2 {
            return Err(Error::data(format!("a covariance needs two rows, found {n}")));
        }
        sde_core::counts::in_memory(&[("features", d as u64), ("features", d as u64)], 16)?;
        let mean = rows.sum_axis(Axis(0)) / n as f64;
        let centred = rows - &mean;
        let covariance = centred.t().dot(&centred) / (n as f64 - 1.0);
        Ok(Moments { mean, covariance, n: Some(n) })
    }
}

fn moments(npz: &mut Npz) -> Result<Moments> {
    let (mean, covariance) = (npz.get("mu")?, npz.get("sigma")?);
    let (of_mean, of_covariance) = (mean.shape().to_vec(), covariance.shape().to_vec());
    let wrong =
        || Error::data(format!("mu {of_mean:?} and sigma {of_covariance:?}: expected [d], [d, d]"));
    let mean: Array1<f64> = mean.into_dimensionality().map_err(|_| wrong())?;
    let covariance: Array2<f64> = covariance.into_dimensionality().map_err(|_| wrong())?;
    let d = mean.len();
    if d == 0 || covariance.dim() != (d, d) {
        return Err(wrong());
    }
    let entries = mean.iter().chain(&covariance);
    if let Some(v) = entries.clone().find(|v| !v.is_finite()) {
        return Err(Error::data(format!("mu and sigma hold {v}")));
    }
    let largest = covariance.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for ((i, j), v) in covariance.indexed_iter() {
        let other = covariance[[j, i]];
        if (v - other).abs() > SYMMETRIC * largest || (i == j && *v < -SYMMETRIC * largest) {
            return Err(Error::data(format!(
                "sigma is no covariance: entry ({i}, {j}) is {v}, ({j}, {i}) is {other}"
            )));
        }
    }
    let count = COUNTS.iter().find(|name| npz.has(name));
    let n = match count {
        None => None,
        Some(name) => match npz.flat(name)?[..] {
            [n] if n >= 1.0 && n.fract() == 0.0 && n < 1e15 => Some(n as usize),
            ref other => {
                let shown = &other[..other.len().min(3)];
                return Err(Error::data(format!("array `{name}`: {shown:?}, expected one count")));
            }
        },
    };
    Ok(Moments { mean, covariance, n })
}
