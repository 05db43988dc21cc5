//! Two classes in the plane, each a tree of thin Gaussians, and the same made wider.

use std::f64::consts::{FRAC_PI_4, PI};

use anyhow::Result;
use ndarray::{Array2, array};
use sde_core::Key;
use sde_core::analytic::{GaussianMixture, MixtureClasses};

/// Two trees that grow away from each other; every branch has two components along it.
///
/// Branches of generation `g` have length `0.55 0.75^g`, thickness `0.035 0.85^g` and the weight `2^-g` of the trunk; each
/// parts into two at an angle that a fixed key draws.
///
/// # Reference
/// In the manner of Karras et al. 2024, arXiv 2406.02507, figure 1 and appendix C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trees {
    pub(super) generations: usize,
}

/// A branch before it is grown.
#[derive(Clone, Copy)]
struct Branch {
    at: [f64; 2],
    angle: f64,
    length: f64,
    thickness: f64,
    weight: f64,
}

/// What a mixture is made of.
#[derive(Default)]
struct Parts {
    weights: Vec<f64>,
    means: Vec<[f64; 2]>,
    covariances: Vec<Array2<f64>>,
}

const LENGTH: f64 = 0.55;
const THICKNESS: f64 = 0.035;
/// Components along a branch.
const ALONG: usize = 2;
/// What the angles are drawn by: the trees are the same in every run.
const SHAPE: Key = Key::root(5);

impl Trees {
    /// Both classes together, and each: with every component widened by `N(0, width^2 I)`, the law of data that were noised
    /// so much.
    pub(super) fn widened(self, width: f64) -> Result<(GaussianMixture, MixtureClasses)> {
        let (mut parts, mut labels) = (Parts::default(), Vec::new());
        for (class, angle) in [FRAC_PI_4, FRAC_PI_4 + PI].into_iter().enumerate() {
            // The trunks begin beside each other.
            let at = [0.08 * angle.cos(), 0.08 * angle.sin()];
            let trunk = Branch { at, angle, length: LENGTH, thickness: THICKNESS, weight: 1.0 };
            grow(trunk, self.generations, SHAPE.fold(class as u64), &mut parts);
            labels.resize(parts.weights.len(), class);
        }
        let means = Array2::from_shape_fn((parts.means.len(), 2), |(k, j)| parts.means[k][j]);
        let wider = Array2::<f64>::eye(2) * (width * width);
        let covariances: Vec<_> = parts.covariances.iter().map(|c| c + &wider).collect();
        let all = GaussianMixture::new(&parts.weights, &means, &covariances)?;
        let classes = all.classes(&labels)?;
        Ok((all, classes))
    }
}

fn grow(branch: Branch, generations: usize, key: Key, parts: &mut Parts) {
    if generations == 0 {
        return;
    }
    let Branch { at, angle, length, thickness, weight } = branch;
    let (c, s) = (angle.cos(), angle.sin());
    // A component has the variance of a uniform law over its share, and a little more for a smooth seam.
    let (along, across) = ((0.35 * length / ALONG as f64).powi(2), thickness * thickness);
    for i in 0..ALONG {
        let way = length * (i as f64 + 0.5) / ALONG as f64;
        parts.weights.push(weight / ALONG as f64);
        parts.means.push([at[0] + way * c, at[1] + way * s]);
        let off = (along - across) * c * s;
        parts.covariances.push(array![
            [along * c * c + across * s * s, off],
            [off, along * s * s + across * c * c]
        ]);
    }
    let mut u = [0.0; 2];
    key.fill_uniforms(0, &mut u);
    for (k, sign) in [(0, -1.0), (1, 1.0)] {
        let child = Branch {
            at: [at[0] + length * c, at[1] + length * s],
            angle: angle + sign * (0.3 + 0.35 * u[k]),
            length: 0.75 * length,
            thickness: 0.85 * thickness,
            weight: 0.5 * weight,
        };
        grow(child, generations - 1, key.fold(1 + k as u64), parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes of one weight, apart, and wider by what was asked for.
    #[test]
    fn trees_have_two_classes() {
        let trees = Trees { generations: 4 };
        let [plain, wide] = [0.0, 0.3].map(|w| trees.widened(w).expect("trees").1);
        assert_eq!(plain.count(), 2);
        for c in 0..2 {
            assert!((plain.log_prior()[c] - 0.5_f64.ln()).abs() < 1e-12);
            assert_eq!(plain.class(c).weights().len(), 2 * 15);
            let ((m0, v0), (m1, v1)) = (plain.class(c).moments(), wide.class(c).moments());
            assert!(m0.iter().zip(&m1).all(|(a, b)| (a - b).abs() < 1e-12));
            let added = v1 - v0;
            assert!((&added - &(Array2::<f64>::eye(2) * 0.09)).iter().all(|e| e.abs() < 1e-12));
            // Each in its own corner.
            let sign = if c == 0 { 1.0 } else { -1.0 };
            assert!(m0.iter().all(|m| sign * m > 0.3), "{m0:?}");
        }
    }
}
