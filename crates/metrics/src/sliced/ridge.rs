//! The vector of least length among all mixtures of some.

use ndarray::Array1;

/// Steps of the search; the gap closes geometrically.
const MAX_STEPS: usize = 500;

/// The point of the convex hull of `vectors` nearest to the origin, by pairwise conditional gradients.
///
/// Where a function has a ridge, gradients on both sides point across it; the shortest of their
/// mixtures points along it, and is zero at a maximum.
pub(super) fn shortest_mixture(vectors: &[Array1<f64>]) -> Array1<f64> {
    let mut shares = vec![(vectors.len() as f64).recip(); vectors.len()];
    let mix = |shares: &[f64]| {
        let zero = Array1::zeros(vectors[0].len());
        vectors.iter().zip(shares).fold(zero, |sum, (vector, share)| sum + vector * *share)
    };
    let mut point = mix(&shares);
    for _ in 0..MAX_STEPS {
        let along: Vec<f64> = vectors.iter().map(|vector| vector.dot(&point)).collect();
        let ids = 0..vectors.len();
        let towards = ids.clone().min_by(|&i, &j| along[i].total_cmp(&along[j])).unwrap_or(0);
        let away = ids
            .filter(|&i| shares[i] > 0.0)
            .max_by(|&i, &j| along[i].total_cmp(&along[j]))
            .unwrap_or(0);
        let gap = along[away] - along[towards];
        if gap <= 1e-14 * point.dot(&point).max(f64::MIN_POSITIVE) {
            break;
        }
        let step = &vectors[towards] - &vectors[away];
        let length = (gap / step.dot(&step)).min(shares[away]);
        shares[away] -= length;
        shares[towards] += length;
        point = mix(&shares);
    }
    point
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
