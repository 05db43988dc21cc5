//! `encode` and `decode`: data to latents along the probability-flow ODE, and back.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use ndarray::{Array2, s};
use sde_core::Sde;
use serde_json::json;
use solvers::{BadRows, ConfiguredMethod, Control, SolveError, Summary, flow, slerp, temper};

use super::Output;
use super::bad_rows::{BadRowOptions, Lost, RowByRow, with_values};
use super::fitted::{ClassOptions, Fitted, Flow};
use super::options::ModelOptions;
use super::sample::method_named;
use super::steps::{Otherwise, StepOptions, reversed};
use crate::model::{self, Model};
use crate::npy;

/// Take data to their latents: up the probability-flow ODE to the horizon
///
/// dx/dt = a x - g^2/2 s(x, t), from --t-end to T. The latents of the model's own samples have the
/// distribution of its prior. `decode` with the same options takes them back. Networks are evaluated
/// in f64 unless --dtype f32 is given, which limits --rtol to about 1e-5.
///
/// Of a model that `experiment fit` made the data are a file with its columns or sizes, in any of the formats that `fit` reads;
/// whole numbers and categories get the noise that the model knows them with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment encode --model mixture.json --sde vp --rtol 1e-8 \
    --points data.npy --out latents.npy\n  \
    experiment encode --model fitted.safetensors --points wine.csv --out latents.npy")]
pub(super) struct EncodeCommand {
    #[command(flatten)]
    common: Common,
    /// Data [n, d]; of a fitted model a data file
    #[arg(long, value_name = "FILE")]
    points: PathBuf,
    /// Seed of the noise on whole numbers, categories and levels, of a fitted model (default: 0)
    #[arg(long, value_name = "K")]
    seed: Option<u64>,
}

/// Take latents back to data: down the probability-flow ODE from the horizon
///
/// The inverse of `encode`. --temperature TAU decodes TAU z instead of z; --towards OTHER with
/// --share U decodes the spherical interpolation of the two files' rows,
/// (sin((1-U) w) z + sin(U w) z') / sin w with the angle w between z and z'.
///
/// Of a model that `experiment fit` made the result is data in its own units, in the format that the name says: .csv, .npy, .png
/// (a sheet) or a folder of PNG files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  experiment decode --model mixture.json --sde vp --rtol 1e-8 \
    --latents latents.npy --out data.npy\n  \
    experiment decode --model mixture.json --sde vp --latents a.npy --towards b.npy --share 0.5 \
    --out between.npy")]
pub(super) struct DecodeCommand {
    #[command(flatten)]
    common: Common,
    /// Latents [n, d]
    #[arg(long, value_name = "FILE.npy")]
    latents: PathBuf,
    /// Factor of the latents: below 1 gives more typical data
    #[arg(long, value_name = "TAU", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Latents [n, d] to interpolate towards
    #[arg(long, value_name = "FILE.npy", requires = "share")]
    towards: Option<PathBuf>,
    /// How far along the way to --towards, 0 to 1
    #[arg(long, value_name = "U", requires = "towards", allow_negative_numbers = true)]
    share: Option<f64>,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    model: ModelOptions,
    /// The method (`experiment list methods`)
    #[arg(long, value_name = "X", default_value = "dopri5")]
    method: String,
    #[command(flatten)]
    steps: StepOptions,
    #[command(flatten)]
    bad_rows: BadRowOptions,
    #[command(flatten)]
    class: ClassOptions,
    /// Where the result [n, d] goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl EncodeCommand {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        if let Some(fitted) = self.common.fitted()? {
            let flow = self.common.flow(self.seed.unwrap_or(0))?;
            return fitted.encode(&self.points, &flow, output);
        }
        ensure!(self.seed.is_none(), "--seed is for fitted models: nothing else is random");
        let x = self.common.bad_rows.read_rows(&self.points)?;
        self.common.run(&self.points, &x, &|up| up, "latents", &Lost::default(), output)
    }
}

