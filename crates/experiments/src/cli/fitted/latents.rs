//! `encode` and `decode` of a fitted model: rows of data to latents, and back.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ndarray::Array2;
use sde_core::Key;
use sde_core::sde::brief;
use serde_json::json;
use solvers::{ConfiguredMethod, Control, Summary, flow};

use super::super::Output;
use super::super::steps::{Defaults, Otherwise, StepOptions, reversed};
use super::{ClassOptions, Fitted};
use crate::model::{to_batch, to_rows};
use crate::npy;

/// Rows that the flow takes together.
const BLOCK: u64 = 64;

/// How the flow is solved, and where its ends go.
pub(in crate::cli) struct Flow<'a> {
    pub(in crate::cli) method: ConfiguredMethod,
    pub(in crate::cli) steps: &'a StepOptions,
    pub(in crate::cli) class: &'a ClassOptions,
    pub(in crate::cli) seed: u64,
    pub(in crate::cli) out: &'a Path,
}

impl Fitted {
    /// The latents of rows of a data file, `[n, d]`.
    pub(in crate::cli) fn encode(
        &self,
        points: &Path,
        args: &Flow<'_>,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let data = self.rows(points)?;
        let z = self.prepared.to_model(data.to_array()?.view(), Key::root(args.seed), 0);
        let z = z.map_err(|e| e.context(points.display().to_string()))?;
        let (latents, summary) = self.flow(&z, &|up| up, args)?;
        output.replacing(args.out);
        npy::write(args.out, latents.view())?;
        self.say_flow("latents", args, (latents.nrows(), latents.ncols()), &summary, start, output)
    }

    /// Rows of data from latents, in the format that the name says.
    pub(in crate::cli) fn decode(
        &self,
        (path, latents): (&Path, &Array2<f64>),
        args: &Flow<'_>,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let (shown, dim, shape) = (path.display(), self.model.dim(), latents.shape());
        ensure!(latents.ncols() == dim, "{shown}: expected [n, {dim}], found {shape:?}");
        let labels = self.classes(args.class, latents.nrows())?;
        let (rows, summary) = self.flow(latents, &reversed, args)?;
        let rows = self.prepared.to_data(rows.view())?;
        output.replacing(args.out);
        data::save(args.out, self.prepared.transform.kind(), rows.view(), labels.as_ref())?;
        self.say_flow("data", args, (rows.nrows(), rows.ncols()), &summary, start, output)
    }

    /// The ends of the flow from rows of the model.
    fn flow(
        &self,
        x: &Array2<f64>,
        direct: &dyn Fn(Control) -> Control,
        args: &Flow<'_>,
    ) -> Result<(Array2<f64>, Summary)> {
        let (sde, usual) = (self.sde(), self.usual());
        let otherwise = Otherwise::Tolerance(1e-6);
        let defaults = Defaults { otherwise, grid: usual.grid, t_end: usual.t_end };
        let control = direct(args.steps.upward_by(sde, &defaults)?);
        let adaptive = matches!(control, Control::Adaptive { .. });
        let method = args.method.clone();
        ensure!(
            !adaptive || method.method().adaptive(),
            "{} estimates no error: give --steps N",
            method.name()
        );
        let labels = self.classes(args.class, x.nrows())?;
        let model = self.labelled(labels.as_ref(), 1)?;
        let x = to_batch(x, &self.model)?;
        let (end, summary) =
            flow(method, &control, sde, &model, &x, 0, BLOCK).context("the flow")?;
        Ok((to_rows(&end)?, summary))
    }

    fn say_flow(
        &self,
        what: &str,
        args: &Flow<'_>,
        (n, dim): (usize, usize),
        summary: &Summary,
        start: Instant,
        output: &Output,
    ) -> Result<()> {
        let (sde, seconds) = (self.sde(), start.elapsed().as_secs_f64());
        let t_end = args.steps.t_end_or(sde, self.usual().t_end)?;
        let report = json!({
            "out": args.out, "n": n, "dim": dim, "sde": sde.name(), "method": args.method.name(), "t_end": t_end,
            "class": args.class.class, "class_of": args.class.class_of, "nfe": summary.nfe,
            "accepted": summary.accepted, "rejected": summary.rejected, "seed": args.seed, "seconds": seconds,
        });
        let text = format!(
            "{what} of {n} rows in {}: {} on {}, {} evaluations a row at most, {seconds:.2} s",
            args.out.display(),
            args.method.name(),
            brief(&sde.name()),
            summary.nfe
        );
        output.emit(&report, &text)
    }
}
