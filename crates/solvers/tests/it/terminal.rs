//! From `t = T` without signal: rectified flow, the cosine schedule, a table rescaled to zero terminal
//! signal-to-noise. In one dimension the flow takes quantiles to quantiles: `F_t(x_t)` stays what it was.

use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::schedule::{ddpm_betas, zero_terminal_snr};
use sde_core::{
    CosineVp, Discrete, Error, FnScore, Key, Rectified, Score, Sde, TimeGrid, Tolerance,
    flow_velocity,
};
use solvers::density::{
    Divergence, FlowDensity, PathDensity, flow_log_density, sampler_log_density, standard_log_prior,
};
use solvers::{BadRows, Control, End, Method, SamplerBuilder, SolveError};

const WEIGHTS: [f64; 2] = [0.35, 0.65];
const MEANS: [f64; 2] = [-1.2, 0.8];
const VARIANCES: [f64; 2] = [0.09, 0.25];

fn mixture() -> GaussianMixture {
    let covs: Vec<Array2<f64>> = VARIANCES.iter().map(|v| array![[*v]]).collect();
    GaussianMixture::new(&WEIGHTS, &array![[MEANS[0]], [MEANS[1]]], &covs).unwrap()
}

/// Abramowitz, Stegun 7.1.26: within 1e-7.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let powers = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let tail = powers.iter().rev().fold(0.0, |p, c| (p + c) * t) * (-z * z).exp();
    if x > 0.0 { 1.0 - 0.5 * tail } else { 0.5 * tail }
}

/// The distribution function at `t`.
fn cdf(sde: &dyn Sde, t: f64, x: f64) -> f64 {
    let m = sde.marginal(t);
    let one = |k: usize| {
        let std = (m.alpha * m.alpha * VARIANCES[k] + m.sigma * m.sigma).sqrt();
        WEIGHTS[k] * normal_cdf((x - m.alpha * MEANS[k]) / std)
    };
    one(0) + one(1)
}

fn sdes() -> Vec<(Box<dyn Sde>, f64)> {
    let table = Discrete::new(&zero_terminal_snr(&ddpm_betas(200, 0.1, 20.0))).unwrap();
    vec![(Box::new(Rectified), 1e-3), (Box::new(CosineVp), 1e-3), (Box::new(table), 0.1)]
}

/// A method that says in words why it does not begin there.
fn said(error: &SolveError) -> bool {
    let text = error.to_string();
    matches!(error, SolveError::Model { source: Error::Parameter { .. }, .. }) && text.len() < 400
}

/// Euler's method of the flow and of what is no order at all.
fn coarse(method: Method) -> bool {
    method.order().started <= 1.0
}

