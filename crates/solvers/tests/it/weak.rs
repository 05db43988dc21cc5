//! Weak orders: exactly on Gaussian data, where every method is affine, and by coupled sampling on
//! a target that is not.

use ndarray::{Array1, Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Reverse, TimeGrid, Vp};
use solvers::steppers::{EdmChurn, EdmHeun};
use solvers::{BrownianGrid, End, Grid, Method, solve};

use crate::common::{draws_inside, normals, slope, slow};
use crate::gaussian::{Moments, push};
use crate::moments::carry;

/// Mean and covariance converge at the weak order.
#[test]
fn every_method_has_its_weak_order_on_gaussian_data() {
    let sde = Vp::new(0.1, 4.0).unwrap();
    let (mean, cov) = (array![1.0, -0.5], array![[0.5, 0.3], [0.3, 0.4]]);
    let data = GaussianMixture::new(
        &[1.0],
        &mean.clone().insert_axis(ndarray::Axis(0)),
        std::slice::from_ref(&cov),
    )
    .unwrap();
    let score = data.under(&sde);
    let problem = Reverse::sde(&sde, &score);
    let at = |t: f64| {
        let m = sde_core::Sde::marginal(&sde, t);
        let cov = &cov * (m.alpha * m.alpha) + Array2::<f64>::eye(2) * (m.sigma * m.sigma);
        Moments { mean: &mean * m.alpha, cov }
    };
    for &method in Method::ALL.iter().filter(|m| m.stochastic() && !m.corrects()) {
        // A high ODE order rules the errors until steps are short.
        let order = method.order();
        let coarsest = if order.ode > order.weak.unwrap() + 1.0 { 320 } else { 80 };
        let levels = [1, 2, 4, 8].map(|k| k * coarsest);
        let errors = levels.map(|n| {
            let times = TimeGrid::Uniform.times(&sde, n, 1.0, 0.1).unwrap();
            let grid = Grid::new(times).unwrap();
            let found = carry(&*method.stepper(), &problem, &grid, 1.0, &at(1.0));
            let e: Array1<f64> = found.mean - at(0.1).mean;
            (e.dot(&e) + (found.cov - at(0.1).cov).mapv(|d| d * d).sum()).sqrt()
        });
        let (found, claimed) = (slope(&levels, &errors), method.order().weak.unwrap());
        eprintln!("{}: weak order {found:.3}, claimed {claimed}, {errors:?}", method.name());
        assert!((found - claimed).abs() < 0.15, "{}: {found} {errors:?}", method.name());
    }
}

/// `E f(X)` on a bimodal target: levels share their paths, so that their differences are small and
/// so is the noise in them.
#[test]
fn slow_weak_order_on_a_bimodal_target() {
    if !slow("slow_weak_order_on_a_bimodal_target") {
        return;
    }
    let sde = Vp::new(0.1, 4.0).unwrap();
    let data =
        GaussianMixture::isotropic(&[0.3, 0.7], &array![[-1.0], [1.0]], &[0.7, 0.7]).unwrap();
    let score = data.under(&sde);
    let problem = Reverse::sde(&sde, &score);
    let rows = 1 << 14;
    for &method in
        Method::ALL.iter().filter(|m| m.stochastic() && !m.corrects() && !draws_inside(**m))
    {
        // Steps that are exact in log(alpha / sigma) or in discrete time are long in t at first: their
        // orders show later, and their errors are larger than the noise in fewer particles.
        let in_t = [Method::EulerMaruyama, Method::Heun, Method::Sra1, Method::Shark, Method::Sea];
        let (coarsest, blocks) = if in_t.contains(&method) { (4, 128_u64) } else { (32, 16) };
        let levels = [1, 2, 4, 8].map(|k| k * coarsest);
        let finest = 16 * coarsest;
        let mut means = [0.0; 5];
        for b in 0..blocks {
            let cells = finest as u64;
            let path = BrownianGrid::new(Key::root(5), b * rows as u64, 1.0, 0.05, cells).unwrap();
            let x = normals(100 + b, rows, 1);
            for (mean, n) in means.iter_mut().zip(levels.into_iter().chain([finest])) {
                let times = TimeGrid::Uniform.times(&sde, n, 1.0, 0.05).unwrap();
                let mut grid = Grid::new(times).unwrap();
                let stepper = method.stepper();
                let x = solve(&*stepper, &problem, x.clone(), 1.0, &mut grid, &path, &mut ());
                *mean += x.unwrap().x.mapv(|x| x * x).sum() / (rows as f64 * blocks as f64);
            }
        }
        let gaps: Vec<f64> = means.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
        let (found, claimed) = (slope(&levels, &gaps), method.order().weak.unwrap());
        eprintln!("{}: weak order {found:.3}, claimed {claimed}, {means:?}", method.name());
        assert!((found - claimed).abs() < 0.3, "{}: {found} {gaps:?}", method.name());
    }
}

/// Churn, whose noise is not that of the reverse SDE, keeps the order of Heun's method.
#[test]
fn churn_has_weak_order_two_on_gaussian_data() {
    let sde = Vp::new(0.1, 4.0).unwrap();
    let cov = array![[0.5, 0.3], [0.3, 0.4]];
    let data = GaussianMixture::new(&[1.0], &array![[1.0, -0.5]], std::slice::from_ref(&cov));
    let score = data.unwrap().under(&sde);
    let problem = Reverse::ode(&sde, &score);
    let at = |t: f64| {
        let m = sde_core::Sde::marginal(&sde, t);
        let cov = &cov * (m.alpha * m.alpha) + Array2::<f64>::eye(2) * (m.sigma * m.sigma);
        Moments { mean: array![1.0, -0.5] * m.alpha, cov }
    };
    let levels = [40, 80, 160, 320];
    let (mut errors, mut without) = (vec![], vec![]);
    for n in levels {
        let times = TimeGrid::Uniform.times(&sde, n, 0.8, 0.05).unwrap();
        let churn = EdmChurn {
            steps: n as u64,
            churn: 5.0,
            lowest: 0.0,
            highest: f64::INFINITY,
            noise_scale: 1.0,
        };
        let error = |stepper: &EdmChurn| {
            let found = push(stepper, &problem, &times, at(0.8), End::Plain);
            let e = found.mean - at(0.05).mean;
            (e.dot(&e) + (found.cov - at(0.05).cov).mapv(|d| d * d).sum()).sqrt()
        };
        errors.push(error(&churn));
        without.push(error(&EdmChurn { churn: 0.0, ..churn }));
        // No churn is the deterministic sampler, bit for bit.
        let x = normals(3, 5, 2);
        let quiet = BrownianGrid::new(Key::root(5), 0, 0.8, 0.05, n as u64).unwrap();
        let run = |stepper: &dyn solvers::Stepper<_, _>| {
            let mut grid = Grid::new(times.clone()).unwrap();
            solve(stepper, &problem, x.clone(), 0.8, &mut grid, &quiet, &mut ()).unwrap().x
        };
        let still = run(&EdmChurn { churn: 0.0, ..churn });
        assert_eq!(still, run(&EdmHeun::default()));
        assert_ne!(still, run(&churn));
    }
    let found = slope(&levels, &errors);
    eprintln!("churn: weak order {found:.3}, {errors:?}, without {without:?}");
    assert!((found - 2.0).abs() < 0.15, "{found} {errors:?}");
}
