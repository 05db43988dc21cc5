//! Measurements `y = A x_0 + s n` of particles.

use std::sync::Arc;

use ndarray::{Array2, Axis};
use sde_core::{Error, Result};

use crate::Linear;

/// What was measured: `y = A x_0 + s n` with standard normal `n`, once for all particles or for each its own.
///
/// ```
/// use control::{Groups, Measurement};
/// use ndarray::array;
/// // Two measurements of the first coordinate; particles 0 to 9 are of the first, 10 to 19 of the second.
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[0.5], [-1.0]], 0.1)?.particles_each(10)?;
/// assert_eq!(seen.for_rows(&[3, 15])?.values(2)?, array![[0.5], [-1.0]]);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Measurement {
    operator: Arc<dyn Linear>,
    y: Array2<f64>,
    noise: f64,
    each: u64,
}

impl Measurement {
    /// The measurement `y` by an operator with noise of standard deviation `noise`: one row for all particles, or row `i` for
    /// particle `i`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `y` is `[rows, M]` with at least one row; [`Error::Parameter`] for noise below zero, or a value
    /// that is not finite.
    pub fn new(operator: impl Linear + 'static, y: Array2<f64>, noise: f64) -> Result<Self> {
        let m = operator.output_len();
        if y.nrows() == 0 || y.ncols() != m {
            let expected = vec![y.nrows().max(1), m];
            return Err(Error::Shape { expected, found: y.shape().to_vec() });
        }
        if let Some(((row, _), value)) = y.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::NonFinite { what: "the measurement", value: *value, row });
        }
        if !(noise.is_finite() && noise >= 0.0) {
            let (name, reason) = ("noise".into(), "must be finite and not negative".into());
            return Err(Error::Parameter { name, value: noise.to_string(), reason });
        }
        Ok(Self { operator: Arc::new(operator), y, noise, each: 1 })
    }

    /// The same, with so many particles a measurement: particle `i` belongs to row `i / each`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for zero.
    pub fn particles_each(mut self, each: u64) -> Result<Self> {
        if each == 0 {
            let (name, reason) = ("particles a measurement".into(), "needs at least one".into());
            return Err(Error::Parameter { name, value: "0".into(), reason });
        }
        self.each = each;
        Ok(self)
    }

    /// The operator `A`.
    pub fn operator(&self) -> &dyn Linear {
        &*self.operator
    }

    /// The standard deviation `s` of the noise.
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// The measurement of a block of particles, see [`sde_core::Score::for_rows`].
    ///
    /// # Errors
    /// [`Error::Parameter`] for a particle without a measurement.
    pub fn for_rows(&self, rows: &[u64]) -> Result<Self> {
        if self.y.nrows() == 1 {
            return Ok(self.clone());
        }
        let row = |particle: &u64| {
            let row = particle / self.each;
            if row < self.y.nrows() as u64 {
                return Ok(row as usize);
            }
            let reason = format!(
                "there are {} measurements for {} particles each",
                self.y.nrows(),
                self.each
            );
            Err(Error::Parameter { name: "particle".into(), value: particle.to_string(), reason })
        };
        let rows = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
        Ok(Self { y: self.y.select(Axis(0), &rows), each: 1, ..self.clone() })
    }

    /// `y` of particles `0 .. n`, a row each.
    ///
    /// # Errors
    /// As [`Measurement::for_rows`].
    pub fn values(&self, n: usize) -> Result<Array2<f64>> {
        if self.y.nrows() == 1 {
            return Ok(self.y.broadcast((n, self.y.ncols())).expect("one row").to_owned());
        }
        if self.each == 1 && self.y.nrows() == n {
            return Ok(self.y.clone());
        }
        Ok(self.for_rows(&(0..n as u64).collect::<Vec<_>>())?.y)
    }

    /// `y - A x` of every row.
    ///
    /// # Errors
    /// As [`Linear::apply`] and [`Measurement::for_rows`].
    pub fn residual(&self, x: &Array2<f64>) -> Result<Array2<f64>> {
        Ok(self.values(x.nrows())? - self.operator.apply(x)?)
    }

    /// What the measurements say of `V^T x_0`, in units of the data: `diag(1/d) U^T y`, a row a particle, and the standard
    /// deviations `s / d` of that.
    ///
    /// # Errors
    /// As [`Measurement::for_rows`].
    pub(crate) fn spectral(&self, n: usize) -> Result<(Array2<f64>, Vec<f64>)> {
        let c = self.operator.coefficients(&self.values(n)?)?;
        Ok((c, self.operator.singular_values().iter().map(|d| self.noise / d).collect()))
    }
}

impl std::fmt::Debug for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape = [self.operator.output_len(), self.operator.input_len()];
        f.debug_struct("Measurement")
            .field("operator", &shape)
            .field("rows", &self.y.nrows())
            .field("noise", &self.noise)
            .field("each", &self.each)
            .finish()
    }
}
