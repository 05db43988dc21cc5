//! Transport along directions.

use ndarray::Axis;

use crate::error::Result;
use crate::keyed::random_directions;
use crate::metric::{Cloud, Measured, Options};
use crate::sliced::{max_sliced_w, sliced_w};
use crate::uncertainty::sliced_error;

pub(in crate::metric) fn sliced(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let directions = random_directions(x.points.ncols(), options.projections, options.key)?;
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

/// The distance along the best direction. To first order it scatters as along that direction alone:
/// the direction is a stationary point.
pub(in crate::metric) fn max_sliced(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let starts = random_directions(x.points.ncols(), options.projections, options.key)?;
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let p = options.power;
    let found = max_sliced_w(x.view(), a, y.view(), b, starts.view(), p)?;
    let direction = found.direction.view().insert_axis(Axis(1));
    let error =
        options.errors.then(|| sliced_error((x.view(), a), (y.view(), b), direction, p).of_samples);
    Ok(Measured { value: found.value, ..Measured::root(found.value.powf(p), error, p) })
}
