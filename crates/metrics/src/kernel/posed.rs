//! A kernel and two clouds, in units in which nothing overflows or vanishes.

use ndarray::{ArrayView2, aview1};

use super::function::Kernel;
use crate::pairwise::Points;
use crate::scale::{Unit, WIDE, framed_beside};

/// Kernels of distances have clouds in a unit of their own, and their lengths in it. Those of inner
/// products, where offsets count, have them as they are, but values by a power of two near the largest.
pub(super) struct Posed {
    pub(super) x: Points,
    pub(super) y: Points,
    kernel: Kernel,
    /// What values are multiplied by.
    factor: f64,
    unit: Unit,
    /// Power of the unit that values have.
    degree: f64,
}

impl Kernel {
    /// The kernel at a pair of points of equal dimension.
    #[must_use]
    pub fn at(self, x: &[f64], y: &[f64]) -> f64 {
        let row = |point| aview1(point).insert_axis(ndarray::Axis(0));
        let posed = Posed::new(self, row(x), row(y));
        posed.back(posed.at(posed.x.row(0), posed.y.row(0)))
    }
}

impl Posed {
    /// Of checked clouds and a checked kernel.
    pub(super) fn new(kernel: Kernel, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Self {
        if kernel.of_inner_product() {
            return Self::of_inner_product(kernel, x, y);
        }
        let offset = if let Kernel::InverseMultiquadric { offset } = kernel { offset } else { 0.0 };
        let pair = framed_beside(offset, x, y, WIDE);
        let unit = pair.unit;
        let (kernel, degree) = match kernel {
            Kernel::Rbf { bandwidth } => (Kernel::Rbf { bandwidth: unit.measure(bandwidth) }, 0.0),
            Kernel::RbfMixture(widths) => {
                (Kernel::RbfMixture(widths.map(|width| unit.measure(width))), 0.0)
            }
            Kernel::InverseMultiquadric { offset } => {
                (Kernel::InverseMultiquadric { offset: unit.measure(offset) }, -1.0)
            }
            Kernel::DistancePower { exponent } => (kernel, exponent),
            other => (other, 1.0),
        };
        let (x, y) = (Points::new(pair.x.view()), Points::new(pair.y.view()));
        Self { x, y, kernel, factor: 1.0, unit, degree }
    }

    fn of_inner_product(kernel: Kernel, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Self {
        let mut posed = Self {
            x: Points::new(x),
            y: Points::new(y),
            kernel,
            factor: 1.0,
            unit: Unit::of(1.0, 0),
            degree: 1.0,
        };
        // No value is above the largest k(x, x).
        let own = |of: &Points| -> f64 {
            (0..of.len()).map(|i| kernel.between(of.row(i), of.row(i))).fold(0.0, f64::max)
        };
        posed.unit = Unit::of(own(&posed.x).max(own(&posed.y)), 0);
        posed.factor = posed.unit.measure(1.0);
        posed
    }

    pub(super) fn at(&self, x: &[f64], y: &[f64]) -> f64 {
        self.kernel.between(x, y) * self.factor
    }

    /// The kernel of `query` and the points start, start + 1, ... of a cloud.
    pub(super) fn fill(&self, query: &[f64], points: &Points, start: usize, out: &mut [f64]) {
        self.kernel.fill(query, points, start, out);
        if self.factor != 1.0 {
            out.iter_mut().for_each(|value| *value *= self.factor);
        }
    }

    /// A mean of values, in the units of the caller.
    pub(super) fn back(&self, value: f64) -> f64 {
        self.unit.back(value, self.degree)
    }

    /// The root of a mean of values, in the units of the caller.
    pub(super) fn back_root(&self, root: f64) -> f64 {
        self.unit.back(root, 0.5 * self.degree)
    }
}
