//! `list`: what there is, straight from the registries.

use anyhow::{Result, bail};
use clap::ValueEnum;
use metrics::Metric;
use score_nets::Architecture;
use sde_core::TimeGrid;
use sde_core::analytic::DataSet;
use serde_json::{Map, Value, json};
use solvers::{ConfiguredMethod, Method};

use super::metric;
use super::output::{Output, table};
use crate::run::{Entry, Registry};

/// List experiments, methods, SDEs, data sets, networks, time grids and metrics
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment list methods")]
pub(super) struct Args {
    /// What to list (default: everything)
    #[arg(value_enum)]
    what: Option<What>,
    /// The methods, or the metrics, as the table in the book
    #[arg(long)]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Experiments,
    Methods,
    Sdes,
    DataSets,
    Networks,
    Grids,
    Metrics,
}

impl What {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// One object a row, all with the same keys.
    fn rows(self, registry: &Registry) -> Result<Vec<Value>> {
        Ok(match self {
            Self::Experiments => registry.entries().iter().map(experiment).collect(),
            Self::Methods => Method::ALL.iter().map(|m| method(*m)).collect(),
            Self::Sdes => sde_core::sde::NAMES.iter().map(|n| sde(n)).collect::<Result<_>>()?,
            Self::DataSets => DataSet::ALL.iter().map(|set| data_set(*set)).collect(),
            Self::Networks => {
                Architecture::NAMES.iter().map(|name| json!({"name": name})).collect()
            }
            Self::Grids => TimeGrid::NAMES.iter().map(|name| json!({"name": name})).collect(),
            Self::Metrics => Metric::ALL.iter().map(|m| metric::row(*m)).collect(),
        })
    }
}

fn experiment(entry: &Entry) -> Value {
    let presets: Vec<&str> = entry.presets.iter().map(|p| p.0).collect();
    json!({"name": entry.name, "presets": presets.join(" "), "about": entry.about})
}

fn method(method: Method) -> Value {
    let order = method.order();
    let shown = |order: Option<f64>| order.map_or(Value::Null, |o| json!(o));
    let constants: Vec<String> =
        method.constants().iter().map(|c| format!("{}={}", c.name, c.usual)).collect();
    json!({
        "name": method.name(),
        "ode-order": order.ode,
        "strong-order": shown(order.strong),
        "weak-order": shown(order.weak),
        "nfe-per-step": method.nfe_per_step(),
        "stochastic": method.stochastic(),
        "adaptive": method.adaptive(),
        "constants": constants.join(","),
        "reference": method.reference(),
    })
}

fn sde(name: &str) -> Result<Value> {
    let sde = sde_core::sde::parse(name)?;
    Ok(json!({"name": name, "default": sde.name(), "horizon": sde.horizon(),
        "prior-std": sde.prior_std(), "reference": sde_core::sde::reference(name)}))
}

fn data_set(set: DataSet) -> Value {
    json!({"name": set.name(), "variance": set.variance(), "reference": set.reference()})
}

pub(super) fn list(args: &Args, registry: &Registry, output: &Output) -> Result<()> {
    if args.markdown {
        let text = match args.what {
            Some(What::Methods) => {
                format!("{}\n{}", Method::markdown(), ConfiguredMethod::markdown())
            }
            Some(What::Metrics) => Metric::markdown(),
            _ => {
                bail!("--markdown is for `list methods` and `list metrics`, the tables in the book")
            }
        };
        return output.emit(&json!({"markdown": text}), text.trim_end());
    }
    let all = What::value_variants();
    let chosen = args.what.map_or(all.to_vec(), |w| vec![w]);
    let mut object = Map::new();
    let mut text = Vec::new();
    for what in chosen {
        let rows = what.rows(registry)?;
        text.push(format!("{}\n{}", what.name(), as_table(&rows)));
        object.insert(what.name(), Value::Array(rows));
    }
    output.emit(&object, &text.join("\n"))
}

fn as_table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else { return String::new() };
    let mut keys: Vec<&String> = first.keys().collect();
    keys.sort_by_key(|k| (*k != "name", *k == "about" || *k == "reference"));
    let mut cells: Vec<Vec<String>> = vec![keys.iter().map(|k| format!("  {k}")).collect()];
    for row in rows {
        let cell = |k: &&String| match &row[k.as_str()] {
            Value::String(s) => format!("  {s}"),
            Value::Null => "  -".into(),
            Value::Bool(b) => if *b { "  yes" } else { "  no" }.into(),
            other => format!("  {other}"),
        };
        cells.push(keys.iter().map(cell).collect());
    }
    table(&cells)
}
