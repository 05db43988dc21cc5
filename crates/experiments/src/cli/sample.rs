//! `sample`: particles through a reverse-time SDE or ODE, to a file, block by block.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, s};
use score_nets::Backend;
use sde_core::counts::in_time;
use sde_core::sde::{brief, check_time};
use sde_core::{Key, Score, Sde, State, TimeGrid, Tolerance};
use serde_json::json;
use solvers::{ConfiguredMethod, Control, End, Method, Sampler, SolveError, Summary, sample_from};

use super::Output;
use super::bad_rows::{BadRowOptions, Lost, with_values};
use super::fitted::{ClassOptions, ControlOptions, Draw, Fitted, Unsaid};
use super::options::ModelOptions;
use crate::checks;
use crate::model::{self, Model};
use crate::npy::RowWriter;

/// Draw samples by integrating a model's reverse-time SDE or probability-flow ODE
///
/// Start: --n N particles from the prior at --t-start, under --seed; or the rows of --x0. The result
/// is an array [n, d] of f64, written block by block. The same seed gives the same bytes whatever
/// --block-rows and --threads, and the first particles are the same however many follow.
///
/// Of a model that `experiment fit` made the samples are rows or images in the units of the data, in the format that the name of
/// --out says; --method, --steps, --grid, --t-end and --end need not be given then. --class and --guidance choose a class;
/// with --classifier a classifier of noised rows guides the model without classes to it. --given (tables) or --condition with
/// --values say what is known of the samples, and --by how that is used.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    experiment sample --model mixture.json --sde vp --method euler-maruyama --steps 1000 \
    --n 10000 --seed 1 --out samples.npy\n  \
    experiment sample --model blob_w1.0.safetensors --sde ou --method euler --steps 890 \
    --grid ode-sde-gap --n 200000 --seed 1 --out ode.npy\n  \
    experiment sample --model mixture.json --sde vp --method dopri5 --rtol 1e-10 --t-end 0 \
    --x0 noise.npy --out data.npy\n  \
    experiment sample --model fitted.safetensors --n 100 --class 3 --guidance 2 --out threes.png\n  \
    experiment sample --model fitted.safetensors --n 100 --class 3 --classifier classifier.safetensors --out threes.png\n  \
    experiment sample --model fitted.safetensors --n 100 --given alcohol=13.5 --out new.csv\n  \
    experiment sample --model fitted.safetensors --n 64 --condition mask.png --values y.png --out filled/")]
