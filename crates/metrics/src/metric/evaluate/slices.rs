//! Transport along directions.

use ndarray::Array2;
use sde_core::Key;

use crate::error::Result;
use crate::metric::{Cloud, Measured, Options};
use crate::sliced::sliced_w;
use crate::uncertainty::sliced_error;

pub(in crate::metric) fn sliced(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let directions = directions(options.key, x.points.ncols(), options.projections);
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let (directions, p) = (directions.view(), options.power);
    let found = sliced_w(x.view(), a, y.view(), b, directions, p)?;
    if !options.errors {
        return Ok(Measured::new(found.mean));
    }
    let error = sliced_error((x.view(), a), (y.view(), b), directions, p);
    let power = found.mean.powf(p);
    let measured = Measured::root(power, Some(error.of_samples), p);
    // The scatter over directions is no scatter of the samples: it falls with their number.
    let of_directions = Measured::root(power, Some(error.of_directions), p).standard_error;
    Ok(match of_directions {
        Some(error) => measured.with("directions-error", error),
        None => measured,
    })
}

/// Independent directions, unit columns.
fn directions(key: Key, dim: usize, count: usize) -> Array2<f64> {
    let mut rows = Array2::zeros((count, dim));
    if let Some(values) = rows.as_slice_mut() {
        key.fill_normals(0, values);
    }
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    rows.reversed_axes()
}
