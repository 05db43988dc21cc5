//! The registry's claims, measured for every method.

use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Reverse, Score, Sde, TimeGrid, Tolerance, Vp};
use solvers::{Adaptive, BrownianGrid, Fresh, Grid, Method, Noise, solve};

use crate::common::{distance, normals, slope};

const START: f64 = 1.0;
const END: f64 = 0.05;

fn vp() -> Vp {
    Vp::new(0.1, 4.0).unwrap()
}

fn mixture(mean: f64, std: f64) -> GaussianMixture {
    GaussianMixture::isotropic(&[0.5, 0.5], &array![[-mean], [mean]], &[std, std]).unwrap()
}

fn run(
    method: Method,
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    eta: f64,
    x: &Array2<f64>,
    n: usize,
    noise: &dyn Noise<Array2<f64>>,
) -> Array2<f64> {
    let problem = Reverse::new(sde, score, eta).unwrap();
    let mut grid = Grid::new(TimeGrid::Uniform.times(sde, n, START, END).unwrap()).unwrap();
    let stepper = method.stepper();
    let done = solve(&*stepper, &problem, x.clone(), START, &mut grid, noise, &mut ()).unwrap();
    let first = if method == Method::Dopri5 { 1 } else { 0 };
    assert_eq!(done.stats.nfe, method.nfe_per_step() * n as u64 + first);
    done.x
}

/// ODE order on a bimodal target.
#[test]
fn every_method_has_its_ode_order() {
    let (sde, x) = (vp(), normals(7, 64, 1));
    let score = mixture(1.2, 0.7).under(&sde);
    let quiet = Fresh::new(Key::root(0), 0);
    let exact = run(Method::Dopri5, &sde, &score, 0.0, &x, 1000, &quiet);
    for &method in Method::ALL {
        // High orders reach rounding soon.
        let finest = if method.order().ode > 4.0 { 80 } else { 640 };
        let levels = [finest / 8, finest / 4, finest / 2, finest];
        let errors =
            levels.map(|n| distance(&run(method, &sde, &score, 0.0, &x, n, &quiet), &exact));
        let (found, claimed) = (slope(&levels, &errors), method.order().ode);
        eprintln!("{}: ode order {found:.3}, claimed {claimed}, {errors:?}", method.name());
        assert!((found - claimed).abs() < 0.15, "{}: {found} {errors:?}", method.name());
    }
}

/// Strong order on a log-concave target, all levels on the same 512 Brownian paths.
#[test]
fn every_method_has_its_strong_order() {
    let (sde, x) = (vp(), normals(7, 512, 1));
    let score = mixture(0.8, 1.0).under(&sde);
    let path = BrownianGrid::new(Key::root(11), 0, START, END, 8192).unwrap();
    let exact = run(Method::Heun, &sde, &score, 1.0, &x, 8192, &path);
    for &method in Method::ALL.iter().filter(|m| m.stochastic()) {
        let levels = [32, 64, 128, 256];
        let errors =
            levels.map(|n| distance(&run(method, &sde, &score, 1.0, &x, n, &path), &exact));
        let (found, claimed) = (slope(&levels, &errors), method.order().strong.unwrap());
        eprintln!("{}: strong order {found:.3}, claimed {claimed}, {errors:?}", method.name());
        assert!((found - claimed).abs() < 0.2, "{}: {found} {errors:?}", method.name());
    }
}

/// Adaptive steps reach what they are asked for.
#[test]
fn adaptive_error_follows_the_tolerance() {
    let (sde, x) = (vp(), normals(7, 16, 1));
    let score = mixture(1.5, 0.5).under(&sde);
    let quiet = Fresh::new(Key::root(0), 0);
    let exact = run(Method::Dopri5, &sde, &score, 0.0, &x, 2000, &quiet);
    let problem = Reverse::ode(&sde, &score);
    for &method in Method::ALL.iter().filter(|m| m.adaptive()) {
        let mut before = 0;
        let loosest = if method == Method::Heun { 3 } else { 4 };
        for digits in loosest..loosest + 5 {
            let tol = 10_f64.powi(-digits);
            let mut control = Adaptive::new(START, END, Tolerance { abs: tol, rel: tol }).unwrap();
            let stepper = method.stepper();
            let done = solve(&*stepper, &problem, x.clone(), START, &mut control, &quiet, &mut ());
            let done = done.unwrap();
            let e = distance(&done.x, &exact);
            eprintln!("{} at {tol:e}: error {e:e}, {:?}", method.name(), done.stats);
            assert!(e < 30.0 * tol, "{} at {tol:e}: {e:e}", method.name());
            assert_eq!(done.t, END);
            assert!(done.stats.accepted > before);
            assert!(done.stats.rejected <= 5 + done.stats.accepted / 5, "{:?}", done.stats);
            before = done.stats.accepted;
        }
    }
}
