//! `pfode`: the probability-flow ODE of mixtures, points and likelihoods, by Dormand-Prince at a
//! tight tolerance; 1e-8.

use sde_core::analytic::AnalyticScore;
use solvers::density::{Augmented, FlowWithDensity, standard_log_prior};

use crate::flow::{by_rows, dopri5, flow};
use crate::prelude::*;

const TOLERANCE: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let targets = Targets::of(dir)?;
    dir.archives(family, |stem, npz, family| {
        let name = stem.strip_prefix("pfode_").unwrap_or(stem);
        let named = |target| Some((target, name.strip_prefix(target)?.strip_prefix('_')?));
        let named = targets.names().into_iter().find_map(named);
        let (target, sde) = named.context("no target of targets.json in the name")?;
        let (mixture, sde) = (targets.mixture(target)?, targets.sde(sde)?);
        let model = mixture.under(sde.as_ref());
        let mut archive = Archive::new(npz, &format!("{name}/"), TOLERANCE, family);
        archive.group("xT", |archive| backward(archive, &model));
        for eps in archive.named("like_eps_", "_xT") {
            let group = format!("like_eps_{eps}_");
            archive.group(&group, |archive| likelihood(archive, &group, &eps, &model));
        }
        archive.skip_unknown();
        Ok(())
    })
}

/// `1e_5` is 1e-5: array names have no minus signs.
fn epsilon(text: &str) -> Result<f64> {
    text.replace('_', "-").parse().with_context(|| format!("`{text}` is no time"))
}

/// The flow from `T` down to each `x_eps_*`, one after the other.
fn backward(archive: &mut Archive<'_>, model: &AnalyticScore<'_>) -> Result<()> {
    let ends = archive.named("x_eps_", "").into_iter().map(|eps| Ok((epsilon(&eps)?, eps)));
    let mut ends = ends.collect::<Result<Vec<_>>>()?;
    ends.sort_by(|a, b| b.0.total_cmp(&a.0));
    let problem = Reverse::ode(model.sde(), model);
    let (mut t, mut x) = (model.sde().horizon(), archive.rows("xT")?);
    for (end, eps) in ends {
        (t, x) = (end, flow(&problem, &x, t, end)?);
        archive.check(&format!("x_eps_{eps}"), &x, By::Mixed);
    }
    Ok(())
}

/// Every quantity of `like_eps_*`, from one flow upward with the divergence alongside.
fn likelihood(
    archive: &mut Archive<'_>,
    group: &str,
    eps: &str,
    model: &AnalyticScore<'_>,
) -> Result<()> {
    let (eps, sde) = (epsilon(eps)?, model.sde());
    let (x0, probe) = (archive.rows("like_x0")?, archive.rows("like_probe")?);
    let Upward { x, divergence, hutchinson } = upward(model, &x0, &probe, eps)?;
    let exact = plus(&model.log_density(&x, sde.horizon())?, &divergence);
    let standard = plus(&standard_log_prior(sde, &x)?, &divergence);
    for (quantity, found) in [
        ("xT", x.into_iter().collect()),
        ("div_integral", divergence),
        ("hutchinson_integral", hutchinson),
        ("logp_exact_prior", exact),
        ("logp_std_prior", standard),
        ("logp_closed_form", model.log_density(&x0, eps)?),
    ] {
        archive.check(&format!("{group}{quantity}"), found, By::Mixed);
    }
    Ok(())
}

pub(crate) fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
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
    model: &AnalyticScore<'_>,
    x0: &Rows,
    probe: &Rows,
    eps: f64,
) -> Result<Upward> {
    ensure!(probe.dim() == x0.dim(), "probes {:?} for {:?}", probe.dim(), x0.dim());
    let sde = model.sde();
    let Augmented { x, integrals } = by_rows(x0.nrows(), |row| {
        let probes = vec![probe.slice_rows(row, 1)?];
        let problem = FlowWithDensity::exact(sde, model).and_probes(probes);
        let start = Augmented::start(x0.slice_rows(row, 1)?, problem.integrals());
        dopri5(&problem, start, eps, sde.horizon())
    })?;
    let [divergence, hutchinson] = <[Vec<f64>; 2]>::try_from(integrals)
        .map_err(|found| anyhow!("{} integrals", found.len()))?;
    Ok(Upward { x, divergence, hutchinson })
}
