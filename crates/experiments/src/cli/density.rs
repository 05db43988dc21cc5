//! `logp --method`: log-densities of what a model's samplers draw from.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use ndarray::{Array1, Array2, s};
use sde_core::{Key, Potential, Probe, ScoreJvp, Sde, State};
use serde_json::json;
use solvers::density::{
    Divergence, FlowDensity, LogPrior, PathDensity, Pixels, bits_per_dim, dequantise,
    extrapolated_log_density, flow_log_density, sampler_log_density, standard_log_prior,
};
use solvers::{Control, SolveError, Summary};

use super::Output;
use super::bad_rows::{BadRowOptions, Lost, RowByRow, with_values};
use super::options::ModelOptions;
use super::steps::{Otherwise, StepOptions};
use super::summary::{Summary as Column, summaries};
use crate::model::{self, Model};
use crate::npy;

/// What is computed of the samplers of a model.
#[derive(Debug, clap::Args)]
pub(super) struct DensityOptions {
    /// Log-density of the model's samples, at points [n, d] without a time: it is that at --t-end
    #[arg(long, value_enum)]
    pub(super) method: Option<How>,
    /// Random probes of flow-hutchinson (default: 16); 12 at least for a standard error
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    probes: Option<u32>,
    /// Law of the probes (default: rademacher)
    #[arg(long, value_enum)]
    probe_law: Option<Law>,
    /// Stochasticity of the sampler, for identity: 0 is the flow, 1 the reverse SDE (default: 1)
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    eta: Option<f64>,
    /// Paths from every point, for identity with --eta above 0 (default: 1000); 12 at
    /// least for a standard error
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    paths: Option<u32>,
    #[command(flatten)]
    steps: StepOptions,
    /// What the sampler starts from at the horizon (default: standard)
    #[arg(long, value_enum)]
    prior: Option<Prior>,
    /// Extrapolate the log-density of a flow linearly from --t-end and twice that to time 0
    #[arg(long, requires = "method")]
    extrapolate: bool,
    /// Add a column of bits a dimension, for data of 256 levels scaled to this range: 0..1 or -1..1
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, requires = "method")]
    bits_per_dim: Option<String>,
    /// Points are levels 0 to 255: add uniform noise and scale them to the range of --bits-per-dim
    #[arg(long, requires = "bits_per_dim")]
    dequantise: bool,
    /// Seed of probes, paths and dequantisation
    #[arg(long, value_name = "K")]
    seed: Option<u64>,
}

/// Dimension up to which the divergence of a fitted model is exact where nothing is said.
const EXACT_UP_TO: usize = 64;

/// How a log-density is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    /// Along the probability-flow ODE, with the exact divergence
    FlowExact,
    /// The same with random probes
    FlowHutchinson,
    /// Of the sampler of any --eta, by paths and the Fokker-Planck residual
    Identity,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Law {
    /// Random signs
    Rademacher,
    /// Standard normals
    Gaussian,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Prior {
    /// The exact density of a closed form at the horizon
    Exact,
    /// The normal that samplers start from
    Standard,
}

/// One entry a point.
struct Found {
    log_density: Vec<f64>,
    std_error: Option<Vec<f64>>,
    effective_paths: Option<Vec<f64>>,
    summary: Summary,
}

/// Where rows that cannot be solved go.
#[derive(Clone, Copy)]
struct Watched<'a> {
    lost: &'a Lost,
    bad_rows: BadRowOptions,
    /// Rows that are solved together.
    block_rows: u64,
}

/// Rows `start .. start + len` of a table.
type TableOf<'a> = dyn Fn(usize, usize) -> Result<Array2<f64>> + 'a;

impl DensityOptions {
    /// Refuses options that mean nothing without --method, or with another.
    pub(super) fn check(&self) -> Result<()> {
        let Some(how) = self.method else {
            let any = self.probes.is_some()
                || self.probe_law.is_some()
                || self.eta.is_some()
                || self.paths.is_some()
                || self.prior.is_some()
                || self.seed.is_some()
                || self.steps.given();
            ensure!(
                !any,
                "probes, paths, prior, seed and steps need --method, for densities of samplers"
            );
            return Ok(());
        };
        let (flow, identity) = (how == How::FlowHutchinson, how == How::Identity);
        ensure!(flow || self.probes.is_none(), "--probes needs --method flow-hutchinson");
        ensure!(flow || self.probe_law.is_none(), "--probe-law needs --method flow-hutchinson");
        ensure!(identity || self.eta.is_none(), "--eta needs --method identity");
        ensure!(identity || self.paths.is_none(), "--paths needs --method identity");
        ensure!(!(identity && self.extrapolate), "--extrapolate is for flows: give --t-end 0");
        Ok(())
    }