#[command(group = clap::ArgGroup::new("start").required(true).args(["n", "x0"]))]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelOptions,
    /// The method (`experiment list methods`), with constants if it has some: edm-churn:churn=10;
    /// `euler` is euler-maruyama with --eta 0. A fitted model has a default, heun, or exponential-euler-maruyama given what is
    /// known
    #[arg(long, value_name = "X")]
    method: Option<String>,
    /// Number of fixed steps (with the grid ode-sde-gap, the hundred short ones included)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Where the steps lie (`experiment list grids`; default: uniform, of a fitted model what it was fitted with)
    #[arg(long, value_name = "G")]
    grid: Option<String>,
    /// Instead of --steps: steps as long as this relative tolerance allows, a particle on its own
    #[arg(long, value_name = "TOL", conflicts_with = "steps")]
    rtol: Option<f64>,
    /// As --rtol, the absolute tolerance (each is the other's default)
    #[arg(long, value_name = "TOL", conflicts_with = "steps")]
    atol: Option<f64>,
    /// Stochasticity: 0 is the probability-flow ODE, 1 the reverse SDE (default: 1 for methods with a
    /// weak order, but 0 for euler and heun)
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    eta: Option<f64>,
    /// Where to begin (default: the SDE's horizon)
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    t_start: Option<f64>,
    /// Where to stop (default: 0.001 for vp, sub-vp, rectified and cosine, 0.00001 for ve, of a fitted model what it was fitted
    /// with, else 0)
    #[arg(long, value_name = "EPS", allow_negative_numbers = true)]
    t_end: Option<f64>,
    /// Remove the noise left at the end: an SDE takes its last step without noise, an ODE ends with
    /// the predicted data point E[x_0 | x]. The same as --end no-noise and --end denoise
    #[arg(long, conflicts_with = "end")]
    denoise: bool,
    /// The end in full: plain, no-noise (last step without noise), denoise (no-noise, then the
    /// predicted data point; of a fitted model the default)
    #[arg(long, value_name = "RULE")]
    end: Option<String>,
    /// Draw this many particles from the prior
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    n: Option<u64>,
    /// Start from these rows [n, d] instead
    #[arg(long, value_name = "FILE.npy")]
    x0: Option<PathBuf>,
    /// Seed of the prior and of the noise
    #[arg(long, value_name = "K", default_value_t = 0)]
    seed: u64,
    /// Particles that are solved together (default: 512 on the CPU, 65536 on other devices)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    block_rows: Option<u64>,
    #[command(flatten)]
    bad_rows: BadRowOptions,
    #[command(flatten)]
    class: ClassOptions,
    #[command(flatten)]
    control: ControlOptions,
    /// Where the samples go: an .npy file; of a model that was fitted to data also .csv, .png (a sheet) or a folder of
    /// PNG files, in the units of the data
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What a method is called here and there.
const ALIASES: [(&str, &str); 9] = [
    ("euler", "euler-maruyama"),
    ("dormand-prince", "dopri5"),
    ("edm", "edm-heun"),
    ("dpmpp-2m", "dpm-solver++-2m"),
    ("dpm-solver++(2m)", "dpm-solver++-2m"),
    ("dpm-solver-1", "ddim"),
    ("dpm-solver++-1", "ddim"),
    ("dpm-solver-12", "dpm-solver-2"),
    ("dpm-solver-23", "dpm-solver-3"),
];

/// The method of a name, as it is called here or there, with its constants.
pub(super) fn method_named(text: &str) -> Result<ConfiguredMethod> {
    let (asked, constants) = text.split_once(':').unwrap_or((text, ""));
    let asked = asked.trim();
    let alias = ALIASES.iter().find(|(name, _)| *name == asked);
    let name = alias.map_or(asked, |(_, name)| name);
    Ok(ConfiguredMethod::parse(&format!("{name}:{constants}"))?)
}

pub(super) fn sample(args: &Args, output: &Output) -> Result<()> {
    let start = Instant::now();
    let backend = args.model.backend("f32")?;
    if let Some(fitted) = Fitted::open(&args.model.model, &backend)? {
        return args.of_fitted(&fitted, &backend, output);
    }
    let model = args.model.open("f32")?;
    args.class.refuse()?;
    args.control.refuse()?;
    let (sde, backend) = (model.sde(args.model.sde.as_deref())?, model.backend()?);
    let sampler = args.sampler(sde.as_ref(), &backend, None)?;
    let x0 = args.x0(model.dim())?;
    let n = x0.as_ref().map_or(args.n.unwrap_or(0), |x| x.nrows() as u64);
    // Adaptive steps are many or few: one is the least.
    let steps = u64::from(args.steps.unwrap_or(1));
    let work = in_time(&[("evaluations", sampler.method.nfe(steps)), ("particles", n)])?;
    checks::announce(work);
    let mut job = Job {
        sampler: &sampler,
        sde: sde.as_ref(),
        key: Key::root(args.seed),
        x0: x0.zip(args.x0.as_deref()),
        bad_rows: args.bad_rows,
        lost: Lost::default(),
        n,
        dim: model.dim(),
        writer: RowWriter::create(&args.out, usize::try_from(n)?, model.dim())?,
        bar: bar(n),
    };
    let summary = match &model {
        Model::Analytic(target) => {
            let score = target.under(sde.as_ref())?;
            job.run(&score, &|rows| Ok(rows), &Ok)?
        }
        Model::Network(net) => {
            let to = |rows: Array2<f64>| model::to_tensor(&rows, net);
            job.run(net.as_ref(), &to, &|x| model::to_rows(&x))?
        }
    };
    job.bar.finish_and_clear();
    let lost = job.lost.say(n, output)?;
    output.replacing(&args.out);
    job.writer.finish()?;
    let seconds = start.elapsed().as_secs_f64();
    let report = json!({
        "out": args.out, "n": n, "dim": model.dim(), "sde": sde.name(),
        "method": sampler.method.name(), "eta": sampler.eta, "end": sampler.end.name(),
        "nfe": summary.nfe, "accepted": summary.accepted, "rejected": summary.rejected,
        "lost": lost, "seed": args.seed, "seconds": seconds,
        "device": backend.device_name(), "dtype": backend.dtype_name(),
    });
    let text = format!(
        "{n} samples in {}: {} on {} with eta = {}, {} evaluations a particle at most, {seconds:.2} s",
        args.out.display(),
        sampler.method.name(),
        brief(&sde.name()),
        sampler.eta,
        summary.nfe
    );
    output.emit(&report, &text)
}

