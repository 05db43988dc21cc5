//! What the tests share.

use ndarray::Array2;

/// Fails unless the two agree to `tolerance`, relative to the larger one or to `floor`.
#[track_caller]
pub(crate) fn check_close(what: &str, found: f64, expected: f64, tolerance: f64, floor: f64) {
    assert!(
        close(found, expected, tolerance, floor),
        "{what}: expected {expected}, found {found}, off by {:e}",
        (found - expected).abs() / expected.abs().max(floor)
    );
}

pub(crate) fn close(found: f64, expected: f64, tolerance: f64, floor: f64) -> bool {
    (found - expected).abs() <= tolerance * found.abs().max(expected.abs()).max(floor)
}

/// Reproducible numbers (splitmix64); statistical quality is not at stake here.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform on [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub(crate) fn normals(&mut self, n: usize, d: usize) -> Array2<f64> {
        Array2::from_shape_simple_fn((n, d), || self.normal())
    }

    /// A random order of `0..n`.
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, (self.bits() % (i as u64 + 1)) as usize);
        }
        order
    }
}