    /// The divergence that a fitted model of this dimension takes; refuses what it does not go with.
    pub(super) fn of_fitted(&self, dim: usize) -> Result<Divergence> {
        let exact_prior = matches!(self.prior, Some(Prior::Exact));
        for (flag, given) in [
            ("--method identity", self.method == Some(How::Identity)),
            ("--eta", self.eta.is_some()),
            ("--paths", self.paths.is_some()),
            ("--prior exact", exact_prior),
            ("--extrapolate", self.extrapolate),
            ("--bits-per-dim", self.bits_per_dim.is_some()),
            ("--dequantise", self.dequantise),
        ] {
            ensure!(
                !given,
                "{flag} does not go with a fitted model: its density is that of the flow, in the units of the data"
            );
        }
        let probed = self.probes.is_some() || self.probe_law.is_some();
        let exact = match self.method {
            Some(how) => how == How::FlowExact,
            None => dim <= EXACT_UP_TO && !probed,
        };
        ensure!(!(exact && probed), "--probes and --probe-law need --method flow-hutchinson");
        Ok(if exact { Divergence::Exact } else { self.hutchinson() })
    }

    /// The steps of a solve.
    pub(super) fn steps(&self) -> &StepOptions {
        &self.steps
    }

    /// The seed of everything random.
    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    fn hutchinson(&self) -> Divergence {
        Divergence::Hutchinson {
            probe: match self.probe_law {
                Some(Law::Gaussian) => Probe::Gaussian,
                _ => Probe::Rademacher,
            },
            n_probes: self.probes.unwrap_or(16) as usize,
        }
    }

    pub(super) fn run(
        &self,
        how: How,
        options: &ModelOptions,
        (points, bad_rows): (&Path, BadRowOptions),
        out: &Path,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let pixels = self.bits_per_dim.as_deref().map(Pixels::parse).transpose()?;
        let model = options.open("f64")?;
        let (sde, backend) = (model.sde(options.sde.as_deref())?, model.backend()?);
        let mut x = bad_rows.read_rows(points)?;
        let (shape, dim) = (x.shape().to_vec(), model.dim());
        ensure!(x.ncols() == dim, "{}: expected [n, {dim}], found {shape:?}", points.display());
        let lost = Lost::default();
        let by_row = |rows: &Array2<f64>, columns: &[String], f: &TableOf<'_>| {
            let (options, lost, path) = (bad_rows, &lost, points);
            RowByRow { options, lost, path, rows, columns }.table((0, rows.nrows()), f)
        };
        if let Some(pixels) = pixels {
            if self.dequantise {
                let columns: Vec<String> = (0..dim).map(|i| format!("level {i}")).collect();
                x = by_row(&x, &columns, &|a, len| self.data(&x, (a, len), pixels))?;
            } else {
                within(&x, pixels, points)?;
            }
        }
        let watched = Watched { lost: &lost, bad_rows, block_rows: backend.block_rows() };
        let found = self.found(how, (&model, sde.as_ref()), &x, watched);
        let found = found.map_err(|e| match e.downcast::<SolveError>() {
            Ok(e) => with_values(e, points, &x),
            Err(e) => e,
        })?;
        let (columns, table) = table(&found, pixels.map(|p| (p, dim)));
        let named: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let table = by_row(&x, &named, &|a, len| Ok(table.slice(s![a..a + len, ..]).to_owned()))?;
        let n_lost = lost.say(x.nrows() as u64, output)?;
        output.replacing(out);
        npy::write(out, table.view())?;
        let columns = summaries(&columns, table.view());
        let each = |pick: fn(&Column) -> serde_json::Value| -> serde_json::Map<_, _> {
            columns.iter().map(|c| (c.name.to_owned(), pick(c))).collect()
        };
        let (t_end, Found { summary, .. }) = (self.steps.t_end(sde.as_ref())?, &found);
        let report = json!({
            "rows": x.nrows(), "columns": columns.iter().map(|c| c.name).collect::<Vec<_>>(),
            "mean": each(|c| json!(c.mean)), "quantiles": each(|c| json!(c.quantiles)), "sde": sde.name(),
            "method": how.to_possible_value().map(|v| v.get_name().to_owned()),
            "eta": if how == How::Identity { self.eta() } else { 0.0 },
            "t_end": t_end, "extrapolated": self.extrapolate, "nfe": summary.nfe, "accepted": summary.accepted,
            "rejected": summary.rejected, "lost": n_lost, "seed": self.seed.unwrap_or(0), "out": out,
            "device": backend.device_name(), "dtype": backend.dtype_name(),
            "seconds": start.elapsed().as_secs_f64(),
        });
        let (by, t) = if self.extrapolate { ("extrapolated to", 0.0) } else { ("at", t_end) };
        let mut lines = vec![format!("{} rows in {}, {by} t = {t}", x.nrows(), out.display())];
        lines.extend(columns.iter().map(ToString::to_string));
        output.emit(&report, &lines.join("\n"))
    }

    /// The data that rows of levels are, with noise added.
    fn data(&self, x: &Array2<f64>, (a, len): (usize, usize), to: Pixels) -> Result<Array2<f64>> {
        let flat: Vec<f64> = x.slice(s![a..a + len, ..]).iter().copied().collect();
        let first = (a * x.ncols()) as u64;
        let levels = dequantise(&flat, to, self.key().fold(1), first)?;
        Ok(Array2::from_shape_vec((len, x.ncols()), levels)?)
    }

    /// The densities of a model of either kind.
    fn found(
        &self,
        how: How,
        (model, sde): (&Model, &dyn Sde),
        x: &Array2<f64>,
        watched: Watched<'_>,
    ) -> Result<Found> {
        match model {
            Model::Analytic(target) => {
                let score = target.under(sde)?;
                let exact = |x: &Array2<f64>| score.log_density(x, sde.horizon());
                self.find(how, sde, &score, x, Some(&exact), watched)
            }
            Model::Network(net) => {
                self.find(how, sde, net.as_ref(), &model::to_tensor(x, net)?, None, watched)
            }
        }
    }

    fn key(&self) -> Key {
        Key::root(self.seed())
    }

    fn eta(&self) -> f64 {
        self.eta.unwrap_or(1.0)
    }

    /// `exact` is the density at the horizon, where it is known.
    fn find<S: State, M: ScoreJvp<S> + Potential<S>>(
        &self,
        how: How,
        sde: &dyn Sde,
        model: &M,
        x: &S,
        exact: Option<&LogPrior<'_, S>>,
        Watched { lost, bad_rows, block_rows }: Watched<'_>,
    ) -> Result<Found> {
        let standard = |x: &S| standard_log_prior(sde, x);
        let prior: &LogPrior<'_, S> = match (self.prior, exact) {
            (Some(Prior::Exact), Some(exact)) => exact,
            (Some(Prior::Exact), None) => {
                bail!("a network's density at the horizon is not known: give --prior standard")
            }
            _ => &standard,
        };
        let key = self.key().fold(0);
        if how == How::Identity {
            let eta = self.eta();
            ensure!(eta.is_finite() && eta >= 0.0, "--eta is {eta}, expected at least 0");
            let otherwise =
                if eta == 0.0 { Otherwise::Tolerance(1e-6) } else { Otherwise::Steps(200) };
            let control = self.steps.upward(sde, otherwise)?;
            let n_paths = self.paths.unwrap_or(1000).into();
            let paths = PathDensity { eta, n_paths, control, block_rows };
            let found = lost.watch(bad_rows, |bad| {
                sampler_log_density((&paths, bad), sde, model, x, prior, key, 0)
            })?;
            return Ok(Found {
                log_density: found.log_density,
                effective_paths: found.std_error.is_some().then_some(found.effective_paths),
                std_error: found.std_error,
                summary: found.summary,
            });
        }
        let divergence = match how {
            How::FlowHutchinson => self.hutchinson(),
            _ => Divergence::Exact,
        };
        let control = self.steps.upward(sde, Otherwise::Tolerance(1e-6))?;
        let adaptive = matches!(control, Control::Adaptive { .. });
        ensure!(adaptive || !self.extrapolate, "--extrapolate needs --rtol, not --steps");
        let flow = FlowDensity { divergence, control, block_rows };
        let found = lost.watch(bad_rows, |bad| {
            if self.extrapolate {
                extrapolated_log_density((&flow, bad), sde, model, x, prior, key, 0)
            } else {
                flow_log_density((&flow, bad), sde, model, x, prior, key, 0)
            }
        })?;
        let (log_density, std_error) = (found.log_density, found.std_error);
        Ok(Found { log_density, std_error, effective_paths: None, summary: found.summary })
    }
}

