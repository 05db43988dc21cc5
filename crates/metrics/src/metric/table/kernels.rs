//! Kernel statistics.

use crate::error::Result;
use crate::kernel::{
    Bandwidths, Kernel, Mmd2, energy_distance_with_error, mmd2, mmd2_linear, mmd2_on_subsets,
    mmd2_with_error,
};
use crate::metric::{Cloud, Details, Measured, Options};

/// Bandwidths of the mixture, in units of the given one.
const FACTORS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

pub(in crate::metric) fn rbf(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (bandwidth, of) = options.width(x.view(), y.view())?;
    let found = mmd(Kernel::Rbf { bandwidth }, x, y, options)?;
    Ok(both(found, options, Some(bandwidth)).chosen(of))
}

pub(in crate::metric) fn mixture(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (bandwidth, of) = options.width(x.view(), y.view())?;
    let bandwidths = Bandwidths::new(&FACTORS.map(|factor| factor * bandwidth))?;
    let found = mmd(Kernel::RbfMixture(bandwidths), x, y, options)?;
    Ok(both(found, options, Some(bandwidth)).chosen(of))
}

pub(in crate::metric) fn linear(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (bandwidth, of) = options.width(x.view(), y.view())?;
    let found = mmd2_linear(x.view(), y.view(), Kernel::Rbf { bandwidth })?;
    Ok(Measured::estimate(found, options).with(Details::LinearMmd { bandwidth }).chosen(of))
}

pub(in crate::metric) fn imq(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let kernel = Kernel::InverseMultiquadric { offset: options.offset };
    Ok(both(mmd(kernel, x, y, options)?, options, None))
}

pub(in crate::metric) fn polynomial(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let gamma = (x.points.ncols() as f64).recip();
    let kernel = Kernel::Polynomial { degree: options.degree, gamma, coef0: 1.0 };
    Ok(both(mmd(kernel, x, y, options)?, options, None))
}

/// The unbiased estimate over all pairs, which the mean over subsets only approaches.
pub(in crate::metric) fn kid(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let found = mmd(Kernel::Cubic, x, y, options)?;
    let measured = Measured::new(found.unbiased).error(found.standard_error);
    if options.subsets == 0 {
        return Ok(measured);
    }
    let (size, count) = (options.subset_size, options.subsets);
    let found = mmd2_on_subsets(x.view(), y.view(), Kernel::Cubic, size, count, options.key)?;
    Ok(measured.with(Details::Kid(found)))
}

pub(in crate::metric) fn energy(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let exponent = options.exponent;
    let found = if options.errors {
        energy_distance_with_error(x.view(), y.view(), exponent)?
    } else if exponent == 1.0 {
        mmd2(x.view(), y.view(), Kernel::Distance)?
    } else {
        mmd2(x.view(), y.view(), Kernel::DistancePower { exponent })?
    };
    Ok(chosen(found, options).with(Details::Energy(found)))
}

fn mmd(kernel: Kernel, x: &Cloud, y: &Cloud, options: &Options) -> Result<Mmd2> {
    let estimate = if options.errors { mmd2_with_error } else { mmd2 };
    estimate(x.view(), y.view(), kernel)
}

fn both(estimates: Mmd2, options: &Options, bandwidth: Option<f64>) -> Measured {
    chosen(estimates, options).with(Details::Mmd { estimates, bandwidth })
}

/// The estimate that was asked for. The two scatter alike; the error is that of the unbiased one.
fn chosen(found: Mmd2, options: &Options) -> Measured {
    Measured::new(if options.unbiased { found.unbiased } else { found.biased })
        .error(found.standard_error)
}
