//! `residual` and `logp`: a potential and its derivatives at given points.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use fp_residual::{log_density_residual, network_residual};
use ndarray::{Array2, ArrayView2, s};
use sde_core::sde::check_time;
use sde_core::{Derivatives, Potential, Sde};
use serde_json::json;

use super::Output;
use super::bad_rows::{BadRowOptions, Lost, RowByRow};
use super::density::DensityOptions;
use super::fitted::{ClassOptions, Densities, Fitted};
use super::options::ModelOptions;
use crate::model::{self, Model};
use crate::npy::RowWriter;

/// Rows that are in memory at a time.
const CHUNK: usize = 8192;

/// Evaluate a potential, its derivatives and its Fokker-Planck residual at given points
///
/// Writes the columns potential, score_1..score_d, d_t, laplacian, residual, with
/// R = d_t phi + div f + f.grad phi - g^2/2 (laplacian + |grad phi|^2), which is zero for the
/// logarithm of an exact density. Networks are evaluated in f64 unless --dtype f32 is given; their
/// residual, what is left when large terms cancel, is computed in f64 either way.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment residual --model blob_w1.0.safetensors --sde ou \
    --points points.npy --out residual.npy")]
pub(super) struct ResidualCommand {
    #[command(flatten)]
    points: Points,
}

/// Evaluate a potential, or the log-density of a model's samples, at given points
///
/// Without --method: one column, at points [n, 1+d]. For a closed form it is the normalised
/// log p_t(x) (natural logarithm); for a network it is its potential phi(t, x), a log-density up to
/// an unknown function of t alone.
///
/// With --method, at points [n, d]: the log-density of what a sampler draws, at time --t-end, which is
/// the SDE's usual end and not 0 where none is given (0.001 for vp: the density is that of slightly
/// noised data).
/// flow-exact and flow-hutchinson: log p(x) = log p_T(x_T) + int div v dt along the flow
/// dx/dt = v = a x - g^2/2 s. identity: log p(x) = phi + log E exp(h(X_T) + int R dt),
/// h = log p_T - phi, dX = (a X - (1-eta^2)/2 g^2 s) dt + eta g dW, with the residual R of
/// `residual`: the density of the sampler of any --eta. Columns: log_density, std_error (over probes
/// or paths, from 12 on), bits_per_dim = -log p/(d ln 2) + 8 (0..1) or + 7 (-1..1) if
/// asked for, effective_paths.
///
/// Of a model that `experiment fit` made: the points are a data file with the model's columns or sizes, in any of the formats
/// that `fit` reads (a column of classes is passed over), the density is that of the data in their own units, along the flow
/// unless --method says otherwise (exact divergence up to 64 dimensions), and OUT is .csv or .npy. Of images also bits a
/// dimension. The network is evaluated in f32 unless --dtype f64 is given.
///
/// Other networks are evaluated in f64 unless --dtype f32 is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  experiment logp --model mixture.json --sde vp \
    --points points.npy --out logp.npy\n  \
    experiment logp --model mixture.json --sde vp --method flow-exact --rtol 1e-8 \
    --points samples.npy --out logp.npy\n  \
    experiment logp --model blob_w1.0.safetensors --method identity --eta 1 --paths 2000 \
    --points samples.npy --out logp.npy\n  \
    experiment logp --model fitted.safetensors --points wine.csv --class-of wine.csv --out logp.csv")]
pub(super) struct LogpCommand {
    #[command(flatten)]
    points: Points,
    #[command(flatten)]
    class: ClassOptions,
    #[command(flatten)]
    density: DensityOptions,
}

#[derive(Debug, clap::Args)]
struct Points {
    #[command(flatten)]
    model: ModelOptions,
    /// Points [n, 1+d], a row is t, x1, ..., xd; of `logp --method` [n, d], x1, ..., xd; of `logp` of a fitted model a data file
    #[arg(long, value_name = "FILE")]
    points: PathBuf,
    #[command(flatten)]
    bad_rows: BadRowOptions,
    /// Where the table [n, columns] goes, in f64
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl ResidualCommand {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let columns = |dim: usize| {
            let scores = (1..=dim).map(|i| format!("score_{i}"));
            let first = std::iter::once("potential".to_owned()).chain(scores);
            first.chain(["d_t", "laplacian", "residual"].map(String::from)).collect()
        };
        self.points.run(output, columns)
    }
}

