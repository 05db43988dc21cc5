//! Weightings, laws of the times, importance sampling, measured constants: by closed forms and
//! quadrature.

use score_nets::{
    FnSource, Reduction, TimeDistribution, Weighting, importance_integral, log_variance,
    sigma_data, variance_factor,
};
use sde_core::{Discrete, Edm, Key, Level, Ou, Parametrisation, Sde, SubVp, Ve, Vp, schedule};

use crate::common::Outcome;

fn processes() -> [Box<dyn Sde>; 5] {
    [
        Box::new(Vp::default()),
        Box::new(SubVp::default()),
        Box::new(Ve::default()),
        Box::new(Ou::default()),
        Box::new(Edm::default()),
    ]
}

fn all() -> Vec<Weighting> {
    Weighting::NAMES.iter().map(|n| n.parse().expect("a name")).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} for {expected}");
}

/// Simpson's rule on a grid that is even in `log(t)`.
fn integral(from: f64, to: f64, f: &dyn Fn(f64) -> f64) -> f64 {
    let n = 20_000;
    let h = (to / from).ln() / f64::from(n);
    let at = |i: i32| {
        let t = from * (h * f64::from(i)).exp();
        f(t) * t
    };
    let weight = |i: i32| if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=n).map(|i| weight(i) * at(i)).sum::<f64>() * h / 3.0
}

/// What their papers write, in alpha, sigma and g.
#[test]
fn weightings_are_what_their_papers_say() -> Outcome {
    for sde in processes() {
        for share in [0.001, 0.1, 0.5, 0.9] {
            let t = share * sde.horizon();
            let (m, g2) = (sde.marginal(t), sde.diffusion_squared(t));
            let (snr, l) = ((m.alpha / m.sigma).powi(2), Level::at(&*sde, t));
            let w = |name: &str| name.parse::<Weighting>().map(|w| w.on_eps(&l));
            close(w("one")?, 1.0 / m.sigma.powi(2), 1e-13);
            close(w("sigma-squared")?, 1.0, 0.0);
            close(w("diffusion-squared")?, g2 / m.sigma.powi(2), 1e-12);
            close(w("vdm")?, 0.5 * g2 / m.sigma.powi(2), 1e-12);
            close(w("min-snr:gamma=3")?, snr.min(3.0) / snr, 1e-13);
            close(w("p2:k=2,gamma=0.5")?, (2.0 + snr).sqrt().recip(), 1e-13);
            close(w("edm:sigma-data=0.7")?, 1.0 + 1.0 / (snr * 0.49), 1e-13);
            close(w("sigmoid:b=1")?, 1.0 / (1.0 + (snr.ln() - 1.0).exp()), 1e-12);
            close(w("sigmoid-time:b=1")?, w("sigmoid:b=1")? * w("vdm")?, 1e-13);
            close(w("data")?, 1.0 / snr, 1e-13);
            // EDM's weight on the denoised error in its own noise level.
            let s = m.sigma / m.alpha;
            let edm = schedule::EdmPreconditioning { sigma_data: 0.7 };
            let on_data = "edm:sigma-data=0.7".parse::<Weighting>()?.on(Parametrisation::X0, &l);
            close(on_data, edm.loss_weight(s), 1e-12);
        }
    }
    Ok(())
}

/// One loss whatever the network gives, and the weight on the score that configurations meant.
#[test]
fn a_weighting_is_one_loss_in_every_form() -> Outcome {
    let outputs: Vec<Parametrisation> =
        Parametrisation::NAMES.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    for sde in processes() {
        for share in [0.003, 0.3, 0.97] {
            let t = share * sde.horizon();
            let l = Level::at(&*sde, t);
            for w in all() {
                for output in &outputs {
                    let error = output.error_per_eps(&l).powi(2);
                    let loss = if w == Weighting::Native { 1.0 } else { w.on_eps(&l) / error };
                    close(w.on(*output, &l), loss, 1e-13);
                }
                if w != Weighting::Native {
                    close(w.at(&*sde, t), w.on_eps(&l) * l.sigma.powi(2), 1e-12);
                }
            }
            // To the bit.
            assert_eq!(Weighting::One.at(&*sde, t), 1.0);
            assert_eq!(Weighting::SigmaSquared.at(&*sde, t), sde.marginal(t).sigma.powi(2));
            assert_eq!(Weighting::DiffusionSquared.at(&*sde, t), sde.diffusion_squared(t));
        }
    }
    Ok(())
}

