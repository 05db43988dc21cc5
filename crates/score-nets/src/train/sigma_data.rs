//! The standard deviation of the data, measured.

use sde_core::Key;

use super::DataSource;
use crate::{Error, Result};

/// Values that are held at a time.
const CHUNK: usize = 1 << 18;

/// Rows that are enough where nobody says how many: an error of a hundredth at most for images, less for points.
pub(crate) fn enough_rows(dim: usize) -> u64 {
    ((1 << 24) / dim.max(1) as u64).clamp(256, 1 << 14)
}

/// The standard deviation of the data over all coordinates, about their common mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SigmaData {
    /// The standard deviation.
    pub value: f64,
    /// Its standard error, from the scatter of the rows.
    pub standard_error: f64,
    /// The mean over rows and coordinates.
    pub mean: f64,
    /// Rows it was measured on.
    pub rows: u64,
}

/// Measures `sigma_data`, what EDM's preconditioning and weighting ask for, on `rows` rows of a source.
/// The source is streamed; the result depends on the key and the number of rows alone.
///
/// # Errors
/// [`Error::Setting`] for fewer than two rows and data that are not finite or all the same; whatever
/// the source fails with.
///
/// ```
/// use score_nets::FnSource;
/// use sde_core::Key;
/// let source = FnSource::new(3, |key: Key, row: u64, out: &mut [f64]| {
///     key.fill_normals(3 * row, out);
///     out.iter_mut().for_each(|x| *x = 0.5 * *x + 2.0);
///     Ok(())
/// });
/// let measured = score_nets::sigma_data(&source, Key::root(3), 10_000)?;
/// assert!((measured.value - 0.5).abs() < 5.0 * measured.standard_error);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn sigma_data(source: &dyn DataSource, key: Key, rows: u64) -> Result<SigmaData> {
    if rows < 2 {
        return Err(Error::setting("rows", rows, "sigma_data needs at least two rows"));
    }
    let d = source.dim().max(1);
    let at_once = ((CHUNK / d).max(1) as u64).min(rows);
    let mut values = vec![0.0; at_once as usize * d];
    // The mean of a row and of its squares about the first value, and the squares of both: sums over
    // rows, row by row, so that chunks do not show.
    let (mut sums, mut origin) = ([0.0; 5], 0.0);
    let mut first = 0;
    while first < rows {
        let n = at_once.min(rows - first) as usize;
        let values = &mut values[..n * d];
        source.fill(key, first, values)?;
        if first == 0 {
            origin = values[0];
        }
        for row in values.chunks(d) {
            let mean =
                |f: &dyn Fn(f64) -> f64| row.iter().map(|x| f(x - origin)).sum::<f64>() / d as f64;
            let (a, b) = (mean(&|x| x), mean(&|x| x * x));
            for (sum, term) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                *sum += term;
            }
        }
        first += n as u64;
    }
    let n = rows as f64;
    let [a, b, aa, bb, ab] = sums.map(|s| s / n);
    let variance = b - a * a;
    if !variance.is_finite() || variance <= 0.0 {
        let reason = "must be finite and positive: the data are not finite, or all the same";
        return Err(Error::setting("variance of the data", format!("{variance:?}"), reason));
    }
    // The variance is a mean over rows of b_i - 2 a a_i, up to what is of second order.
    let spread = (bb - b * b) - 4.0 * a * (ab - a * b) + 4.0 * a * a * (aa - a * a);
    let value = variance.sqrt();
    let standard_error = (spread.max(0.0) / (n - 1.0)).sqrt() / (2.0 * value);
    Ok(SigmaData { value, standard_error, mean: origin + a, rows })
}
