//! Flags of `metric`: which go with what, and what they say.

use anyhow::{Result, bail, ensure};
use metrics::Parameter::{self, *};
use metrics::{Metric, Options};
use sde_core::Key;
use serde_json::{Value, json};

use super::Args;

/// A table of parameters: flag, type and name of its value, parameter, place among the options.
macro_rules! parameters {
    ($($flag:ident: $type:ty, $shown:literal => $parameter:ident, $option:ident
       $(, $key:ident = $value:expr)?;)*) => {
        /// Parameters of one metric or a few.
        #[derive(Debug, clap::Args)]
        #[command(next_help_heading = "Parameters")]
        pub(super) struct Own {
            $(#[arg(long, value_name = $shown, help = help($parameter) $(, $key = $value)?)]
            $flag: Option<$type>,)*
            #[arg(long, help = help(Unbiased))]
            unbiased: bool,
        }

        impl Own {
            fn given(&self) -> Vec<Parameter> {
                let all = [$(($parameter, self.$flag.is_some()),)* (Unbiased, self.unbiased)];
                all.into_iter().filter(|(_, given)| *given).map(|(parameter, _)| parameter).collect()
            }

            fn set(&self, options: &mut Options) {
                $(if let Some(value) = self.$flag {
                    options.$option = value.into();
                })*
                options.unbiased = self.unbiased;
            }
        }

        /// What a parameter is among the options.
        pub(super) fn value(options: &Options, parameter: Parameter) -> Option<Value> {
            match parameter {
                $($parameter => Some(json!(options.$option)),)*
                Unbiased => Some(json!(options.unbiased)),
                _ => None,
            }
        }
    };
}

parameters! {
    bandwidth: Width, "S|median" => Bandwidth, bandwidth, value_parser = width;
    offset: f64, "C" => Offset, offset;
    degree: u32, "N" => Degree, degree;
    exponent: f64, "A" => Exponent, exponent;
    subsets: usize, "N" => Subsets, subsets;
    subset_size: usize, "N" => SubsetSize, subset_size, requires = "subsets";
    p: f64, "P" => Power, power;
    projections: usize, "N" => Projections, projections;
    epsilon: f64, "E" => Epsilon, epsilon;
    tolerance: f64, "T" => Tolerance, tolerance;
    iterations: usize, "N" => Iterations, iterations;
    k: usize, "N" => Neighbours, neighbours;
    dim: usize, "D" => Dimension, dimension;
}

/// A bandwidth; none is the median distance.
#[derive(Clone, Copy, Debug)]
struct Width(Option<f64>);

impl From<Width> for Option<f64> {
    fn from(width: Width) -> Self {
        width.0
    }
}

fn width(text: &str) -> Result<Width, String> {
    match (text, text.parse::<f64>()) {
        ("median", _) => Ok(Width(None)),
        (_, Ok(s)) if s.is_finite() && s > 0.0 => Ok(Width(Some(s))),
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
    let (key, keep_plan) = (Key::root(args.seed.unwrap_or(0)), args.plan.is_some());
    let mut options = Options { key, keep_plan, ..Options::default() };
    args.own.set(&mut options);
    Ok(options)
}

fn belongs(args: &Args) -> Result<()> {
    let (metric, info) = (args.metric, args.metric.info());
    let mut given = args.own.given();
    given.extend(args.plan.as_ref().map(|_| Plan));
    // Resamples and halvings are drawn at random for any metric.
    given.extend(args.seed.filter(|_| args.bootstrap.or(args.floor).is_none()).map(|_| Seed));
    if let Some(other) = given.into_iter().find(|p| !info.parameters.contains(p)) {
        let takes: Vec<String> =
            info.parameters.iter().map(|p| format!("--{}", p.name())).collect();
        let takes = if takes.is_empty() { "no flag of its own".into() } else { takes.join(", ") };
        bail!("--{} does not go with {}, which takes {takes}", other.name(), metric.name());
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
