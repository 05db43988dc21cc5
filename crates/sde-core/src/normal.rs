//! The standard normal distribution.

use std::f64::consts::SQRT_2;

/// The share of a standard normal below `z`, to 1e-15 relative about the middle and 1e-13 at `z = -12`.
///
/// ```
/// assert!((sde_core::normal::cdf(1.0) - 0.841_344_746_068_542_9).abs() < 1e-15);
/// ```
pub fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// The number below which a share `p` in (0, 1) lies, to 1e-15 relative; infinite at 0 and 1.
///
/// # Reference
/// Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution", PPND16.
///
/// ```
/// assert!((sde_core::normal::quantile(0.158_655_253_931_457_05) + 1.0).abs() < 1e-15);
/// ```
pub fn quantile(p: f64) -> f64 {
    match p {
        0.0 => f64::NEG_INFINITY,
        1.0 => f64::INFINITY,
        _ if p > 0.0 && p < 1.0 => crate::key::quantile(p),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::{cdf, quantile};

    /// SciPy's numbers, and back.
    #[test]
    fn shares_and_their_inverse() {
        for (z, expected) in [
            (-0.5, 0.308_537_538_725_986_9),
            (-1.0, 0.158_655_253_931_457_07),
            (-2.8365, 0.002_280_548_918_166_806),
            (-4.2, 1.334_574_901_590_631e-5),
            (-6.0, 9.865_876_450_376_946e-10),
            (-8.2, 1.201_935_154_273_573_6e-16),
            (-12.0, 1.776_482_112_077_653e-33),
        ] {
            assert!((cdf(z) / expected - 1.0).abs() < 1e-13, "{z}: {:e}", cdf(z));
            assert!((quantile(expected) / z - 1.0).abs() < 2e-15, "{z}: {}", quantile(expected));
        }
        assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(quantile(-0.1).is_nan() && quantile(f64::NAN).is_nan());
    }
}
