//! How near generated points lie to the rows that a model was trained on.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::search::nearest;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{FIRST, SECOND, check_pair, check_rows};
use crate::pairwise::{CHUNK, Points};
use crate::scale::{Framed, WIDE, framed};

/// The row that is nearest to a point.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NearestRow {
    /// Its number; of rows at one distance the first.
    pub index: usize,
    /// Its Euclidean distance.
    pub distance: f64,
}

/// The nearest row of `to` for every row of `of`.
///
/// Distances are sums of squared differences, so that of an exact copy is zero.
///
/// # Shapes
/// `of: [N, D]`, `to: [M, D]`, N, M >= 1; returns N.
///
/// # Errors
/// Different dimensions, no rows, values that are not finite.
///
/// ```
/// use ndarray::array;
/// let found = metrics::nearest_rows(array![[2.0], [9.0]].view(), array![[0.0], [2.0], [8.0]].view())?;
/// assert_eq!((found[0].index, found[0].distance), (1, 0.0));
/// assert_eq!((found[1].index, found[1].distance), (2, 1.0));
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn nearest_rows(of: ArrayView2<f64>, to: ArrayView2<f64>) -> Result<Vec<NearestRow>> {
    check_pair(of, to, 1)?;
    let Framed { x, y, unit } = framed(of, to, WIDE);
    let (of, to) = (Points::new(x.view()), Points::new(y.view()));
    let one = |buffer: &mut Vec<f64>, i: usize| {
        let found = nearest(of.row(i), &to, 1, None, buffer);
        // There is a row.
        let (index, squared) = found.first().map_or((0, f64::INFINITY), |n| (n.index, n.squared));
        NearestRow { index, distance: unit.back(squared.sqrt(), 1.0) }
    };
    Ok((0..of.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], one).collect())
}

/// Authenticity: the share of generated points that are further from the nearest training row than that row
/// is from the nearest other training row.
///
/// $$A = \tfrac1M \sum_j 1\{ \lVert y_j - x_{i(j)} \rVert > \min_{k \ne i(j)} \lVert x_{i(j)} - x_k \rVert \},
/// \qquad i(j) = \arg\min_i \lVert y_j - x_i \rVert.$$
///
/// A copy of a training row is not authentic. New draws of the law of the training rows have, as the number of
/// these grows, the probability that a point is not the nearest neighbour of its own nearest neighbour: 1/3 on a line, 0.378
/// in the plane, towards 1/2 in high dimension. Of several training rows at the same, least distance the one counts that
/// is furthest from the others, so that the order of the rows does not matter; a row that is there twice is at distance zero
/// from its other self. The standard error is that of the mean over the generated points, with the training rows as given.
///
/// # Shapes
/// `generated: [M, D]`, `training: [N, D]`, N >= 2.
///
/// # Errors
/// One training row, no generated one, different dimensions, values that are not finite.
///
/// # Reference
/// A. M. Alaa et al., *How faithful is your synthetic data? Sample-level metrics for evaluating and auditing
/// generative models*, 2022, arXiv:2102.08921, section 4.
///
/// ```
/// use ndarray::array;
/// let training = array![[0.0], [1.0], [5.0]];
/// // A copy; one nearer to 0 than 1 is; one as far from 1 as 0 is; one further from 5 than 1 is.
/// let generated = array![[1.0], [-0.5], [2.0], [9.5]];
/// assert_eq!(metrics::authenticity(generated.view(), training.view())?.value, 0.25);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn authenticity(generated: ArrayView2<f64>, training: ArrayView2<f64>) -> Result<Estimate> {
    check_pair(generated, training, 1)?;
    check_rows(SECOND, training, 2)?;
    let pair = framed(generated, training, WIDE);
    let (generated, training) = (Points::new(pair.x.view()), Points::new(pair.y.view()));
    let own = |buffer: &mut Vec<f64>, i: usize| {
        let found = nearest(training.row(i), &training, 1, Some(i), buffer);
        found.first().map_or(f64::INFINITY, |other| other.squared)
    };
    let own: Vec<f64> =
        (0..training.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], own).collect();
    let authentic = |buffer: &mut Vec<f64>, j: usize| {
        let (mut least, mut reach) = (f64::INFINITY, 0.0_f64);
        for start in (0..training.len()).step_by(CHUNK) {
            let squares = &mut buffer[..CHUNK.min(training.len() - start)];
            training.squared_distances(generated.row(j), start, squares);
            for (square, own) in squares.iter().zip(&own[start..]) {
                if *square < least {
                    (least, reach) = (*square, *own);
                } else if *square == least {
                    reach = reach.max(*own);
                }
            }
        }
        usize::from(least > reach)
    };
    let hits: usize =
        (0..generated.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], authentic).sum();
    Ok(share(hits, generated.len()))
}

