//! Sliced Wasserstein distances over given or keyed directions.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, aview1};
use rayon::prelude::*;
use sde_core::Key;

use super::length::Power;
use super::monotone::Masses;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{FIRST, SECOND, check_balance, check_pair, cloud_weights};
use crate::keyed::random_directions;
use crate::scale::{finite, framed};

/// Sliced and max-sliced Wasserstein-p distance over given directions.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SlicedDistance {
    /// $\left(\frac1K \sum_k W_p^p(\theta_k)\right)^{1/p}$
    pub mean: f64,
    /// $\max_k W_p(\theta_k)$
    pub max: f64,
    /// Standard error of `mean` over the choice of directions, as if they were drawn independently;
    /// `None` of a single one.
    pub standard_error: Option<f64>,
}

/// Sliced Wasserstein-p distance: exact one-dimensional transport along each direction.
///
/// $$\mathrm{SW}_p = \left(\frac1K \sum_{k=1}^K W_p^p(\theta_k \cdot X,\ \theta_k \cdot
/// Y)\right)^{1/p}$$
///
/// Directions are used as given; pass unit vectors. `None` weights are uniform.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`, `directions: [D, K]`, one a column.
///
/// # Errors
/// Empty clouds, shapes that disagree, values that are not finite, unequal masses, p < 1, a distance
/// that no double holds.
///
/// # Reference
/// N. Bonneel, J. Rabin, G. Peyre, H. Pfister, *Sliced and Radon Wasserstein barycenters of
/// measures*, J. Math. Imaging and Vision 51, 2015.
///
/// ```
/// use ndarray::array;
/// let (x, y) = (array![[0.0, 0.0]], array![[3.0, 4.0]]);
/// let axes = array![[1.0, 0.0], [0.0, 1.0]];
/// let sliced = metrics::sliced_w(x.view(), None, y.view(), None, axes.view(), 2.0)?;
/// assert_eq!((sliced.mean, sliced.max), (12.5_f64.sqrt(), 4.0));
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn sliced_w(
    x: ArrayView2<f64>,
    a: Option<ArrayView1<f64>>,
    y: ArrayView2<f64>,
    b: Option<ArrayView1<f64>>,
    directions: ArrayView2<f64>,
    p: f64,
) -> Result<SlicedDistance> {
    check_pair(x, y, 1)?;
    let (a, left) = cloud_weights(FIRST, x.nrows(), a)?;
    let (b, right) = cloud_weights(SECOND, y.nrows(), b)?;
    check_balance(left, right)?;
    check_order(p)?;
    let n_directions = directions.ncols();
    if directions.nrows() != x.ncols() || n_directions == 0 {
        let (expected, found) = (vec![x.ncols(), n_directions.max(1)], directions.shape().to_vec());
        return Err(Error::ShapeMismatch { what: "directions", expected, found });
    }
    crate::input::check_rows("directions", directions, 1)?;
    let ((x, a), (y, b)) = (present(x, aview1(&a)), present(y, aview1(&b)));
    let pair = framed(x.view(), y.view(), 0);
    let (along_x, along_y) = (pair.x.dot(&directions), pair.y.dot(&directions));
    let masses = Masses::new(&a.to_vec(), &b.to_vec());
    let found: Vec<Power> = (0..n_directions)
        .into_par_iter()
        .map(|k| masses.power(along_x.column(k), along_y.column(k), p))
        .collect();
    let unit = Power::largest(&found, p);
    let powers: Vec<f64> = found.iter().map(|power| power.within(unit)).collect();
    let mean = powers.iter().sum::<f64>() / n_directions as f64;
    let max = found.iter().map(|power| power.root()).fold(0.0, f64::max);
    let root = unit.root(mean);
    // The delta method: the p-th root has the slope mean^(1/p - 1) / p.
    let standard_error = (n_directions > 1).then(|| {
        let error = Estimate::of_mean(&powers).standard_error;
        if mean == 0.0 { 0.0 } else { error * root / (mean * p) }
    });
    let back = |length: f64| finite("sliced Wasserstein distance", pair.unit.back(length, 1.0));
    Ok(SlicedDistance {
        mean: back(root)?,
        max: back(max)?,
        standard_error: standard_error.map(back).transpose()?,
    })
}

/// Sliced Wasserstein-p distance over `n_directions` independent directions, uniform on the sphere.
///
/// [`sliced_w`] over [`random_directions`](crate::random_directions) of the key; `standard_error`
/// says how far the mean over all directions may be.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`.
///
/// # Errors
/// As [`sliced_w`]; no direction.
///
/// # Reference
/// As [`sliced_w`].
///
/// ```
/// use ndarray::array;
/// use sde_core::Key;
/// let (x, y) = (array![[0.0, 0.0]], array![[3.0, 4.0]]);
/// let found = metrics::sliced_w_keyed(x.view(), None, y.view(), None, 4000, 2.0, Key::root(1))?;
/// // |shift| / sqrt(D)
/// let error = found.standard_error.unwrap_or_default();
/// assert!((found.mean - 12.5_f64.sqrt()).abs() < 5.0 * error && error < 0.1);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn sliced_w_keyed(
    x: ArrayView2<f64>,
    a: Option<ArrayView1<f64>>,
    y: ArrayView2<f64>,
    b: Option<ArrayView1<f64>>,
    n_directions: usize,
    p: f64,
    key: Key,
) -> Result<SlicedDistance> {
    check_pair(x, y, 1)?;
    let directions = random_directions(x.ncols(), n_directions, key)?;
    sliced_w(x, a, y, b, directions.view(), p)
}

/// An order p of a Wasserstein distance.
pub(super) fn check_order(p: f64) -> Result<()> {
    if p >= 1.0 && p.is_finite() {
        return Ok(());
    }
    Err(Error::InvalidParameter { name: "p", expected: "finite and >= 1", value: p })
}

/// The rows that have mass, and their weights: others may be anywhere, and are of no matter.
pub(crate) fn present(
    cloud: ArrayView2<f64>,
    weights: ArrayView1<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let rows: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
    (cloud.select(Axis(0), &rows), weights.select(Axis(0), &rows))
}