#[test]
fn every_method_begins_without_signal_or_says_why_not() {
    let (mut missed, mut refused) = (vec![], 0);
    for (sde, end) in sdes() {
        let sde = &*sde;
        assert_eq!(sde.marginal(sde.horizon()).alpha, 0.0);
        let (data, like, n) = (mixture(), array![[0.0]], 2000);
        let score = data.under(sde);
        for &method in Method::ALL {
            for eta in [0.0, 1.0] {
                if eta > 0.0 && !method.stochastic() {
                    continue;
                }
                let what = format!("{} {} eta = {eta}", method.name(), sde.name());
                let plan = SamplerBuilder::new(method, eta, 150).stop(end).end(End::Plain);
                let x = match plan.draw(sde, &score, n, &like, Key::root(1)) {
                    Ok(x) => x,
                    Err(e) => {
                        assert!(said(&e), "{what}: {e}");
                        refused += 1;
                        continue;
                    }
                };
                let mut at: Vec<f64> = x.iter().map(|x| cdf(sde, end, *x)).collect();
                let mut worst = 0.0_f64;
                if eta == 0.0 && !method.own_noise() && !method.corrects() {
                    let z = sde_core::State::normals_like(
                        &Array2::zeros((2000, 1)),
                        Key::root(1).fold(0),
                        0,
                    );
                    for (u, z) in at.iter().zip(&z.unwrap()) {
                        worst = worst.max((u - normal_cdf(*z)).abs());
                    }
                } else {
                    // Kolmogorov's distance of 2000 draws is below 0.06 but for one in a million.
                    at.sort_by(f64::total_cmp);
                    for (i, u) in at.iter().enumerate() {
                        worst = worst.max((u - (i as f64 + 0.5) / 2000.0).abs());
                    }
                    worst -= 0.06;
                }
                let most = if coarse(method) { 0.05 } else { 0.01 };
                if worst.is_nan() || worst > most {
                    missed.push(format!("{what}: {worst}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    // Of 57 methods, thrice and some with two eta, most begin there.
    assert!(refused < 70, "{refused}");
}

/// What refuses is what must: methods in time with noise, where the drift is infinite, and the discrete-time ones.
#[test]
fn refusals_are_those_of_the_formulas() {
    let score = mixture();
    let score = score.under(&Rectified);
    let attempt = |method, eta| {
        let plan = SamplerBuilder::new(method, eta, 50);
        plan.draw(&Rectified, &score, 3, &array![[0.0]], Key::root(1)).map_err(|e| e.to_string())
    };
    let e = attempt(Method::EulerMaruyama, 1.0).unwrap_err();
    assert!(e.contains("a = -inf: at t = 1 the drift of the reverse SDE is infinite"), "{e}");
    let e = attempt(Method::Ancestral, 1.0).unwrap_err();
    assert!(e.contains("no signal is left at t = 1"), "{e}");
    for (method, eta) in [
        (Method::EulerMaruyama, 0.0),
        (Method::Heun, 0.0),
        (Method::Dopri5, 0.0),
        (Method::Ddim, 0.0),
        (Method::DpmSolverPP2M, 0.0),
        (Method::UniPcBh2P3, 0.0),
        (Method::ExponentialEulerMaruyama, 1.0),
        (Method::DpmSolverPP2MSde, 1.0),
        (Method::SaSolver, 1.0),
    ] {
        assert!(attempt(method, eta).is_ok(), "{} {eta}", method.name());
    }
    // Grids in log(alpha / sigma) begin where it is a number.
    for grid in [TimeGrid::LogSnr, TimeGrid::Karras { rho: 7.0 }, TimeGrid::Cosine { s: 0.008 }] {
        let e = grid.times(&Rectified, 10, 1.0, 1e-3).unwrap_err().to_string();
        assert!(e.contains("needs alpha > 0 there"), "{e}");
        assert!(grid.times(&Rectified, 10, 0.999, 1e-3).is_ok());
    }
}

/// Steps by tolerance from `t = T`, for methods in time and in `log(alpha / sigma)`.
#[test]
fn adaptive_steps_begin_without_signal() {
    let (data, like) = (mixture(), array![[0.0]]);
    let tol = Tolerance { abs: 1e-6, rel: 1e-6 };
    let z =
        sde_core::State::normals_like(&Array2::zeros((40, 1)), Key::root(1).fold(0), 0).unwrap();
    for sde in [&Rectified as &dyn Sde, &CosineVp] {
        let score = data.under(sde);
        for &method in Method::ALL.iter().filter(|m| m.adaptive()) {
            let plan = SamplerBuilder::adaptive(method, 0.0, tol);
            let x = plan.draw(sde, &score, 40, &like, Key::root(1)).unwrap();
            for (x, z) in x.iter().zip(&z) {
                let gap = (cdf(sde, 1e-3, *x) - normal_cdf(*z)).abs();
                assert!(gap < 1e-4, "{} {}: {gap}", method.name(), sde.name());
            }
        }
    }
}

/// A score that says nothing of the data cannot begin without signal; below it can.
#[test]
fn a_score_alone_begins_below() {
    let data = mixture();
    let exact = data.under(&Rectified);
    let bare = FnScore::new(|x: &Array2<f64>, t| exact.score(x, t));
    let draw = |plan: SamplerBuilder| plan.draw(&Rectified, &bare, 5, &array![[0.0]], Key::root(1));
    for method in [Method::EulerMaruyama, Method::Heun, Method::DpmSolverPP2M] {
        let e = draw(SamplerBuilder::new(method, 0.0, 20)).unwrap_err();
        assert!(said(&e), "{e}");
        assert!(
            draw(SamplerBuilder::new(method, 0.0, 20).start(0.999)).is_ok(),
            "{}",
            method.name()
        );
    }
    // Where there is a signal, the velocity is that of the coefficients.
    let x = array![[0.3], [-2.0]];
    let (s, u) =
        (exact.score(&x, 0.6).unwrap(), flow_velocity(&Rectified, &bare, &x, 0.6).unwrap());
    let plain = &x * Rectified.drift_coef(0.6) - 0.5 * Rectified.diffusion_squared(0.6) * &s;
    assert!((u - plain).iter().all(|e: &f64| e.abs() < 1e-12));
}

/// Densities up to `t = T`: exact along the flow, refused along noisy paths, whose residual is infinite there.
#[test]
fn densities_reach_the_end_of_the_signal() {
    let data = mixture();
    let x = array![[-1.0], [0.2], [1.1]];
    for sde in [&Rectified as &dyn Sde, &CosineVp] {
        let model = data.under(sde);
        let tol = Tolerance { abs: 1e-9, rel: 1e-9 };
        let control = Control::Adaptive { t_start: 1e-3, t_end: 1.0, tol };
        let prior = |x: &Array2<f64>| standard_log_prior(sde, x);
        let (divergence, block_rows) = (Divergence::Exact, 1);
        let flow = FlowDensity { divergence, control: control.clone(), block_rows };
        let found = flow_log_density(&flow, sde, &model, &x, &prior, Key::root(1), 0).unwrap();
        for (found, exact) in found.log_density.iter().zip(model.log_density(&x, 1e-3).unwrap()) {
            assert!((found - exact).abs() < 1e-6, "{}: {found} {exact}", sde.name());
        }
        let paths = PathDensity { eta: 1.0, n_paths: 20, control, block_rows };
        let e = sampler_log_density(&paths, sde, &model, &x, &prior, Key::root(1), 0).unwrap_err();
        assert!(e.to_string().contains("infinite coefficients"), "{e}");
    }
}

/// A row that cannot be solved, among particles of a range: its number, and the others as they are.
#[test]
fn a_bad_row_keeps_its_number() {
    let score =
        FnScore::new(
            |x: &Array2<f64>, _| Ok(x.mapv(|x| if x > 1e3 { f64::NAN } else { -2.0 * x })),
        );
    let ou = sde_core::Ou::default();
    let x = array![[0.5], [2e3], [-0.5]];
    let control = Control::Grid(vec![0.0, 0.1, 0.2]);
    let told = std::sync::Mutex::new(vec![]);
    let tell = |row, _| told.lock().unwrap().push(row);
    let bad = BadRows::Nan(&tell);
    let (end, _) = solvers::flow(Method::Heun, (&control, bad), &ou, &score, &x, 70, 64).unwrap();
    assert_eq!(*told.lock().unwrap(), [71]);
    assert!(end[[0, 0]].is_finite() && end[[1, 0]].is_nan() && end[[2, 0]].is_finite());
}
