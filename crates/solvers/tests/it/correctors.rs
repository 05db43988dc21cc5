//! Discrete-time samplers, Langevin correctors, Restart and Langevin dynamics.

use ndarray::{Array1, Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Dynamics, Key, Langevin, Marginal, Reverse, Sde, State, SubVp, TimeGrid, Ve, Vp};
use solvers::steppers::{Corrector, EulerMaruyama, PredictorCorrector, Restart};
use solvers::{
    Grid, IndependentIncrements, Method, Noise, NoiselessEnd, RestartInterval, Stepper, solve,
};

use crate::common::{distance, normals};
use crate::gaussian::Moments;
use crate::moments::carry;

type Rows = Array2<f64>;

fn gaussian(mean: f64, var: f64) -> GaussianMixture {
    GaussianMixture::new(&[1.0], &array![[mean]], &[array![[var]]]).unwrap()
}

fn law(mean: f64, var: f64) -> Moments {
    Moments { mean: Array1::from(vec![mean]), cov: array![[var]] }
}

/// Where `N(mean, var)` data are at a marginal.
fn forward(m: Marginal, mean: f64, var: f64) -> (f64, f64) {
    (m.alpha * mean, m.alpha * m.alpha * var + m.sigma * m.sigma)
}

/// Mean and variance of samples of `N(mean, var)` data by the formulas of the paper.
fn by_formula(
    (name, sde): (&str, &dyn Sde),
    method: Method,
    times: &[f64],
    (mean, var): (f64, f64),
) -> (f64, f64) {
    let (mut m, mut v) = (0.0, sde.prior_std().powi(2));
    let mut map = |a: f64, b: f64, c: f64| (m, v) = (a * m + b, a * a * v + c * c);
    for w in times.windows(2) {
        let (t, s) = (w[0], w[1]);
        let beta_h = if name == "ve" { 0.0 } else { -2.0 * sde.drift_coef(t) * (t - s) };
        let (now, next) = (sde.marginal(t), sde.marginal(s));
        let g2 = match name {
            "ve" => now.sigma.powi(2) - next.sigma.powi(2),
            "vp" => beta_h,
            _ => sde.diffusion_squared(t) * (t - s),
        };
        let (keep, up) = match name {
            "vp" => (2.0 - (1.0 - beta_h).sqrt(), 1.0 / (1.0 - beta_h).sqrt()),
            _ => (1.0 + 0.5 * beta_h, 1.0 / (1.0 - 0.5 * beta_h)),
        };
        let ancestral = if name == "ve" { g2.sqrt() * next.sigma / now.sigma } else { g2.sqrt() };
        let a = if name == "vp" { 1.0 - beta_h } else { up.powi(-2) };
        let (pm, pv) = forward(now, mean, var);
        // s(x) = (pm - x) / pv
        let langevin = |at: Marginal| {
            let (pm, pv) = forward(at, mean, var);
            let e = 2.0 * a * (0.16 * at.sigma).powi(2);
            (1.0 - e / pv, e * pm / pv, (2.0 * e).sqrt())
        };
        let fix = langevin(now);
        match method {
            Method::ReverseDiffusion => map(keep - g2 / pv, g2 * pm / pv, g2.sqrt()),
            Method::Ancestral => map(up * (1.0 - g2 / pv), up * g2 * pm / pv, ancestral),
            Method::PcNoneAld => map(fix.0, fix.1, fix.2),
            Method::PcReverseDiffusionAld => {
                map(fix.0, fix.1, fix.2);
                map(keep - g2 / pv, g2 * pm / pv, g2.sqrt());
            }
            _ => (0..5).for_each(|_| {
                let fix = langevin(next);
                map(fix.0, fix.1, fix.2);
            }),
        }
    }
    (m, v)
}

/// One-dimensional moments by the formulas of the paper: every step is `x -> a x + b + c z`.
#[test]
fn discrete_samplers_and_ald_follow_their_formulas() {
    let (vp, ve, sub) = (Vp::new(0.1, 8.0).unwrap(), Ve::new(0.01, 5.0).unwrap(), SubVp::default());
    let (mean, var, n) = (0.7, 0.3, 40);
    let methods = [
        Method::ReverseDiffusion,
        Method::Ancestral,
        Method::PcReverseDiffusionAld,
        Method::PcNoneAld,
        Method::AnnealedLangevin,
    ];
    let sdes: [(&str, &dyn Sde); 3] = [("vp", &vp), ("ve", &ve), ("sub-vp", &sub)];
    for (name, sde) in sdes {
        let data = gaussian(mean, var);
        let score = data.under(sde);
        let problem = Reverse::sde(sde, &score);
        let times = TimeGrid::Uniform.times(sde, n, 1.0, 1e-3).unwrap();
        for method in methods {
            let (m, v) = by_formula((name, sde), method, &times, (mean, var));
            let start = law(0.0, sde.prior_std().powi(2));
            let grid = Grid::new(times.clone()).unwrap();
            let found = carry(&*method.stepper(), &problem, &grid, 1.0, &start);
            let e = (found.mean[0] - m).abs().max((found.cov[[0, 0]] / v - 1.0).abs());
            assert!(e < 1e-10, "{name}, {}: {e:e}", method.name());
        }
    }
}

