//! `forward`: a network at given inputs, bare or as a denoiser.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use ndarray::{ArrayD, ArrayView2, Axis, Slice};
use score_nets::checkpoint::LoadedCheckpoint;
use score_nets::{Backend, Condition, Jet, Network, Quantity, ScoreModel, ScoreNet, check_inputs};
use sde_core::sde::check_time;
use sde_core::{Score, Sde};
use serde_json::json;

use super::denoising::DenoiseOptions;
use super::{Model, Named};
use crate::cli::Output;
use crate::cli::options::BackendOptions;
use crate::npy::{self, RowWriter};

/// Evaluate a network, or the denoiser around it, at given inputs
///
/// MODEL is a checkpoint of ours, a folder of diffusers, or a state dict of score_sde, EDM or guided-diffusion
/// with a JSON of the same name beside it: {"architecture": NAME, "args": {the constructor's arguments}}.
///
/// Bare, F(x; t): t is what the network's own code takes, the step of diffusers and guided-diffusion, 999 t or sigma
/// of score_sde, c_noise of EDM. With --denoised, D(x; t) = c_skip x + c_out F(c_in x; c_noise), the expected data:
/// t is sigma for EDM, the step for models of discrete time, otherwise the time of the SDE. A checkpoint of ours
/// gives its score at a time of its SDE, or the denoised point.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    experiment forward ddpm-mnist --x x.npy --t t.npy --out y.npy\n  \
    experiment forward blob_w1.0.pt --architecture ode-sde-gap --x x.npy --t t.npy --out s.npy\n  \
    experiment forward edm.safetensors --x x.npy --t sigma.npy --labels labels.npy --denoised \
    --out denoised.npy")]
pub(in crate::cli) struct ForwardCommand {
    /// The network: a file, or a folder of diffusers
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    named: Named,
    /// Inputs [B, C, H, W] or [B, D]
    #[arg(long, value_name = "FILE.npy")]
    x: PathBuf,
    /// Times or noise levels [B], or one for all rows
    #[arg(long, value_name = "FILE.npy")]
    t: PathBuf,
    /// Classes [B], counted from 0, or rows [B, K] of weights
    #[arg(long, value_name = "FILE.npy")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    denoise: DenoiseOptions,
    #[command(flatten)]
    backend: BackendOptions,
    /// Rows that are evaluated together
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..))]
    block_rows: u32,
    /// Where the outputs [B, ...] go, in f64
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,
}

/// Inputs on the host, a row a sample.
struct Inputs {
    x: ArrayD<f64>,
    t: Vec<f64>,
    labels: Option<ArrayD<f64>>,
}

impl ForwardCommand {
    pub(in crate::cli) fn run(&self, output: &Output) -> Result<()> {
        let start = Instant::now();
        let backend = self.backend.backend("f64")?;
        let inputs = self.inputs()?;
        let rows = inputs.t.len();
        let (row, what) = match Model::open(&self.model, self.named, &backend)? {
            Model::Own(net) => {
                self.denoise.none_said()?;
                inputs.check_own(&net)?;
                let denoised = self.denoise.denoised;
                let evaluate = |x: &Tensor, t: &[f64], _: Option<Tensor>| own(&net, x, t, denoised);
                (
                    self.write(&inputs, &backend, evaluate, output)?,
                    if denoised { "denoised" } else { "score" },
                )
            }
            Model::Any(model) => {
                self.denoise.none_said()?;
                inputs.check(model.detached(), &backend)?;
                inputs.check_times(model.sde())?;
                let (quantity, what) = match self.denoise.denoised {
                    true => (Quantity::Denoised, "denoised"),
                    false => (Quantity::Score, "score"),
                };
                let evaluate = |x: &Tensor, t: &[f64], labels: Option<Tensor>| {
                    of_model(&model, quantity, x, t, labels)
                };
                (self.write(&inputs, &backend, evaluate, output)?, what)
            }
            Model::Published(opened) if self.denoise.denoised => {
                let setup = self.denoise.setup(&opened)?;
                let model = ScoreModel::from_checkpoint(&opened, &setup, &backend)?;
                inputs.check(model.detached(), &backend)?;
                let evaluate = |x: &Tensor, t: &[f64], labels: Option<Tensor>| {
                    let t: Vec<f64> = t.iter().map(|t| t + setup.offset).collect();
                    of_model(&model, Quantity::Denoised, x, &t, labels)
                };
                (self.write(&inputs, &backend, evaluate, output)?, "denoised")
            }
            Model::Published(opened) => (self.bare(&opened, &inputs, &backend, output)?, "network"),
        };
        let shape: Vec<usize> = [rows].into_iter().chain(row).collect();
        let report = json!({"rows": rows, "shape": shape, "output": what, "out": self.out,
            "backend": backend.to_string(), "seconds": start.elapsed().as_secs_f64()});
        output.emit(&report, &format!("{what} {shape:?} in {}", self.out.display()))
    }

    /// The network itself, with its own times.
    fn bare(
        &self,
        opened: &LoadedCheckpoint,
        inputs: &Inputs,
        backend: &Backend,
        output: &Output,
    ) -> Result<Vec<usize>> {
        let parameters = opened.parameters(backend)?;
        let net = opened.architecture.build(parameters.detached())?;
        inputs.check(&*net, backend)?;
        let evaluate = |x: &Tensor, t: &[f64], labels: Option<Tensor>| -> Result<Tensor> {
            let t = backend.tensor(t.to_vec(), &[t.len()])?;
            let condition = Condition { labels, training: None };
            let (x, t) = (Jet::constant(x.clone()), Jet::constant(t));
            Ok(net.forward(&x, &t, &condition)?.value)
        };
        self.write(inputs, backend, evaluate, output)
    }

