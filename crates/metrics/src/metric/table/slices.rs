//! Transport along directions.

use ndarray::Axis;
use sde_core::counts::{in_memory, in_time};

use crate::error::{Error, Result};
use crate::keyed::random_directions;
use crate::metric::{Cloud, Details, Measured, Options};
use crate::sliced::{max_sliced_w, sliced_w};
use crate::standard_error::sliced_error;

/// Refuses more projections than memory and years allow: all points along each, sorted.
fn check_projections(x: &Cloud, y: &Cloud, options: &Options) -> Result<()> {
    let points = (x.points.nrows() + y.points.nrows()) as u64;
    let counts = [("projections", options.projections as u64), ("points", points)];
    in_memory(&counts, 16).map_err(Error::Excess)?;
    in_time(&counts).map_err(Error::Excess)?;
    Ok(())
}

pub(in crate::metric) fn sliced(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    check_projections(x, y, options)?;
    let directions = random_directions(x.points.ncols(), options.projections, options.key)?;
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let (directions, p) = (directions.view(), options.power);
    let found = sliced_w(x.view(), a, y.view(), b, directions, p)?;
    if !options.errors {
        return Ok(Measured::new(found.mean));
    }
    let error = sliced_error((x.view(), a), (y.view(), b), directions, p, found.mean);
    let measured = Measured::new(found.mean).error(error.of_samples);
    // The scatter over directions is no scatter of the samples: it falls with their number.
    Ok(match error.of_directions {
        Some(directions_error) => measured.with(Details::Sliced { directions_error }),
        None => measured,
    })
}

/// The distance along the best direction. To first order it scatters as along that direction alone:
/// the direction is a stationary point.
pub(in crate::metric) fn max_sliced(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    check_projections(x, y, options)?;
    let starts = random_directions(x.points.ncols(), options.projections, options.key)?;
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let p = options.power;
    let found = max_sliced_w(x.view(), a, y.view(), b, starts.view(), p)?;
    let direction = found.direction.view().insert_axis(Axis(1));
    let error = || sliced_error((x.view(), a), (y.view(), b), direction, p, found.value).of_samples;
    Ok(Measured::new(found.value).error(options.errors.then(error).flatten()))
}
