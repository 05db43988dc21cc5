//! Ascent on the sphere by limited-memory BFGS.

use std::collections::VecDeque;

use ndarray::Array1;

/// Pairs of steps and changes of the gradient that are kept.
const MEMORY: usize = 40;
/// Halvings and doublings of a line search.
const TRIALS: usize = 25;

/// A unit direction, the value there, and the steps that led to it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) value: f64,
    pub(super) direction: Array1<f64>,
    pub(super) steps: usize,
}

/// Value and gradient of a function of the first degree (of twice a vector twice the value) at a unit vector.
pub(super) type Function<'a> = &'a (dyn Fn(&Array1<f64>) -> (f64, Array1<f64>) + Sync);

/// Goes up from a place for `steps` at most, ending where no step gains more than rounding.
///
/// Line searches end by the weak Wolfe conditions, with which quasi-Newton methods climb ridges as well.
///
/// # Reference
/// A. S. Lewis and M. L. Overton, *Nonsmooth optimization via quasi-Newton methods*, Mathematical
/// Programming 141, 2013; J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Mathematics of
/// Computation 35, 1980.
pub(super) fn ascend(function: Function, from: Place, steps: usize) -> Place {
    let at = |z: &Array1<f64>| on_the_sphere(function, z);
    let mut z = from.direction.clone();
    let (mut value, mut gradient) = at(&z);
    let mut memory = Memory::default();
    let mut taken = 0;
    while taken < steps {
        let mut way = memory.turned(&gradient);
        let mut slope = way.dot(&gradient);
        if slope.is_nan() || slope <= 0.0 {
            memory = Memory::default();
            way = memory.turned(&gradient);
            slope = way.dot(&gradient);
        }
        let line = Line { z: &z, way: &way, value, slope };
        let Some((moved, found, there)) = line.search(&at) else { break };
        taken += 1;
        let gain = found - value;
        memory.learn(&moved - &z, &gradient - &there);
        (z, value, gradient) = (moved, found, there);
        if gain <= 1e-15 * value {
            break;
        }
        let length = z.dot(&z).sqrt();
        if !(0.5..2.0).contains(&length) {
            z /= length;
            gradient *= length;
            memory = Memory::default();
        }
    }
    let length = z.dot(&z).sqrt();
    // The value of the unit vector itself, of which it may be short by rounding.
    let direction = z / length;
    let value = function(&direction).0;
    if value <= from.value {
        return Place { steps: from.steps + taken, ..from };
    }
    Place { value, direction, steps: from.steps + taken }
}

/// Value and gradient along the sphere at the unit vector of `z`: of a function of the first degree the tangential part.
fn on_the_sphere(function: Function, z: &Array1<f64>) -> (f64, Array1<f64>) {
    let length = z.dot(z).sqrt();
    let unit = z / length;
    let (value, gradient) = function(&unit);
    let radial = gradient.dot(&unit);
    (value, (gradient - &unit * radial) / length)
}

/// A way up from a place.
struct Line<'a> {
    z: &'a Array1<f64>,
    way: &'a Array1<f64>,
    /// Value and slope at the place.
    value: f64,
    slope: f64,
}

/// A place on the way, the value there and the gradient.
type Found = (Array1<f64>, f64, Array1<f64>);

/// The value and the gradient at a place.
type Height<'a> = &'a dyn Fn(&Array1<f64>) -> (f64, Array1<f64>);

impl Line<'_> {
    /// The highest place found on the way, with its value and gradient; `None` where all are lower.
    fn search(&self, at: Height<'_>) -> Option<Found> {
        let Self { z, way, value, slope } = *self;
        let (mut length, mut low, mut high) = (1.0, 0.0, f64::INFINITY);
        let mut best = None;
        for _ in 0..TRIALS {
            let moved = z + &(way * length);
            let (found, there) = at(&moved);
            let enough = found > value + 1e-4 * length * slope;
            let steep = there.dot(way) > 0.5 * slope;
            if best.as_ref().map_or(found > value, |(_, most, _)| found > *most) {
                best = Some((moved, found, there));
            }
            match (enough, steep) {
                (true, false) => break,
                (true, true) => low = length,
                (false, _) => high = length,
            }
            length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * length };
        }
        best
    }
}

/// What past steps say of the curvature.
#[derive(Default)]
struct Memory {
    pairs: VecDeque<(Array1<f64>, Array1<f64>, f64)>,
}

impl Memory {
    /// A step and by how much the gradient fell along it.
    fn learn(&mut self, step: Array1<f64>, fall: Array1<f64>) {
        let product = step.dot(&fall);
        if product <= 1e-14 * (step.dot(&step) * fall.dot(&fall)).sqrt() {
            return;
        }
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back((step, fall, product));
    }

    /// The inverse of the curvature times a gradient; without a memory a step of a third of a radian.
    fn turned(&self, gradient: &Array1<f64>) -> Array1<f64> {
        let mut way = gradient.clone();
        let Some((_, fall, product)) = self.pairs.back() else {
            let length = way.dot(&way).sqrt();
            return if length > 0.0 { way * (0.3 / length) } else { way };
        };
        let scale = product / fall.dot(fall);
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (step, fall, product) in self.pairs.iter().rev() {
            let share = step.dot(&way) / product;
            way.scaled_add(-share, fall);
            shares.push(share);
        }
        way *= scale;
        for ((step, fall, product), share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let other = fall.dot(&way) / product;
            way.scaled_add(share - other, step);
        }
        way
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// The largest eigenvalue of a matrix is the maximum of |A z| over the sphere.
    #[test]
    fn the_longest_axis_of_an_ellipsoid() {
        let a = array![[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 1.0]];
        let function = |z: &Array1<f64>| {
            let image = a.dot(z);
            let length = image.dot(&image).sqrt();
            (length, a.t().dot(&image) / length)
        };
        let start = Place { value: 0.0, direction: array![1.0, 0.0, 0.0], steps: 0 };
        let found = ascend(&function, start, 100);
        // The largest root of (2 - l)((3 - l)(1 - l) - 1) - (1 - l).
        let l = found.value;
        assert!(((2.0 - l) * ((3.0 - l) * (1.0 - l) - 1.0) - (1.0 - l)).abs() < 1e-12 && l > 3.0);
        assert!((found.direction.dot(&found.direction) - 1.0).abs() < 1e-14);
    }
}