impl LogpCommand {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let options = &self.points.model;
        if let Some(fitted) = Fitted::open(&options.model, &options.backend("f32")?)? {
            return self.fitted(&fitted, output);
        }
        self.class.refuse()?;
        self.density.check()?;
        let Points { model, points, bad_rows, out } = &self.points;
        match self.density.method {
            Some(how) => self.density.run(how, model, (points, *bad_rows), out, output),
            None => self.points.run(output, |_| vec!["potential".to_owned()]),
        }
    }
}

impl LogpCommand {
    /// The densities of a fitted model.
    fn fitted(&self, fitted: &Fitted, output: &Output) -> Result<()> {
        let Points { bad_rows, points, out, model } = &self.points;
        ensure!(
            !bad_rows.keep_going,
            "--keep-going: rows of a fitted model are those of a data file, which has no bad ones"
        );
        fitted.check_sde(model.sde.as_deref())?;
        let densities = Densities {
            points,
            class: &self.class,
            divergence: self.density.of_fitted(fitted.dim())?,
            steps: self.density.steps(),
            seed: self.density.seed(),
            out,
        };
        fitted.log_densities(&densities, output)
    }
}

impl Points {
    /// Evaluates chunk by chunk; the first columns of the whole table are those asked for.
    fn run(&self, output: &Output, columns: impl Fn(usize) -> Vec<String>) -> Result<()> {
        let start = Instant::now();
        let model = self.model.open("f64")?;
        let (sde, backend) = (model.sde(self.model.sde.as_deref())?, model.backend()?);
        let mut rows = self.bad_rows.read_rows(&self.points)?;
        let (n, dim) = (rows.nrows(), model.dim());
        let shown = self.points.display();
        ensure!(
            rows.ncols() == 1 + dim,
            "{shown}: expected [n, {}] (t and {dim} coordinates), found {:?}",
            1 + dim,
            rows.shape()
        );
        // A rounding beyond an end of time is the end; what is further out is refused with its row.
        for t in rows.column_mut(0) {
            *t = check_time(sde.as_ref(), *t).unwrap_or(*t);
        }
        let columns = columns(dim);
        let (lost, sde) = (Lost::default(), sde.as_ref());
        let (options, path, n_columns) = (self.bad_rows, &self.points, columns.len());
        let (rows, lost) = (&rows, &lost);
        let by_row = RowByRow { options, lost, path, rows, columns: &columns };
        let part = |start: usize, len: usize| {
            let rows = rows.slice(s![start..start + len, ..]);
            rows.column(0).iter().try_for_each(|&t| check_time(sde, t).map(drop))?;
            Ok(table(&model, sde, rows)?.slice(s![.., ..n_columns]).to_owned())
        };
        let mut writer = RowWriter::create(&self.out, n, n_columns)?;
        for start in (0..n).step_by(CHUNK) {
            writer.push(by_row.table((start, CHUNK.min(n - start)), &part)?.view())?;
        }
        let lost = lost.say(n as u64, output)?;
        output.replacing(&self.out);
        writer.finish()?;
        let report = json!({"rows": n, "columns": columns, "sde": sde.name(),
            "lost": lost, "out": self.out,
            "device": backend.device_name(), "dtype": backend.dtype_name(), "seconds": start.elapsed().as_secs_f64()});
        let text = format!("{n} rows of {} in {}", columns.join(", "), self.out.display());
        output.emit(&report, &text)
    }
}

/// All columns of `residual` for rows `t, x1..xd`.
fn table(model: &Model, sde: &dyn Sde, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let t = rows.column(0).to_vec();
    let x = rows.slice(s![.., 1..]).as_standard_layout().into_owned();
    match model {
        Model::Analytic(target) => {
            let d = target.under(sde)?.derivatives(&x, &t)?;
            let residual = log_density_residual(&d, &x, &t, sde)?;
            Ok(joined(&d, d.score.view(), &residual))
        }
        Model::Network(net) => {
            let residual = network_residual(net, x.as_slice().unwrap_or(&[]), &t)?;
            let d = net.derivatives(&model::to_tensor(&x, net)?, &t)?;
            Ok(joined(&d, model::to_rows(&d.score)?.view(), &residual))
        }
    }
}

fn joined<S>(d: &Derivatives<S>, score: ArrayView2<'_, f64>, residual: &[f64]) -> Array2<f64> {
    let dim = score.ncols();
    Array2::from_shape_fn((score.nrows(), dim + 4), |(i, j)| match j {
        0 => d.potential[i],
        j if j <= dim => score[[i, j - 1]],
        j if j == dim + 1 => d.d_t[i],
        j if j == dim + 2 => d.laplacian[i],
        _ => residual[i],
    })
}
