//! `solvers`, `recorded`: trajectories of other people's samplers on a mixture, 1e-9.
//!
//! Every case of `cases.json` becomes a [`Sampler`] of ours, and every array of the case is held
//! against what that gives.

mod authors;
mod k_diffusion;
mod replay;
mod score_sde;

use replay::Run;
use sde_core::Edm;
use solvers::steppers::Variant;

use crate::flow::flow;
use crate::prelude::*;
pub(crate) use replay::{Method, Sampler, normals, own};

const TOLERANCE: f64 = 1e-9;

/// The kinds of UniPC.
pub(crate) const VARIANTS: [(&str, Variant); 2] = [("bh1", Variant::Bh1), ("bh2", Variant::Bh2)];

/// The sampler of a case.
type Make = fn(&Value, &Targets) -> Result<Sampler>;

/// By the first word of the case's `source`.
const SOURCES: [(&str, Make); 6] = [
    ("dpm-solver", authors::dpm),
    ("UniPC", authors::unipc),
    ("deis", authors::deis),
    ("edm", authors::edm),
    ("k-diffusion", k_diffusion::sampler),
    ("score_sde_pytorch", score_sde::sampler),
];

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let (table, targets) = (dir.json("cases.json")?, Targets::of(dir)?);
    let mut npz = dir.npz("solver_trajectories.npz")?;
    for (name, case) in table.entries()? {
        family.add(name, || {
            let source = case.text_or("source", "").split_whitespace().next().unwrap_or_default();
            let make = SOURCES.iter().find(|(known, _)| *known == source);
            let unknown = || Absent(format!("nothing here knows the source `{source}`"));
            let (_, make) = make.with_context(unknown)?;
            recompute(&targets, &mut npz, name, case, &make(case, &targets)?)
        });
    }
    for name in npz.names().to_vec() {
        if let Some((target, end)) = name.split_once("/exact_").filter(|(t, _)| !t.contains('/')) {
            family.add(&name, || exact_flow(&targets, &mut npz, &name, target, end));
        }
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
    let x = npz.rows(&format!("{target}/xT"))? * sampler.scale;
    let noise = format!("{target}/{}", case.text_or("noise_array", "noise"));
    let drawn = if npz.has(&noise) { normals(npz.get(&noise)?)? } else { Vec::new() };
    let run = sampler.run(&targets.mixture(target)?.under(sampler.sde.as_ref()), x, drawn)?;
    for key in ["nfe", "score_evaluations"].into_iter().filter(|key| case.get(key).is_some()) {
        let expected = case.count(key)?;
        ensure!(run.nfe == expected as u64, "{key} {}, expected {expected}", run.nfe);
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
    let mut worst = Check::EXACT;
    for array in arrays.iter().filter(|a| !(exact && ["x", "eval_x"].contains(&a.as_str()))) {
        let expected = npz.flat(&format!("{prefix}{array}"))?;
        let Some(found) = run.array(sampler, array, expected.len())? else { continue };
        let compared = check(found, expected, By::Mixed, sampler.tolerance);
        worst = worst.and(compared.with_context(|| format!("array `{array}`"))?);
    }
    Ok(worst)
}

impl Run {
    /// What belongs beside an array of `len` numbers; nothing for one that is no result.
    fn array(&self, sampler: &Sampler, name: &str, len: usize) -> Result<Option<Vec<f64>>> {
        let flat = |states: &[Rows]| states.iter().flatten().copied().collect::<Vec<f64>>();
        let times = || self.evaluated.iter().map(|(t, _)| *t);
        let (states, last) = (&self.states, self.states.len() - 1);
        Ok(Some(match name {
            "grid" | "sigmas" => sampler.times.clone(),
            "x" | "exact_x" => flat(&states[last..]),
            // Some files have the start and the end, some leave one of them out.
            "traj" if len == last * states[0].len() && sampler.callback => flat(&states[..last]),
            "traj" if len == last * states[0].len() => flat(&states[1..]),
            "traj" | "exact_traj" => flat(states),
            "eval_t" => times().collect(),
            "eval_sigma" => times().map(|t| (-sampler.sde.half_log_snr(t)).exp()).collect(),
            "eval_x" => self.evaluated.iter().flat_map(|(_, x)| x.iter().copied()).collect(),
            // Coefficients of one implementation, of which the states follow.
            "exact_coefs" => return Ok(None),
            other => bail!("nothing here is compared with an array `{other}`"),
        }))
    }
}

/// The exact flow from the common start to `vp_t<end>` or `edm_sigma<end>`.
fn exact_flow(
    targets: &Targets,
    npz: &mut Npz,
    name: &str,
    target: &str,
    end: &str,
) -> Result<Check> {
    let (sde, end): (Box<dyn Sde>, _) = match end.strip_prefix("vp_t") {
        Some(end) => (targets.sde("vp")?, end),
        None => {
            (Box::new(Edm::default()), end.strip_prefix("edm_sigma").context("unknown process")?)
        }
    };
    let x = npz.rows(&format!("{target}/xT"))? * sde.marginal(sde.horizon()).sigma.max(1.0);
    let score = targets.mixture(target)?.under(sde.as_ref());
    let problem = Reverse::ode(sde.as_ref(), &score);
    let found = flow(&problem, &x, sde.horizon(), end.parse().context("the end")?)?;
    check(&found, npz.flat(name)?, By::Mixed, 10.0 * TOLERANCE)
}

/// The rule of a `skip_type`.
fn grid_rule(case: &Value) -> Result<TimeGrid> {
    let known = [
        ("time_uniform", TimeGrid::Uniform),
        ("logSNR", TimeGrid::LogSnr),
        ("time_quadratic", TimeGrid::Quadratic),
    ];
    one_of(case.text("skip_type")?, &known)
}
