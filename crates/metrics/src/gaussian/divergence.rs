//! Divergences and entropy of Gaussians.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};

use super::cholesky::Scaled;
use super::twofold::Twofold;
use crate::error::{Error, Result};
use crate::input::check_rows;
use crate::scale::{Unit, finite};

/// A mean and a covariance.
pub(super) type Moments<'a> = (ArrayView1<'a, f64>, ArrayView2<'a, f64>);

/// Whether two Gaussians are given by finite numbers of matching shapes.
pub(super) fn check((m1, c1): Moments, (m2, c2): Moments) -> Result<()> {
    let dim = m1.len();
    if m2.len() != dim {
        return Err(Error::DimensionMismatch { left: dim, right: m2.len() });
    }
    for (what, covariance) in [("first covariance", c1), ("second covariance", c2)] {
        if covariance.shape() != [dim, dim] {
            let (expected, found) = (vec![dim, dim], covariance.shape().to_vec());
            return Err(Error::ShapeMismatch { what, expected, found });
        }
        check_rows(what, covariance, 1)?;
    }
    for (what, mean) in [("first mean", m1), ("second mean", m2)] {
        check_rows(what, mean.insert_axis(Axis(0)), 1)?;
    }
    Ok(())
}

/// Both covariances factored; `None` if one is singular.
fn factors(c1: ArrayView2<f64>, c2: ArrayView2<f64>) -> Result<Option<(Scaled, Scaled)>> {
    let (first, second) =
        (Scaled::new("first covariance", c1)?, Scaled::new("second covariance", c2)?);
    Ok(first.zip(second))
}

/// The columns of $B = L_2^{-1} L_1$, lower triangular, with $C = L L^\top$; column j has its first entry
/// at row j.
fn between(first: &Scaled, second: &Scaled) -> Vec<Vec<Twofold>> {
    let d = first.l.len();
    let column = |j: usize| {
        let ratio = |i: usize, value: Twofold| {
            let (own, other) = (first.units[i], second.units[i]);
            value.map(|part| other.measure(own.back(part, 1.0)))
        };
        let entry = |i: usize| if i < j { Twofold::ZERO } else { ratio(i, first.l[i][j]) };
        let mut column: Vec<Twofold> = (0..d).map(entry).collect();
        second.solve(&mut column);
        column.split_off(j)
    };
    (0..d).map(column).collect()
}

/// $L^{-1}$ of the difference of two means.
fn whitened((m1, m2): (ArrayView1<f64>, ArrayView1<f64>), by: &Scaled) -> Vec<Twofold> {
    let differences = m1.iter().zip(m2).zip(&by.units);
    let mut shift: Vec<Twofold> = differences
        .map(|((p, q), unit)| (Twofold::from(*p) - (*q).into()).map(|part| unit.measure(part)))
        .collect();
    by.solve(&mut shift);
    shift
}

/// Kullback-Leibler divergence of $N(m_1, C_1)$ from $N(m_2, C_2)$, in nats.
///
/// $$\mathrm{KL}(N_1 \Vert N_2) = \tfrac12 \left(\mathrm{tr}(C_2^{-1} C_1) + (m_1 - m_2)^\top C_2^{-1}
/// (m_1 - m_2) - D + \log \frac{\det C_2}{\det C_1}\right)$$
///
/// Infinite when either covariance is singular, as the density of one has then nothing to be compared
/// with: when a pivot of its Cholesky decomposition, in twice the precision of a double, is but rounding
/// of its variance. Variances of any size beside each other keep their digits.
///
/// # Shapes
/// `m1, m2: [D]`, `c1, c2: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// Shapes that disagree, values that are not finite, a covariance that is not positive semidefinite, a
/// result that no double holds.
///
/// # Reference
/// S. Kullback, *Information theory and statistics*, 1959, section 9.1.
///
/// ```
/// use ndarray::array;
/// let (m, c1, c2) = (array![0.0], array![[1.0]], array![[4.0]]);
/// let nats = metrics::gaussian_kl(m.view(), c1.view(), m.view(), c2.view())?;
/// assert!((nats - 0.5 * (0.25 - 1.0 + 4.0_f64.ln())).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_kl(
    m1: ArrayView1<f64>,
    c1: ArrayView2<f64>,
    m2: ArrayView1<f64>,
    c2: ArrayView2<f64>,
) -> Result<f64> {
    check((m1, c1), (m2, c2))?;
    let Some((first, second)) = factors(c1, c2)? else { return Ok(f64::INFINITY) };
    // With B = L_2^-1 L_1 it is half of |B|^2 - D - log det B^2 + |L_2^-1 (m_1 - m_2)|^2, in which B,
    // triangular, leaves terms none of which is negative.
    let mut twice = 0.0;
    for column in between(&first, &second) {
        twice += excess(column[0]);
        twice += column[1..].iter().map(|b| b.value().powi(2)).sum::<f64>();
    }
    twice += whitened((m1, m2), &second).iter().map(|w| w.value().powi(2)).sum::<f64>();
    finite("Kullback-Leibler divergence", 0.5 * twice)
}