fn bar(n: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} left {eta}");
    ProgressBar::new(n).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Args {
    /// The rows to start from.
    fn x0(&self, dim: usize) -> Result<Option<Array2<f64>>> {
        let Some(path) = &self.x0 else { return Ok(None) };
        let x0 = self.bad_rows.read_rows(path)?;
        let found = x0.shape();
        ensure!(x0.ncols() == dim, "{}: expected [n, {dim}], found {found:?}", path.display());
        Ok(Some(x0))
    }

    /// Samples of a model that was fitted to data.
    fn of_fitted(&self, fitted: &Fitted, backend: &Backend, output: &Output) -> Result<()> {
        let Some(n) = self.n else { bail!("--x0: a fitted model draws from the prior: give --n") };
        ensure!(!self.bad_rows.keep_going, "--keep-going does not go with a fitted model");
        fitted.check_sde(self.model.sde.as_deref())?;
        let Self { seed, class, control, out, .. } = self;
        control.check(self.method.is_some() || self.eta.is_some())?;
        let unsaid = fitted.unsaid(control.conditions() || control.weighs_classes());
        let sampler = self.sampler(fitted.sde(), backend, Some(unsaid))?;
        fitted.sample(&sampler, &Draw { n, seed: *seed, class, control, out }, output)
    }

    fn sampler(
        &self,
        sde: &dyn Sde,
        backend: &Backend,
        unsaid: Option<Unsaid>,
    ) -> Result<Sampler<ConfiguredMethod>> {
        let asked = self.method.as_deref().or(unsaid.map(|u| u.method));
        let asked = asked.context("give --method NAME (`experiment list methods`)")?.trim();
        let tuned = method_named(asked)?;
        let method = tuned.method();
        // Methods that are known as solvers of ODEs take noise when asked for it.
        let for_odes = asked == "euler" || method == Method::Heun || !method.stochastic();
        let eta = self.eta.unwrap_or(if for_odes { 0.0 } else { 1.0 });
        if !(eta.is_finite() && eta >= 0.0) {
            bail!("--eta is {eta}, expected a finite value of at least 0");
        }
        if eta > 0.0 && !method.stochastic() {
            bail!("{} solves ODEs only: it cannot take --eta {eta}", method.name());
        }
        let t_start = self.t_start.unwrap_or(sde.horizon());
        let t_end = self.t_end.or(unsaid.map(|u| u.t_end)).unwrap_or(sde.usual_end());
        let t_start = check_time(sde, t_start).context("--t-start")?;
        let t_end = check_time(sde, t_end).context("--t-end")?;
        let end = match &self.end {
            Some(name) => End::parse(name)?,
            None if !self.denoise => unsaid.map_or(End::Plain, |u| u.end),
            None if eta > 0.0 => End::NoNoise,
            None => End::Denoise,
        };
        let control = self.steps_of(sde, (method, eta), (t_start, t_end), unsaid)?;
        let block_rows = self.block_rows.unwrap_or(backend.block_rows());
        Ok(Sampler { method: tuned, eta, control, end, block_rows })
    }

    fn steps_of(
        &self,
        sde: &dyn Sde,
        (method, eta): (Method, f64),
        (t_start, t_end): (f64, f64),
        unsaid: Option<Unsaid>,
    ) -> Result<Control> {
        let grid = self.grid.as_deref().map(TimeGrid::parse).transpose()?;
        let grid = grid.or(unsaid.map(|u| u.grid)).unwrap_or(TimeGrid::Uniform);
        let toleranced = self.rtol.is_some() || self.atol.is_some();
        let usual = unsaid.map(|u| u.steps).filter(|_| !toleranced);
        if let Some(steps) = self.steps.or(usual) {
            return Ok(Control::Grid(grid.times(sde, steps as usize, t_start, t_end)?));
        }
        let asked = self.rtol.is_some() || self.atol.is_some();
        ensure!(asked || method.adaptive(), "{} needs --steps N", method.name());
        ensure!(method.adaptive(), "{} estimates no error: give --steps N", method.name());
        ensure!(t_start != t_end, "--t-start and --t-end are both {t_end}");
        // Forward in time is for ODEs: the reverse SDE has its noise in the other direction.
        ensure!(t_end < t_start || eta == 0.0, "--t-end {t_end} is above --t-start {t_start}");
        let one = self.rtol.or(self.atol).unwrap_or(1e-6);
        let (rel, abs) = (self.rtol.unwrap_or(one), self.atol.unwrap_or(one));
        Ok(Control::Adaptive { t_start, t_end, tol: Tolerance { abs, rel } })
    }
}

