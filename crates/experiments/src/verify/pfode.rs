//! `pfode`: the probability-flow ODE of mixtures, points and likelihoods, by Dormand-Prince at a
//! tight tolerance; 1e-8.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array2, s};
use sde_core::analytic::AnalyticScore;
use sde_core::{Dynamics, Key, Reverse, Sde, State, Tolerance};
use solvers::density::{Augmented, FlowWithDensity, standard_log_prior};
use solvers::steppers::RungeKutta;
use solvers::tableau::DOPRI5;
use solvers::{Adaptive, IndependentIncrements, solve, solve_blocks};

use super::case::{Case, mixed};
use super::constants::Common;
use super::from_file;
use crate::npy::Npz;

const TOLERANCE: f64 = 1e-8;
/// Of a step; the error of a whole solve stays a hundred times below [`TOLERANCE`].
const STEP: Tolerance = Tolerance { abs: 1e-11, rel: 1e-11 };

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    let common = match Common::beside(dir) {
        Ok(common) => common,
        Err(error) => return vec![Case::failed("common/targets.json", error)],
    };
    let mut files: Vec<_> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|e| Some(e.ok()?.path())).collect(),
        Err(error) => return vec![Case::failed("pfode", error.into())],
    };
    files.retain(|p| p.extension().is_some_and(|e| e == "npz"));
    files.sort();
    files.iter().flat_map(|path| from_file(path, |path| file(path, &common))).collect()
}

fn file(path: &Path, common: &Common) -> Result<Vec<Case>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let stem = stem.strip_prefix("pfode_").unwrap_or(&stem);
    let named = common
        .target_names()
        .into_iter()
        .find_map(|target| Some((target, stem.strip_prefix(target)?.strip_prefix('_')?)));
    let Some((target, sde)) = named else {
        bail!("no target of common/targets.json in the name");
    };
    let mixture = common.mixture(target)?;
    let sde = common.sde(sde)?;
    let model = mixture.under(sde.as_ref());
    let mut npz = Npz::open(path)?;
    let mut cases = backward(stem, &mut npz, sde.as_ref(), &model);
    cases.extend(likelihoods(stem, &mut npz, sde.as_ref(), &model));
    Ok(cases)
}

/// `1e_5` is 1e-5: array names have no minus signs.
fn epsilon(text: &str) -> Result<f64> {
    text.replace('_', "-").parse().with_context(|| format!("`{text}` is no time"))
}

/// The flow from `T` down to each `x_eps_*`, one after the other.
fn backward(stem: &str, npz: &mut Npz, sde: &dyn Sde, model: &AnalyticScore<'_>) -> Vec<Case> {
    let names: Vec<String> =
        npz.names().iter().filter(|n| n.starts_with("x_eps_")).cloned().collect();
    let mut ends = Vec::new();
    let mut cases = Vec::new();
    for name in names {
        match epsilon(&name["x_eps_".len()..]) {
            Ok(eps) => ends.push((eps, name)),
            Err(error) => cases.push(Case::failed(&format!("{stem}/{name}"), error)),
        }
    }
    ends.sort_by(|a, b| b.0.total_cmp(&a.0));
    let problem = Reverse::ode(sde, model);
    let mut now = npz.rows("xT").map(|x| (sde.horizon(), x));
    for (eps, name) in ends {
        let compared = (|| {
            let (t, x) = now.as_ref().map_err(|e| anyhow::anyhow!("{e:#}"))?;
            let end = flow(&problem, x, *t, eps)?;
            let expected = npz.flat(&name)?;
            let deviation = mixed(&end.iter().copied().collect::<Vec<_>>(), &expected, TOLERANCE)?;
            now = Ok((eps, end));
            Ok(deviation)
        })();
        cases.push(Case::of(format!("{stem}/{name}"), compared));
    }
    cases
}

/// Every quantity of `like_eps_*`, from one flow upward with the divergence alongside.
fn likelihoods(stem: &str, npz: &mut Npz, sde: &dyn Sde, model: &AnalyticScore<'_>) -> Vec<Case> {
    const END: &str = "_xT";
    let starts: Vec<String> = npz
        .names()
        .iter()
        .filter_map(|n| n.strip_prefix("like_eps_")?.strip_suffix(END).map(str::to_owned))
        .collect();
    starts.into_iter().flat_map(|eps| likelihood(stem, &eps, npz, sde, model)).collect()
}

