//! `pfode`: the probability-flow ODE of mixtures, points and likelihoods, by Dormand-Prince at a
//! tight tolerance; 1e-8.

use anyhow::{Context, Result, anyhow, ensure};
use sde_core::analytic::AnalyticScore;
use sde_core::{Reverse, Sde, State};
use solvers::density::{Augmented, FlowWithDensity, standard_log_prior};

use crate::case::{By, Cases, check};
use crate::flow::{Rows, by_rows, dopri5, flow};
use crate::npy::Npz;
use crate::read::Folder;
use crate::targets::Targets;

const TOLERANCE: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let targets = Targets::of(dir)?;
    for stem in dir.stems("npz")? {
        cases.group(&stem, |cases| file(dir, &stem, &targets, cases));
    }
    Ok(())
}

fn file(dir: &Folder, stem: &str, targets: &Targets, cases: &mut Cases) -> Result<()> {
    let name = stem.strip_prefix("pfode_").unwrap_or(stem);
    let named = |target| Some((target, name.strip_prefix(target)?.strip_prefix('_')?));
    let named = targets.names().into_iter().find_map(named);
    let (target, sde) = named.context("no target of targets.json in the name")?;
    let (mixture, sde) = (targets.mixture(target)?, targets.sde(sde)?);
    let (model, sde) = (mixture.under(sde.as_ref()), sde.as_ref());
    let mut npz = dir.npz(&format!("{stem}.npz"))?.context("the archive")?;
    backward(name, &mut npz, sde, &model, cases)?;
    let names = npz.names().iter();
    let starts = names.filter_map(|n| n.strip_prefix("like_eps_")?.strip_suffix("_xT"));
    for eps in starts.map(str::to_owned).collect::<Vec<_>>() {
        let group = format!("{name}/like_eps_{eps}_");
        cases.group(&group, |cases| likelihood(&group, &eps, &mut npz, sde, &model, cases));
    }
    Ok(())
}

/// `1e_5` is 1e-5: array names have no minus signs.
fn epsilon(text: &str) -> Result<f64> {
    text.replace('_', "-").parse().with_context(|| format!("`{text}` is no time"))
}

/// The flow from `T` down to each `x_eps_*`, one after the other.
fn backward(
    stem: &str,
    npz: &mut Npz,
    sde: &dyn Sde,
    model: &AnalyticScore<'_>,
    cases: &mut Cases,
) -> Result<()> {
    let names = npz.names().iter().filter_map(|n| Some((n.clone(), n.strip_prefix("x_eps_")?)));
    let ends = names.map(|(name, eps)| Ok((epsilon(eps)?, name)));
    let mut ends = ends.collect::<Result<Vec<_>>>()?;
    ends.sort_by(|a, b| b.0.total_cmp(&a.0));
    let problem = Reverse::ode(sde, model);
    let (mut t, mut x) = (sde.horizon(), npz.rows("xT").map_err(anyhow::Error::from));
    for (eps, name) in ends {
        cases.add(format!("{stem}/{name}"), || {
            let end = flow(&problem, x.as_ref().map_err(|e| anyhow!("{e:#}"))?, t, eps)?;
            let found: Vec<f64> = end.iter().copied().collect();
            (t, x) = (eps, Ok(end));
            check(&found, &npz.flat(&name)?, By::Mixed, TOLERANCE)
        });
    }
    Ok(())
}

/// Every quantity of `like_eps_*`, from one flow upward with the divergence alongside.
fn likelihood(
    group: &str,
    eps: &str,
    npz: &mut Npz,
    sde: &dyn Sde,
    model: &AnalyticScore<'_>,
    cases: &mut Cases,
) -> Result<()> {
    let (eps, prefix) = (epsilon(eps)?, format!("like_eps_{eps}_"));
    let (x0, probe) = (npz.rows("like_x0")?, npz.rows("like_probe")?);
    let Upward { x, divergence, hutchinson } = upward(sde, model, &x0, &probe, eps)?;
    let log_density = |at_end: sde_core::Result<Vec<f64>>| -> Result<Vec<f64>> {
        Ok(at_end?.iter().zip(&divergence).map(|(l, div)| l + div).collect())
    };
    let names = npz.names().iter().filter_map(|n| n.strip_prefix(&prefix)).map(str::to_owned);
    for name in names.collect::<Vec<_>>() {
        let found = match name.as_str() {
            "xT" => Ok(x.iter().copied().collect()),
            "div_integral" => Ok(divergence.clone()),
            "hutchinson_integral" => Ok(hutchinson.clone()),
            "logp_exact_prior" => log_density(model.log_density(&x, sde.horizon())),
            "logp_std_prior" => log_density(standard_log_prior(sde, &x)),
            "logp_closed_form" => model.log_density(&x0, eps).map_err(Into::into),
            other => Err(anyhow!("unknown quantity `{other}`")),
        };
        cases.add(format!("{group}{name}"), || {
            check(&found?, &npz.flat(&format!("{prefix}{name}"))?, By::Mixed, TOLERANCE)
        });
    }
    Ok(())
}

/// Where points flow to, and the integrals of the divergence on the way.
pub(crate) struct Upward {
    pub(crate) x: Rows,
    pub(crate) divergence: Vec<f64>,
    /// The same with one probe a row in place of the trace.
    pub(crate) hutchinson: Vec<f64>,
}

/// The flow from `eps` up to the horizon.
pub(crate) fn upward(
    sde: &dyn Sde,
    model: &AnalyticScore<'_>,
    x0: &Rows,
    probe: &Rows,
    eps: f64,
) -> Result<Upward> {
    ensure!(probe.dim() == x0.dim(), "probes {:?} for {:?}", probe.dim(), x0.dim());
    let Augmented { x, integrals } = by_rows(x0.nrows(), |first, len| {
        let rows = |x: &Rows| x.slice_rows(first, len);
        let problem = FlowWithDensity::exact(sde, model).and_probes(vec![rows(probe)?]);
        let start = Augmented::start(rows(x0)?, problem.integrals());
        dopri5(&problem, start, eps, sde.horizon())
    })?;
    let [divergence, hutchinson] = <[Vec<f64>; 2]>::try_from(integrals)
        .map_err(|found| anyhow!("{} integrals", found.len()))?;
    Ok(Upward { x, divergence, hutchinson })
}
