//! `networks/bits_per_dim`: log-densities of small images under a mixture, in closed form and along the
//! flow, in bits a dimension; 1e-8.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Ix3, s};
use sde_core::analytic::GaussianMixture;
use sde_core::{Sde, Vp};
use solvers::density::{Pixels, bits_per_dim, standard_log_prior};

use crate::case::{By, Cases, check};
use crate::flow::Rows;
use crate::npy::Npz;
use crate::pfode::{Upward, upward};
use crate::read::{Folder, Json};
use crate::targets::sde;

const TOLERANCE: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let Some(mut npz) = dir.npz("bpd.npz")? else { return Ok(()) };
    let meta = dir.json("meta.json")?.context("no meta.json")?;
    let eps = meta.number("eps")?;
    let images = images(&mut npz, "images")?;
    let x01 = (images + self::images(&mut npz, "dequant_noise")?) / 256.0;
    let centred = x01.mapv(|x| 2.0 * x - 1.0);
    let probe = self::images(&mut npz, "rademacher")?;
    for (array, found) in [("x01", &x01), ("x_centered", &centred)] {
        compare(&mut npz, cases, array, &found.iter().copied().collect::<Vec<_>>());
    }
    let constants = |name: &str, keys: [&str; 2]| -> Result<Box<dyn Sde>> {
        let at = meta.member(name)?;
        sde(name, &[at.number(keys[0])?, at.number(keys[1])?])
    };
    let vp = constants("vp", ["beta_min", "beta_max"])?;
    let ve = constants("ve", ["sigma_min", "sigma_max"])?;
    for (data, process, sde, x, pixels) in [
        ("centered", "vp_centered", vp, &centred, Pixels::MinusOneToOne),
        ("01", "ve_01", ve, &x01, Pixels::ZeroToOne),
    ] {
        let sde = sde.as_ref();
        let dim = x.ncols();
        let bits = |log_p: &[f64]| -> Vec<f64> {
            log_p.iter().map(|l| bits_per_dim(*l, dim, pixels)).collect()
        };
        for (part, components) in [("", usize::MAX), ("gauss_", 1)] {
            let mixture = mixture(&mut npz, components, pixels)?;
            let model = mixture.under(sde);
            let at_eps = model.log_density(x, eps)?;
            let Upward { x: z, divergence, hutchinson } = upward(sde, &model, x, &probe, eps)?;
            let prior = standard_log_prior(sde, &z)?;
            let sum = |a: &[f64]| a.iter().zip(&prior).map(|(a, b)| a + b).collect::<Vec<f64>>();
            let (flow, estimate) = (sum(&divergence), sum(&hutchinson));
            for (array, found) in [
                ("logp_eps", at_eps.clone()),
                ("bpd_eps", bits(&at_eps)),
                ("z", z.iter().copied().collect()),
                ("delta_logp", divergence),
                ("prior_logp", prior.clone()),
                ("logp_flow", flow.clone()),
                ("bpd_flow", bits(&flow)),
                ("delta_logp_hutchinson", hutchinson),
                ("bpd_hutchinson", bits(&estimate)),
            ] {
                compare(&mut npz, cases, &format!("{process}_{part}{array}"), &found);
            }
            if part.is_empty() {
                let data_log_p = mixture.under(&Vp::default()).log_density(x, 0.0)?;
                compare(&mut npz, cases, &format!("logp0_{data}"), &data_log_p);
                compare(&mut npz, cases, &format!("bpd0_{data}"), &bits(&data_log_p));
            }
        }
    }
    Ok(())
}

/// A case for an array that is there.
fn compare(npz: &mut Npz, cases: &mut Cases, array: &str, found: &[f64]) {
    if npz.has(array) {
        cases.add(array, || check(found, &npz.flat(array)?, By::Mixed, TOLERANCE));
    }
}

/// Images, a row each.
fn images(npz: &mut Npz, name: &str) -> Result<Rows> {
    let array = npz.get(name)?;
    let n = array.shape().first().copied().unwrap_or(0);
    ensure!(n > 0, "{name}: no images");
    let width = array.len() / n;
    Ok(Array2::from_shape_vec((n, width), array.into_iter().collect())?)
}

/// The first components of the mixture, with covariances `diag + low low^T`, of data on [0, 1] or [-1, 1].
fn mixture(npz: &mut Npz, components: usize, pixels: Pixels) -> Result<GaussianMixture> {
    let (mut weights, means, diag) =
        (npz.flat("weights")?, npz.rows("means01")?, npz.rows("diag01")?);
    let low = npz.get("lowrank01")?.into_dimensionality::<Ix3>().context("lowrank01")?;
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
