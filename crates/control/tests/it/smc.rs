//! Twisted sequential Monte Carlo against the exact posterior and evidence.

use control::{
    ClassifierGuidance, Covariance, Groups, Measurement, ParticleSystem, Proposal,
    ReconstructionGuidance, TwistedSmc,
};
use ndarray::{Array2, array};
use sde_core::analytic::Posterior;
use sde_core::{Key, TimeGrid, Vp};

use crate::common::{SURE, by, gaussian, mean_and_error, normals, three};

fn smc(particles: usize, steps: usize) -> TwistedSmc {
    let times = TimeGrid::Quadratic.times(&Vp::default(), steps, 1.0, 0.0).unwrap();
    TwistedSmc::new(particles, times).unwrap()
}

/// The mixture of three, of which a sum is seen.
fn problem() -> (Array2<f64>, f64, Posterior) {
    let (a, noise) = (array![[0.8, -0.6]], 0.2);
    let posterior = three().given(&a, &[0.3], noise).unwrap();
    (a, noise, posterior)
}

/// Means of systems, and their evidence over the exact one.
fn summary(found: &[ParticleSystem], exact: &Posterior) -> (Vec<Vec<f64>>, Vec<f64>) {
    let means = found.iter().map(|s| s.mean().to_vec()).collect();
    let ratio = |s: &ParticleSystem| (s.log_evidence - exact.log_evidence()).exp();
    (means, found.iter().map(ratio).collect())
}

