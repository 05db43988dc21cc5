//! Conditional steppers: replacement and its bias, time travel, DDRM, DDNM, DPS.

use control::steppers::{Ddnm, Ddrm, DpsStep, Replacement, TimeTravel};
use control::{Groups, Measurement, Proposal, ReconstructionGuidance, TwistedSmc};
use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Reverse, Score, Sde, State, TimeGrid, Vp};
use solvers::steppers::ExponentialEulerMaruyama;
use solvers::{CustomStepper, IndependentIncrements, Method, Past, Sampler, Scheme, Stepper};

use crate::common::{SURE, mean_and_error, normals, off, three};

/// The first of two numbers, without noise or with some.
fn first(y: f64, noise: f64) -> Measurement {
    Measurement::new(Groups::columns(2, &[0]).unwrap(), array![[y]], noise).unwrap()
}

/// Two numbers of unit variance with a correlation of 0.9.
fn correlated() -> GaussianMixture {
    let cov = array![[1.0, 0.9], [0.9, 1.0]];
    GaussianMixture::new(&[1.0], &array![[0.0, 0.0]], &[cov]).unwrap()
}

fn draw(
    scheme: impl Scheme<Array2<f64>>,
    score: &dyn Score<Array2<f64>>,
    (eta, steps): (f64, usize),
    n: u64,
) -> Array2<f64> {
    let like = Array2::zeros((1, 2));
    let plan = Sampler::builder(scheme, eta, steps).stop(0.0);
    plan.draw(&Vp::default(), score, n, &like, Key::root(3)).unwrap()
}

/// The second number given that the first is 2 has mean 1.8. Replacement misses it however many steps there are, time travel
/// comes nearer, and particles meet it.
#[test]
fn replacement_is_biased() {
    let (vp, n) = (Vp::default(), 4000);
    let score = correlated().under(&vp);
    let second = |x: &Array2<f64>| mean_and_error(&x.column(1).to_vec());
    let inner = Method::ExponentialEulerMaruyama;
    let mut misses = vec![];
    for steps in [100, 400] {
        let x = draw(Replacement::new(inner, first(2.0, 0.0)), &score, (1.0, steps), n);
        assert!(x.column(0).iter().all(|x| (x - 2.0).abs() < 1e-12));
        let (mean, error) = second(&x);
        // What independent exact samples would be off by.
        let floor = SURE * ((1.0 - 0.81) / n as f64).sqrt();
        assert!(1.8 - mean > 5.0 * floor.max(error), "{steps} steps: {mean} +- {error}");
        misses.push(1.8 - mean);
    }
    // Not an error of the steps: four times as many leave it.
    assert!(misses[1] > 0.7 * misses[0], "{misses:?}");
    let repaint = TimeTravel::repaint(inner, first(2.0, 0.0), 10, 8).unwrap();
    let (mean, _) = second(&draw(repaint, &score, (1.0, 100), n));
    assert!((1.8 - mean).abs() < 0.5 * misses[0], "{mean} {misses:?}");
    // The posterior of a measurement with little noise.
    let twist = ReconstructionGuidance::tmpd(&vp, &score, first(2.0, 0.05));
    let times = TimeGrid::Quadratic.times(&vp, 200, 1.0, 0.0).unwrap();
    let smc = TwistedSmc::new(64, times).unwrap();
    let systems = smc.run(&vp, Proposal::Gradient(&twist), 60, 2, Key::root(4)).unwrap();
    let means: Vec<f64> = systems.iter().map(|s| s.mean()[1]).collect();
    let (mean, error) = mean_and_error(&means);
    let exact = 0.9 * 2.0 / (1.0 + 0.0025);
    assert!((mean - exact).abs() < 0.1 * misses[0] + SURE * error, "{mean} +- {error}, {exact}");
}

