//! Weights of particles, and drawing by them.

/// `log mean_k exp(l_k)`.
pub(super) fn log_mean_exp(l: &[f64]) -> f64 {
    let top = l.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + (l.iter().map(|l| (l - top).exp()).sum::<f64>() / l.len() as f64).ln()
}

/// Weights that add to one, from their logarithms.
pub(super) fn normalised(l: &[f64]) -> Vec<f64> {
    let top = l.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let w: Vec<f64> = l.iter().map(|l| (l - top).exp()).collect();
    let sum: f64 = w.iter().sum();
    w.into_iter().map(|w| w / sum).collect()
}

/// The effective sample size `1 / sum_k w_k^2` of normalised weights.
pub(super) fn effective(weights: &[f64]) -> f64 {
    weights.iter().map(|w| w * w).sum::<f64>().recip()
}

/// Systematic resampling: particle `k` is drawn `K w_k` times, rounded up or down, by the one uniform number `u` in `[0, 1)`.
/// Weights of any size; the number of each draw's particle, in rising order.
///
/// # Reference
/// Kitagawa 1996, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models", appendix.
///
/// ```
/// assert_eq!(control::systematic(&[0.1, 0.6, 0.0, 0.3], 0.5), [1, 1, 1, 3]);
/// ```
pub fn systematic(weights: &[f64], u: f64) -> Vec<usize> {
    let (n, total) = (weights.len(), weights.iter().sum::<f64>());
    let last = weights.iter().rposition(|w| *w > 0.0).unwrap_or(0);
    let (mut k, mut below) = (0, 0.0);
    let mut draw = |i: usize| {
        let at = (i as f64 + u) / n as f64 * total;
        // Rounding of the sum must not draw what has no weight.
        while k < last && below + weights[k] <= at {
            below += weights[k];
            k += 1;
        }
        k
    };
    (0..n).map(&mut draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as often as its weight says, rounded, and in the mean exactly; never what has no weight.
    #[test]
    fn counts_are_weights() {
        let weights = [0.05, 0.0, 0.4, 0.15, 0.3, 0.1, 0.0];
        let n = weights.len();
        let draws = 1000;
        let mut mean = [0.0; 7];
        for i in 0..draws {
            let found = systematic(&weights, (f64::from(i) + 0.5) / f64::from(draws));
            assert_eq!(found.len(), n);
            for (k, w) in weights.iter().enumerate() {
                let count = found.iter().filter(|j| **j == k).count() as f64;
                assert!((count - n as f64 * w).abs() < 1.0, "{k}: {count}");
                mean[k] += count / f64::from(draws);
            }
        }
        for (w, mean) in weights.iter().zip(mean) {
            assert!((mean - n as f64 * w).abs() < 2e-3, "{w}: {mean}");
        }
    }

    #[test]
    fn sums_of_logarithms() {
        let l = [-1000.0, -1000.0 + 3.0_f64.ln()];
        assert!((log_mean_exp(&l) + 1000.0 - 2.0_f64.ln()).abs() < 1e-12);
        // The logarithms themselves are rounded to 1e-13.
        assert!((normalised(&l)[1] - 0.75).abs() < 1e-12);
        assert!((effective(&[0.5, 0.5]) - 2.0).abs() < 1e-15);
    }
}