/// Refuses data that are not in the range they are said to be scaled to: bits a dimension of them mean nothing.
fn within(x: &Array2<f64>, pixels: Pixels, path: &Path) -> Result<()> {
    let range = pixels.range();
    if let Some(((row, column), v)) =
        x.indexed_iter().find(|(_, v)| v.is_finite() && !range.contains(v))
    {
        let (path, name) = (path.display(), pixels.name());
        bail!(
            "{path}: row {row}, column {column}: {v} is not within {name}: scale the data, or give levels 0 to 255 with --dequantise"
        );
    }
    Ok(())
}

/// The columns there are, side by side.
fn table(found: &Found, bits: Option<(Pixels, usize)>) -> (Vec<&'static str>, Array2<f64>) {
    let mut columns = vec![("log_density", found.log_density.clone())];
    columns.extend(found.std_error.clone().map(|e| ("std_error", e)));
    if let Some((pixels, dim)) = bits {
        let bits = found.log_density.iter().map(|l| bits_per_dim(*l, dim, pixels)).collect();
        columns.push(("bits_per_dim", bits));
    }
    columns.extend(found.effective_paths.clone().map(|n| ("effective_paths", n)));
    let mut table = Array2::zeros((found.log_density.len(), columns.len()));
    for (mut column, (_, values)) in table.columns_mut().into_iter().zip(&columns) {
        column.assign(&Array1::from(values.clone()));
    }
    (columns.into_iter().map(|(name, _)| name).collect(), table)
}
