//! `device-check`: what a device computes, held against the CPU.

use anyhow::{Context, Result};
use score_nets::Backend;
use serde_json::json;

use super::options::BackendOptions;
use super::output::{Output, table};
use crate::device_check::{self, CHECKS, Report, Row, Times};

/// Hold what a device computes against the CPU
///
/// States, scores and their derivatives, losses and gradients, residuals, training, sampling and
/// densities, each computed on the CPU by tensor operations and on the device, twice: differences beyond
/// a tolerance, and bits that do not repeat, are an error. On the CPU itself the fused kernels are held
/// against tensor operations, in f32.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment device-check --device cuda:0")]
pub(super) struct Args {
    /// Device and precision (default: f64, then f32)
    #[command(flatten)]
    backend: BackendOptions,
    /// Time a train step and sampling on the device, in f32
    #[arg(long)]
    times: bool,
}

impl Args {
    /// The exit code: 1 where something does not hold.
    pub(super) fn run(&self, output: &Output) -> Result<u8> {
        let device = self.backend.device.as_deref().unwrap_or("cpu");
        let dtypes = match self.backend.dtype.as_deref() {
            Some(one) => vec![one],
            None => vec!["f64", "f32"],
        };
        let report = device_check::run(CHECKS, device, &dtypes)?;
        let backend = Backend::parse(device, "f32")?;
        let times = self.times.then(|| device_check::times(&backend)).transpose()?;
        let mut value = serde_json::to_value(&report).context("the report")?;
        value["times"] = json!(times);
        output.emit(&value, &text(&report, times.as_ref()))?;
        Ok(u8::from(report.failed > 0))
    }
}

fn text(report: &Report, times: Option<&Times>) -> String {
    let heading = ["check", "quantity", "type", "difference", "tolerance", ""].map(String::from);
    let mut lines = vec![heading.to_vec()];
    lines.extend(report.rows.iter().map(line));
    let held = report.rows.len() - report.failed;
    let mut text = table(&lines);
    text += &format!(
        "{held} of {} quantities hold on {} ({:.1} s)\n",
        report.rows.len(),
        report.device,
        report.seconds
    );
    if let Some(t) = times {
        text += &format!(
            "{}: train step of 20 000 rows {:.2} ms, 50 000 particles through 200 steps {:.0} ms\n",
            t.device, t.train_step_ms, t.sampling_ms
        );
    }
    text
}

fn line(row: &Row) -> Vec<String> {
    let verdict = match &row.error {
        Some(error) => format!("FAILS: {error}"),
        None if !row.repeats => "FAILS: other bits the second time".into(),
        None if !row.holds() => "FAILS".into(),
        None => "holds".into(),
    };
    let difference = row.difference.map_or_else(|| "-".into(), |d| format!("{d:.1e}"));
    let tolerance = format!("{:.1e}", row.tolerance);
    let (check, quantity) = (row.check.to_owned(), row.quantity.clone());
    vec![check, quantity, row.dtype.to_owned(), difference, tolerance, verdict]
}
