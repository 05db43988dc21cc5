//! Samples of a fitted model by both equations, in the units of the data.

use std::time::Instant;

use anyhow::{Context as _, Result};
use candle_core::{Device, Tensor};
use ndarray::Array2;
use score_nets::ScoreModel;
use sde_core::{Key, Score};
use serde::{Deserialize, Serialize};
use solvers::{ConfiguredMethod, Control, End, Sampler};

use super::config::Sampling;
use super::prepared::Prepared;
use crate::model::drawn_rows;
use crate::npy::{self, RowWriter};
use crate::runs::Workspace;

/// Rows of a block: what a core works on at a time.
const BLOCK: u64 = 128;

/// Which of the two equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Equation {
    /// The probability-flow ODE.
    Ode,
    /// The reverse SDE.
    Sde,
}

impl Equation {
    pub(crate) const BOTH: [Self; 2] = [Self::Ode, Self::Sde];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ode => "ode",
            Self::Sde => "sde",
        }
    }
}

/// What drawing took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Drawn {
    pub(super) rows: usize,
    /// Evaluations of the network for one row.
    pub(super) nfe: u64,
    #[serde(with = "crate::number")]
    pub(super) seconds: f64,
}

/// Draws as many rows as there are labels, or `n` without, into `samples/<equation>.npy`.
pub(super) fn draw(
    (model, prepared): (&ScoreModel, &Prepared),
    sampling: &Sampling,
    equation: Equation,
    labels: Option<&[u32]>,
    key: Key,
    workspace: &Workspace,
) -> Result<Drawn> {
    let name = equation.name();
    workspace.part(&format!("drawn-{name}"), || {
        let start = Instant::now();
        let n = labels.map_or(sampling.n, <[u32]>::len);
        crate::checks::memory(&[("sampling.n", n)], 24)?;
        let each = sampling.sample_cost(equation);
        let mut bar =
            workspace.progress.part(&format!("sample {name}"), "sample", (n as u64, 0), each);
        let (data, nfe) =
            sampled((model, prepared), sampling, equation, labels, key, &mut |rows| {
                workspace.go_on()?;
                bar.advance(rows);
                Ok(())
            })?;
        write(workspace, &format!("samples/{name}.npy"), prepared, &data)?;
        if let Some(labels) = labels {
            let labels = Array2::from_shape_fn((n, 1), |(i, _)| f64::from(labels[i]));
            let mut writer = RowWriter::create_as(
                &workspace.path(&format!("samples/{name}_labels.npy")),
                n,
                &[],
            )?;
            writer.push(labels.view())?;
            writer.finish()?;
        }
        Ok(Drawn { rows: n, nfe, seconds: start.elapsed().as_secs_f64() })
    })
}

/// As many samples as there are labels, or `sampling.n` without, in the units of the data, and the evaluations for one of
/// them; `go_on` hears of every block of rows.
pub(crate) fn sampled(
    (model, prepared): (&ScoreModel, &Prepared),
    sampling: &Sampling,
    equation: Equation,
    labels: Option<&[u32]>,
    key: Key,
    go_on: &mut (dyn FnMut(u64) -> Result<()> + Send),
) -> Result<(Array2<f64>, u64)> {
    let n = labels.map_or(sampling.n, <[u32]>::len);
    let classes =
        labels.map(|labels| Tensor::from_vec(labels.to_vec(), n, &Device::Cpu)).transpose()?;
    let given = model.with_labels(classes.as_ref())?;
    sampled_by(&given, (model, prepared), sampling, equation, (n, key), go_on)
}

/// `n` samples of a score made from a model, in the units of the data, and the evaluations for one of them.
pub(super) fn sampled_by(
    score: &dyn Score<Tensor>,
    (model, prepared): (&ScoreModel, &Prepared),
    sampling: &Sampling,
    equation: Equation,
    (n, key): (usize, Key),
    go_on: &mut (dyn FnMut(u64) -> Result<()> + Send),
) -> Result<(Array2<f64>, u64)> {
    let name = equation.name().to_uppercase();
    let sampler = sampler(model, sampling, equation)?;
    let columns = prepared.transform.model_dim();
    crate::checks::memory(&[("sampling.n", n), ("columns", columns)], 24)?;
    let drawn = drawn_rows(&sampler, model, score, (n, key), go_on);
    let (rows, nfe) = drawn.with_context(|| format!("sampling by the {name}"))?;
    let data = prepared.to_data(rows.view()).with_context(|| format!("a sample of the {name}"))?;
    Ok((data, nfe))
}

/// Rows of data in the shape of a row.
fn write(workspace: &Workspace, name: &str, prepared: &Prepared, rows: &Array2<f64>) -> Result<()> {
    let shape = match prepared.transform.kind() {
        data::Kind::Images { channels, height, width, .. } => vec![*channels, *height, *width],
        _ => vec![rows.ncols()],
    };
    let mut writer = RowWriter::create_as(&workspace.path(name), rows.nrows(), &shape)?;
    writer.push(rows.view())?;
    Ok(writer.finish()?)
}

/// The rows that [`draw`] has left.
pub(super) fn drawn(folder: &std::path::Path, equation: Equation) -> Result<Array2<f64>> {
    let path = folder.join(format!("samples/{}.npy", equation.name()));
    let rows = npy::read(&path)?;
    let n = rows.shape().first().copied().unwrap_or(0);
    let flat: Vec<f64> = rows.iter().copied().collect();
    Array2::from_shape_vec((n, flat.len() / n.max(1)), flat)
        .with_context(|| path.display().to_string())
}

fn sampler(
    model: &ScoreModel,
    sampling: &Sampling,
    equation: Equation,
) -> Result<Sampler<ConfiguredMethod>> {
    let (method, steps, eta) = match equation {
        Equation::Ode => (&sampling.ode_method, sampling.ode_steps, 0.0),
        Equation::Sde => (&sampling.sde_method, sampling.sde_steps, 1.0),
    };
    let sde = model.sde();
    let times = sampling.grid.times(sde, steps, sde.horizon(), sampling.t_end)?;
    Ok(Sampler {
        method: (**method).clone(),
        eta,
        control: Control::Grid(times),
        end: End::Denoise,
        block_rows: BLOCK,
    })
}