#[test]
fn weightings_are_texts_in_configurations() -> Outcome {
    for w in all() {
        let text = serde_json::to_string(&w)?;
        assert_eq!(serde_json::from_str::<Weighting>(&text)?, w, "{text}");
    }
    let text = |w: Weighting| serde_json::to_string(&w);
    assert_eq!(text(Weighting::One)?, "\"one\"");
    assert_eq!(text(Weighting::SigmaSquared)?, "\"sigma-squared\"");
    assert_eq!(text(Weighting::DiffusionSquared)?, "\"diffusion-squared\"");
    assert_eq!(text(Weighting::MinSnr { gamma: 5.0 })?, "\"min-snr:gamma=5\"");
    let refused =
        |text: &str| text.parse::<Weighting>().map_or_else(|e| e.to_string(), |w| w.to_string());
    assert!(refused("snr").contains("weighting = snr: expected one of one, sigma-squared"));
    assert!(refused("min-snr:gamma=0").contains("gamma = 0.0: must be finite and positive"));
    assert!(refused("min-snr:b=1").contains("unknown constant `b`"));
    assert!(refused("one:b=1").contains("b = 1: there are no constants to give here"));
    assert!(refused("sigmoid:b=inf").contains("b = inf"));
    Ok(())
}

fn laws() -> Vec<TimeDistribution> {
    vec![
        TimeDistribution::Uniform,
        TimeDistribution::Beta { a: 2.0, b: 3.0 },
        TimeDistribution::LogSnr,
        TimeDistribution::LogUniform { shift: 0.02 },
        TimeDistribution::LogNormal { mean: -1.2, std: 1.2 },
        TimeDistribution::LogNormal { mean: 9.0, std: 0.8 },
        TimeDistribution::LogNormal { mean: -25.0, std: 2.5 },
        TimeDistribution::LogitNormal { mean: 0.3, std: 0.8 },
        TimeDistribution::Mode { scale: 1.29 },
        TimeDistribution::Mode { scale: -0.7 },
        TimeDistribution::CosMap,
    ]
}

/// Inverse, distribution function and density belong together.
#[test]
fn quantiles_shares_and_densities_of_every_law() -> Outcome {
    for sde in processes() {
        let t_min = 1e-3 * sde.horizon();
        for law in laws() {
            for u in [1e-9, 1e-3, 0.2, 0.5, 0.83, 1.0 - 1e-6] {
                let t = law.time(&*sde, t_min, u)?;
                assert!(t >= t_min, "{law:?}");
                let found = law.cdf(&*sde, t_min, t)?;
                let density = law.density(&*sde, t_min, t)?;
                assert!((found - u).abs() < 1e-12, "{law:?}, {}: {found} for {u}", sde.name());
                let h = 1e-4 * (t - t_min).min(sde.horizon() - t).min(t);
                if u < 1e-3 || h <= 0.0 {
                    continue;
                }
                let cdf = |t: f64| law.cdf(&*sde, t_min, t);
                let slope = (8.0 * (cdf(t + h)? - cdf(t - h)?) - cdf(t + 2.0 * h)?
                    + cdf(t - 2.0 * h)?)
                    / (12.0 * h);
                // Of the shares, and of the times themselves.
                let rounding = 2e-14 * (1.0 + density * t) / h;
                assert!(
                    (slope - density).abs() < 1e-7 * density + rounding,
                    "{law:?}, {}, u = {u}: {density}, {slope}",
                    sde.name()
                );
            }
            assert_eq!(law.cdf(&*sde, t_min, t_min)?, 0.0, "{law:?}");
        }
    }
    Ok(())
}

/// Medians and one standard deviation of the normal laws, the formula of the mode.
#[test]
fn laws_have_their_published_quantiles() -> Outcome {
    let (below_one, edm) = (0.841_344_746_068_542_9, Edm::new(1e6)?);
    let law = TimeDistribution::LogNormal { mean: -1.2, std: 1.2 };
    close(law.time(&edm, 0.0, 0.5)?, (-1.2_f64).exp(), 1e-12);
    close(law.time(&edm, 0.0, below_one)?, 1.0, 1e-12);
    let law = TimeDistribution::LogitNormal { mean: 0.0, std: 1.0 };
    let vp = Vp::default();
    close(law.time(&vp, 0.0, 0.5)?, 0.5, 1e-12);
    close(law.time(&vp, 0.0, below_one)?, 1.0 / (1.0 + (-1.0_f64).exp()), 1e-12);
    for u in [0.1, 0.4, 0.9] {
        let (s, v) = (1.29, 1.0 - u);
        let half_pi = std::f64::consts::FRAC_PI_2;
        let mode = 1.0 - v - s * ((half_pi * v).cos().powi(2) - 1.0 + v);
        close(TimeDistribution::Mode { scale: s }.time(&vp, 0.0, u)?, mode, 1e-14);
        let cos_map = 1.0 - 1.0 / ((half_pi * u).tan() + 1.0);
        close(TimeDistribution::CosMap.time(&vp, 0.0, u)?, cos_map, 1e-13);
    }
    Ok(())
}

