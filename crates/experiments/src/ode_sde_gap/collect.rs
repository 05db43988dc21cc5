//! From the files of a run to what its report shows.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ndarray::Array3;
use toml::Value;

use super::cell::{Cell as Name, cells};
use super::config::Config;
use super::results::{Results, Row};
use crate::npy;
use crate::ode_sde_gap::report::data::{Cell, Difference, Loss, Paths, ReportData, Truth};
use crate::runs::read_log;

/// Reads everything a report needs.
pub(super) fn collect(folder: &Path, config: &Config, results: &Results) -> Result<ReportData> {
    let log_path = folder.join("metrics.jsonl");
    let log = if log_path.is_file() { read_log(&log_path)? } else { Vec::new() };
    let array = |name: String| npy::read_rows(&folder.join(format!("samples/{name}")));
    let mut data = ReportData { differences: differences(config)?, ..ReportData::default() };
    for cell in cells(config)?.into_iter().filter(|cell| !cell.contrast) {
        // Of the others there is nothing to show but why.
        let measured = |row: &Row| row.dataset == cell.data.name() && row.w_r == cell.w_r;
        if !results.rows.iter().any(measured) {
            continue;
        }
        let name = cell.name();
        let again = || {
            format!(
                "damaged (delete samples/{name}.json and report.html, and `run` makes it again)"
            )
        };
        let losses = log.iter().filter(|l| l.network == name);
        data.cells.push(Cell {
            dataset: cell.data.name().into(),
            w_r: cell.w_r,
            ode: array(format!("{name}_ode_counts.npy")).with_context(again)?,
            sde: array(format!("{name}_sde_counts.npy")).with_context(again)?,
            paths: read_paths(folder, &cell).with_context(again)?,
            losses: losses
                .map(|l| Loss { step: l.step, dsm: l.dsm, residual: l.residual })
                .collect(),
        });
    }
    for floor in &results.floors {
        let name = &floor.dataset;
        let again = || "damaged (delete report.html, and `run` makes it again)";
        data.truths.push(Truth {
            dataset: name.clone(),
            first: array(format!("{name}_truth_counts.npy")).with_context(again)?,
            second: array(format!("{name}_truth2_counts.npy")).with_context(again)?,
            third: array(format!("{name}_truth3_counts.npy")).with_context(again)?,
        });
    }
    data.results = results.clone();
    Ok(data)
}

/// Writes the course of a few particles: one file of times, one for each sampler.
pub(super) fn write_paths(folder: &Path, cell: &Name, paths: &Paths) -> Result<()> {
    let file = |what: &str| folder.join(format!("samples/{}_{what}.npy", cell.name()));
    let times = ndarray::ArrayView2::from_shape((paths.times.len(), 1), &paths.times)?;
    npy::write(&file("times"), times)?;
    for (name, states) in [("ode_paths", &paths.ode), ("sde_paths", &paths.sde)] {
        let (n, k, d) = states.dim();
        npy::write(&file(name), states.to_shape((n, k * d))?.view())?;
    }
    Ok(())
}

fn read_paths(folder: &Path, cell: &Name) -> Result<Option<Paths>> {
    let file = |what: &str| folder.join(format!("samples/{}_{what}.npy", cell.name()));
    if !file("times").is_file() {
        return Ok(None);
    }
    let times = npy::read_rows(&file("times"))?.into_raw_vec_and_offset().0;
    let states = |what: &str| -> Result<Array3<f64>> {
        let rows = npy::read_rows(&file(what))?;
        let (n, columns) = rows.dim();
        ensure!(
            n == times.len() && columns % 2 == 0,
            "{}: unexpected shape [{n}, {columns}]",
            file(what).display()
        );
        Ok(rows.into_shape_with_order((n, columns / 2, 2))?)
    };
    let (ode, sde) = (states("ode_paths")?, states("sde_paths")?);
    Ok(Some(Paths { times, ode, sde }))
}

/// How samples were drawn, and where networks are from.
pub(super) fn facts(config: &Config, results: &Results) -> Vec<(String, String)> {
    let (s, row) = (&config.sampling, results.rows.last());
    let taken = |nfe: fn(&Row) -> u64| match row.map_or(0, nfe) {
        0 => String::new(),
        nfe => format!(" ({nfe} evaluations)"),
    };
    let (ode, sde) = (taken(|r| r.nfe_ode), taken(|r| r.nfe_sde));
    let sampling = format!(
        "grid {}, {} steps; ODE {}{ode}, SDE {}{sde}, end {}",
        s.grid, s.steps, s.ode_method, s.sde_method, s.end
    );
    let networks = config.models.iter().map(|models| ("networks".into(), models.clone()));
    std::iter::once(("sampling".into(), sampling)).chain(networks).collect()
}

/// Settings without a published counterpart, or without effect on the figures.
const NEUTRAL: [&str; 11] = [
    "preset",
    "seed",
    "models",
    "training.log-every",
    "training.checkpoint-every",
    "sampling.block",
    "sampling.paths",
    "measuring.cloud",
    "measuring.residual-points",
    "measuring.dsm-points",
    "measuring.noise-free",
];

/// What differs from the published recipe, setting by setting.
fn differences(config: &Config) -> Result<Vec<Difference>> {
    let published = flatten(&Config::preset("paper")?)?;
    let given = config.models.is_some();
    let counts = |key: &str| {
        let of_training = key.starts_with("training.") || key.starts_with("network.");
        let of_another = key.starts_with("contrast.") || (given && of_training);
        !(NEUTRAL.contains(&key) || of_another)
    };
    let mut found = Vec::new();
    for (key, here) in flatten(config)?.into_iter().filter(|(key, _)| counts(key)) {
        let published = published.get(&key).cloned().unwrap_or_default();
        if published != here {
            found.push(Difference { key, published, here });
        }
    }
    Ok(found)
}

/// Values of a configuration by key; a table with a `kind` is one value.
fn flatten(config: &Config) -> Result<BTreeMap<String, String>> {
    fn walk(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Table(t) if prefix.is_empty() || !t.contains_key("kind") => {
                for (key, v) in t {
                    let name =
                        if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    walk(&name, v, out);
                }
            }
            _ => drop(out.insert(prefix.to_string(), shown(value))),
        }
    }
    let mut out = BTreeMap::new();
    walk("", &Value::try_from(config).context("a configuration")?, &mut out);
    Ok(out)
}

/// A value as a person would write it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Table(t) if !t.contains_key("kind") && t.contains_key("lr") => {
            format!("{} \u{d7} {}", shown(&t["lr"]), shown(&t["steps"]))
        }
        Value::Table(t) => {
            let kind = t.get("kind").map(shown).unwrap_or_default();
            let rest: Vec<String> = t
                .iter()
                .filter(|(k, _)| *k != "kind")
                .map(|(k, v)| format!("{k} {}", shown(v)))
                .collect();
            if rest.is_empty() { kind } else { format!("{kind} ({})", rest.join(", ")) }
        }
        other => other.to_string(),
    }
}