/// With `b >= 1` the discrete process keeps no signal: the error names `beta`, the time and the step.
#[test]
fn steps_too_long_for_vp_are_named() {
    let vp = Vp::default();
    let data = gaussian(0.0, 1.0);
    let score = data.under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let noise = IndependentIncrements::new(Key::root(0), 0);
    let with = |method: Method, n| {
        let mut grid = Grid::new(TimeGrid::Uniform.times(&vp, n, 1.0, 0.0).unwrap()).unwrap();
        let x = normals(1, 4, 1);
        solve(&*method.stepper(), &problem, x, 1.0, &mut grid, &noise, &mut ()).map(|s| s.x)
    };
    let methods = [
        Method::Ancestral,
        Method::ReverseDiffusion,
        Method::PcAncestralLangevin,
        Method::PcReverseDiffusionLangevin,
        Method::PcEulerMaruyamaLangevin,
        Method::AnnealedLangevin,
    ];
    for method in methods {
        for n in [1, 10, 20] {
            let said = with(method, n).unwrap_err().to_string();
            assert!(said.contains("beta(t) = 20 at t = 1"), "{said}");
            assert!(
                said.contains(&format!("a step of {}", 1.0 - (1.0 - 1.0 / n as f64))),
                "{said}"
            );
        }
        assert!(with(method, 21).unwrap().iter().all(|x| x.is_finite()), "{}", method.name());
    }
    let forward = problem_step_forward(&vp);
    assert!(forward.contains("steps back in time"), "{forward}");
}

fn problem_step_forward(sde: &dyn Sde) -> String {
    sde.discretise(0.2, 0.3).unwrap_err().to_string()
}

/// The length of a corrector's step: a row never depends on its neighbours, the noise of a row does not change
/// it, and in many dimensions it is the published one of a single row.
#[test]
fn a_corrector_takes_the_norms_of_each_row() {
    let vp = Vp::default();
    let (t, a, snr) = (0.4, 0.9, 0.16);
    let sigma = vp.marginal(t).sigma;
    for d in [1, 2, 40, 2000] {
        let means = Array2::from_shape_fn((2, d), |(k, _)| if k == 0 { 1.0 } else { -1.0 });
        let data = GaussianMixture::isotropic(&[0.5, 0.5], &means, &[0.3, 0.3]).unwrap();
        let score = data.under(&vp);
        let problem = Reverse::sde(&vp, &score);
        let (x, z) = (normals(3, 8, d), normals(4, 8, d));
        let rule = Corrector::Langevin { snr };
        let found = rule.correct(&problem, &x, t, a, &z).unwrap();
        let s = sde_core::Score::score(&score, &x, t).unwrap();
        for b in 0..8 {
            let (dim, square) = (d as f64, s.row(b).dot(&s.row(b)));
            let own = dim / (dim + 2.0 / (snr * snr));
            let norm = own * square + (1.0 - own) * dim / (sigma * sigma);
            let e = 2.0 * a * snr * snr * dim / norm;
            let expected = &x.row(b) + &(&s.row(b) * e) + &z.row(b) * (2.0 * e).sqrt();
            assert!((&found.row(b) - &expected).iter().all(|d| d.abs() < 1e-12));
            let (one, alone) = (x.slice_rows(b, 1).unwrap(), z.slice_rows(b, 1).unwrap());
            assert_eq!(rule.correct(&problem, &one, t, a, &alone).unwrap().row(0), found.row(b));
            if d == 2000 {
                let published = 2.0 * a * (snr * z.row(b).dot(&z.row(b)).sqrt()).powi(2) / square;
                assert!((e / published - 1.0).abs() < 0.2, "{e} {published}");
            }
        }
    }
}

