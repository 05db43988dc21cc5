//! Targets whose laws are known at every time: Gaussian mixtures by name.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ndarray::Array2;
use sde_core::analytic::GaussianMixture;
use sde_core::{Error, Key, Sde, State as _};

use crate::named::{ByName, Named};

/// A mixture of isotropic Gaussians.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) weights: Vec<f64>,
    pub(crate) means: Vec<Vec<f64>>,
    pub(crate) stds: Vec<f64>,
}

const NAMES: [&str; 3] = ["line", "bimodal", "blob"];

/// `line` (one dimension), `bimodal` and `blob` (two).
impl ByName for Target {
    fn by_name(name: &str) -> sde_core::Result<Arc<Self>> {
        let blob = [(2, 2), (2, -2), (-2, 2), (-2, -2), (0, 0), (4, 0), (-4, 0), (0, 4), (0, -4)];
        Ok(Arc::new(match name {
            "line" => Self {
                weights: vec![0.35, 0.65],
                means: vec![vec![-1.4], vec![1.0]],
                stds: vec![0.25, 0.35],
            },
            "bimodal" => Self {
                weights: vec![0.3, 0.7],
                means: vec![vec![-1.5, -0.6], vec![1.2, 0.5]],
                stds: vec![0.4, 0.6],
            },
            "blob" => Self {
                weights: vec![1.0; 9],
                means: blob.map(|(x, y)| vec![0.65 * f64::from(x), 0.65 * f64::from(y)]).to_vec(),
                stds: vec![0.0845_f64.sqrt(); 9],
            },
            _ => {
                let expected = NAMES.map(String::from).to_vec();
                return Err(Error::Unknown { what: "target", name: name.into(), expected });
            }
        }))
    }
}

impl Named<Target> {
    /// Checks that it has so many dimensions.
    pub(crate) fn in_dimensions(&self, key: &str, dim: usize) -> Result<()> {
        let place = if dim == 1 { "on a line" } else { "in the plane" };
        ensure!(self.means[0].len() == dim, "{key} = {self:?}: not {place}");
        Ok(())
    }
}

impl Target {
    /// The mixture itself.
    pub(crate) fn mixture(&self) -> Result<GaussianMixture> {
        let dim = self.means.first().map_or(0, Vec::len);
        let means = crate::model::matrix(&self.means, dim)?;
        Ok(GaussianMixture::isotropic(&self.weights, &means, &self.stds)?)
    }

    /// The component that each row most likely comes from.
    pub(crate) fn component(&self, x: &Array2<f64>) -> Vec<usize> {
        let score = |row: ndarray::ArrayView1<'_, f64>, k: usize| {
            let d2: f64 = row.iter().zip(&self.means[k]).map(|(x, m)| (x - m) * (x - m)).sum();
            let s = self.stds[k];
            self.weights[k].ln() - row.len() as f64 * s.ln() - 0.5 * d2 / (s * s)
        };
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            let all = 0..self.weights.len();
            all.max_by(|a, b| score(row, *a).total_cmp(&score(row, *b))).unwrap_or(0)
        };
        x.outer_iter().map(best).collect()
    }
}

/// A density on a square grid from its logarithm, row 0 at the bottom.
pub(crate) fn on_square(
    log: &dyn Fn(&Array2<f64>) -> Result<Vec<f64>>,
    reach: f64,
    nodes: usize,
) -> Result<Array2<f64>> {
    let at = |k: usize| -reach + 2.0 * reach * (k as f64 + 0.5) / nodes as f64;
    let points = Array2::from_shape_fn((nodes * nodes, 2), |(k, c)| {
        if c == 0 { at(k % nodes) } else { at(k / nodes) }
    });
    let values: Vec<f64> = log(&points)?.iter().map(|l| l.exp()).collect();
    Ok(Array2::from_shape_vec((nodes, nodes), values)?)
}

/// A picture of a density as a background; the square root opens up the flanks.
pub(crate) fn root_png(density: Array2<f64>) -> Result<Vec<u8>> {
    let top = density.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let roots = density.mapv(|v| (v / top).sqrt());
    Ok(report::heat_png(roots.view(), report::Map::Sequential, 0.0, 1.35)?)
}

/// A sample of `p_t`: particles `0 .. n` of the key, noised up to `t`.
pub(crate) fn noised(
    mixture: &GaussianMixture,
    sde: &dyn Sde,
    t: f64,
    key: Key,
    n: usize,
) -> Result<Array2<f64>> {
    let x0 = mixture.sample(key.fold(0), 0, n);
    let m = sde.marginal(t);
    Ok(&x0 * m.alpha + x0.normals_like(key.fold(1), 0)? * m.sigma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sde_core::Vp;
    use sde_core::analytic::DataSet;

    #[test]
    fn blob_is_the_data_set() {
        let vp = Vp::default();
        let x = DataSet::Blob.sample(Key::root(3), 0, 50);
        let ours = Target::by_name("blob").expect("a target").mixture().expect("a mixture");
        let (ours, theirs) = (ours.under(&vp), DataSet::Blob.under(&vp).expect("a mixture"));
        for t in [0.0, 0.3] {
            let (a, b) = (
                ours.log_density(&x, t).expect("a density"),
                theirs.log_density(&x, t).expect("a density"),
            );
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() < 1e-12, "{a} {b}");
            }
        }
    }

    #[test]
    fn every_name_is_a_target() {
        for name in NAMES {
            assert!(Target::by_name(name).expect(name).mixture().is_ok(), "{name}");
        }
        let message = Target::by_name("swirl").expect_err("no such target").to_string();
        assert!(message.contains("swirl") && message.contains("bimodal"), "{message}");
    }
}