impl DecodeCommand {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let (options, lost) = (self.common.bad_rows, Lost::default());
        let mut z = options.read_rows(&self.latents)?;
        if let (Some(path), Some(share)) = (&self.towards, self.share) {
            let other = options.read_rows(path)?;
            let (shown, shape, found) = (path.display(), z.shape(), other.shape());
            ensure!(shape == found, "{shown}: expected {shape:?}, found {found:?}");
            ensure!((0.0..=1.0).contains(&share), "--share is {share}, expected 0 to 1");
            z = if options.keep_going {
                let columns: Vec<String> = (0..z.ncols()).map(|i| format!("x{}", i + 1)).collect();
                let (lost, rows, columns) = (&lost, &z, &columns[..]);
                let by_row = RowByRow { options, lost, path: &self.latents, rows, columns };
                let part = |x: &Array2<f64>, a, len| x.slice(s![a..a + len, ..]).to_owned();
                by_row.table((0, z.nrows()), &|a, len| {
                    Ok(slerp(&part(&z, a, len), &part(&other, a, len), share)?)
                })?
            } else {
                slerp(&z, &other, share)?
            };
        }
        let z = temper(&z, self.temperature)?;
        if let Some(fitted) = self.common.fitted()? {
            return fitted.decode((&self.latents, &z), &self.common.flow(0)?, output);
        }
        self.common.run(&self.latents, &z, &reversed, "data", &lost, output)
    }
}

impl Common {
    /// The model, where it was fitted to data.
    fn fitted(&self) -> Result<Option<Fitted>> {
        let fitted = Fitted::open(&self.model.model, &self.model.backend("f64")?)?;
        if let Some(fitted) = &fitted {
            ensure!(!self.bad_rows.keep_going, "--keep-going does not go with a fitted model");
            fitted.check_sde(self.model.sde.as_deref())?;
        }
        Ok(fitted)
    }

    fn flow(&self, seed: u64) -> Result<Flow<'_>> {
        let method = method_named(&self.method)?;
        Ok(Flow { method, steps: &self.steps, class: &self.class, seed, out: &self.out })
    }

    fn run(
        &self,
        path: &Path,
        x: &Array2<f64>,
        direct: &dyn Fn(Control) -> Control,
        what: &str,
        lost: &Lost,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let model = self.model.open("f64")?;
        self.class.refuse()?;
        let (sde, backend) = (model.sde(self.model.sde.as_deref())?, model.backend()?);
        let (shape, dim) = (x.shape(), model.dim());
        ensure!(x.ncols() == dim, "{}: expected [n, {dim}], found {shape:?}", path.display());
        let method = method_named(&self.method)?;
        let control = direct(self.steps.upward(sde.as_ref(), Otherwise::Tolerance(1e-6))?);
        let adaptive = matches!(control, Control::Adaptive { .. });
        ensure!(
            !adaptive || method.method().adaptive(),
            "{} estimates no error: give --steps N",
            method.name()
        );
        let solve = (method.clone(), &control, backend.block_rows());
        let done = lost.watch(self.bad_rows, |bad| solved(solve.clone(), bad, (&model, &*sde), x));
        let (rows, summary) = done.map_err(|e| with_values(e, path, x))?;
        let n_lost = lost.say(rows.nrows() as u64, output)?;
        output.replacing(&self.out);
        npy::write(&self.out, rows.view())?;
        let seconds = start.elapsed().as_secs_f64();
        let report = json!({
            "out": self.out, "n": rows.nrows(), "dim": dim, "sde": sde.name(),
            "method": method.name(), "t_end": self.steps.t_end(sde.as_ref())?,
            "nfe": summary.nfe, "accepted": summary.accepted, "rejected": summary.rejected,
            "lost": n_lost, "seconds": seconds,
            "device": backend.device_name(), "dtype": backend.dtype_name(),
        });
        let text = format!(
            "{what} of {} rows in {}: {} on {}, {} evaluations a row at most, {seconds:.2} s",
            rows.nrows(),
            self.out.display(),
            method.name(),
            sde_core::sde::brief(&sde.name()),
            summary.nfe
        );
        output.emit(&report, &text)
    }
}

/// The ends of the flow from the rows `x`, by a model of either kind.
fn solved(
    (method, control, block_rows): (ConfiguredMethod, &Control, u64),
    bad: BadRows<'_>,
    (model, sde): (&Model, &dyn Sde),
    x: &Array2<f64>,
) -> solvers::Result<(Array2<f64>, Summary)> {
    let ours = |e: anyhow::Error| SolveError::Setup(sde_core::Error::Model(e.into()));
    match model {
        Model::Analytic(target) => {
            let score = target.under(sde).map_err(ours)?;
            flow(method, (control, bad), sde, &score, x, 0, block_rows)
        }
        Model::Network(net) => {
            let x = model::to_tensor(x, net).map_err(ours)?;
            let (end, summary) =
                flow(method, (control, bad), sde, net.as_ref(), &x, 0, block_rows)?;
            Ok((model::to_rows(&end).map_err(ours)?, summary))
        }
    }
}
