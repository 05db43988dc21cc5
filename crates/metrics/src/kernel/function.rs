//! Kernel functions.

use ndarray::ArrayView2;

use super::bandwidths::Bandwidths;
use super::median::median_distance;
use crate::error::{Error, Result};
use crate::pairwise::{CHUNK, Points, exp_scaled, inverse_root};

/// A (conditionally) positive definite kernel k(x, y).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Kernel {
    /// $k = \exp(-\lVert x-y \rVert^2 / (2 s^2))$ with bandwidth s.
    Rbf {
        /// The bandwidth s, in the units of x.
        bandwidth: f64,
    },
    /// $k = \frac1L \sum_l \exp(-\lVert x-y \rVert^2 / (2 s_l^2))$: the mean of RBF kernels, which
    /// sees differences at all its scales (Li, Swersky, Zemel 2015, arXiv:1502.02761).
    RbfMixture(Bandwidths),
    /// $k = (c^2 + \lVert x-y \rVert^2)^{-1/2}$.
    InverseMultiquadric {
        /// The offset c, in the units of x.
        offset: f64,
    },
    /// $k = (\gamma\, x \cdot y + c)^p$.
    Polynomial {
        /// The degree p >= 1.
        degree: u32,
        /// The factor gamma > 0, in inverse squared units of x.
        gamma: f64,
        /// The constant c >= 0.
        coef0: f64,
    },
    /// $k = (x \cdot y / D + 1)^3$, the kernel of the kernel inception distance (Binkowski et
    /// al. 2018, arXiv:1801.01401).
    Cubic,
    /// $k = -\lVert x-y \rVert$: its MMD squared is the energy distance.
    Distance,
    /// $k = -\lVert x-y \rVert^p$ with 0 < p < 2: its MMD squared is the generalised energy distance.
    DistancePower {
        /// The exponent p.
        exponent: f64,
    },
}

