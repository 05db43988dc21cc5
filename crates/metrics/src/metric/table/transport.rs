//! Exact transport.

use std::ops::RangeInclusive;

use crate::entropic::{Sinkhorn, sinkhorn_divergence};
use crate::error::Result;
use crate::histogram::Histogram2d;
use crate::metric::{Certificate, Cloud, Details, Measured, Options, SinkhornDetails};
use crate::scale::Unit;
use crate::transport::{ExactTransport, GroundCost, Transport};

pub(in crate::metric) fn w2(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    in_range(x, y, 2.0, &|x, y| {
        let (transport, error) = solve(GroundCost::SquaredEuclidean, x, y, options)?;
        let found = Measured::root(transport.primal, error, 2.0);
        Ok(certified(found, transport, true))
    })
}

pub(in crate::metric) fn w1(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    in_range(x, y, 1.0, &|x, y| {
        let (transport, error) = solve(GroundCost::Euclidean, x, y, options)?;
        Ok(certified(Measured::new(transport.primal).error(error), transport, false))
    })
}

/// Lengths whose squares are far from the ends of the range.
const ORDINARY: RangeInclusive<f64> = 1e-120..=1e120;

/// A distance between clouds of any size, with a certificate of this degree in lengths. It may be a double where
/// its square is none: beyond ordinary sizes it is found in a unit of the clouds.
fn in_range(
    x: &Cloud,
    y: &Cloud,
    degree: f64,
    distance: &dyn Fn(&Cloud, &Cloud) -> Result<Measured>,
) -> Result<Measured> {
    let largest = x.points.iter().chain(&y.points).fold(0.0_f64, |most, v| most.max(v.abs()));
    let Some(unit) = unit(largest) else { return distance(x, y) };
    let measured = |cloud: &Cloud| Cloud {
        points: cloud.points.mapv(|v| unit.measure(v)),
        weights: cloud.weights.clone(),
    };
    Ok(back(distance(&measured(x), &measured(y))?, unit, degree))
}

/// The unit of lengths that are not ordinary.
fn unit(largest: f64) -> Option<Unit> {
    let ordinary = largest == 0.0 || ORDINARY.contains(&largest);
    (!ordinary).then(|| Unit::of(largest, 0))
}

fn back(mut found: Measured, unit: Unit, degree: f64) -> Measured {
    found.value = unit.back(found.value, 1.0);
    found.standard_error = found.standard_error.map(|error| unit.back(error, 1.0));
    if let Details::Transport(proof) = found.details {
        found.details = Details::Transport(proof.back(unit, degree));
    }
    found
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

fn certified(found: Measured, transport: Transport, is_square: bool) -> Measured {
    let Transport { primal, dual, .. } = transport;
    let squared = is_square.then_some(primal);
    let proof = Certificate { squared, primal, dual, gap: transport.gap() };
    Measured { plan: transport.plan, ..found.with(Details::Transport(proof)) }
}

pub(in crate::metric) fn grid_w2(
    x: &Histogram2d,
    y: &Histogram2d,
    options: &Options,
) -> Result<Measured> {
    if let Some(unit) = unit(x.half_width().max(y.half_width())) {
        let measured = |of: &Histogram2d| of.on_grid(unit.measure(of.half_width()));
        return Ok(back(grid_w2(&measured(x), &measured(y), options)?, unit, 2.0));
    }
    let transport = x.w2(y)?;
    let error = if options.errors { transport.standard_error(x, y)? } else { None };
    let (primal, dual, gap) = (transport.squared, transport.dual, transport.gap());
    let proof = Certificate { squared: Some(primal), primal, dual, gap };
    Ok(Measured::root(primal, error, 2.0).with(Details::Transport(proof)))
}

pub(in crate::metric) fn sinkhorn(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    let (epsilon, of) = options.regularisation(x.view(), y.view())?;
    let (a, b) = x.balanced(y);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let (tolerance, max_iterations) = (options.tolerance, options.iterations);
    let solver = Sinkhorn { epsilon, tolerance, max_iterations };
    let found = sinkhorn_divergence(x.view(), a, y.view(), b, &solver)?;
    Ok(Measured::new(found.value)
        .error(found.standard_error.filter(|_| options.errors))
        .chosen(of)
        .with(Details::Sinkhorn(SinkhornDetails {
            sharp: found.sharp,
            epsilon,
            dual: found.xy.value,
            marginal_error: found.marginal_error(),
            converged: found.converged(),
        })))
}
