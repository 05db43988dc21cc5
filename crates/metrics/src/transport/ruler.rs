//! Costs between points as they are given, to the last digit.

use super::cost::GroundCost;
use super::fixed::{Fixed, odd_parts};
use super::number::Number;
use super::range::to_one;

/// The power of two of which every cost is a whole multiple.
///
/// Differences of coordinates are multiples of the last digit of all of them, so their squares are whole
/// numbers, however far the points are apart. A distance in more than one dimension is a root, and the
/// double next to it stands for it: its error is relative to itself, and so is that of a sum of such.
pub(crate) struct Ruler {
    cost: GroundCost,
    exponent: i32,
    /// Sums of costs along a path through all points are below this power of two.
    top: i32,
}

impl Ruler {
    /// For points with these coordinates in a problem of so many nodes.
    pub(crate) fn new(
        cost: GroundCost,
        coordinates: impl Iterator<Item = f64>,
        dim: usize,
        nodes: usize,
    ) -> Self {
        let parts = coordinates.map(odd_parts).filter(|part| part.0 != 0);
        let length = |odd: i64| (u64::BITS - odd.unsigned_abs().leading_zeros()) as i32;
        let ends = parts.map(|(odd, exponent)| (exponent, exponent + length(odd)));
        let (low, high) = ends.reduce(|p, q| (p.0.min(q.0), p.1.max(q.1))).unwrap_or((0, 0));
        let doublings = |count: usize| count.next_power_of_two().ilog2() as i32;
        let (exponent, largest) = match cost {
            GroundCost::SquaredEuclidean => (2 * low, 2 * (high + 1) + doublings(dim)),
            GroundCost::Euclidean if dim == 1 => (low, high + 1),
            GroundCost::Euclidean => (low - 54, high + 2 + doublings(dim)),
        };
        Self { cost, exponent, top: largest + doublings(nodes) }
    }

    /// Words that hold sums of costs, with room to compare them.
    pub(crate) fn words(&self) -> usize {
        (self.top - self.exponent + 6).div_euclid(64) as usize + 1
    }

    pub(crate) fn between<const W: usize>(&self, p: &[f64], q: &[f64]) -> Fixed<W> {
        let pairs = || p.iter().zip(q).map(|(&p, &q)| (p, q));
        match self.cost {
            GroundCost::SquaredEuclidean => {
                pairs().map(|(p, q)| self.square(p, q)).fold(Fixed::ZERO, |sum, term| sum + term)
            }
            GroundCost::Euclidean if p.len() == 1 => {
                let [near, rest] = difference(p[0].max(q[0]), p[0].min(q[0]));
                self.multiple(near.0.into(), near.1) + self.multiple(rest.0.into(), rest.1)
            }
            GroundCost::Euclidean => {
                let unit = to_one(pairs().map(|(p, q)| (p - q).abs()).fold(0.0, f64::max));
                let squares = pairs().map(|(p, q)| (p - q) * unit).map(|d| d * d);
                let (odd, exponent) = odd_parts(self.cost.of_squared(squares.sum()));
                self.multiple(odd.into(), exponent - odd_parts(unit).1)
            }
        }
    }

    /// $(p - q)^2$
    fn square<const W: usize>(&self, p: f64, q: f64) -> Fixed<W> {
        let [(a, above), (b, below)] = difference(p, q);
        let (a, b) = (i128::from(a), i128::from(b));
        let near = self.multiple(a * a, 2 * above);
        if b == 0 {
            return near;
        }
        near + self.multiple(2 * a * b, above + below) + self.multiple(b * b, 2 * below)
    }

    fn multiple<const W: usize>(&self, odd: i128, exponent: i32) -> Fixed<W> {
        if odd == 0 { Fixed::ZERO } else { Fixed::shifted(odd, (exponent - self.exponent) as u32) }
    }

    /// The multiple next to a double; zero where there is none.
    pub(crate) fn nearest<const W: usize>(&self, value: f64) -> Fixed<W> {
        let (odd, exponent) = if value.is_finite() { odd_parts(value) } else { (0, 0) };
        match exponent - self.exponent {
            _ if exponent + 53 > self.top => Fixed::ZERO,
            shift @ 0.. => Fixed::shifted(odd.into(), shift as u32),
            shift => Fixed::shifted((odd >> (-shift).min(63)).into(), 0),
        }
    }

    /// As a double, of costs between points that are stretched by a power of two.
    pub(crate) fn stretched<const W: usize>(&self, value: Fixed<W>, stretch: f64) -> f64 {
        let by = odd_parts(stretch).1;
        let power = if self.cost == GroundCost::SquaredEuclidean { 2 } else { 1 };
        value.to_f64(self.exponent + power * by)
    }
}

/// p - q, exactly: the double next to it and what that leaves.
fn difference(p: f64, q: f64) -> [(i64, i32); 2] {
    let near = p - q;
    let back = near - p;
    let rest = (p - (near - back)) - (q + back);
    [odd_parts(near), odd_parts(rest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers whose squares an i128 holds, with the last digit of the one far below the other.
    #[test]
    fn squares_are_exact() {
        let (far, near) = (2.0_f64.powi(40) + 1.0, 3.0 * 2.0_f64.powi(-20));
        let ruler = Ruler::new(GroundCost::SquaredEuclidean, [far, near].into_iter(), 2, 2);
        let (p, q) = ((1_i128 << 60) + (1 << 20), 3_i128);
        let expected = (p - q) * (p - q) + (p + q) * (p + q);
        let found = ruler.between::<4>(&[far, near], &[near, -far]);
        assert_eq!(found, Fixed::shifted(expected, (-40 - ruler.exponent) as u32));
        assert!(ruler.words() <= 4);
    }

    #[test]
    fn any_double_has_a_place() {
        for cost in [GroundCost::SquaredEuclidean, GroundCost::Euclidean] {
            for (p, q) in [(1e300, 5e-324), (-1e300, 1e300), (1e-310, 3e-310), (0.0, 0.0)] {
                for dim in [1, 3] {
                    let (x, y) = (vec![p; dim], vec![q; dim]);
                    let ruler = Ruler::new(cost, [p, q].into_iter(), dim, 2);
                    assert!(ruler.words() <= 72, "{}", ruler.words());
                    let unit = to_one((p - q).abs());
                    let found = ruler.stretched(ruler.between::<72>(&x, &y), unit);
                    let squared = dim as f64 * ((p - q) * unit).powi(2);
                    let expected = cost.of_squared(squared);
                    assert!((found - expected).abs() <= 4e-16 * expected, "{found} {expected}");
                }
            }
        }
    }
}