/// A number that has nothing to do with the one measured keeps its law.
#[test]
fn independent_numbers_are_left_alone() {
    let (vp, n) = (Vp::default(), 4000);
    let data = GaussianMixture::isotropic(&[1.0], &array![[0.5, -0.5]], &[0.7]).unwrap();
    let score = data.under(&vp);
    let inner = Method::ExponentialEulerMaruyama;
    let ddrm = |eta| CustomStepper(Ddrm::with(first(1.0, 0.0), eta, 1.0).unwrap());
    let ddnm = CustomStepper(Ddnm::new(first(1.0, 0.0)));
    let travel = TimeTravel::new(ddnm.clone(), 10, 2).unwrap();
    for (name, x) in [
        ("replacement", draw(Replacement::new(inner, first(1.0, 0.0)), &score, (1.0, 200), n)),
        ("ddrm", draw(ddrm(0.0), &score, (0.0, 200), n)),
        ("ddnm", draw(ddnm, &score, (0.0, 200), n)),
        ("time travel", draw(travel, &score, (0.0, 200), n)),
    ] {
        assert!(x.column(0).iter().all(|x| (x - 1.0).abs() < 1e-9), "{name}");
        let second = x.column(1).to_vec();
        let (mean, error) = mean_and_error(&second);
        assert!((mean + 0.5).abs() < SURE * error, "{name}: {mean} +- {error}");
        let squares: Vec<f64> = second.iter().map(|x| (x + 0.5) * (x + 0.5)).collect();
        let (var, error) = mean_and_error(&squares);
        // Two hundred steps make the variance too small by about a hundredth.
        assert!((var - 0.49).abs() < 0.01 + SURE * error, "{name}: {var} +- {error}");
    }
    // With fresh noise in every step the denoised data forget: in many steps half of the variance is lost.
    let second = draw(ddrm(1.0), &score, (0.0, 400), n).column(1).to_vec();
    let (var, error) =
        mean_and_error(&second.iter().map(|x| (x + 0.5).powi(2)).collect::<Vec<_>>());
    assert!((var - 0.245).abs() < 0.02 + SURE * error, "{var} +- {error}");
}

/// With noise the step puts in no more variance than the state has: the measured coordinate's variance in a step of DDNM+,
/// over measurements drawn anew, is that of the reverse process.
#[test]
fn noise_of_the_measurement_is_counted() {
    let (vp, noise, n) = (Vp::default(), 0.3, 4000);
    let score = three().under(&vp);
    let z = normals(20, n, 1);
    let y = z.mapv(|z| 0.4 + noise * z);
    let seen = Measurement::new(Groups::columns(2, &[0]).unwrap(), y, noise).unwrap();
    let x = Array2::from_shape_fn((n, 2), |(_, j)| [0.3, -0.2][j]);
    let (t0, t1) = (0.35, 0.3);
    let (m0, m1) = (vp.marginal(t0), vp.marginal(t1));
    let problem = Reverse::ode(&vp, &score);
    let increments = IndependentIncrements::new(Key::root(21), 0);
    let step = Ddnm::new(seen).step(&problem, &x, t0, t1, &Past::default(), &increments).unwrap();
    let alpha = m0.alpha / m1.alpha;
    let var = m1.sigma.powi(2) * (1.0 - (alpha * m1.sigma / m0.sigma).powi(2));
    for column in step.x.columns() {
        let (mean, _) = mean_and_error(&column.to_vec());
        let squares: Vec<f64> = column.iter().map(|x| (x - mean) * (x - mean)).collect();
        let (found, error) = mean_and_error(&squares);
        assert!((found - var).abs() < SURE * error, "{found} +- {error}, {var}");
    }
}

/// DDRM moves a measured coordinate to the measurement as far as its noise allows, and others as DDIM does.
#[test]
fn ddrm_by_hand() {
    let (vp, x) = (Vp::default(), normals(22, 5, 2));
    let score = three().under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let noise = IndependentIncrements::new(Key::root(23), 0);
    let (eta, eta_b, y) = (0.6, 0.8, 0.5);
    for (t0, t1, std) in [(0.5, 0.4, 0.2), (0.1, 0.05, 0.9)] {
        let ddrm = Ddrm::with(first(y, std), eta, eta_b).unwrap();
        let step = ddrm.step(&problem, &x, t0, t1, &Past::default(), &noise).unwrap();
        let (m0, m1) = (vp.marginal(t0), vp.marginal(t1));
        let z = solvers::Noise::normals(&noise, &x, t1, 0).unwrap();
        let data = score.denoised(&x, t0).unwrap().unwrap();
        let (level, rho) = (m0.sigma / m0.alpha, m1.sigma / m1.alpha);
        for b in 0..5 {
            let keep = (1.0_f64 - eta * eta).sqrt();
            let other = data[[b, 1]]
                + keep * rho / level * (x[[b, 1]] / m0.alpha - data[[b, 1]])
                + eta * rho * z[[b, 1]];
            let d = data[[b, 0]];
            let measured = if rho < std {
                d + keep * rho * (y - d) / std + eta * rho * z[[b, 0]]
            } else {
                let left = (rho * rho - eta_b * eta_b * std * std).sqrt();
                (1.0 - eta_b) * d + eta_b * y + left * z[[b, 0]]
            };
            for (j, expected) in [measured, other].into_iter().enumerate() {
                let found = step.x[[b, j]] / m1.alpha;
                assert!((found - expected).abs() < 1e-10, "{b} {j}: {found} {expected}");
            }
        }
    }
}

