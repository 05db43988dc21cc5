use super::*;
use crate::schedule::ddpm_betas;
use crate::{Brownian, Discrete, Edm, Ou, SubVp, Ve, Vp};

/// Straight paths between data and noise, the end without signal included.
struct Straight;

impl Sde for Straight {
    fn name(&self) -> String {
        "straight".into()
    }
    fn horizon(&self) -> f64 {
        1.0
    }
    fn drift_coef(&self, t: f64) -> f64 {
        -1.0 / (1.0 - t)
    }
    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * t / (1.0 - t)
    }
    fn marginal(&self, t: f64) -> Marginal {
        Marginal { alpha: 1.0 - t, sigma: t }
    }
    fn marginal_rate(&self, _t: f64) -> Marginal {
        Marginal { alpha: -1.0, sigma: 1.0 }
    }
    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        Ok(1.0 / (1.0 + lambda.exp()))
    }
    fn prior_std(&self) -> f64 {
        1.0
    }
}

fn processes() -> Vec<Box<dyn Sde>> {
    vec![
        Box::new(Vp::default()),
        Box::new(SubVp::default()),
        Box::new(Ve::default()),
        Box::new(Ou::default()),
        Box::new(Edm::default()),
        Box::new(Brownian::default()),
        Box::new(Discrete::new(&ddpm_betas(1000, 0.1, 20.0)).unwrap()),
        Box::new(Straight),
    ]
}

fn all() -> Vec<Parametrisation> {
    Parametrisation::NAMES.iter().map(|n| n.parse().unwrap()).collect()
}

/// From data and noise to the target and back, over all processes, times and parametrisations.
#[test]
fn data_noise_score_and_velocity_come_back() {
    let (x0, e) = (0.83, -1.37);
    for sde in processes() {
        for share in [1e-6, 1e-3, 0.1, 0.37, 0.7, 0.999] {
            let l = Level::at(&*sde, share * sde.horizon());
            let x = l.alpha * x0 + l.sigma * e;
            for p in all() {
                let what = format!("{p} under {} at {share}", sde.name());
                let t = p.target(&l);
                let output = t.x0 * x0 + t.eps * e;
                // A value that is the difference of two is as exact as these.
                let close = |name: &str, c: Combination, expected: f64| {
                    let size = (c.x * x).abs() + (c.p * output).abs() + expected.abs();
                    let error = (c.of(x, output) - expected).abs();
                    assert!(error <= 1e-14 * size, "{name}, {what}: {error:e} of {size}");
                };
                close("x0", p.denoised(&l), x0);
                close("eps", p.eps(&l), e);
                close("score", p.score(&l), -e / l.sigma);
                close("velocity", p.velocity(&l), l.rates.alpha * x0 + l.rates.sigma * e);
                // An error of one in the noise at a fixed point.
                let other = (x - l.sigma * (e + 1.0)) / l.alpha;
                let change = t.x0 * (other - x0) + t.eps;
                let factor = p.error_per_eps(&l);
                assert!((factor / change - 1.0).abs() < 1e-9, "{what}: {factor} for {change}");
            }
        }
    }
}

/// The rates belong to the marginals, and so do the derivatives of all coefficients.
#[test]
fn rates_are_derivatives() {
    for sde in processes() {
        for share in [0.0113, 0.1234, 0.5678, 0.9012] {
            let (t, h) = (share * sde.horizon(), 1e-4 * share * sde.horizon());
            // Fourth order.
            let slope = |f: &dyn Fn(f64) -> f64| {
                let d = |k: f64| f(t + k * h) - f(t - k * h);
                (8.0 * d(1.0) - d(2.0)) / (12.0 * h)
            };
            let close = |what: &str, found: f64, f: &dyn Fn(f64) -> f64| {
                let (expected, size) = (slope(f), f(t).abs() / t);
                let off = (found - expected).abs();
                let name = sde.name();
                assert!(
                    off <= 1e-8 * (expected.abs() + size),
                    "{what}, {name}, t = {t}: {found}, {expected}"
                );
            };
            let l = Level::at(&*sde, t);
            close("alpha", l.rates.alpha, &|t| sde.marginal(t).alpha);
            close("sigma", l.rates.sigma, &|t| sde.marginal(t).sigma);
            close("variance", l.rates.variance, &|t| sde.marginal(t).sigma.powi(2));
            close("log-SNR", -l.snr_decay(), &|t| 2.0 * sde.half_log_snr(t));
            let rate = sde.diffusion_squared(t) / l.sigma.powi(2);
            assert!((l.snr_decay() / rate - 1.0).abs() < 1e-12, "{}", sde.name());
            for p in all().into_iter().filter(|p| *p != Parametrisation::Velocity) {
                let at = |t: f64| Level::at(&*sde, t);
                let (d, s) = (p.denoised_rate(&l), p.score_rate(&l));
                close("D, x", d.x, &|t| p.denoised(&at(t)).x);
                close("D, p", d.p, &|t| p.denoised(&at(t)).p);
                close("score, x", s.x, &|t| p.score(&at(t)).x);
                close("score, p", s.p, &|t| p.score(&at(t)).p);
            }
        }
    }
}

/// At the two ends where the limit is finite.
#[test]
fn ends_are_finite_where_their_limits_are() {
    let end = Level::at(&Straight, 1.0);
    for (p, output) in
        [("x0", 0.4), ("v", -0.4), ("edm-f:sigma-data=0.5", 0.8), ("velocity", 1.7 - 0.4)]
    {
        let (p, x): (Parametrisation, f64) = (p.parse().unwrap(), 1.7);
        let found = [p.denoised(&end), p.eps(&end), p.velocity(&end)].map(|c| c.of(x, output));
        let expected = [0.4, 1.7, 1.3];
        let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(close, "{p}: {found:?}");
        assert!((p.score(&end).of(x, output) + 1.7).abs() < 1e-15, "{p}");
    }
    for sde in processes() {
        let start = Level::at(&*sde, 0.0);
        if start.sigma > 0.0 {
            continue;
        }
        for p in all() {
            let d = p.denoised(&start).of(0.6, 3.0);
            let expected = if p == Parametrisation::X0 { 3.0 } else { 0.6 };
            assert_eq!(d, expected, "{p} under {}", sde.name());
        }
        // A score stays what it is, and an EDM network's noise is its output.
        assert_eq!(Parametrisation::Score.score(&start).of(0.6, 3.0), 3.0);
        let f = Parametrisation::F { sigma_data: 0.5 };
        assert_eq!(f.eps(&start).of(0.6, 3.0), -3.0);
    }
    // The velocity of VP knows its score even without noise.
    let start = Level::at(&Vp::default(), 0.0);
    let c = Parametrisation::Velocity.score(&start);
    assert_eq!((c.x, c.p), (-1.0, -20.0));
}

#[test]
fn names_are_read_back() {
    for p in all() {
        assert_eq!(p.to_string().parse::<Parametrisation>().unwrap(), p);
    }
    let refused = |text: &str| text.parse::<Parametrisation>().unwrap_err().to_string();
    assert!(
        refused("epsilon").contains("unknown parametrisation `epsilon`: expected one of eps, x0")
    );
    assert!(refused("v:gamma=5").contains("gamma"));
    assert!(refused("edm-f:sigma-data=-1").contains("sigma-data = -1"));
}
