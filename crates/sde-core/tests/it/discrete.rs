//! The discrete schedule as a process: its nodes, what lies between them, its inverse.

use sde_core::schedule::{alphas_cumprod, ddpm_betas};
use sde_core::{Discrete, Sde, sde::Between};

fn both() -> [Discrete; 2] {
    let betas = ddpm_betas(1000, 0.1, 20.0);
    [Between::LogRatio, Between::Ratio].map(|b| Discrete::new(&betas).unwrap().with_between(b))
}

/// The nodes are the products of `1 - beta`, as published code forms them.
#[test]
fn the_nodes_are_the_training_steps() {
    let products = alphas_cumprod(&ddpm_betas(1000, 0.1, 20.0));
    for sde in both() {
        assert_eq!((sde.horizon(), sde.marginal(0.0).sigma), (1000.0, 0.0));
        for (i, product) in products.iter().enumerate() {
            let m = sde.marginal(i as f64 + 1.0);
            assert!((m.alpha * m.alpha / product - 1.0).abs() < 1e-12, "{i}");
            assert!((m.sigma * m.sigma / (1.0 - product) - 1.0).abs() < 1e-11, "{i}");
        }
    }
}

/// Half way between two nodes lies the geometric or the arithmetic mean of their noise levels.
#[test]
fn between_the_nodes() {
    let [log, linear] = both();
    for i in [1.0, 17.0, 500.0, 999.0] {
        let (a, b) = ((-log.half_log_snr(i)).exp(), (-log.half_log_snr(i + 1.0)).exp());
        let at = |sde: &Discrete| (-sde.half_log_snr(i + 0.5)).exp();
        assert!((at(&log) / (a * b).sqrt() - 1.0).abs() < 1e-12);
        assert!((at(&linear) / (0.5 * (a + b)) - 1.0).abs() < 1e-12);
    }
}

/// `d log alpha / dt = a`, `d sigma^2 / dt = 2 a sigma^2 + g^2` inside the cells, kernels that
/// compose, and an inverse that inverts.
#[test]
fn it_is_a_linear_sde() {
    for sde in both() {
        for t in [0.01, 0.5, 0.9, 1.3, 2.5, 40.7, 500.2, 998.1, 999.5] {
            let h = 1e-4 * t;
            let (m, p) = (sde.marginal(t - h), sde.marginal(t + h));
            let a = (p.alpha / m.alpha).ln() / (2.0 * h);
            let v = (p.sigma * p.sigma - m.sigma * m.sigma) / (2.0 * h);
            let (a1, g2) = (sde.drift_coef(t), sde.diffusion_squared(t));
            assert!((a / a1 - 1.0).abs() < 1e-6, "{t}: {a} {a1}");
            let v1 = 2.0 * a1 * sde.marginal(t).sigma.powi(2) + g2;
            assert!((v - v1).abs() < 1e-6 * g2, "{t}: {v} {v1}");

            let (s, m) = (0.3 * t, sde.marginal(t));
            let (k, m0) = (sde.transition(s, t), sde.marginal(s));
            assert!((k.alpha * m0.alpha / m.alpha - 1.0).abs() < 1e-13);
            let var = (k.alpha * m0.sigma).powi(2) + k.sigma.powi(2);
            assert!((var / m.sigma.powi(2) - 1.0).abs() < 1e-12);

            let back = sde.time_of_half_log_snr(sde.half_log_snr(t)).unwrap();
            assert!((back / t - 1.0).abs() < 1e-11, "{t} {back}");
        }
        assert_eq!(sde.time_of_half_log_snr(f64::INFINITY).unwrap(), 0.0);
        assert!(sde.time_of_half_log_snr(-10.0).is_err());
        assert!(sde.time_of_half_log_snr(f64::NAN).is_err());
    }
}

/// `(sigma / alpha)^2` is beyond the numbers from step 1024 on, `alpha` below them from 2151 on: the
/// logarithm goes on by `log(2) / 2` a step.
#[test]
fn signal_below_the_numbers_is_none() {
    for between in [Between::LogRatio, Between::Ratio] {
        let sde = Discrete::new(&[0.5; 4000]).unwrap().with_between(between);
        let m = sde.marginal(4000.0);
        assert_eq!((m.alpha, m.sigma), (0.0, 1.0));
        let change = sde.half_log_snr(3000.0) - sde.half_log_snr(2000.0);
        assert!((change + 500.0 * std::f64::consts::LN_2).abs() < 1e-9, "{change}");
    }
    let sde = Discrete::new(&[0.5; 4000]).unwrap();
    for t in [900.5, 1500.25, 3999.0] {
        let found = sde.time_of_half_log_snr(sde.half_log_snr(t)).unwrap();
        assert!((found - t).abs() < 1e-9, "{t}: {found}");
    }
}

#[test]
fn bad_betas_are_refused() {
    let said = |betas: &[f64]| Discrete::new(betas).unwrap_err().to_string();
    assert_eq!(said(&[0.1]), "betas = 1: need at least two");
    assert_eq!(said(&[1.0, 0.1]), "beta[0] = 1: must lie between 0 and 1");
    assert_eq!(said(&[f64::NAN, 0.1]), "beta[0] = NaN: must lie between 0 and 1");
}