/// Both proposals, and any twist, give the posterior's mean and the evidence; the estimate of that has no bias.
#[test]
fn means_and_evidence() {
    let vp = Vp::default();
    let (a, noise, exact) = problem();
    let score = three().under(&vp);
    let seen = by(&a, &[0.3], noise);
    let twist = |c| ReconstructionGuidance::new(&vp, &score, seen.clone(), c);
    let (full, isotropic) =
        (twist(Covariance::Full), twist(Covariance::Isotropic { data_variance: 1.0 }));
    let free = Proposal::Observation { score: &score, measurement: &seen };
    let (mean, _) = exact.mixture().moments();
    for (name, proposal) in [
        ("full", Proposal::Gradient(&full)),
        ("isotropic", Proposal::Gradient(&isotropic)),
        ("observation", free),
    ] {
        let found = smc(64, 200).run(&vp, proposal, 120, 2, Key::root(1)).unwrap();
        let (means, evidence) = summary(&found, &exact);
        let (ratio, error) = mean_and_error(&evidence);
        // Two hundred steps are off by about a hundredth.
        assert!((ratio - 1.0).abs() < 0.02 + SURE * error, "{name}: {ratio} +- {error}");
        for (j, mean) in mean.iter().enumerate() {
            let of: Vec<f64> = means.iter().map(|m| m[j]).collect();
            let (found, error) = mean_and_error(&of);
            assert!((found - mean).abs() < 0.02 + SURE * error, "{name}: {found} {error} {mean}");
        }
        let sizes = &found[0].effective;
        assert_eq!(sizes.len(), 201, "{name}");
        assert!(sizes.iter().all(|s| *s >= 1.0 - 1e-9 && *s <= 64.0 + 1e-9), "{name}: {sizes:?}");
        assert!((found[0].weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{name}");
        assert_eq!(found[0].equal(Key::root(2)).dim(), (64, 2));
    }
}

/// With the exact twist of Gaussian data the weights stay even, up to the steps, and so does the evidence.
#[test]
fn the_exact_twist_leaves_nothing_to_correct() {
    let (vp, prior, a) = (Vp::default(), gaussian(5, 4), normals(6, 2, 4));
    let y = [0.5, -0.3];
    let exact = prior.given(&a, &y, 0.3).unwrap();
    let score = prior.under(&vp);
    let twist = ReconstructionGuidance::tmpd(&vp, &score, by(&a, &y, 0.3));
    let off = |steps| {
        let found =
            smc(100, steps).run(&vp, Proposal::Gradient(&twist), 4, 4, Key::root(7)).unwrap();
        let spread = found.iter().map(|s| (s.log_evidence - exact.log_evidence()).abs());
        (spread.sum::<f64>() / 4.0, found)
    };
    let ((coarse, _), (fine, found)) = (off(50), off(800));
    assert!(fine < 0.25 * coarse, "{coarse} {fine}");
    let least = found.iter().flat_map(|s| s.effective.clone()).fold(f64::INFINITY, f64::min);
    assert!(least > 80.0 && found.iter().all(|s| s.resampled == 0), "{least}");
}

/// The exact classifier as a twist: its class, and its prior probability as the evidence.
#[test]
fn classes() {
    let vp = Vp::default();
    let classes = three().classes(&[0, 1, 1]).unwrap();
    let (all, classifier) = (three().under(&vp), classes.under(&vp).of(vec![1]));
    let twist = ClassifierGuidance::new(&vp, &all, &classifier, 1.0);
    // The likelihood of a class has no value without noise of its own: stop where the classes are apart.
    let times = TimeGrid::Quadratic.times(&vp, 200, 1.0, 1e-3).unwrap();
    let smc = TwistedSmc::new(50, times).unwrap();
    let found = smc.run(&vp, Proposal::Gradient(&twist), 60, 2, Key::root(8)).unwrap();
    let evidence: Vec<f64> = found.iter().map(|s| s.log_evidence.exp()).collect();
    let (ratio, error) = mean_and_error(&evidence);
    assert!((ratio - 0.5).abs() < 0.01 + SURE * error, "{ratio} +- {error}");
    let (mean, _) = classes.class(1).moments();
    for (j, mean) in mean.iter().enumerate() {
        let of: Vec<f64> = found.iter().map(|s| s.mean()[j]).collect();
        let (found, error) = mean_and_error(&of);
        assert!((found - mean).abs() < 0.02 + SURE * error, "{found} +- {error}, {mean}");
    }
}

/// A system does not depend on which others are run with it, each with its own measurement.
#[test]
fn systems_are_their_own() {
    let vp = Vp::default();
    let score = three().under(&vp);
    let y = normals(9, 9, 1) * 0.5;
    let seen = Measurement::new(Groups::columns(2, &[0]).unwrap(), y, 0.2).unwrap();
    let seen = seen.particles_each(40).unwrap();
    let twist = ReconstructionGuidance::pigdm(&vp, &score, seen.clone());
    let free = Proposal::Observation { score: &score, measurement: &seen };
    for proposal in [Proposal::Gradient(&twist), free] {
        let run = |systems: std::ops::Range<u64>| {
            smc(40, 40).run(&vp, proposal, systems, 2, Key::root(10)).unwrap()
        };
        let (whole, part) = (run(0..9), run(4..8));
        for (a, b) in whole[4..8].iter().zip(&part) {
            assert_eq!(a.particles, b.particles);
            assert_eq!((&a.weights, a.log_evidence), (&b.weights, b.log_evidence));
            assert_eq!((&a.effective, a.resampled), (&b.effective, b.resampled));
        }
        assert!(whole.iter().any(|s| s.resampled > 0));
        assert!(smc(40, 40).run(&vp, proposal, 8..10, 2, Key::root(10)).is_err());
    }
}

#[test]
fn refusals() {
    let vp = Vp::default();
    let score = three().under(&vp);
    assert!(TwistedSmc::new(0, vec![1.0, 0.0]).is_err());
    assert!(TwistedSmc::new(5, vec![0.0, 1.0]).is_err());
    let seen = by(&array![[1.0, 0.0]], &[0.3], 0.0);
    let twist = ReconstructionGuidance::tmpd(&vp, &score, seen.clone());
    let free = Proposal::Observation { score: &score, measurement: &seen };
    for proposal in [Proposal::Gradient(&twist), free] {
        // Without noise there is no likelihood at t = 0.
        let error = smc(10, 20).run(&vp, proposal, 1, 2, Key::root(1)).unwrap_err().to_string();
        assert!(error.contains("noise = 0"), "{error}");
        assert!(smc(10, 20).run(&vp, proposal, u64::MAX, 2, Key::root(1)).is_err());
        let late = TwistedSmc::new(10, vec![2.0, 0.5]).unwrap();
        assert!(late.run(&vp, proposal, 1, 2, Key::root(1)).is_err());
    }
}

/// The error of the posterior's mean falls as `K^(-1/2)`.
#[test]
#[ignore = "slow"]
fn slow_errors_fall_as_the_root_of_the_number() {
    let vp = Vp::default();
    let (a, noise, exact) = problem();
    let score = three().under(&vp);
    let seen = by(&a, &[0.3], noise);
    let twist = ReconstructionGuidance::new(
        &vp,
        &score,
        seen,
        Covariance::Isotropic { data_variance: 1.0 },
    );
    let (mean, _) = exact.mixture().moments();
    let sizes = [16, 32, 64, 128, 256, 512];
    let mut logs = vec![];
    for k in sizes {
        let found =
            smc(k, 150).run(&vp, Proposal::Gradient(&twist), 100, 2, Key::root(11)).unwrap();
        let square = |s: &ParticleSystem| -> f64 {
            s.mean().iter().zip(&mean).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let error = (found.iter().map(square).sum::<f64>() / found.len() as f64).sqrt();
        logs.push(((k as f64).ln(), error.ln()));
    }
    let n = logs.len() as f64;
    let (mx, my) =
        (logs.iter().map(|l| l.0).sum::<f64>() / n, logs.iter().map(|l| l.1).sum::<f64>() / n);
    let slope = logs.iter().map(|l| (l.0 - mx) * (l.1 - my)).sum::<f64>()
        / logs.iter().map(|l| (l.0 - mx).powi(2)).sum::<f64>();
    let errors: Vec<f64> = logs.iter().map(|l| l.1.exp()).collect();
    // A hundred systems know an error to 5 in a hundred, the slope over a factor of 32 to 0.02.
    assert!((slope + 0.5).abs() < 0.1, "slope {slope}, errors {errors:?}");
    eprintln!("slope {slope:.3}, errors {errors:.4?}");
}
