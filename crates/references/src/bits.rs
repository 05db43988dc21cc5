//! `networks/bits_per_dim`: log-densities of small images under a mixture, in closed form and along the
//! flow, in bits a dimension; 1e-8.

use ndarray::Ix3;
use sde_core::Vp;
use sde_core::analytic::{AnalyticScore, GaussianMixture};
use solvers::density::{Pixels, bits_per_dim, standard_log_prior};

use crate::pfode::{Upward, plus, upward};
use crate::prelude::*;

const TOLERANCE: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let meta = dir.json("meta.json")?;
    let mut archive = Archive::new(dir.npz("bpd.npz")?, "", TOLERANCE, family);
    let x01 = (archive.samples("images")? + archive.samples("dequant_noise")?) / 256.0;
    let centred = x01.mapv(|x| 2.0 * x - 1.0);
    archive.check("x01", &x01, By::Mixed);
    archive.check("x_centered", &centred, By::Mixed);
    for (kind, data, constants, x, pixels) in [
        ("vp", "centered", ["beta_min", "beta_max"], &centred, Pixels::MinusOneToOne),
        ("ve", "01", ["sigma_min", "sigma_max"], &x01, Pixels::ZeroToOne),
    ] {
        let given = meta.member(kind)?;
        let sde = sde(kind, &[given.number(constants[0])?, given.number(constants[1])?])?;
        for (part, components) in [("", usize::MAX), ("gauss_", 1)] {
            let mixture = mixture(&mut archive, components, pixels)?;
            let prefix = format!("{kind}_{data}_{part}");
            let eps = meta.number("eps")?;
            densities(&mut archive, &prefix, &mixture.under(sde.as_ref()), x, eps, pixels)?;
            if part.is_empty() {
                let log_p = mixture.under(&Vp::default()).log_density(x, 0.0)?;
                archive.check(&format!("bpd0_{data}"), bits(&log_p, x, pixels), By::Mixed);
                archive.check(&format!("logp0_{data}"), log_p, By::Mixed);
            }
        }
    }
    Ok(())
}

fn bits(log_p: &[f64], x: &Rows, pixels: Pixels) -> Vec<f64> {
    log_p.iter().map(|l| bits_per_dim(*l, x.ncols(), pixels)).collect()
}

/// Log-densities at `eps` under one process: in closed form, and along the flow under Song's prior.
fn densities(
    archive: &mut Archive<'_>,
    prefix: &str,
    model: &AnalyticScore<'_>,
    x: &Rows,
    eps: f64,
    pixels: Pixels,
) -> Result<()> {
    let bits = |log_p: &[f64]| bits(log_p, x, pixels);
    let closed = model.log_density(x, eps)?;
    let Upward { x: z, divergence, hutchinson } =
        upward(model, x, &archive.samples("rademacher")?, eps)?;
    let prior = standard_log_prior(model.sde(), &z)?;
    let flow = plus(&divergence, &prior);
    for (array, found) in [
        ("bpd_eps", bits(&closed)),
        ("logp_eps", closed),
        ("z", z.into_iter().collect()),
        ("bpd_flow", bits(&flow)),
        ("logp_flow", flow),
        ("bpd_hutchinson", bits(&plus(&hutchinson, &prior))),
        ("delta_logp_hutchinson", hutchinson),
        ("delta_logp", divergence),
        ("prior_logp", prior),
    ] {
        archive.check(&format!("{prefix}{array}"), found, By::Mixed);
    }
    Ok(())
}

/// The first components of the mixture, with covariances `diag + low low^T`, of data on [0, 1] or [-1, 1].
fn mixture(
    archive: &mut Archive<'_>,
    components: usize,
    pixels: Pixels,
) -> Result<GaussianMixture> {
    let (mut weights, means, diag) =
        (archive.flat("weights")?, archive.rows("means01")?, archive.rows("diag01")?);
    let low = archive.get("lowrank01")?.into_dimensionality::<Ix3>().context("lowrank01")?;
    let (scale, shift) = match pixels {
        Pixels::ZeroToOne => (1.0, 0.0),
        Pixels::MinusOneToOne => (2.0, 1.0),
    };
    weights.truncate(components);
    let n = weights.len();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    ensure!(n <= means.nrows() && n <= diag.nrows() && n <= low.dim().0, "{n} weights");
    let cov = |k: usize| {
        let low = low.slice(s![k, .., ..]);
        (Rows::from_diag(&diag.row(k)) + low.dot(&low.t())) * (scale * scale)
    };
    let means = means.slice(s![..n, ..]).mapv(|m| scale * m - shift);
    Ok(GaussianMixture::new(&weights, &means, &(0..n).map(cov).collect::<Vec<_>>())?)
}
