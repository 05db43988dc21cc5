//! Exact transport.

use crate::entropic::{Sinkhorn, sinkhorn_divergence};
use crate::error::Result;
use crate::histogram::Histogram2d;
use crate::metric::{Cloud, Measured, Options};
use crate::transport::{ExactTransport, GroundCost, Transport};

pub(in crate::metric) fn w2(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (transport, error) = solve(GroundCost::SquaredEuclidean, x, y, options)?;
    let found = Measured::root(transport.primal, error, 2.0).with("squared", transport.primal);
    Ok(certified(found, transport))
}

pub(in crate::metric) fn w1(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (transport, error) = solve(GroundCost::Euclidean, x, y, options)?;
    Ok(certified(Measured::new(transport.primal).error(error), transport))
}

fn solve(
    cost: GroundCost,
    x: &Cloud,
    y: &Cloud,
    options: &Options,
) -> Result<(Transport, Option<f64>)> {
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let solver = ExactTransport::new(cost).keep_plan(options.keep_plan);
    let transport = solver.solve(x.view(), a, y.view(), b)?;
    let error = if options.errors { Some(transport.standard_error(a, b)?) } else { None };
    Ok((transport, error))
}

fn certified(found: Measured, transport: Transport) -> Measured {
    let gap = transport.gap();
    let found =
        found.with("primal", transport.primal).with("dual", transport.dual).with("gap", gap);
    Measured { plan: transport.plan, ..found }
}

pub(in crate::metric) fn grid_w2(
    x: &Histogram2d,
    y: &Histogram2d,
    options: &Options,
) -> Result<Measured> {
    let transport = x.w2(y)?;
    let error = if options.errors { transport.standard_error(x, y)? } else { None };
    Ok(Measured::root(transport.squared, error, 2.0)
        .with("squared", transport.squared)
        .with("primal", transport.squared)
        .with("dual", transport.dual)
        .with("gap", transport.gap()))
}

pub(in crate::metric) fn sinkhorn(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let epsilon = options.regularisation(x.view(), y.view())?;
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let found = sinkhorn_divergence(x.view(), a, y.view(), b, &Sinkhorn::new(epsilon))?;
    Ok(Measured::new(found.value)
        .error(found.standard_error.filter(|_| options.errors))
        .with("sharp", found.sharp)
        .with("epsilon", epsilon)
        .with("marginal-error", found.marginal_error()))
}
