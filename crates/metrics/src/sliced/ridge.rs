//! The vector of least length among all mixtures of some.

use ndarray::Array1;

/// Steps of the search; the gap closes geometrically.
const MAX_STEPS: usize = 500;

/// The point of the convex hull of `vectors` nearest to the origin, by pairwise conditional gradients.
///
/// Where a function has a ridge, gradients on both sides point across it; the shortest of their
/// mixtures points along it, and is zero at a maximum.
pub(super) fn shortest_mixture(vectors: &[Array1<f64>]) -> Array1<f64> {
    let ids = || 0..vectors.len();
    let products: Vec<Vec<f64>> =
        vectors.iter().map(|v| vectors.iter().map(|w| v.dot(w)).collect()).collect();
    let mut shares = vec![(vectors.len() as f64).recip(); vectors.len()];
    // Inner products of the mixture with each of the vectors.
    let mut along: Vec<f64> =
        products.iter().map(|row| row.iter().zip(&shares).map(|(p, s)| p * s).sum()).collect();
    for _ in 0..MAX_STEPS {
        let towards = ids().min_by(|&i, &j| along[i].total_cmp(&along[j])).unwrap_or(0);
        let away = ids()
            .filter(|&i| shares[i] > 0.0)
            .max_by(|&i, &j| along[i].total_cmp(&along[j]))
            .unwrap_or(0);
        let gap = along[away] - along[towards];
        let square: f64 = along.iter().zip(&shares).map(|(p, s)| p * s).sum();
        let step =
            products[towards][towards] + products[away][away] - 2.0 * products[towards][away];
        if gap <= 1e-14 * square.max(f64::MIN_POSITIVE) || step <= 0.0 {
            break;
        }
        let length = (gap / step).min(shares[away]);
        shares[away] -= length;
        shares[towards] += length;
        for (i, along) in along.iter_mut().enumerate() {
            *along += length * (products[i][towards] - products[i][away]);
        }
    }
    let zero = Array1::zeros(vectors[0].len());
    vectors.iter().zip(&shares).fold(zero, |sum, (vector, share)| sum + vector * *share)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn nearest_points_of_hulls() {
        let close = |found: Array1<f64>, expected: Array1<f64>| {
            assert!((&found - &expected).mapv(f64::abs).sum() < 1e-10, "{found} {expected}");
        };
        close(shortest_mixture(&[array![2.0, 1.0]]), array![2.0, 1.0]);
        close(shortest_mixture(&[array![1.0, 2.0], array![1.0, -1.0]]), array![1.0, 0.0]);
        close(shortest_mixture(&[array![1.0, 0.0], array![3.0, 5.0]]), array![1.0, 0.0]);
        let around = [array![1.0, 0.0], array![-1.0, 1.0], array![-1.0, -1.0]];
        close(shortest_mixture(&around), array![0.0, 0.0]);
    }
}