/// The step along the gradient has the length that it is given, towards the measurement.
#[test]
fn dps_steps() {
    let (vp, x) = (Vp::default(), normals(24, 6, 2));
    let score = three().under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let noise = IndependentIncrements::new(Key::root(25), 0);
    let (past, inner) = (Past::default(), ExponentialEulerMaruyama);
    let plain = inner.step(&problem, &x, 0.5, 0.45, &past, &noise).unwrap();
    let moved = |zeta: f64| {
        let dps = DpsStep::new(inner, &vp, &score, first(2.0, 0.1), zeta);
        dps.step(&problem, &x, 0.5, 0.45, &past, &noise).unwrap().x - &plain.x
    };
    assert!(moved(0.0).iter().all(|d| *d == 0.0));
    // By differences of the distance.
    let (move_, h) = (moved(0.7), 1e-5);
    let distance = |x: &Array2<f64>| -> Vec<f64> {
        score.denoised(x, 0.5).unwrap().unwrap().column(0).iter().map(|d| (2.0 - d).abs()).collect()
    };
    for j in 0..2 {
        let shifted = |h: f64| {
            let mut x = x.clone();
            x.column_mut(j).mapv_inplace(|v| v + h);
            distance(&x)
        };
        for (b, (ahead, behind)) in shifted(h).iter().zip(shifted(-h)).enumerate() {
            let expected = -0.7 * (ahead - behind) / (2.0 * h);
            assert!((move_[[b, j]] - expected).abs() < 1e-6, "{} {expected}", move_[[b, j]]);
        }
    }
}

/// Neither blocks nor the range of particles change one, with measurements of their own.
#[test]
fn particles_are_their_own() {
    let vp = Vp::default();
    let score = three().under(&vp);
    let y = normals(26, 24, 1);
    let seen = || Measurement::new(Groups::columns(2, &[1]).unwrap(), y.clone(), 0.2).unwrap();
    type Make<'a> = Box<dyn Fn() -> std::sync::Arc<dyn Scheme<Array2<f64>> + 'a> + 'a>;
    let inner = Method::ExponentialEulerMaruyama;
    let schemes: Vec<(&str, f64, Make<'_>)> = vec![
        ("replacement", 1.0, Box::new(|| std::sync::Arc::new(Replacement::new(inner, seen())))),
        (
            "repaint",
            1.0,
            Box::new(|| std::sync::Arc::new(TimeTravel::repaint(inner, seen(), 4, 2).unwrap())),
        ),
        ("ddrm", 0.0, Box::new(|| std::sync::Arc::new(CustomStepper(Ddrm::new(seen()))))),
        ("ddnm", 0.0, Box::new(|| std::sync::Arc::new(CustomStepper(Ddnm::new(seen()))))),
        (
            "dps",
            1.0,
            Box::new(|| {
                let dps = DpsStep::new(ExponentialEulerMaruyama, &vp, &score, seen(), 0.3);
                std::sync::Arc::new(CustomStepper(dps))
            }),
        ),
    ];
    for (name, eta, make) in schemes {
        let like = Array2::zeros((1, 2));
        let run = |rows: std::ops::Range<u64>, block| {
            let plan = Sampler::builder(make(), eta, 24).block_rows(block);
            plan.draw(&vp, &score, rows, &like, Key::root(27)).unwrap()
        };
        let whole = run(0..24, 256);
        assert_eq!(whole, run(0..24, 5), "{name}");
        assert_eq!(whole.slice_rows(9, 8).unwrap(), run(9..17, 3), "{name}");
        assert!(off(&whole, &run(0..24, 256)) == 0.0, "{name}");
        let other = Sampler::builder(make(), eta, 24);
        assert!(other.draw(&vp, &score, 20..25, &like, Key::root(27)).is_err(), "{name}");
    }
}

#[test]
fn refusals() {
    let vp = Vp::default();
    let score = three().under(&vp);
    for (jump, passes) in [(0, 1), (1, 0)] {
        assert!(TimeTravel::repaint(Method::EulerMaruyama, first(0.0, 0.0), jump, passes).is_err());
    }
    assert!(Ddrm::with(first(0.0, 0.0), 1.5, 1.0).is_err());
    let tol = sde_core::Tolerance { abs: 1e-2, rel: 1e-2 };
    let travel = TimeTravel::repaint(Method::Heun, first(0.0, 0.0), 2, 2).unwrap();
    let adaptive = solvers::SamplerBuilder::adaptive(travel, 0.0, tol);
    let error = adaptive.draw(&vp, &score, 2, &Array2::zeros((1, 2)), Key::root(1)).unwrap_err();
    assert!(error.to_string().contains("time travel lays its own"), "{error}");
}
