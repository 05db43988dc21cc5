//! Flags of `metric`: which go with what, and what they say.

use anyhow::{Result, bail, ensure};
use metrics::Parameter::{self, *};
use metrics::{Metric, Options};
use sde_core::Key;

use super::Args;

/// Parameters of one metric or a few.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Parameters")]
pub(super) struct Own {
    #[arg(long, value_name = "S|median", value_parser = bandwidth, help = help(Bandwidth))]
    bandwidth: Option<Width>,
    #[arg(long, value_name = "C", help = help(Offset))]
    offset: Option<f64>,
    #[arg(long, value_name = "N", help = help(Degree))]
    degree: Option<u32>,
    #[arg(long, value_name = "A", help = help(Exponent))]
    exponent: Option<f64>,
    #[arg(long, help = help(Unbiased))]
    unbiased: bool,
    #[arg(long, value_name = "N", help = help(Subsets))]
    subsets: Option<usize>,
    #[arg(long, value_name = "N", requires = "subsets", help = help(SubsetSize))]
    subset_size: Option<usize>,
    #[arg(long, value_name = "P", help = help(Power))]
    p: Option<f64>,
    #[arg(long, value_name = "N", help = help(Projections))]
    projections: Option<usize>,
    #[arg(long, value_name = "E", help = help(Epsilon))]
    epsilon: Option<f64>,
    #[arg(long, value_name = "T", help = help(Tolerance))]
    tolerance: Option<f64>,
    #[arg(long, value_name = "N", help = help(Iterations))]
    iterations: Option<usize>,
    #[arg(long, value_name = "N", help = help(Neighbours))]
    k: Option<usize>,
    #[arg(long, value_name = "D", help = help(Dimension))]
    dim: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Width {
    Median,
    Given(f64),
}

fn bandwidth(text: &str) -> Result<Width, String> {
    if text == "median" {
        return Ok(Width::Median);
    }
    match text.parse::<f64>() {
        Ok(s) if s.is_finite() && s > 0.0 => Ok(Width::Given(s)),
        _ => Err("expected `median` or a width above zero".into()),
    }
}

/// The help of a parameter: whose it is, and what.
fn help(parameter: Parameter) -> String {
    let takes = |metric: &&Metric| metric.info().parameters.contains(&parameter);
    let names: Vec<&str> = Metric::ALL.iter().filter(takes).map(|m| m.name()).collect();
    format!("{}: {}", names.join(", "), parameter.about().trim_end_matches('.'))
}

/// The options of a command line, whose every flag must belong to the metric.
pub(super) fn options(args: &Args) -> Result<Options> {
    belongs(args)?;
    let own = &args.own;
    let usual = Options::default();
    Ok(Options {
        key: Key::root(args.seed.unwrap_or(0)),
        keep_plan: args.plan.is_some(),
        bandwidth: match own.bandwidth {
            Some(Width::Given(width)) => Some(width),
            Some(Width::Median) | None => None,
        },
        offset: own.offset.unwrap_or(usual.offset),
        degree: own.degree.unwrap_or(usual.degree),
        exponent: own.exponent.unwrap_or(usual.exponent),
        unbiased: own.unbiased,
        subsets: own.subsets.unwrap_or(usual.subsets),
        subset_size: own.subset_size.unwrap_or(usual.subset_size),
        power: own.p.unwrap_or(usual.power),
        projections: own.projections.unwrap_or(usual.projections),
        epsilon: own.epsilon,
        tolerance: own.tolerance.unwrap_or(usual.tolerance),
        iterations: own.iterations.unwrap_or(usual.iterations),
        chosen: None,
        neighbours: own.k,
        dimension: own.dim.unwrap_or(usual.dimension),
        errors: true,
    })
}

fn belongs(args: &Args) -> Result<()> {
    let (metric, info, own) = (args.metric, args.metric.info(), &args.own);
    let given = [
        (Plan, args.plan.is_some()),
        (Bandwidth, own.bandwidth.is_some()),
        (Offset, own.offset.is_some()),
        (Degree, own.degree.is_some()),
        (Exponent, own.exponent.is_some()),
        (Unbiased, own.unbiased),
        (Subsets, own.subsets.is_some()),
        (SubsetSize, own.subset_size.is_some()),
        (Power, own.p.is_some()),
        (Projections, own.projections.is_some()),
        (Epsilon, own.epsilon.is_some()),
        (Tolerance, own.tolerance.is_some()),
        (Iterations, own.iterations.is_some()),
        (Neighbours, own.k.is_some()),
        (Dimension, own.dim.is_some()),
        // Resamples and halvings are drawn at random for any metric.
        (Seed, args.seed.is_some() && args.bootstrap.or(args.floor).is_none()),
    ];
    for (parameter, given) in given {
        if given && !info.parameters.contains(&parameter) {
            let takes: Vec<String> =
                info.parameters.iter().map(|p| format!("--{}", p.name())).collect();
            let takes =
                if takes.is_empty() { "no flag of its own".into() } else { takes.join(", ") };
            bail!("--{} does not go with {}, which takes {takes}", parameter.name(), metric.name());
        }
    }
    let grid = args.grid.is_some();
    ensure!(
        !(grid && args.plan.is_some()),
        "--plan does not go with --grid: no plan is kept there"
    );
    for (flag, given) in
        [("--weights-a", args.weights_a.is_some()), ("--weights-b", args.weights_b.is_some())]
    {
        let (name, takes) = (metric.name(), info.takes());
        ensure!(!given || info.weights, "{flag} does not go with {name}, which takes {takes}");
        ensure!(!given || !grid, "{flag} does not go with --grid: the arrays are the weights");
    }
    Ok(())
}
