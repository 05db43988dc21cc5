//! Distances of moments.

use crate::error::Result;
use crate::gaussian::frechet_distance;
use crate::metric::{Cloud, Measured, Options};
use crate::standard_error::frechet_standard_error;

pub(in crate::metric) fn frechet(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let found = Measured::new(frechet_distance(x.view(), y.view())?);
    let error = options.errors.then(|| frechet_standard_error(x.view(), y.view())).transpose()?;
    Ok(found.error(error))
}
