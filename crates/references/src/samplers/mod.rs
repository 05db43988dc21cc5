//! `solvers`, `recorded`: trajectories of other people's samplers on a mixture, 1e-9.
//!
//! Every case of `cases.json` becomes a [`Sampler`] of ours, and every array of the case is held
//! against what that gives.

mod authors;
mod edm;
mod k_diffusion;
mod replay;
mod score_sde;

use anyhow::{Context, Result, bail, ensure};
use sde_core::{Edm, Reverse, Sde, TimeGrid};
use serde_json::Value;

use crate::case::{By, Case, Cases, Check, check, same};
use crate::flow::{Rows, flow};
use crate::npy::Npz;
use crate::read::{Folder, Json};
use crate::targets::Targets;
pub(crate) use replay::{Draws, Method, Recorded, Run, Sampler, own};

const TOLERANCE: f64 = 1e-9;

/// What a case may ask for.
pub(crate) struct Asked<'a> {
    pub(crate) case: &'a Value,
    pub(crate) targets: &'a Targets,
    /// The noise levels that the case was recorded at, if it has some.
    pub(crate) sigmas: Option<Vec<f64>>,
}

/// Samplers by the first word of a case's `source`.
type Make = fn(&Asked<'_>) -> Result<Sampler>;

const SOURCES: [(&str, Make); 6] = [
    ("dpm-solver", authors::dpm),
    ("UniPC", authors::unipc),
    ("deis", authors::deis),
    ("edm", edm::sampler),
    ("k-diffusion", k_diffusion::sampler),
    ("score_sde_pytorch", score_sde::sampler),
];

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let Some(table) = dir.json("cases.json")? else { return Ok(()) };
    let targets = Targets::of(dir)?;
    let mut npz = dir.npz("solver_trajectories.npz")?;
    for (name, case) in table.entries()? {
        let source = case.text_or("source", "").split_whitespace().next().unwrap_or_default();
        match (SOURCES.iter().find(|(s, _)| *s == source), &mut npz) {
            (None, _) => cases.skip(name, format!("nothing here knows the source `{source}`")),
            (_, None) => cases.skip(name, "solver_trajectories.npz is not there"),
            (Some((_, make)), Some(npz)) => cases.add(name, || {
                let sigmas = format!("{name}/sigmas");
                let sigmas = npz.has(&sigmas).then(|| npz.flat(&sigmas)).transpose()?;
                let sampler = make(&Asked { case, targets: &targets, sigmas })?;
                recompute(&targets, npz, name, case, &sampler)
            }),
        }
    }
    if let Some(npz) = &mut npz {
        cases.extend(exact_flows(&targets, npz)?);
    }
    Ok(())
}

fn recompute(
    targets: &Targets,
    npz: &mut Npz,
    name: &str,
    case: &Value,
    sampler: &Sampler,
) -> Result<Check> {
    let target = name.split('/').next().unwrap_or_default();
    let (mixture, sde) = (targets.mixture(target)?, sampler.sde.as_ref());
    let x = npz.rows(&format!("{target}/xT"))? * sampler.scale;
    let noise = format!("{target}/{}", case.text_or("noise_array", "noise"));
    let arrays: Vec<Rows> = if npz.has(&noise) {
        let array = npz.get(&noise)?;
        let rows = |z: ndarray::ArrayViewD<'_, f64>| Ok(z.to_owned().into_dimensionality()?);
        array.outer_iter().map(rows).collect::<Result<_>>()?
    } else {
        Vec::new()
    };
    let noise = Recorded::new(arrays, sampler.draws, &sampler.times);
    let run = sampler.run(&mixture.under(sde), x, &noise)?;
    let counted = ["nfe", "score_evaluations"].into_iter().filter(|key| case.get(key).is_some());
    let mut worst = Check::EXACT;
    for key in counted {
        worst = worst.and(same(key, run.nfe, case.count(key)?)?);
    }
    if let (Some(orders), Ok(expected)) = (&sampler.orders, case.numbers("orders")) {
        let same = orders.iter().map(|o| *o as f64).eq(expected.iter().copied());
        ensure!(same, "orders {orders:?}, expected {expected:?}");
    }
    let prefix = format!("{name}/");
    let own = npz.names().iter().filter_map(|n| n.strip_prefix(&prefix)).map(str::to_owned);
    let arrays: Vec<String> = own.collect();
    ensure!(!arrays.is_empty(), "no array `{prefix}...`");
    // The authors of DEIS integrate by sums of 10000 terms; the same recursion with exact integrals
    // is what a method of ours is, and its states stand for theirs.
    let exact = arrays.iter().any(|a| a == "exact_x");
    for array in arrays.iter().filter(|a| !(exact && ["x", "eval_x"].contains(&a.as_str()))) {
        let expected = npz.flat(&format!("{prefix}{array}"))?;
        let found = run.array(array, sde, expected.len())?;
        let Some(found) = found else { continue };
        let compared = check(&found, &expected, By::Mixed, sampler.tolerance);
        worst = worst.and(compared.with_context(|| format!("array `{array}`"))?);
    }
    Ok(worst)
}

