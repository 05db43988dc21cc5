//! Linear measurements of Gaussian mixtures in eight dimensions, with their exact posteriors.

use std::sync::Arc;

use ::control::{Dense, Measurement};
use anyhow::Result;
use ndarray::{Array1, Array2};
use sde_core::analytic::{GaussianMixture, Posterior};
use sde_core::{Error, Key, State as _};

use crate::named::ByName;

/// Numbers of a point.
pub(super) const DIM: usize = 8;
/// Standard deviation of the noise on a measurement of the Gaussian.
const NOISE: f64 = 0.2;
/// Components of the mixture along each axis of the plane that its means lie in, and how far apart these are.
const ALONG: usize = 5;
const APART: f64 = 8.0;

/// What is measured, and how many numbers of it are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    kind: Kind,
    pub(super) seen: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One Gaussian with a random covariance.
    Gaussian,
    /// Twenty-five of unit covariance on a lattice.
    Modes,
}

/// `gaussian-M` and `modes-M`, of which `M` numbers are seen.
impl ByName for Problem {
    fn by_name(name: &str) -> sde_core::Result<Arc<Self>> {
        let unknown = || Error::Unknown {
            what: "problem",
            name: name.into(),
            expected: vec![format!("gaussian-M, modes-M (M from 1 to {DIM})")],
        };
        let (kind, seen) = name.split_once('-').ok_or_else(unknown)?;
        let kind = match kind {
            "gaussian" => Kind::Gaussian,
            "modes" => Kind::Modes,
            _ => return Err(unknown()),
        };
        let seen = seen.parse().ok().filter(|m| (1..=DIM).contains(m)).ok_or_else(unknown)?;
        Ok(Arc::new(Self { kind, seen }))
    }
}

/// A prior, a measurement of it and the law of the data given that.
pub(super) struct Setup {
    pub(super) prior: GaussianMixture,
    pub(super) seen: Measurement,
    pub(super) exact: Posterior,
    /// Mean variance of a number of the prior.
    pub(super) data_variance: f64,
}

impl Problem {
    /// The problem that a key draws: covariance or weights, operator, noise, the data that are measured.
    ///
    /// # Reference
    /// `modes`: Cardoso et al. 2023, arXiv 2308.07983, section 4 and appendix B.
    pub(super) fn set_up(&self, key: Key) -> Result<Setup> {
        let m = self.seen;
        let normals = |k: u64, shape: (usize, usize)| {
            Array2::<f64>::zeros(shape).normals_like(key.fold(k), 0)
        };
        let (prior, a, noise) = match self.kind {
            Kind::Gaussian => {
                let b = normals(0, (DIM, DIM))?;
                let cov = b.dot(&b.t()) / DIM as f64 + Array2::<f64>::eye(DIM) * 0.1;
                let prior = GaussianMixture::new(&[1.0], &normals(1, (1, DIM))?, &[cov])?;
                (prior, normals(2, (m, DIM))?, NOISE)
            }
            Kind::Modes => {
                let mut u = vec![0.0; m + 1];
                key.fold(1).fill_uniforms(0, &mut u);
                let weights = normals(0, (1, ALONG * ALONG))?;
                let rows = orthonormal(normals(2, (m, DIM))?);
                let scaled = Array2::from_shape_fn((m, DIM), |(i, j)| (0.2 + u[i]) * rows[[i, j]]);
                // Left singular vectors; of one number there is nothing to turn.
                let left = orthonormal(normals(3, (m, m))?);
                (modes(&weights)?, left.dot(&scaled), 0.1 + 0.4 * u[m])
            }
        };
        let truth = prior.sample(key.fold(4), 0, 1);
        let y: Array1<f64> = a.dot(&truth.row(0)) + normals(5, (1, m))?.row(0).mapv(|z| noise * z);
        let exact = prior.given(&a, &y.to_vec(), noise)?;
        let y = y.insert_axis(ndarray::Axis(0));
        let seen = Measurement::new(Dense::new(a)?, y, noise)?;
        let data_variance = prior.moments().1.diag().mean().unwrap_or(1.0);
        Ok(Setup { prior, seen, exact, data_variance })
    }
}

/// Means `(8 i, 8 j, 8 i, 8 j, ...)` for `i` and `j` from -2 to 2, unit covariances, squared normals as weights.
fn modes(weights: &Array2<f64>) -> Result<GaussianMixture> {
    let count = ALONG * ALONG;
    let mean =
        |k: usize, j: usize| APART * ([k / ALONG, k % ALONG][j % 2] as f64 - (ALONG / 2) as f64);
    let means = Array2::from_shape_fn((count, DIM), |(k, j)| mean(k, j));
    let weights: Vec<f64> = weights.iter().map(|z| z * z).collect();
    Ok(GaussianMixture::isotropic(&weights, &means, &vec![1.0; count])?)
}

/// Rows made orthonormal (Gram and Schmidt).
fn orthonormal(mut a: Array2<f64>) -> Array2<f64> {
    for i in 0..a.nrows() {
        for k in 0..i {
            let (share, other) = (a.row(i).dot(&a.row(k)), a.row(k).to_owned());
            a.row_mut(i).scaled_add(-share, &other);
        }
        let norm = a.row(i).dot(&a.row(i)).sqrt();
        a.row_mut(i).mapv_inplace(|v| v / norm);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The singular values are the drawn ones, and what is measured is likely under the model.
    #[test]
    fn problems_are_what_they_say() {
        for name in ["gaussian-1", "gaussian-8", "modes-1", "modes-4"] {
            let problem = Problem::by_name(name).expect(name);
            let setup = problem.set_up(Key::root(3)).expect(name);
            let d = setup.seen.operator().singular_values();
            assert_eq!((d.len(), setup.prior.dim()), (problem.seen, DIM), "{name}");
            if problem.kind == Kind::Modes {
                assert!(d.iter().all(|d| (0.2..=1.2).contains(d)), "{name}: {d:?}");
                assert!((0.1..=0.5).contains(&setup.seen.noise()), "{name}");
                // 8^2 times the mean square of a lattice, and the variance of a component.
                assert!((1.0..200.0).contains(&setup.data_variance), "{}", setup.data_variance);
            }
            assert!(setup.exact.log_evidence() > -40.0, "{name}: {}", setup.exact.log_evidence());
        }
        for name in ["gaussian", "modes-0", "modes-9", "mode-1", "modes-x", "-1"] {
            let message = Problem::by_name(name).expect_err(name).to_string();
            assert!(message.contains("modes-M"), "{message}");
        }
    }
}
