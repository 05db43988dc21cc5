//! Hutchinson's estimator.

use candle_core::DType;
use fp_residual::{Probe, hutchinson_divergence};
use ndarray::{Array2, array};
use sde_core::{Key, ScoreJvp, Vp, analytic::GaussianMixture};

use crate::common::{Outcome, net, points, rows, zoo};

/// 4.9 standard errors are a false alarm in 1e6; 40 rows and two laws are looked at.
#[test]
fn means_and_standard_errors_are_right() -> Outcome {
    let net = net(&zoo()[1], DType::F64);
    let x = rows(&points(1, 20, 3), 3, DType::F64);
    let exact = net.divergence(&x, 0.4)?;
    for probe in [Probe::Rademacher, Probe::Gaussian] {
        let found = hutchinson_divergence(&net, &x, 0.4, probe, 400, Key::root(3), 0)?;
        let error = found.std_error.expect("many probes");
        let z: Vec<f64> =
            (0..20).map(|b| (found.mean[b] - exact[b]) / error[b].max(1e-12)).collect();
        assert!(z.iter().all(|z| z.abs() < 5.6), "{probe:?} {z:?}");
        // The mean of z^2 over 20 rows is 1 with a standard deviation of 0.32.
        let spread = z.iter().map(|z| z * z).sum::<f64>() / 20.0;
        assert!((0.2..3.5).contains(&spread), "{probe:?} {spread}");
    }
    Ok(())
}

/// For a score of diagonal Jacobian every sign gives the exact trace.
#[test]
fn signs_are_exact_on_diagonal_jacobians() -> Outcome {
    let target = GaussianMixture::isotropic(&[1.0], &array![[0.3, -1.0, 2.0]], &[0.7])?;
    let vp = Vp::default();
    let model = target.under(&vp);
    let x = Array2::from_shape_vec((5, 3), points(2, 5, 3))?;
    let exact = model.divergence(&x, 0.2)?;
    let found = hutchinson_divergence(&model, &x, 0.2, Probe::Rademacher, 12, Key::root(1), 0)?;
    let errors = found.std_error.expect("enough probes");
    for ((mean, error), exact) in found.mean.iter().zip(errors).zip(exact) {
        assert!((mean - exact).abs() < 1e-12 * exact.abs());
        assert!(error < 1e-12 * exact.abs());
    }
    Ok(())
}

#[test]
fn probes_belong_to_particles() -> Outcome {
    let net = net(&zoo()[3], DType::F64);
    let x = points(5, 9, 2);
    let run = |rows_: &[f64], first, probes| {
        let x = rows(rows_, 2, DType::F64);
        hutchinson_divergence(&net, &x, 0.4, Probe::Gaussian, probes, Key::root(2), first)
    };
    let (all, part) = (run(&x, 0, 4)?, run(&x[8..], 4, 4)?);
    assert_eq!(all.mean[4..], part.mean[..]);
    let fewest = Probe::FEWEST_FOR_ERROR;
    for (probes, stated) in [(1, false), (2, false), (fewest - 1, false), (fewest, true)] {
        assert_eq!(run(&x, 0, probes)?.std_error.is_some(), stated, "{probes}");
    }
    let error = run(&x, 0, 0).unwrap_err().to_string();
    assert_eq!(error, "n_probes = 0: must be at least 1");
    Ok(())
}