impl Run {
    /// What belongs beside an array of `len` numbers.
    fn array(&self, name: &str, sde: &dyn Sde, len: usize) -> Result<Option<Vec<f64>>> {
        let flat = |states: &[Rows]| states.iter().flatten().copied().collect::<Vec<f64>>();
        let times = || self.evaluated.iter().map(|(t, _)| *t);
        let states = &self.states;
        let last = states.len() - 1;
        Ok(Some(match name {
            "grid" | "sigmas" => self.times.clone(),
            "x" | "exact_x" => flat(&states[last..]),
            // Some files have the start and the end, some leave one of them out.
            "traj" if len == last * states[0].len() && self.callback => flat(&states[..last]),
            "traj" if len == last * states[0].len() => flat(&states[1..]),
            "traj" | "exact_traj" => flat(states),
            "eval_t" => times().collect(),
            "eval_sigma" => times().map(|t| (-sde.half_log_snr(t)).exp()).collect(),
            "eval_x" => self.evaluated.iter().flat_map(|(_, x)| x.iter().copied()).collect(),
            // Coefficients of one implementation, of which the states follow.
            "exact_coefs" => return Ok(None),
            other => bail!("nothing here is compared with an array `{other}`"),
        }))
    }
}

/// The exact flow from the common start, `exact_vp_t<end>` and `exact_edm_sigma<end>`.
fn exact_flows(targets: &Targets, npz: &mut Npz) -> Result<Vec<Case>> {
    let names: Vec<String> = npz
        .names()
        .iter()
        .filter(|n| n.contains("/exact_") && n.matches('/').count() == 1)
        .cloned()
        .collect();
    let one = |name: String| {
        let mut run = || {
            let (target, what) = name.split_once('/').context("no target")?;
            let (sde, end): (Box<dyn Sde>, _) = match what.strip_prefix("exact_vp_t") {
                Some(end) => (targets.sde("vp")?, end),
                None => (
                    Box::new(Edm::default()),
                    what.strip_prefix("exact_edm_sigma").context("unknown process")?,
                ),
            };
            let (mixture, end) = (targets.mixture(target)?, end.parse().context("the end")?);
            let x = npz.rows(&format!("{target}/xT"))? * sde.marginal(sde.horizon()).sigma.max(1.0);
            let score = mixture.under(sde.as_ref());
            let problem = Reverse::ode(sde.as_ref(), &score);
            let found = flow(&problem, &x, sde.horizon(), end)?;
            check(
                &found.into_iter().collect::<Vec<_>>(),
                &npz.flat(&name)?,
                By::Mixed,
                10.0 * TOLERANCE,
            )
        };
        Case::of(name.clone(), run())
    };
    Ok(names.into_iter().map(one).collect())
}

/// The rule of a `skip_type`.
fn grid_rule(case: &Value) -> Result<TimeGrid> {
    match case.text("skip_type")? {
        "time_uniform" => Ok(TimeGrid::Uniform),
        "logSNR" => Ok(TimeGrid::LogSnr),
        "time_quadratic" => Ok(TimeGrid::Quadratic),
        other => bail!("unknown skip_type `{other}`"),
    }
}
