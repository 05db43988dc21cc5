//! `logp` of a fitted model: log-densities of rows of data, and bits a dimension of images.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use data::{Column, Kind, Pixels};
use metrics::Estimate;
use ndarray::Array2;
use sde_core::Key;
use sde_core::sde::brief;
use serde_json::json;
use solvers::density::{Divergence, FlowDensity, flow_log_density, standard_log_prior};

use super::super::Output;
use super::super::output::{number, short};
use super::super::steps::{Defaults, Otherwise, StepOptions};
use super::super::summary::summaries;
use super::{ClassOptions, Fitted};
use crate::model::to_batch;

/// Steps of the flow where nobody says how many.
const STEPS: u32 = 32;

/// Rows that the flow takes up together.
const BLOCK: u64 = 64;

/// What log-densities are computed of and how.
pub(in crate::cli) struct Densities<'a> {
    pub(in crate::cli) points: &'a Path,
    pub(in crate::cli) class: &'a ClassOptions,
    pub(in crate::cli) divergence: Divergence,
    pub(in crate::cli) steps: &'a StepOptions,
    pub(in crate::cli) seed: u64,
    pub(in crate::cli) out: &'a Path,
}

/// Bits a dimension of rows.
struct Bits {
    mean: Estimate,
    /// Standard error from the probes alone.
    of_probes: Option<f64>,
    levels: Option<u32>,
}

impl Fitted {
    /// Log-densities in nats of the units of the data, a row a row.
    pub(in crate::cli) fn log_densities(
        &self,
        args: &Densities<'_>,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let (sde, key) = (self.sde(), Key::root(args.seed));
        let data = self.rows(args.points)?;
        let labels = self.classes(args.class, data.len())?;
        let z = self.prepared.to_model(data.to_array()?.view(), key.fold(1), 0);
        let z = z.map_err(|e| e.context(args.points.display().to_string()))?;
        let usual = self.usual();
        let defaults =
            Defaults { otherwise: Otherwise::Steps(STEPS), grid: usual.grid, t_end: usual.t_end };
        let control = args.steps.upward_by(sde, &defaults)?;
        let flow = FlowDensity { divergence: args.divergence, control, block_rows: BLOCK };
        let model = self.labelled(labels.as_ref(), 1)?;
        let prior = |x: &candle_core::Tensor| standard_log_prior(sde, x);
        let x = to_batch(&z, &self.model)?;
        let found = flow_log_density(&flow, sde, &model, &x, &prior, key.fold(0), 0)?;
        let shift = self.prepared.log_abs_det();
        let log: Vec<f64> = found.log_density.iter().map(|l| l + shift).collect();
        let bits = self.bits(&log, found.std_error.as_deref());
        let mut columns = vec![("log_density", log)];
        columns.extend(found.std_error.map(|e| ("std_error", e)));
        columns.extend(bits.as_ref().map(|(each, _)| ("bits_per_dim", each.clone())));
        let names: Vec<&'static str> = columns.iter().map(|c| c.0).collect();
        let table = Array2::from_shape_fn((data.len(), names.len()), |(i, j)| columns[j].1[i]);
        output.replacing(args.out);
        let kind = Kind::Table { columns: names.iter().map(|n| Column::float(*n)).collect() };
        data::save(args.out, &kind, table.view(), None)?;
        let t_end = args.steps.t_end_or(sde, usual.t_end)?;
        let mean = Estimate::of_mean(&columns[0].1);
        let rows = summaries(&names, table.view());
        let report = json!({
            "rows": data.len(), "columns": names, "out": args.out, "sde": sde.name(), "t_end": t_end,
            "mean": mean.value, "standard_error": mean.standard_error,
            "quantiles": rows.iter().map(|c| (c.name, c.quantiles)).collect::<std::collections::BTreeMap<_, _>>(),
            "divergence": divergence(args.divergence), "class": args.class.class, "class_of": args.class.class_of,
            "bits_per_dim": bits.as_ref().map(|(_, b)| json!({
                "value": b.mean.value, "standard_error": b.mean.standard_error,
                "standard_error_of_probes": b.of_probes, "levels": b.levels,
            })),
            "nfe": found.summary.nfe, "seed": args.seed, "seconds": start.elapsed().as_secs_f64(),
        });
        let mut lines = vec![
            format!(
                "{} rows in {}: on {} at t = {t_end}",
                data.len(),
                args.out.display(),
                brief(&sde.name())
            ),
            format!(
                "mean {} +- {} nats in the units of the data, {}",
                number(mean.value),
                short(mean.standard_error),
                divergence(args.divergence)
            ),
        ];
        lines.extend(bits.iter().map(|(_, bits)| bits.sentence()));
        lines.extend(rows.iter().map(ToString::to_string));
        output.emit(&report, &lines.join("\n"))
    }

    /// Of images: bits a dimension of every row, and their mean.
    fn bits(&self, log: &[f64], errors: Option<&[f64]>) -> Option<(Vec<f64>, Bits)> {
        let transform = &self.prepared.transform;
        let Kind::Images { pixels, .. } = transform.kind() else { return None };
        let shift = self.prepared.log_abs_det();
        let each: Vec<f64> = log.iter().map(|l| transform.bits_per_dim(l - shift)).collect();
        let scale = transform.data_dim() as f64 * std::f64::consts::LN_2;
        let n = log.len() as f64;
        let of_probes = errors.map(|e| e.iter().map(|e| e * e).sum::<f64>().sqrt() / n / scale);
        let levels = match pixels {
            Pixels::Levels(n) => Some(*n),
            Pixels::Real(..) => None,
        };
        let bits = Bits { mean: Estimate::of_mean(&each), of_probes, levels };
        Some((each, bits))
    }
}

fn divergence(divergence: Divergence) -> String {
    match divergence {
        Divergence::Exact => "exact divergence".into(),
        Divergence::Hutchinson { n_probes, .. } => format!("divergence by {n_probes} probes"),
    }
}

impl Bits {
    fn sentence(&self) -> String {
        let Estimate { value, standard_error } = self.mean;
        let probes = match self.of_probes {
            Some(error) => format!(" ({} of it from the probes)", short(error)),
            None => String::new(),
        };
        let convention = match self.levels {
            Some(n) => format!(
                "{n} levels with uniform noise on cells of width 1, whose mean is at least the bits of the levels themselves"
            ),
            None => "of a density in the units of real pixels, which may be below 0".into(),
        };
        format!(
            "bits a dimension: {} +- {} over rows{probes}; {convention}",
            number(value),
            short(standard_error)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_convention_is_that_of_the_pixels() {
        let mean = Estimate { value: 1.7612, standard_error: 0.021 };
        let levels = Bits { mean, of_probes: None, levels: Some(17) }.sentence();
        assert!(
            levels.starts_with("bits a dimension: 1.7612 +- 0.021 over rows; 17 levels"),
            "{levels}"
        );
        let real = Bits { mean, of_probes: Some(0.004), levels: None }.sentence();
        assert!(
            real.contains("0.004 of it from the probes") && real.contains("real pixels"),
            "{real}"
        );
        assert!(!real.contains("levels"), "{real}");
    }
}
