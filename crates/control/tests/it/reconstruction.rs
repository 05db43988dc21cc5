//! Guidance by a Gaussian approximation of the likelihood, against the exact term.

use control::{Covariance, ReconstructionGuidance, Twist};
use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, LogLikelihood, Pullback, Result, Score, ScoreVjp, Sde, State, SubVp, Ve, Vp};
use solvers::{Method, Sampler};

use crate::common::{by, gaussian, normals, off, three};

const TIMES: [f64; 4] = [0.05, 0.3, 0.7, 1.0];

/// The largest error of a method's guidance term, relative to the largest of the exact one, over times.
fn error(
    sde: &dyn Sde,
    prior: &GaussianMixture,
    a: &Array2<f64>,
    noise: f64,
    covariance: Covariance,
) -> f64 {
    let y = normals(31, 1, a.nrows()).row(0).to_vec();
    let posterior = prior.given(a, &y, noise).unwrap();
    let exact = posterior.likelihood(sde);
    let score = prior.under(sde);
    let guided = ReconstructionGuidance::new(sde, &score, by(a, &y, noise), covariance);
    let mut worst = 0.0_f64;
    for t in TIMES {
        let m = sde.marginal(t);
        let x = normals(32, 10, prior.dim()) * m.alpha.hypot(m.sigma);
        let (_, gradient) = exact.log_likelihood(&x, t).unwrap();
        let found = guided.twist(&x, t).unwrap().gradient;
        let size = gradient.iter().fold(0.0_f64, |s, g| s.max(g.abs()));
        worst = worst.max(off(&found, &gradient) / size);
    }
    worst
}

#[test]
fn the_full_jacobian_is_exact_for_gaussians() {
    for (d, m) in [(2, 1), (5, 3), (8, 8), (4, 6)] {
        let (prior, a) = (gaussian(40 + d as u64, d), normals(50 + m as u64, m, d));
        let sdes: [&dyn Sde; 3] = [&Vp::default(), &SubVp::default(), &Ve::default()];
        for sde in sdes {
            let off = error(sde, &prior, &a, 0.2, Covariance::Full);
            assert!(off < 1e-9, "{}, {d} {m}: {off:e}", sde.name());
        }
        let vp = Vp::default();
        assert!(error(&vp, &prior, &a, 0.2, Covariance::Zero) > 0.1, "DPS is not exact");
        if m > 1 {
            assert!(error(&vp, &prior, &a, 0.2, Covariance::Diagonal) > 1e-3, "{m}");
            assert!(error(&vp, &prior, &a, 0.2, Covariance::RowSum) > 1e-3, "{m}");
        } else {
            // One number has one variance.
            assert!(error(&vp, &prior, &a, 0.2, Covariance::Diagonal) < 1e-9);
            assert!(error(&vp, &prior, &a, 0.2, Covariance::RowSum) < 1e-9);
        }
        // Without noise too, where the measurement leaves something open.
        assert!(m >= d || error(&vp, &prior, &a, 0.0, Covariance::Full) < 1e-8);
    }
}

