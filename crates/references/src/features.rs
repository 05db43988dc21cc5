//! `networks/fid`: distances of feature vectors as pytorch-fid, torch-fidelity and prdc compute them.

use metrics::{Kernel, Manifolds};

use crate::prelude::*;
use crate::transport::cubic_on_subsets;

/// Sums in closed form, in double precision.
const EXACT: f64 = 1e-10;
/// The square root of a product by scipy, which is off by 2e-6 where the covariances are singular.
const SQRTM: f64 = 1e-6;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    dir.archives(family, |stem, npz, family| {
        let mut archive = Archive::new(npz, &format!("{stem}/"), EXACT, family);
        let words: Vec<&str> = stem.split('_').collect();
        match words[..] {
            ["case", ..] => case(&mut archive),
            ["stats", set, side, ..] => stats(dir, set, side, &mut archive),
            _ => bail!(Absent("unknown archive".into())),
        }
    })
}

fn case(archive: &mut Archive<'_>) -> Result<()> {
    let (x, y) = (archive.rows("features_1")?, archive.rows("features_2")?);
    let frechet = metrics::frechet_distance(x.view(), y.view())?;
    archive.check("fid_exact", [frechet], By::Entry);
    archive.check_to("fid_pytorch_fid", [frechet], By::Entry, SQRTM);
    let subsets = [archive.rows("kid_subset_1")?, archive.rows("kid_subset_2")?];
    let values = cubic_on_subsets(&x, &y, &subsets)?;
    let unbiased = Array1::from_iter(values.iter().map(|v| v.unbiased));
    archive.check("kid_values", &unbiased, By::Entry);
    archive.check("kid_biased_values", values.iter().map(|v| v.biased), By::Entry);
    archive.check("kid_mean", unbiased.mean(), By::Entry);
    archive.check("kid_std", [unbiased.std(0.0)], By::Entry);
    let all = metrics::mmd2(x.view(), y.view(), Kernel::Cubic)?;
    archive.check("kid_all_unbiased", [all.unbiased], By::Entry);
    for k in [3, 5] {
        let Manifolds { precision, recall, density, coverage, .. } =
            metrics::precision_recall(x.view(), y.view(), k)?;
        for (what, found) in [
            ("precision", precision),
            ("recall", recall),
            ("density", density),
            ("coverage", coverage),
        ] {
            archive.check(&format!("prdc_k{k}_{what}"), [found.value], By::Entry);
        }
    }
    Ok(())
}

/// Mean and covariance of one side of a case, as they are passed on in files.
fn stats(dir: &Folder, set: &str, side: &str, archive: &mut Archive<'_>) -> Result<()> {
    let features = dir.npz(&format!("case_{set}.npz"))?.rows(&format!("features_{side}"))?;
    let mean = features.mean_axis(Axis(0)).context("no rows")?;
    let centred = &features - &mean;
    let covariance = centred.t().dot(&centred) / (features.nrows() as f64 - 1.0);
    let scales = vec![largest(&covariance); covariance.len()];
    archive.check("mu", &mean, By::Scales(&scales[..mean.len()]));
    archive.check("sigma", &covariance, By::Scales(&scales));
    Ok(())
}
