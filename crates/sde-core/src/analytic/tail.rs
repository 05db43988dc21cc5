//! Gaussian mass of an interval and its logarithmic derivatives, accurate in the tails.

use libm::{erf, erfc};

const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// `log sqrt(2 pi)`.
pub(super) const LOG_SQRT_TAU: f64 = 0.918_938_533_204_672_8;

/// Mills' ratio `Q(z) / phi(z)` for `z >= 0`.
pub(super) fn mills(z: f64) -> f64 {
    if z < 4.0 {
        return 0.5 * erfc(z * SQRT_HALF) * (0.5 * z * z + LOG_SQRT_TAU).exp();
    }
    // Laplace's continued fraction 1/(z + 1/(z + 2/(z + 3/(z + ...)))), from the inside; this many
    // terms give full precision.
    let terms = (8.0 + 420.0 / (z * z)) as i32;
    (1..=terms).rev().fold(z, |f, k| z + f64::from(k) / f).recip()
}

/// The interval mass `M = Phi(a) - Phi(b)`, `a > b`, as `log M`, `phi(a) / M` and `phi(b) / M`.
pub(super) fn mass(a: f64, b: f64) -> (f64, f64, f64) {
    if a <= 0.0 {
        let (log, pb, pa) = mass(-b, -a);
        return (log, pa, pb);
    }
    if b >= 0.0 {
        // M = phi(b) (R(b) - d R(a)) with d = phi(a) / phi(b).
        let d = (-0.5 * (a - b) * (a + b)).exp();
        let k = mills(b) - d * mills(a);
        return (k.ln() - 0.5 * b * b - LOG_SQRT_TAU, d / k, 1.0 / k);
    }
    let m = 0.5 * (erf(a * SQRT_HALF) - erf(b * SQRT_HALF));
    let phi = |z: f64| (-0.5 * z * z - LOG_SQRT_TAU).exp();
    (m.ln(), phi(a) / m, phi(b) / m)
}

/// Nodes in `(-1, 1)` and weights of Gauss-Legendre's rule of order 16.
const GAUSS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_5),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_3),
];

/// Of the density `e^{a w v - w^2 v^2 / 2}` of `v` in `(0, 1)`, that of the place in a cell of width
/// `w` that begins `a` away: its integral, the mean of `v` and its variance, for `w` and `|a w|` at
/// most 1.
pub(super) fn share(a: f64, w: f64) -> (f64, f64, f64) {
    let weighed: [(f64, f64); 8] = std::array::from_fn(|i| {
        let (x, c) = GAUSS[i / 2];
        let v = 0.5 + if i % 2 == 0 { 0.5 * x } else { -0.5 * x };
        (v, 0.5 * c * (w * v * (a - 0.5 * w * v)).exp())
    });
    let norm: f64 = weighed.iter().map(|(_, c)| c).sum();
    let mean = weighed.iter().map(|(v, c)| c * v).sum::<f64>() / norm;
    let var = weighed.iter().map(|(v, c)| c * (v - mean) * (v - mean)).sum::<f64>() / norm;
    (norm, mean, var)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values to 20 digits by continued fractions and series in high precision.
    #[test]
    fn mills_ratio() {
        for (z, expected) in [
            (0.0, 1.253_314_137_315_500_3),
            (1.0, 0.655_679_542_418_798_5),
            (3.0, 0.304_590_298_710_103_3),
            (10.0, 0.099_028_596_471_731_93),
            (100.0, 0.009_999_000_299_850_105),
        ] {
            let found = mills(z);
            assert!((found / expected - 1.0).abs() < 1e-13, "{z}: {found} {expected}");
        }
        let (below, above) = (mills(4.0 - 1e-12), mills(4.0));
        assert!((below / above - 1.0).abs() < 1e-11);
    }

    #[test]
    fn masses_agree_across_branches() {
        for (a, b) in [(0.3, 0.1), (2.0, 1e-3), (-0.1, -3.0), (3.9, 3.8), (0.2, -0.1)] {
            let (log, pa, pb) = mass(a, b);
            let m = 0.5 * (erfc(-a * SQRT_HALF) - erfc(-b * SQRT_HALF));
            let phi = |z: f64| (-0.5 * z * z - LOG_SQRT_TAU).exp();
            assert!((log - m.ln()).abs() < 1e-11, "{a} {b}");
            assert!((pa * m / phi(a) - 1.0).abs() < 1e-11 && (pb * m / phi(b) - 1.0).abs() < 1e-11);
        }
        // Far out: M is phi(b) / b (1 - 1/b^2 + ...) and its gradient is finite.
        let (log, pa, pb) = mass(1e4 + 3.0, 1e4);
        assert!((log + 0.5e8 + LOG_SQRT_TAU + 1e4_f64.ln()).abs() < 1e-7);
        assert!(pa == 0.0 && (pb / 1e4 - 1.0).abs() < 1e-7);
        assert_eq!(mass(-1e4, -1e4 - 3.0), (log, pb, pa));
    }
}