#[test]
fn a_multiple_of_the_identity_is_exact_for_isotropic_gaussians() {
    let vp = Vp::default();
    for v in [0.25, 1.0, 9.0_f64] {
        let prior = GaussianMixture::isotropic(&[1.0], &normals(60, 1, 4), &[v.sqrt()]).unwrap();
        let a = normals(61, 2, 4);
        let off =
            |data_variance| error(&vp, &prior, &a, 0.3, Covariance::Isotropic { data_variance });
        assert!(off(v) < 1e-9, "{v}: {:e}", off(v));
        assert!(off(4.0 * v) > 1e-2, "{v}: {:e}", off(4.0 * v));
        // Rows that see different numbers are independent.
        let apart = array![[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
        for covariance in [Covariance::RowSum, Covariance::Diagonal, Covariance::Full] {
            assert!(error(&vp, &prior, &apart, 0.3, covariance) < 1e-9, "{covariance:?}");
        }
    }
}

/// For Gaussian data the likelihood itself is exact, with everything that does not depend on the state.
#[test]
fn likelihoods_of_gaussians() {
    let (vp, prior, a) = (Vp::default(), gaussian(70, 5), normals(71, 3, 5));
    let y = [0.3, -1.0, 0.5];
    let exact = prior.given(&a, &y, 0.2).unwrap().likelihood(&vp);
    let score = prior.under(&vp);
    let guided = ReconstructionGuidance::tmpd(&vp, &score, by(&a, &y, 0.2));
    for t in TIMES {
        let x = normals(72, 10, 5);
        let found = guided.twist(&x, t).unwrap().log_likelihood;
        let expected = exact.log_likelihood(&x, t).unwrap().0;
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-9, "{t}: {off:e}");
    }
    // At t = 0 every covariance is that of the noise.
    let x = normals(73, 6, 5);
    let all = [
        Covariance::Zero,
        Covariance::Isotropic { data_variance: 2.0 },
        Covariance::RowSum,
        Covariance::Diagonal,
        Covariance::Full,
    ];
    for covariance in all {
        let guided = ReconstructionGuidance::new(&vp, &score, by(&a, &y, 0.2), covariance);
        let found = guided.twist(&x, 0.0).unwrap().log_likelihood;
        for (x, found) in x.outer_iter().zip(found) {
            let rest = ndarray::arr1(&y) - a.dot(&x);
            let var = 0.04_f64;
            let expected =
                -0.5 * (rest.dot(&rest) / var + 3.0 * (std::f64::consts::TAU * var).ln());
            assert!((found - expected).abs() < 1e-10 * expected.abs(), "{covariance:?}");
        }
    }
}

/// A score with a Jacobian that is not symmetric, `s = B x`.
struct Sheared(Array2<f64>);

impl Score<Array2<f64>> for Sheared {
    fn score(&self, x: &Array2<f64>, _: f64) -> Result<Array2<f64>> {
        Ok(x.dot(&self.0.t()))
    }
}

impl ScoreVjp<Array2<f64>> for Sheared {
    fn score_vjp(
        &self,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<(Array2<f64>, Pullback<'_, Array2<f64>>)> {
        Ok((self.score(x, t)?, Box::new(|v: &Array2<f64>| Ok(v.dot(&self.0)))))
    }
}

/// The gradient is that of the likelihood, by differences, where the covariance does not depend on the state.
#[test]
fn gradients_of_any_score() {
    let (vp, a) = (Vp::default(), normals(80, 2, 3));
    let score = Sheared(array![[-1.0, 0.6, 0.0], [-0.2, -0.8, 0.1], [0.3, 0.0, -1.1]]);
    for covariance in [
        Covariance::Zero,
        Covariance::Isotropic { data_variance: 1.0 },
        Covariance::RowSum,
        Covariance::Diagonal,
        Covariance::Full,
    ] {
        let guided =
            ReconstructionGuidance::new(&vp, &score, by(&a, &[0.4, -0.7], 0.3), covariance);
        let (x, t, h) = (normals(81, 4, 3), 0.4, 1e-5);
        let gradient = guided.twist(&x, t).unwrap().gradient;
        for j in 0..3 {
            let at = |h: f64| {
                let mut x = x.clone();
                x.column_mut(j).mapv_inplace(|v| v + h);
                guided.twist(&x, t).unwrap().log_likelihood
            };
            for (b, (ahead, behind)) in at(h).iter().zip(at(-h)).enumerate() {
                let (found, slope) = (gradient[[b, j]], (ahead - behind) / (2.0 * h));
                assert!((found - slope).abs() < 1e-6, "{covariance:?}: {found} {slope}");
            }
        }
        // And so is what the sampler sees.
        let m = vp.marginal(t);
        let s = guided.score(&x, t).unwrap();
        let data = (&x + &s * (m.sigma * m.sigma)) / m.alpha;
        assert!(off(&data, &guided.denoised(&x, t).unwrap().unwrap()) < 1e-12);
        let half = guided.clone().strength(0.5).score(&x, t).unwrap();
        assert!(off(&half, &(score.score(&x, t).unwrap() + gradient * 0.5)) < 1e-12);
    }
}

/// A measurement belongs to its particle, however a run is cut.
#[test]
fn measurements_belong_to_particles() {
    let vp = Vp::default();
    let score = three().under(&vp);
    let y = Array2::from_shape_fn((10, 1), |(i, _)| i as f64 / 5.0 - 1.0);
    let a = control::Groups::columns(2, &[1]).unwrap();
    let seen = control::Measurement::new(a, y.clone(), 0.1).unwrap().particles_each(3).unwrap();
    let guided = ReconstructionGuidance::tmpd(&vp, &score, seen);
    let like = Array2::zeros((1, 2));
    let plan = |block| Sampler::builder(Method::EulerMaruyama, 1.0, 100).block_rows(block);
    let whole = plan(256).draw(&vp, &guided, 30, &like, Key::root(9)).unwrap();
    assert_eq!(whole, plan(4).draw(&vp, &guided, 30, &like, Key::root(9)).unwrap());
    let part = plan(5).draw(&vp, &guided, 7..22, &like, Key::root(9)).unwrap();
    assert_eq!(whole.slice_rows(7, 15).unwrap(), part);
    for (i, x) in whole.outer_iter().enumerate() {
        assert!((x[1] - y[[i / 3, 0]]).abs() < 0.6, "{i}: {x}");
    }
    assert!(plan(5).draw(&vp, &guided, 25..31, &like, Key::root(9)).is_err());
}

#[test]
fn what_has_no_likelihood_is_refused() {
    let (vp, prior, a) = (Vp::default(), three(), array![[1.0, 0.0]]);
    let score = prior.under(&vp);
    let x = normals(90, 2, 2);
    let told = |noise, covariance, t| {
        let guided = ReconstructionGuidance::new(&vp, &score, by(&a, &[0.0], noise), covariance);
        guided.score(&x, t).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(told(0.0, Covariance::Zero, 0.5).starts_with("noise = 0: without noise"));
    assert!(told(0.0, Covariance::Full, 0.0).starts_with("noise = 0: without noise"));
    assert_eq!(told(0.0, Covariance::Full, 0.1), "");
    assert!(!told(0.1, Covariance::Full, 1.5).is_empty());
}