/// The law that corrector steps at one level lead to, from N(0, I): variances by a simulation of the chain
/// in another language, of relative error 1e-3.
#[test]
fn corrector_steps_have_a_stationary_law_in_any_dimension() {
    let cases = [(0.16, 1, 1.0316), (0.16, 2, 1.0309), (0.16, 3, 1.0323), (0.16, 8, 1.0325)];
    let more = [(0.5, 1, 1.3427), (0.5, 2, 1.3393), (0.5, 3, 1.3359)];
    let vp = Vp::default();
    // sigma^2 = 0.6.
    let t = (0..60).fold((0.0, 1.0), |(a, b), _| {
        let m = 0.5 * (a + b);
        if vp.marginal(m).sigma.powi(2) < 0.6 { (m, b) } else { (a, m) }
    });
    for (snr, d, expected) in cases.into_iter().chain(more) {
        let data = GaussianMixture::isotropic(&[1.0], &Array2::zeros((1, d)), &[1.0]).unwrap();
        let score = data.under(&vp);
        let problem = Reverse::sde(&vp, &score);
        let rows = 24_000 / d;
        let (mut x, mut sum, mut n) = (normals(5, rows, d), 0.0, 0.0);
        for i in 0..260 {
            let z = Array2::zeros((rows, d)).normals_like(Key::root(6).fold(i), 0).unwrap();
            x = Corrector::Langevin { snr }.correct(&problem, &x, t.0, 1.0, &z).unwrap();
            if i % 40 == 20 && i > 100 {
                (sum, n) = (sum + x.mapv(|x| x * x).mean().unwrap(), n + 1.0);
            }
        }
        // 4 means of 24 000 squares, 40 steps apart and correlated: as two of them, at the least.
        let error = 4.9 * (2.0_f64 / 48_000.0).sqrt() * expected + 2e-3;
        assert!((sum / n - expected).abs() < error, "{snr} {d}: {} {expected}", sum / n);
    }
}

/// The samplers with the ratio rule, in few dimensions: the variance is that of the data, up to what the
/// corrector's step costs, `1 / (1 - snr^2)`, and its knowledge of the row's own norm.
#[test]
fn predictor_correctors_sample_few_dimensions() {
    let vp = Vp::default();
    let methods = [
        Method::PcEulerMaruyamaLangevin,
        Method::PcReverseDiffusionLangevin,
        Method::PcAncestralLangevin,
    ];
    for d in [1, 2, 3, 8] {
        let data = GaussianMixture::isotropic(&[1.0], &Array2::zeros((1, d)), &[1.0]).unwrap();
        let score = data.under(&vp);
        let problem = Reverse::sde(&vp, &score);
        let times = TimeGrid::Uniform.times(&vp, 100, 1.0, 1e-3).unwrap();
        for method in methods {
            let rows = 12_000 / d;
            let mut grid = Grid::new(times.clone()).unwrap();
            let (noise, x) = (IndependentIncrements::new(Key::root(8), 0), normals(9, rows, d));
            let stepper = method.stepper();
            let x = solve(&*stepper, &problem, x, 1.0, &mut grid, &noise, &mut ()).unwrap().x;
            let found = x.mapv(|x| x * x).mean().unwrap();
            let (error, snr2) = (4.9 * (2.0_f64 / 12_000.0).sqrt(), 0.16_f64.powi(2));
            let most = (1.0 + 2.0 / (d as f64 + 2.0 / snr2)) / (1.0 - snr2);
            let name = method.name();
            assert!(found > 1.0 - error && found < most + error, "{name} {d}: {found}");
        }
    }
}

/// The mean square of samples after a solve.
fn variance<P: Dynamics<Rows>>(stepper: &dyn Stepper<Rows, P>, problem: &P, times: &[f64]) -> f64 {
    let noise = IndependentIncrements::new(Key::root(8), 0);
    let mut grid = Grid::new(times.to_vec()).unwrap();
    let x = normals(9, 500, 128);
    let x = solve(stepper, problem, x, times[0], &mut grid, &noise, &mut ()).unwrap().x;
    x.mapv(|x| x * x).mean().unwrap()
}

/// In many dimensions Langevin corrections with norms keep the law near `p_t`, though the predictor is coarse; without a
/// corrector the predictor-corrector is the predictor.
#[test]
fn correctors_pull_towards_the_marginal() {
    let vp = Vp::new(0.1, 8.0).unwrap();
    let data = GaussianMixture::isotropic(&[1.0], &Array2::zeros((1, 128)), &[0.7]).unwrap();
    let score = data.under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let noise = IndependentIncrements::new(Key::root(8), 0);
    let noiseless = NoiselessEnd::new(&noise, 0.1);
    let times = TimeGrid::Uniform.times(&vp, 10, 1.0, 0.1).unwrap();
    let exact = forward(vp.marginal(0.1), 0.0, 0.49).1;
    let rule = Corrector::Langevin { snr: 0.16 };
    let with = |corrections| {
        let pc = PredictorCorrector { predictor: EulerMaruyama, corrector: rule, corrections };
        (variance(&pc, &problem, &times) / exact - 1.0).abs()
    };
    let (none, some) = (with(0), with(10));
    eprintln!("relative error of the variance: {none:.4} without, {some:.4} with corrections");
    assert_eq!(none, (variance(&EulerMaruyama, &problem, &times) / exact - 1.0).abs());
    // What is left is the predictor's last step, which nothing corrects, and the bias.
    assert!(some < 0.6 * none, "{none} {some}");
    // A last step without noise returns the mean of the predictor after a noisy corrector.
    let pc = PredictorCorrector::annealed(EulerMaruyama);
    let last = |noise: &dyn Noise<Rows>| {
        let mut grid = Grid::new(vec![0.2, 0.1]).unwrap();
        solve(&pc, &problem, normals(9, 4, 128), 0.2, &mut grid, noise, &mut ()).unwrap().x
    };
    let like = normals(9, 4, 128);
    let w = Noise::<Rows>::increment(&noise, &like, 0.2, 0.1).unwrap();
    assert!(distance(&(last(&noiseless) + w * vp.diffusion(0.2)), &last(&noise)) < 1e-12);
}