/// The share of generated points that lie nearer to a training row than the nearest of withheld rows do.
///
/// With $d(z)$ the distance of z from the nearest training row and $d_{(1)} \le \dots \le d_{(n)}$ those of the n withheld
/// rows, in order,
///
/// $$\tfrac1M \sum_j 1\{ d(y_j) < d_{(k + 1)} \}, \qquad k = \lfloor \mathrm{part} \cdot n \rfloor.$$
///
/// Just k of the withheld rows are nearer than that, fewer where distances are equal; points of the law of the withheld rows
/// are with the probability $q = (k + 1) / (n + 1)$ in the mean over withheld rows. A larger share says that the model copies.
/// The standard error s is that of the mean over the generated points and that of the threshold, to first order in the share p:
/// $s^2 = p (1 - p) / M + (p / q)^2 q (1 - q) / (n + 2)$. It is zero where p is.
///
/// # Shapes
/// `generated: [M, D]`, `training: [N, D]`, `withheld: [n, D]`, all with a row at least.
///
/// # Errors
/// A part that is not between 0 and 1, no rows, different dimensions, values that are not finite.
///
/// # Reference
/// The threshold is the usual one of nearest-neighbour audits, such as C. Meehan et al., *A non-parametric test to detect
/// data-copying in generative models*, 2020, arXiv:2004.05675.
///
/// ```
/// use ndarray::array;
/// let (training, withheld) = (array![[0.0], [10.0]], array![[1.0], [2.0], [13.0], [4.0]]);
/// // A quarter of the withheld rows is nearer than 2.
/// let generated = array![[0.5], [11.0], [2.0], [5.0]];
/// let found = metrics::near_training(generated.view(), training.view(), withheld.view(), 0.25)?;
/// assert_eq!(found.value, 0.5);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn near_training(
    generated: ArrayView2<f64>,
    training: ArrayView2<f64>,
    withheld: ArrayView2<f64>,
    part: f64,
) -> Result<Estimate> {
    if !(part > 0.0 && part < 1.0) {
        return Err(Error::InvalidParameter {
            name: "part",
            expected: "between 0 and 1",
            value: part,
        });
    }
    check_rows(FIRST, generated, 1)?;
    check_rows("withheld cloud", withheld, 1)?;
    let distances = |of| -> Result<Vec<f64>> {
        Ok(nearest_rows(of, training)?.into_iter().map(|found| found.distance).collect())
    };
    let mut own = distances(withheld)?;
    own.sort_by(f64::total_cmp);
    let (m, n) = (generated.nrows(), own.len());
    let k = ((part * n as f64) as usize).min(n - 1);
    let hits = distances(generated)?.into_iter().filter(|d| *d < own[k]).count();
    let Estimate { value: p, standard_error } = share(hits, m);
    let q = (k + 1) as f64 / (n + 1) as f64;
    let of_threshold = p / q * (q * (1.0 - q) / (n + 2) as f64).sqrt();
    Ok(Estimate { value: p, standard_error: standard_error.hypot(of_threshold) })
}

/// A share of independent points, with its binomial error.
fn share(hits: usize, of: usize) -> Estimate {
    let (p, n) = (hits as f64 / of as f64, of as f64);
    Estimate { value: p, standard_error: (p * (1.0 - p) / n).sqrt() }
}