/// A run of the sampler into a file.
struct Job<'a> {
    sampler: &'a Sampler<ConfiguredMethod>,
    sde: &'a dyn Sde,
    key: Key,
    x0: Option<(Array2<f64>, &'a Path)>,
    bad_rows: BadRowOptions,
    lost: Lost,
    n: u64,
    dim: usize,
    writer: RowWriter,
    bar: ProgressBar,
}

impl Job<'_> {
    /// Solves all blocks; `to_state` and `to_rows` convert between rows and the model's states.
    fn run<S: State>(
        &mut self,
        score: &dyn Score<S>,
        to_state: &(dyn Fn(Array2<f64>) -> Result<S> + Sync),
        to_rows: &(dyn Fn(S) -> Result<Array2<f64>> + Sync),
    ) -> Result<Summary> {
        let Self { sampler, sde, key, x0, bad_rows, lost, n, dim, writer, bar } = self;
        // The solver carries errors of ours through unchanged.
        let ours = |e: anyhow::Error| sde_core::Error::Model(e.into());
        let mut write = |x: S| -> Result<()> {
            let rows = to_rows(x)?;
            writer.push(rows.view())?;
            bar.inc(rows.nrows() as u64);
            Ok(())
        };
        let mut sink = |_: u64, x: S| write(x).map_err(|e| SolveError::Setup(ours(e)));
        match x0 {
            Some((x0, path)) => {
                let start = |first: u64, len: usize| {
                    let first = usize::try_from(first).unwrap_or(usize::MAX);
                    to_state(x0.slice(s![first..first + len, ..]).to_owned()).map_err(ours)
                };
                let done = lost.watch(*bad_rows, |bad| {
                    sample_from((*sampler, bad), *sde, score, *n, *key, &start, &mut sink)
                });
                done.map_err(|e| with_values(e, path, x0))
            }
            None => {
                let like = to_state(Array2::zeros((1, *dim)))?;
                let done = lost.watch(*bad_rows, |bad| {
                    solvers::sample((*sampler, bad), *sde, score, *n, *key, &like, &mut sink)
                });
                Ok(done?)
            }
        }
    }
}
