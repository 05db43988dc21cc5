//! The energy distance: the MMD of minus a power of the distance.

use ndarray::ArrayView2;

use super::estimate::{Mmd2, mmd2, mmd2_with_error};
use super::function::Kernel;
use crate::error::Result;

/// Energy distance, squared form, between two samples.
///
/// $$\mathcal{E} = 2\,\mathbb{E}\lVert X - Y \rVert - \mathbb{E}\lVert X - X' \rVert -
/// \mathbb{E}\lVert Y - Y' \rVert$$
///
/// `biased` is the V-statistic, `unbiased` the U-statistic, and [`Mmd2::distance`] the square-root
/// form. Powers of the distance other than one: [`Kernel::DistancePower`] in [`mmd2`].
///
/// # Errors
/// As [`mmd2`].
///
/// # Reference
/// G. J. Szekely and M. L. Rizzo, *Energy statistics*, J. Stat. Planning and Inference 143, 2013.
///
/// ```
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [0.0]], array![[3.0], [3.0]]);
/// assert_eq!(metrics::energy_distance(x.view(), y.view())?.biased, 6.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn energy_distance(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Mmd2> {
    mmd2(x, y, Kernel::Distance)
}

/// Energy distance of any exponent, with the standard error of the unbiased estimate.
///
/// $$\mathcal{E}_p = 2\,\mathbb{E}\lVert X - Y \rVert^p - \mathbb{E}\lVert X - X' \rVert^p -
/// \mathbb{E}\lVert Y - Y' \rVert^p, \qquad 0 < p < 2$$
///
/// # Errors
/// As [`mmd2`]; an exponent outside (0, 2).
///
/// # Reference
/// As [`energy_distance`]; the standard error is that of [`mmd2_with_error`].
///
/// ```
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [0.0]], array![[4.0], [4.0]]);
/// assert_eq!(metrics::energy_distance_with_error(x.view(), y.view(), 0.5)?.biased, 4.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn energy_distance_with_error(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    exponent: f64,
) -> Result<Mmd2> {
    // The square root is exact to the last bit and quick, a power is neither.
    let one = exponent == 1.0;
    mmd2_with_error(x, y, if one { Kernel::Distance } else { Kernel::DistancePower { exponent } })
}
