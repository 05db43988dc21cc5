//! Flags of `metric`: which go with what, and what they say.

use anyhow::{Result, bail, ensure};
use metrics::{Metric, Options, Parameter};
use sde_core::Key;

use super::Args;

#[derive(Clone, Copy, Debug)]
pub(super) enum Bandwidth {
    Median,
    Width(f64),
}

pub(super) fn bandwidth(text: &str) -> Result<Bandwidth, String> {
    if text == "median" {
        return Ok(Bandwidth::Median);
    }
    match text.parse::<f64>() {
        Ok(s) if s.is_finite() && s > 0.0 => Ok(Bandwidth::Width(s)),
        _ => Err("expected `median` or a width above zero".into()),
    }
}

/// The help of a parameter: whose it is, and what.
pub(super) fn help(parameter: Parameter) -> String {
    let takes = |metric: &&Metric| metric.info().parameters.contains(&parameter);
    let names: Vec<&str> = Metric::ALL.iter().filter(takes).map(|m| m.name()).collect();
    format!("{}: {}", names.join(", "), parameter.about().trim_end_matches('.'))
}

/// The options of a command line, whose every flag must belong to the metric.
pub(super) fn options(args: &Args) -> Result<Options> {
    let (metric, info) = (args.metric, args.metric.info());
    let given = [
        (Parameter::Plan, args.plan.is_some()),
        (Parameter::Bandwidth, args.bandwidth.is_some()),
        (Parameter::Offset, args.offset.is_some()),
        (Parameter::Unbiased, args.unbiased),
        (Parameter::Power, args.p.is_some()),
        (Parameter::Projections, args.projections.is_some()),
        // Resamples and halvings are drawn at random for any metric.
        (Parameter::Seed, args.seed.is_some() && args.bootstrap.or(args.floor).is_none()),
    ];
    for (parameter, given) in given {
        if given && !info.parameters.contains(&parameter) {
            let own: Vec<String> = info.parameters.iter().map(|p| format!("--{}", p.name())).collect();
            let own = if own.is_empty() { "no flag of its own".into() } else { own.join(", ") };
            bail!("--{} does not go with {}, which takes {own}", parameter.name(), metric.name());
        }
    }
    for (flag, given) in
        [("--weights-a", args.weights_a.is_some()), ("--weights-b", args.weights_b.is_some())]
    {
        let (name, takes) = (metric.name(), info.takes());
        ensure!(!given || info.weights, "{flag} does not go with {name}, which takes {takes}");
        ensure!(!given || args.grid.is_none(), "{flag} does not go with --grid: the arrays are weights");
    }
    let mut options = Options { key: Key::root(args.seed.unwrap_or(0)), ..Options::default() };
    options.keep_plan = args.plan.is_some();
    options.unbiased = args.unbiased;
    if let Some(Bandwidth::Width(width)) = args.bandwidth {
        options.bandwidth = Some(width);
    }
    set(&mut options.offset, args.offset);
    set(&mut options.power, args.p);
    set(&mut options.projections, args.projections);
    Ok(options)
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}