/// Climbs add noise by the forward kernel: exact marginals stay exact, up to the error of Heun, every
/// interval has its own noise, and a step to `sigma = 0` ends in the data.
#[test]
fn restart_keeps_the_marginals() {
    let vp = Vp::new(0.1, 8.0).unwrap();
    let data = gaussian(0.5, 0.3);
    let score = data.under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let at = |t| {
        let (m, v) = forward(vp.marginal(t), 0.5, 0.3);
        law(m, v)
    };
    let main = TimeGrid::Uniform.times(&vp, 200, 1.0, 0.1).unwrap();
    let node = main[150];
    let interval =
        RestartInterval { times: TimeGrid::Uniform.times(&vp, 60, 0.8, node).unwrap(), repeats: 3 };
    let grid = Grid::with_restarts(main.clone(), std::slice::from_ref(&interval)).unwrap();
    // The same noise in each interval would add up coherently: the units are those of three draws.
    let found = carry(&Restart, &problem, &grid, 1.0, &at(1.0));
    let exact = at(0.1);
    let e =
        (found.mean[0] - exact.mean[0]).abs().max((found.cov[[0, 0]] - exact.cov[[0, 0]]).abs());
    assert!(e < 2e-4, "{e:e}");
    // Errors of a wrong start are forgotten in restarts.
    let wrong = law(0.8, 0.2);
    let plain = carry(&Restart, &problem, &Grid::new(main.clone()).unwrap(), 1.0, &wrong);
    let climbed = carry(&Restart, &problem, &grid, 1.0, &wrong);
    let gap = |m: &Moments| (m.mean[0] - exact.mean[0]).abs();
    assert!(gap(&climbed) < 0.5 * gap(&plain), "{} {}", gap(&climbed), gap(&plain));
    let nfe = {
        let noise = IndependentIncrements::new(Key::root(1), 0);
        let x = normals(1, 4, 1);
        solve(&Restart, &problem, x, 1.0, &mut grid.clone(), &noise, &mut ()).unwrap().stats.nfe
    };
    assert_eq!(nfe, 2 * (200 + 3 * 60));
    let bad = |interval: RestartInterval| {
        Grid::with_restarts(main.clone(), &[interval]).unwrap_err().to_string()
    };
    assert!(
        bad(RestartInterval { times: vec![0.8, 0.123], repeats: 1 })
            .contains("a later time of the grid")
    );
    assert!(bad(RestartInterval { times: vec![0.1, 0.8], repeats: 1 }).contains("must go down"));
}

/// Langevin dynamics on an energy: every stochastic stepper finds the stationary law, forward in a
/// fictitious time.
#[test]
fn langevin_dynamics_sample_their_energy() {
    let vp = Vp::default();
    let data = gaussian(0.4, 0.25);
    let score = data.under(&vp);
    let t = 0.3;
    let langevin = Langevin::new(&score, t);
    let (mean, var) = forward(vp.marginal(t), 0.4, 0.25);
    let times: Vec<f64> = (0..=400).map(|i| 0.02 * f64::from(i)).collect();
    let grid = Grid::new(times).unwrap();
    let found = carry(&solvers::steppers::Shark, &langevin, &grid, 0.0, &law(3.0, 4.0));
    let e = (found.mean[0] - mean).abs().max((found.cov[[0, 0]] - var).abs());
    assert!(e < 2e-3, "{e:e}");
    // Euler-Maruyama's bias is known: var / (1 - h / (2 var)).
    let found = carry(&EulerMaruyama, &langevin, &grid, 0.0, &law(3.0, 4.0));
    let biased = var / (1.0 - 0.02 / (2.0 * var));
    assert!((found.cov[[0, 0]] - biased).abs() < 2e-3, "{} {biased}", found.cov[[0, 0]]);
}