    fn inputs(&self) -> Result<Inputs> {
        let x = finite(&self.x)?;
        let shown = self.x.display();
        let rows = x.shape().first().copied().unwrap_or(0);
        ensure!(
            x.ndim() >= 2 && !x.is_empty(),
            "{shown}: expected an array [B, C, H, W] or [B, D], found {:?}",
            x.shape()
        );
        let t = finite(&self.t)?;
        let wrong = t.ndim() > 1 || (t.len() != 1 && t.len() != rows);
        ensure!(
            !wrong,
            "{}: expected {rows} times or one, found {:?}",
            self.t.display(),
            t.shape()
        );
        let t = match t.len() {
            1 => vec![t.iter().copied().next().unwrap_or(f64::NAN); rows],
            _ => t.iter().copied().collect(),
        };
        let labels = self.labels.as_deref().map(finite).transpose()?;
        if let (Some(labels), Some(path)) = (&labels, &self.labels) {
            let fits = matches!(labels.ndim(), 1 | 2) && labels.shape()[0] == rows;
            ensure!(
                fits,
                "{}: expected {rows} labels or rows of weights, found {:?}",
                path.display(),
                labels.shape()
            );
        }
        Ok(Inputs { x, t, labels })
    }

    /// Evaluates block by block into the file; returns the shape of a row.
    fn write(
        &self,
        inputs: &Inputs,
        backend: &Backend,
        evaluate: impl Fn(&Tensor, &[f64], Option<Tensor>) -> Result<Tensor>,
        output: &Output,
    ) -> Result<Vec<usize>> {
        let rows = inputs.t.len();
        let mut writer: Option<(RowWriter, Vec<usize>)> = None;
        for start in (0..rows).step_by(self.block_rows as usize) {
            let end = (start + self.block_rows as usize).min(rows);
            let part = |a: &ArrayD<f64>| a.slice_axis(Axis(0), Slice::from(start..end)).to_owned();
            let x = backend.place(&tensor(&part(&inputs.x))?)?;
            let labels = inputs.labels.as_ref().map(|l| tensor(&part(l))).transpose()?;
            let y = evaluate(&x, &inputs.t[start..end], labels)?;
            let row = y.dims()[1..].to_vec();
            let values = y.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.flatten_all()?;
            let values = values.to_vec1::<f64>()?;
            let columns: usize = row.iter().product();
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                bail!(
                    "the output for row {} of {} is {}",
                    start + i / columns,
                    self.x.display(),
                    values[i]
                );
            }
            if writer.is_none() {
                writer = Some((RowWriter::create_as(&self.out, rows, &row)?, row));
            }
            if let Some((writer, _)) = &mut writer {
                writer.push(ArrayView2::from_shape((end - start, columns), &values)?)?;
            }
        }
        let (writer, row) = writer.context("no rows")?;
        output.replacing(&self.out);
        writer.finish()?;
        Ok(row)
    }
}

impl Inputs {
    /// Every shape and label, before anything is computed.
    fn check(&self, net: &dyn Network, backend: &Backend) -> Result<()> {
        let labels = self.labels.as_ref().map(tensor).transpose()?;
        let t = backend.tensor(self.t.clone(), &[self.t.len()])?;
        let condition = Condition { labels, training: None };
        check_inputs(net, &tensor(&self.x)?, &t, &condition)?;
        Ok(())
    }

    fn check_own(&self, net: &ScoreNet) -> Result<()> {
        let (expected, found) = ([self.t.len(), net.dim()], self.x.shape());
        ensure!(found == expected, "batch x: expected shape {expected:?}, found {found:?}");
        ensure!(self.labels.is_none(), "the network takes no labels");
        self.check_times(net.sde())
    }

    fn check_times(&self, sde: &dyn Sde) -> Result<()> {
        Ok(self.t.iter().try_for_each(|t| check_time(sde, *t).map(drop))?)
    }
}

/// What is asked of a model, whichever its network.
fn of_model(
    model: &ScoreModel,
    quantity: Quantity,
    x: &Tensor,
    t: &[f64],
    labels: Option<Tensor>,
) -> Result<Tensor> {
    let condition = Condition { labels, training: None };
    Ok(model.jet_detached(quantity, &Jet::constant(x.clone()), t, None, &condition)?.value)
}

/// The score of a checkpoint of ours, or `(x + sigma^2 s) / alpha`; rows of one time together.
fn own(net: &ScoreNet, x: &Tensor, t: &[f64], denoised: bool) -> Result<Tensor> {
    let mut parts = Vec::new();
    let mut start = 0;
    for run in t.chunk_by(|a, b| a == b) {
        let (x, time) = (x.narrow(0, start, run.len())?, check_time(net.sde(), run[0])?);
        start += run.len();
        let score = net.score(&x, time)?;
        let m = net.sde().marginal(time);
        let point = if denoised { ((&x + (score * m.sigma.powi(2))?)? / m.alpha)? } else { score };
        parts.push(point);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// An array without NaN or infinities.
fn finite(path: &Path) -> Result<ArrayD<f64>> {
    let array = npy::read(path)?;
    if let Some((i, v)) = array.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        bail!("{}: entry {i} is {v}", path.display());
    }
    Ok(array)
}

fn tensor(array: &ArrayD<f64>) -> Result<Tensor> {
    let values: Vec<f64> = array.iter().copied().collect();
    Ok(Tensor::from_vec(values, array.shape(), &Device::Cpu)?)
}
