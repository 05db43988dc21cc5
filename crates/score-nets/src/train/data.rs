//! Where training data come from: rows that are a function of a key and their number.

use sde_core::Key;

use crate::{Error, Result};

/// A distribution of data, sampled by key and row.
pub trait DataSource: Send + Sync {
    /// Dimension `D` of a row.
    fn dim(&self) -> usize;

    /// Writes rows `first_row, first_row + 1, ...` under `key` into `out`, `D` values each.
    ///
    /// A row depends on the key and its number only, so that batches can be cut anywhere.
    ///
    /// # Errors
    /// Whatever the source fails with.
    fn fill(&self, key: Key, first_row: u64, out: &mut [f64]) -> Result<()>;

    /// Number of classes; 0 for data without labels.
    fn n_classes(&self) -> usize {
        0
    }

    /// Writes the classes of the rows that [`DataSource::fill`] writes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for data without labels; whatever the source fails with.
    fn fill_labels(&self, key: Key, first_row: u64, out: &mut [u32]) -> Result<()> {
        let _ = (key, first_row, out);
        Err(Error::Unsupported { what: "a batch with labels", needs: "data with labels".into() })
    }
}

/// A [`DataSource`] made of a function.
///
/// ```
/// use score_nets::{DataSource, FnSource};
/// use sde_core::Key;
/// let normal = FnSource::new(2, |key: Key, row: u64, out: &mut [f64]| {
///     key.fill_normals(2 * row, out);
///     Ok(())
/// });
/// let mut x = [0.0; 6];
/// normal.fill(Key::root(1), 0, &mut x)?;
/// # Ok::<(), score_nets::Error>(())
/// ```
pub struct FnSource<F> {
    dim: usize,
    fill: F,
}

impl<F: Fn(Key, u64, &mut [f64]) -> Result<()> + Send + Sync> FnSource<F> {
    /// Rows of dimension `dim` written by `fill(key, first_row, out)`.
    pub fn new(dim: usize, fill: F) -> Self {
        Self { dim, fill }
    }
}

impl<F: Fn(Key, u64, &mut [f64]) -> Result<()> + Send + Sync> DataSource for FnSource<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn fill(&self, key: Key, first_row: u64, out: &mut [f64]) -> Result<()> {
        (self.fill)(key, first_row, out)
    }
}

impl DataSource for sde_core::analytic::DataSet {
    fn dim(&self) -> usize {
        2
    }

    fn fill(&self, key: Key, first_row: u64, out: &mut [f64]) -> Result<()> {
        let rows = self.sample(key, first_row, out.len() / 2);
        out.iter_mut().zip(&rows).for_each(|(out, x)| *out = *x);
        Ok(())
    }
}

impl DataSource for sde_core::analytic::GaussianMixture {
    fn dim(&self) -> usize {
        self.dim()
    }

    fn fill(&self, key: Key, first_row: u64, out: &mut [f64]) -> Result<()> {
        let rows = self.sample(key, first_row, out.len() / self.dim());
        out.iter_mut().zip(&rows).for_each(|(out, x)| *out = *x);
        Ok(())
    }
}
