//! `networks/fid`: distances of feature vectors as pytorch-fid, torch-fidelity and prdc compute them.

use anyhow::{Context, Result, ensure};
use metrics::{Kernel, Manifolds, Mmd2};
use ndarray::{Array1, Axis};

use crate::case::{By, Cases, check};
use crate::flow::Rows;
use crate::npy::Npz;
use crate::read::Folder;

/// Sums in closed form, in double precision.
const EXACT: f64 = 1e-10;
/// The square root of a product by scipy, which is off by 2e-6 where the covariances are singular.
const SQRTM: f64 = 1e-6;

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    for stem in dir.stems("npz")? {
        let mut npz = dir.npz(&format!("{stem}.npz"))?.context("the archive")?;
        if stem.starts_with("case_") {
            cases.group(&stem, |cases| case(&stem, &mut npz, cases));
        } else if let Some((set, side)) =
            stem.strip_prefix("stats_").and_then(|s| s.split_once('_'))
        {
            let side = side.split('_').next().unwrap_or_default();
            cases.group(&stem, |cases| stats(dir, &stem, set, side, &mut npz, cases));
        } else {
            cases.skip(&stem, "unknown archive");
        }
    }
    Ok(())
}

fn case(stem: &str, npz: &mut Npz, cases: &mut Cases) -> Result<()> {
    let (x, y) = (npz.rows("features_1")?, npz.rows("features_2")?);
    let mut one = |npz: &mut Npz, array: &str, found: &[f64], tolerance: f64| {
        if npz.has(array) {
            let expected = npz.flat(array);
            cases.add(format!("{stem}/{array}"), || check(found, &expected?, By::Entry, tolerance));
        }
    };
    let frechet = metrics::frechet_distance(x.view(), y.view())?;
    one(npz, "fid_exact", &[frechet], EXACT);
    one(npz, "fid_pytorch_fid", &[frechet], SQRTM);
    let (first, second) = (indices(npz, "kid_subset_1", &x)?, indices(npz, "kid_subset_2", &y)?);
    ensure!(first.len() == second.len(), "{} and {} subsets", first.len(), second.len());
    let mmd = |x: &Rows, y: &Rows| metrics::mmd2(x.view(), y.view(), Kernel::Cubic);
    let subsets = first.iter().zip(&second);
    let values = subsets.map(|(i, j)| mmd(&x.select(Axis(0), i), &y.select(Axis(0), j)));
    let values = values.collect::<Result<Vec<Mmd2>, _>>()?;
    let unbiased = Array1::from_iter(values.iter().map(|v| v.unbiased));
    let biased: Vec<f64> = values.iter().map(|v| v.biased).collect();
    one(npz, "kid_values", &unbiased.to_vec(), EXACT);
    one(npz, "kid_biased_values", &biased, EXACT);
    one(npz, "kid_mean", &[unbiased.mean().unwrap_or(f64::NAN)], EXACT);
    one(npz, "kid_std", &[unbiased.std(0.0)], EXACT);
    one(npz, "kid_all_unbiased", &[mmd(&x, &y)?.unbiased], EXACT);
    for k in [3, 5] {
        let Manifolds { precision, recall, density, coverage, .. } =
            metrics::precision_recall(x.view(), y.view(), k)?;
        for (what, found) in [
            ("precision", precision),
            ("recall", recall),
            ("density", density),
            ("coverage", coverage),
        ] {
            one(npz, &format!("prdc_k{k}_{what}"), &[found.value], EXACT);
        }
    }
    Ok(())
}

/// The rows of every subset.
fn indices(npz: &mut Npz, name: &str, of: &Rows) -> Result<Vec<Vec<usize>>> {
    let subsets = npz.rows(name)?;
    let inside = |i: &f64| *i >= 0.0 && i.fract() == 0.0 && (*i as usize) < of.nrows();
    ensure!(subsets.iter().all(inside), "{name} holds no row below {}", of.nrows());
    Ok(subsets.outer_iter().map(|s| s.iter().map(|i| *i as usize).collect()).collect())
}

/// Mean and covariance of one side of a case, as they are passed on in files.
fn stats(
    dir: &Folder,
    stem: &str,
    set: &str,
    side: &str,
    npz: &mut Npz,
    cases: &mut Cases,
) -> Result<()> {
    let features = dir
        .npz(&format!("case_{set}.npz"))?
        .context("its features are not there")?
        .rows(&format!("features_{side}"))?;
    let mean = features.mean_axis(Axis(0)).context("no rows")?;
    let centred = &features - &mean;
    let covariance = centred.t().dot(&centred) / (features.nrows() as f64 - 1.0);
    let largest = covariance.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (array, found) in [("mu", mean.to_vec()), ("sigma", covariance.into_iter().collect())] {
        let scales = vec![largest; found.len()];
        cases.add(format!("{stem}/{array}"), || {
            check(&found, &npz.flat(array)?, By::Scales(&scales), EXACT)
        });
    }
    Ok(())
}