fn likelihood(
    stem: &str,
    text: &str,
    npz: &mut Npz,
    sde: &dyn Sde,
    model: &AnalyticScore<'_>,
) -> Vec<Case> {
    let prefix = format!("like_eps_{text}_");
    let solved = (|| {
        let eps = epsilon(text)?;
        let x0 = npz.rows("like_x0")?;
        let probe = npz.rows("like_probe")?;
        ensure!(probe.dim() == x0.dim(), "like_probe: {:?} against {:?}", probe.dim(), x0.dim());
        Ok((eps, x0.clone(), Likelihood::solve(sde, model, &x0, &probe, eps)?))
    })();
    let (eps, x0, solved) = match solved {
        Ok(found) => found,
        Err(error) => return vec![Case::failed(&format!("{stem}/{prefix}"), error)],
    };
    let names: Vec<String> =
        npz.names().iter().filter(|n| n.starts_with(&prefix)).cloned().collect();
    let compare = |name: &String| {
        let case = format!("{stem}/{name}");
        let found = match &name[prefix.len()..] {
            "xT" => Ok(solved.x.iter().copied().collect()),
            "div_integral" => Ok(solved.divergence.clone()),
            "hutchinson_integral" => Ok(solved.hutchinson.clone()),
            "logp_exact_prior" => solved.log_density(model.log_density(&solved.x, sde.horizon())),
            "logp_std_prior" => solved.log_density(standard_log_prior(sde, &solved.x)),
            "logp_closed_form" => model.log_density(&x0, eps).map_err(Into::into),
            other => return Case::skip(&case, format!("unknown quantity `{other}`")),
        };
        let compared = found.and_then(|found| mixed(&found, &npz.flat(name)?, TOLERANCE));
        Case::of(case, compared)
    };
    names.iter().map(compare).collect()
}

/// Where points flow to, and the integrals of the divergence on the way.
struct Likelihood {
    x: Array2<f64>,
    divergence: Vec<f64>,
    hutchinson: Vec<f64>,
}

impl Likelihood {
    fn solve(
        sde: &dyn Sde,
        model: &AnalyticScore<'_>,
        x0: &Array2<f64>,
        probe: &Array2<f64>,
        eps: f64,
    ) -> Result<Self> {
        let solve_block = |first: u64, len: usize| {
            let rows = |x: &Array2<f64>| x.slice_rows(first as usize, len);
            let problem = FlowWithDensity::exact(sde, model).and_probes(vec![rows(probe)?]);
            let start = Augmented::start(rows(x0)?, problem.integrals());
            let mut steps = Adaptive::new(eps, sde.horizon(), STEP)?;
            let none = IndependentIncrements::new(Key::root(0), 0);
            solve(&RungeKutta(&DOPRI5), &problem, start, eps, &mut steps, &none, &mut ())
        };
        let mut parts = Vec::new();
        let mut keep = |_: u64, part: Augmented<Array2<f64>>| {
            parts.push(part);
            Ok::<(), solvers::SolveError>(())
        };
        solve_blocks(x0.nrows() as u64, 1, &solve_block, &mut keep)?;
        let Augmented { x, integrals } = Augmented::concat_rows(&parts)?;
        let [divergence, hutchinson] = <[Vec<f64>; 2]>::try_from(integrals)
            .map_err(|found| anyhow::anyhow!("{} integrals", found.len()))?;
        Ok(Self { x, divergence, hutchinson })
    }

    /// The log-density at the start from that at the end.
    fn log_density(&self, at_end: sde_core::Result<Vec<f64>>) -> Result<Vec<f64>> {
        Ok(at_end?.iter().zip(&self.divergence).map(|(l, div)| l + div).collect())
    }
}

/// Solves an ODE for every row on its own.
fn flow<P: Dynamics<Array2<f64>>>(
    problem: &P,
    x: &Array2<f64>,
    from: f64,
    to: f64,
) -> Result<Array2<f64>> {
    let mut end = Array2::zeros(x.dim());
    let solve_block = |first: u64, len: usize| {
        let first = first as usize;
        let rows = x.slice(s![first..first + len, ..]).to_owned();
        let mut steps = Adaptive::new(from, to, STEP)?;
        let noise = IndependentIncrements::new(Key::root(0), 0);
        solve(&RungeKutta(&DOPRI5), problem, rows, from, &mut steps, &noise, &mut ())
    };
    let mut keep = |first: u64, rows: Array2<f64>| {
        let first = first as usize;
        end.slice_mut(s![first..first + rows.nrows(), ..]).assign(&rows);
        Ok::<(), solvers::SolveError>(())
    };
    solve_blocks(x.nrows() as u64, 1, &solve_block, &mut keep)?;
    Ok(end)
}
