//! A short list of bandwidths.

use crate::error::{Error, Result};

/// Bandwidths of a mixture of kernels, one to eight of them.
///
/// ```
/// use metrics::{Bandwidths, Kernel};
/// let kernel = Kernel::RbfMixture(Bandwidths::new(&[0.5, 1.0, 2.0])?);
/// assert_eq!(kernel.at(&[0.0], &[0.0]), 1.0);
/// assert!(Bandwidths::new(&[]).is_err());
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bandwidths {
    values: [f64; Self::MOST],
    len: usize,
}

impl Bandwidths {
    /// The most bandwidths there may be.
    pub const MOST: usize = 8;

    /// The bandwidths, in the units of the points.
    ///
    /// # Errors
    /// None, more than [`Bandwidths::MOST`], or one that is not positive and finite.
    pub fn new(bandwidths: &[f64]) -> Result<Self> {
        let len = bandwidths.len();
        let parameter = |name, expected, value| Error::InvalidParameter { name, expected, value };
        if len == 0 || len > Self::MOST {
            return Err(parameter("number of bandwidths", "1 to 8", len as f64));
        }
        if let Some(&value) = bandwidths.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(parameter("bandwidth", "positive and finite", value));
        }
        let mut values = [0.0; Self::MOST];
        values[..len].copy_from_slice(bandwidths);
        Ok(Self { values, len })
    }

    /// The bandwidths, in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.values[..self.len]
    }

    /// Each of them changed; the rest of the list is padding.
    pub(super) fn map(mut self, change: impl Fn(f64) -> f64) -> Self {
        self.values = self.values.map(change);
        self
    }
}