#[test]
fn steps_are_those_of_the_process() -> Outcome {
    let discrete = Discrete::new(&schedule::ddpm_betas(1000, 0.1, 20.0))?;
    let law = TimeDistribution::Steps { n: 1000 };
    for i in 0..1000 {
        let u = (f64::from(i) + 0.5) / 1000.0;
        assert_eq!(law.time(&discrete, 0.0, u)?, f64::from(i + 1));
        assert_eq!(law.cdf(&discrete, 0.0, f64::from(i + 1))?, f64::from(i + 1) / 1000.0);
    }
    assert_eq!(law.time(&discrete, 3.0, 1e-9)?, 3.0);
    assert_eq!(law.time(&discrete, 3.0, 1.0 - 1e-9)?, 1000.0);
    let (levels, ve) = (TimeDistribution::Levels { n: 1000 }, Ve::default());
    let sigmas = schedule::smld_sigmas(1000, 0.01, 50.0);
    for (i, sigma) in sigmas.iter().enumerate() {
        let t = levels.time(&ve, 0.0, (i as f64 + 0.5) / 1000.0)?;
        close(ve.marginal(t).sigma, *sigma, 1e-13);
    }
    let refused = |law: TimeDistribution| {
        law.validate(0.5, 1.0).map_or_else(|e| e.to_string(), |()| String::new())
    };
    assert!(refused(TimeDistribution::Steps { n: 0 }).contains("n = 0: must be at least 1"));
    assert!(refused(TimeDistribution::Levels { n: 1 }).contains("n = 1: must be at least 2"));
    assert!(refused(TimeDistribution::Mode { scale: 2.0 }).contains("scale = 2.0"));
    assert!(refused(TimeDistribution::LogNormal { mean: 0.0, std: 0.0 }).contains("std = 0.0"));
    assert!(law.density(&discrete, 0.0, 1.0).is_err());
    let far = TimeDistribution::LogNormal { mean: 300.0, std: 0.1 }.time(&ve, 0.0, 0.5);
    assert!(far.is_err_and(|e| e.to_string().contains("leaves nothing of the law")));
    let endless = TimeDistribution::LogSnr.time(&Vp::default(), 0.0, 0.5);
    assert!(endless.is_err_and(|e| e.to_string().contains("no uniform law")));
    Ok(())
}

/// The normaliser against quadrature of `g^2 / sigma^2`, and the inverse against bisection of that
/// distribution function.
#[test]
fn importance_sampling_in_closed_form() -> Outcome {
    for sde in processes() {
        for share in [1e-5, 1e-3] {
            let (t_min, horizon) = (share * sde.horizon(), sde.horizon());
            let rate = |t: f64| sde.diffusion_squared(t) / sde.marginal(t).sigma.powi(2);
            let z = importance_integral(&*sde, t_min)?;
            close(z, integral(t_min, horizon, &rate), 1e-12);
            let u = 0.37;
            let t = TimeDistribution::LogSnr.time(&*sde, t_min, u)?;
            close(integral(t_min, t, &rate), u * z, 1e-11);
            close(TimeDistribution::LogSnr.density(&*sde, t_min, t)?, rate(t) / z, 1e-12);
        }
    }
    Ok(())
}