/// $b^2 - 1 - \log b^2$
fn excess(b: Twofold) -> f64 {
    let t = (b * b - 1.0.into()).value();
    if t.abs() > 0.05 {
        return t - 2.0 * b.value().ln();
    }
    // t - log(1 + t) as a series: the difference would cancel.
    t * t * (2..=14).rev().fold(0.0, |rest, k| f64::from(k).recip() - t * rest)
}

/// Fisher divergence of $N(m_1, C_1)$ from $N(m_2, C_2)$: the mean squared distance of the scores
/// under the first,
///
/// $$\mathbb{E}_{N_1} \lVert \nabla \log N_1 - \nabla \log N_2 \rVert^2 = \mathrm{tr}(A C_1 A) + \lVert
/// C_2^{-1} (m_1 - m_2) \rVert^2, \qquad A = C_2^{-1} - C_1^{-1}.$$
///
/// Infinite when either covariance is singular.
///
/// # Shapes
/// As [`gaussian_kl`].
///
/// # Errors
/// Shapes that disagree, values that are not finite, a covariance that is not positive semidefinite, a
/// result that no double holds.
///
/// # Reference
/// A. Hyvarinen, *Estimation of non-normalized statistical models by score matching*, 2005, eq. 2.
///
/// ```
/// use ndarray::array;
/// let (m1, m2, c) = (array![0.0], array![3.0], array![[1.0]]);
/// let squared = metrics::gaussian_fisher_divergence(m1.view(), c.view(), m2.view(), c.view())?;
/// assert_eq!(squared, 9.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_fisher_divergence(
    m1: ArrayView1<f64>,
    c1: ArrayView2<f64>,
    m2: ArrayView1<f64>,
    c2: ArrayView2<f64>,
) -> Result<f64> {
    check((m1, c1), (m2, c2))?;
    let Some((first, second)) = factors(c1, c2)? else { return Ok(f64::INFINITY) };
    // A L_1 = L_2^-T (B - B^-T) with B = L_2^-1 L_1; each column of it has a sum of squares.
    let b = between(&first, &second);
    let d = b.len();
    // The unit of the smallest deviation: scores are large where deviations are small.
    let unit = second.units.iter().min_by_key(|unit| unit.exponent()).copied();
    let unit = unit.unwrap_or(Unit::of(1.0, 0));
    let square = |mut column: Vec<Twofold>| -> f64 {
        second.solve_transposed(&mut column);
        let scaled = column.iter().zip(&second.units);
        scaled.map(|(value, own)| unit.back(own.measure(value.value()), 1.0).powi(2)).sum()
    };
    let mut squared = square(whitened((m1, m2), &second));
    for j in 0..d {
        // Column j of B^-T: B^T z = e_j, upper triangular.
        let mut column = vec![Twofold::ZERO; d];
        for i in (0..=j).rev() {
            let start: Twofold = if i == j { 1.0.into() } else { 0.0.into() };
            let done = (i + 1..=j).fold(start, |rest, k| rest - b[i][k - i] * column[k]);
            column[i] = done / b[i][0];
        }
        column.iter_mut().for_each(|value| *value = -*value);
        (j..d).for_each(|i| column[i] = column[i] + b[j][i - j]);
        squared += square(column);
    }
    finite("Fisher divergence", unit.back(squared, -2.0))
}

/// Differential entropy of a Gaussian with covariance $C$, in nats: $\tfrac12 \log\left((2 \pi e)^D
/// \det C\right)$; minus infinity when $C$ is singular.
///
/// # Shapes
/// `c: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// A matrix that is not square, values that are not finite, one that is not positive semidefinite.
///
/// # Reference
/// C. E. Shannon, *A mathematical theory of communication*, 1948, section 20.
///
/// ```
/// use ndarray::array;
/// let nats = metrics::gaussian_entropy(array![[1.0]].view())?;
/// assert!((nats - 1.418_938_533_204_672_7).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_entropy(c: ArrayView2<f64>) -> Result<f64> {
    let mean = Array1::zeros(c.nrows());
    check((mean.view(), c), (mean.view(), c))?;
    let each = 1.0 + std::f64::consts::TAU.ln();
    let Some(factor) = Scaled::new("covariance", c)? else { return Ok(f64::NEG_INFINITY) };
    Ok(0.5 * (c.nrows() as f64 * each + factor.log_det()))
}