impl Kernel {
    /// RBF kernel whose bandwidth is the median distance between points of the pooled sample.
    ///
    /// Of pools with more than 1000 points, 1000 at equal strides are used, so that memory stays
    /// bounded; the result does not depend on anything random. Where more than half of the pairs
    /// coincide it is the median of the distances that are not zero, and one where all are.
    ///
    /// # Shapes
    /// `x: [N, D]`, `y: [M, D]`.
    ///
    /// # Errors
    /// Empty clouds, different dimensions, values that are not finite, a median that no double holds.
    ///
    /// # Reference
    /// A. Gretton et al., *A kernel two-sample test*, JMLR 13, 2012, section 8.
    ///
    /// ```
    /// use ndarray::array;
    /// let (x, y) = (array![[0.0], [1.0]], array![[3.0]]);
    /// let kernel = metrics::Kernel::rbf_median(x.view(), y.view())?;
    /// assert_eq!(kernel, metrics::Kernel::Rbf { bandwidth: 2.0 });
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn rbf_median(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Self> {
        Ok(Self::Rbf { bandwidth: median_distance(x, y)?.0 })
    }

    /// Mixture of RBF kernels at given multiples of the median distance of [`Kernel::rbf_median`].
    ///
    /// # Errors
    /// As [`Kernel::rbf_median`]; no factor, more than eight, or one that is not positive.
    ///
    /// ```
    /// use metrics::{Bandwidths, Kernel};
    /// use ndarray::array;
    /// let (x, y) = (array![[0.0], [1.0]], array![[3.0]]);
    /// let kernel = Kernel::rbf_median_mixture(x.view(), y.view(), &[0.5, 1.0, 2.0])?;
    /// assert_eq!(kernel, Kernel::RbfMixture(Bandwidths::new(&[1.0, 2.0, 4.0])?));
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn rbf_median_mixture(
        x: ArrayView2<f64>,
        y: ArrayView2<f64>,
        factors: &[f64],
    ) -> Result<Self> {
        let (median, _) = median_distance(x, y)?;
        let scaled: Vec<f64> = factors.iter().map(|factor| factor * median).collect();
        Ok(Self::RbfMixture(Bandwidths::new(&scaled)?))
    }

    /// The kernel at a pair of points whose squared distance a double holds.
    pub(super) fn between(self, x: &[f64], y: &[f64]) -> f64 {
        let mut value = [if self.of_inner_product() {
            x.iter().zip(y).map(|(p, q)| p * q).sum()
        } else {
            x.iter().zip(y).map(|(p, q)| (p - q) * (p - q)).sum()
        }];
        self.apply(x.len(), &mut value);
        value[0]
    }

    /// The kernel of `query` and the points start, start + 1, ... ([`CHUNK`] at most).
    pub(crate) fn fill(self, query: &[f64], points: &Points, start: usize, out: &mut [f64]) {
        if self.of_inner_product() {
            points.inner_products(query, start, out);
        } else {
            points.squared_distances(query, start, out);
        }
        self.apply(query.len(), out);
    }

    pub(super) fn of_inner_product(self) -> bool {
        matches!(self, Self::Cubic | Self::Polynomial { .. })
    }

    /// Turns squared distances (or inner products) into values of the kernel.
    fn apply(self, dim: usize, values: &mut [f64]) {
        match self {
            Self::Rbf { bandwidth } => gaussian(values, bandwidth),
            Self::RbfMixture(bandwidths) => {
                let mut squares = [0.0; CHUNK];
                let squares = &mut squares[..values.len()];
                squares.copy_from_slice(values);
                values.fill(0.0);
                let share = (bandwidths.as_slice().len() as f64).recip();
                let mut one = [0.0; CHUNK];
                let one = &mut one[..values.len()];
                for &bandwidth in bandwidths.as_slice() {
                    one.copy_from_slice(squares);
                    gaussian(one, bandwidth);
                    values.iter_mut().zip(&*one).for_each(|(sum, value)| *sum += share * value);
                }
            }
            Self::InverseMultiquadric { offset } => multiquadric(values, offset),
            Self::Cubic => {
                for value in values {
                    let base = *value / dim as f64 + 1.0;
                    *value = base * base * base;
                }
            }
            Self::Polynomial { degree, gamma, coef0 } => {
                for value in values {
                    *value = power(gamma * *value + coef0, degree);
                }
            }
            Self::Distance => values.iter_mut().for_each(|value| *value = -value.sqrt()),
            Self::DistancePower { exponent } => {
                values.iter_mut().for_each(|value| *value = -value.powf(0.5 * exponent));
            }
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        let bad = |name, expected, value| Err(Error::InvalidParameter { name, expected, value });
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            bad(name, "positive and finite", value)
        };
        match self {
            Self::Rbf { bandwidth } => positive("bandwidth", bandwidth),
            Self::InverseMultiquadric { offset } => positive("offset", offset),
            Self::Polynomial { degree: 0, .. } => bad("degree", ">= 1", 0.0),
            Self::Polynomial { coef0, .. } if !(coef0 >= 0.0 && coef0.is_finite()) => {
                bad("coef0", ">= 0 and finite", coef0)
            }
            Self::Polynomial { gamma, .. } => positive("gamma", gamma),
            Self::DistancePower { exponent } if !(exponent > 0.0 && exponent < 2.0) => {
                bad("exponent", "between 0 and 2, both excluded", exponent)
            }
            Self::Cubic | Self::Distance | Self::DistancePower { .. } | Self::RbfMixture(_) => {
                Ok(())
            }
        }
    }
}

/// $\exp(-d / (2 s^2))$ in the place of every squared distance d.
fn gaussian(values: &mut [f64], bandwidth: f64) {
    let square = bandwidth * bandwidth;
    if square.is_normal() {
        return exp_scaled(values, -0.5 / square);
    }
    // Divided before it is squared, and by no zero: of points in one place the quotient is zero.
    let bandwidth = bandwidth.max(f64::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value = (value.sqrt() / bandwidth).powi(2));
    exp_scaled(values, -0.5);
}

/// $(c^2 + d)^{-1/2}$ in the place of every squared distance d.
fn multiquadric(values: &mut [f64], offset: f64) {
    let square = offset * offset;
    if square.is_normal() {
        return inverse_root(values, square);
    }
    values.iter_mut().for_each(|value| *value = offset.hypot(value.sqrt()).recip());
}

/// By squarings, in the same order on every machine, which `powi` does not promise.
fn power(base: f64, degree: u32) -> f64 {
    let bits = u32::BITS - degree.leading_zeros();
    (0..bits.saturating_sub(1)).rev().fold(base, |product, bit| {
        let square = product * product;
        if degree >> bit & 1 == 1 { square * base } else { square }
    })
}