/// The measured factor against that by quadrature.
#[test]
fn importance_sampling_cuts_the_variance_as_computed() -> Outcome {
    let (sde, t_min) = (Ou::default(), 0.1);
    let rate = |t: f64| sde.diffusion_squared(t) / sde.marginal(t).sigma.powi(2);
    // An error that changes with time, times the square of a normal number: mean 1, square 3.
    let error = |t: f64| 1.0 / (1.0 + t);
    let integrand = |t: f64, key: Key| {
        let mut z = [0.0];
        key.fill_normals(0, &mut z);
        Ok(rate(t) * error(t) * z[0] * z[0])
    };
    let laws = [TimeDistribution::Uniform, TimeDistribution::LogSnr];
    let n = 100_000;
    let found = variance_factor(&sde, t_min, laws, &integrand, n, Key::root(5))?;
    let mean = integral(t_min, 10.0, &|t| rate(t) * error(t));
    let variance = |density: &dyn Fn(f64) -> f64| {
        3.0 * integral(t_min, 10.0, &|t| (rate(t) * error(t)).powi(2) / density(t)) - mean * mean
    };
    let z = importance_integral(&sde, t_min)?;
    let exact = variance(&|_| 1.0 / (10.0 - t_min)) / variance(&|t| rate(t) / z);
    // SciPy's quadrature.
    close(exact, 2.214_266_256_650_829_8, 1e-9);
    // 4.9 standard errors: a false alarm in 1e6.
    assert!((found.factor - exact).abs() < 4.9 * found.standard_error, "{found:?} for {exact}");
    assert!(found.standard_error < 0.2 * exact);
    for i in 0..2 {
        assert!((found.means[i] - mean).abs() < 4.9 * found.mean_errors[i], "{found:?} for {mean}");
    }
    let flat = variance_factor(&sde, t_min, laws, &|t, _| Ok(rate(t)), 1000, Key::root(1));
    assert!(flat.is_err_and(|e| e.to_string().contains("no variance at all")));
    Ok(())
}

#[test]
fn learned_log_variance() {
    for (loss, u) in [(0.3, -1.0), (2.0, 0.5), (100.0, 4.0)] {
        let (at, h) = (log_variance(loss, u), 1e-5);
        close(at.value, loss / u.exp() + u, 1e-14);
        let slope = (log_variance(loss + h, u).value - log_variance(loss - h, u).value) / (2.0 * h);
        close(at.by_loss, slope, 1e-8);
        let slope = (log_variance(loss, u + h).value - log_variance(loss, u - h).value) / (2.0 * h);
        close(at.by_u, slope, 1e-8);
    }
}

#[test]
fn reductions() -> Outcome {
    for (reduction, name, scale) in [
        (Reduction::Mean, "\"mean\"", 0.125),
        (Reduction::HalfSum, "\"half-sum\"", 0.5),
        (Reduction::Sum, "\"sum\"", 1.0),
    ] {
        assert_eq!(reduction.scale(8), scale);
        assert_eq!(serde_json::to_string(&reduction)?, name);
    }
    Ok(())
}

/// Its standard error against the scatter over many keys; rows are far from zero, and coordinates of
/// a row go together.
#[test]
fn sigma_data_and_its_standard_error() -> Outcome {
    let source = FnSource::new(3, |key: Key, row: u64, out: &mut [f64]| {
        for (i, x) in out.chunks_mut(3).enumerate() {
            key.fill_normals(3 * (row + i as u64), x);
            let common = x[0] * x[0];
            x.iter_mut().zip([100.0, 101.0, 103.0]).for_each(|(x, m)| *x = 0.5 * *x + common + m);
        }
        Ok(())
    });
    // Variances 0.25 + 2 (+ 0 by E z^3 = 0), thrice; means 1 apart from 101 1/3 by -4/3, -1/3, 5/3.
    let exact = (2.25 + (16.0 + 1.0 + 25.0) / 27.0_f64).sqrt();
    let (n, keys) = (400, 2000);
    let all =
        (0..keys).map(|k| sigma_data(&source, Key::root(k), n)).collect::<Result<Vec<_>, _>>()?;
    let count = keys as f64;
    let mean = all.iter().map(|s| s.value).sum::<f64>() / count;
    let scatter = all.iter().map(|s| (s.value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let stated = all.iter().map(|s| s.standard_error.powi(2)).sum::<f64>() / count;
    // A variance over 2000 runs is known to sqrt(2 / 2000) = 3 %; 4.9 of them, and what is of order
    // 1 / n.
    assert!((stated / scatter - 1.0).abs() < 0.16, "{stated} {scatter}");
    assert!(
        (mean - exact).abs() < 4.9 * (scatter / count).sqrt() + exact / f64::from(400),
        "{mean} {exact}"
    );
    let one = FnSource::new(1, |_: Key, _: u64, out: &mut [f64]| {
        out.fill(7.0);
        Ok(())
    });
    assert!(sigma_data(&one, Key::root(0), 10).is_err());
    assert!(sigma_data(&source, Key::root(0), 1).is_err());
    Ok(())
}
