use std::sync::Arc;

use sde_core::Key;

use crate::{Dataset, Error, Result, Transform};

/// Rows of a data set drawn at random, as a model has them: what a training loop asks for.
///
/// Row `r` of a key is one of the data, drawn with replacement, with its own noise: a function of the key and `r`.
///
/// ```
/// use std::sync::Arc;
/// use data::{Draws, Transform, TransformOptions};
/// use sde_core::Key;
/// let digits = data::digits().select(&data::digits_split().training)?;
/// let transform = Transform::fit(&digits, &TransformOptions::default())?;
/// let draws = Draws::new(Arc::new(digits), Arc::new(transform))?;
/// let (mut x, mut label) = ([0.0; 3 * 64], [0; 3]);
/// draws.fill(Key::root(1), 0, &mut x)?;
/// draws.fill_labels(Key::root(1), 0, &mut label)?;
/// assert!(x.iter().all(|x| x.abs() < 1.0) && label.iter().all(|l| *l < 10));
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Draws {
    data: Arc<Dataset>,
    transform: Arc<Transform>,
}

/// Purposes of a key.
const WHICH: u64 = 0;
const NOISE: u64 = 1;

impl Draws {
    /// Draws from data under a transform.
    ///
    /// # Errors
    /// When the transform is of another kind of rows, or a constant column of it is not constant in the data.
    pub fn new(data: Arc<Dataset>, transform: Arc<Transform>) -> Result<Self> {
        if data.kind() != transform.kind() {
            return Err(Error::data("the data have other columns or sizes than the transform"));
        }
        let draws = Self { data, transform };
        if draws.transform.constants().is_empty() {
            return Ok(draws);
        }
        let mut out = vec![0.0; draws.dim()];
        for row in 0..draws.data.len() {
            draws.write(row, Key::root(0), 0, &mut out).map_err(|e| match e {
                Error::Value { column, reason, .. } => Error::Value { row, column, reason },
                other => other,
            })?;
        }
        Ok(draws)
    }

    /// Coordinates of a row of the model.
    pub fn dim(&self) -> usize {
        self.transform.model_dim()
    }

    /// Number of classes; 0 without labels.
    pub fn n_classes(&self) -> usize {
        self.data.n_classes()
    }

    /// The data that are drawn from.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// The transform.
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// Writes rows `first_row, first_row + 1, ...` of a key, [`Draws::dim`] numbers each.
    ///
    /// # Errors
    /// None for data that [`Draws::new`] has checked.
    pub fn fill(&self, key: Key, first_row: u64, out: &mut [f64]) -> Result<()> {
        for (row, out) in (first_row..).zip(out.chunks_exact_mut(self.dim())) {
            self.write(self.which(key, row), key.fold(NOISE), row, out)?;
        }
        Ok(())
    }

    /// Writes the classes of the rows that [`Draws::fill`] writes.
    ///
    /// # Errors
    /// When the data have no labels.
    pub fn fill_labels(&self, key: Key, first_row: u64, out: &mut [u32]) -> Result<()> {
        let Some(labels) = self.data.labels() else {
            return Err(Error::data(format!("{} has no labels", self.data.source())));
        };
        for (row, out) in (first_row..).zip(out) {
            *out = labels.of[self.which(key, row)];
        }
        Ok(())
    }

    fn which(&self, key: Key, row: u64) -> usize {
        let mut u = [0.0];
        key.fold(WHICH).fill_uniforms(row, &mut u);
        ((u[0] * self.data.len() as f64) as usize).min(self.data.len() - 1)
    }

    fn write(&self, row: usize, key: Key, number: u64, out: &mut [f64]) -> Result<()> {
        let mut x = vec![0.0; self.data.dim()];
        self.data.row(row, &mut x);
        self.transform.row_to_model(&x, key, number, out)
    }
}
