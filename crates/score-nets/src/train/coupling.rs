//! The coupling of data and noise in a batch.

use crate::{Error, Result};

/// A rule by which the rows of a batch of data are paired with rows of noise. Any pairing that
/// depends on the two batches alone leaves both their laws as they are; one that makes paths shorter
/// leaves flow matching less variance and straighter flows. Score matching, whose target is a
/// conditional expectation under independent pairs, wants [`Independent`].
///
/// # Reference
/// Tong et al. 2024, arXiv 2302.00482; Pooladian et al. 2023, arXiv 2304.14772.
pub trait Coupling: Send + Sync {
    /// The row of `z` that belongs to each row of `x0`: a permutation.
    ///
    /// # Shapes
    /// `x0`, `z`: `[B, d]` row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fit; whatever the rule fails with.
    fn pair(&self, x0: &[f64], z: &[f64], d: usize) -> Result<Vec<usize>>;

    /// Whether every row meets the row of its number, so that rows can be drawn on their own.
    fn is_independent(&self) -> bool {
        false
    }
}

/// Every row with the row of its number.
///
/// ```
/// use score_nets::{Coupling, Independent};
/// assert_eq!(Independent.pair(&[0.0, 1.0], &[5.0, 6.0], 1)?, [0, 1]);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Independent;

impl Coupling for Independent {
    fn pair(&self, x0: &[f64], z: &[f64], d: usize) -> Result<Vec<usize>> {
        Ok((0..rows(x0, z, d)?).collect())
    }

    fn is_independent(&self) -> bool {
        true
    }
}

/// The number of rows of both.
///
/// # Errors
/// [`Error::Shape`] when they do not fit.
fn rows(x0: &[f64], z: &[f64], d: usize) -> Result<usize> {
    if d > 0 && x0.len() == z.len() && x0.len().is_multiple_of(d) {
        return Ok(x0.len() / d);
    }
    let expected = vec![x0.len() / d.max(1), d];
    let found = vec![z.len() / d.max(1), d];
    Err(Error::Shape { what: "coupled noise".into(), expected, found })
}
