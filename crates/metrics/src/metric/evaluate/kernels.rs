//! Kernel statistics.

use crate::error::Result;
use crate::kernel::{Kernel, mmd2, mmd2_with_error};
use crate::metric::{Cloud, Measured, Options};

pub(in crate::metric) fn rbf(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (kernel, bandwidth) = options.rbf(x.view(), y.view())?;
    Ok(discrepancy(kernel, x, y, options)?.with("bandwidth", bandwidth))
}

pub(in crate::metric) fn imq(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let kernel = Kernel::InverseMultiquadric { offset: options.offset };
    Ok(discrepancy(kernel, x, y, options)?.with("offset", options.offset))
}

pub(in crate::metric) fn energy(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    discrepancy(Kernel::Distance, x, y, options)
}

/// The two estimates scatter alike; the error is that of the unbiased one.
fn discrepancy(kernel: Kernel, x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let estimate = if options.errors { mmd2_with_error } else { mmd2 };
    let found = estimate(x.view(), y.view(), kernel)?;
    let value = if options.unbiased { found.unbiased } else { found.biased };
    Ok(Measured::new(value)
        .error(found.standard_error)
        .with("biased", found.biased)
        .with("unbiased", found.unbiased))
}
