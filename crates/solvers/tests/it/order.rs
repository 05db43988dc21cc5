//! The registry's claims, measured for every method.

use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Reverse, Score, Sde, TimeGrid, Tolerance, Vp};
use solvers::{
    Adaptive, BrownianGrid, BrownianTree, Grid, IndependentIncrements, Method, Noise, PidGains,
    solve,
};

use crate::common::{distance, draws_inside, normals, slope};

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
    times: Vec<f64>,
    noise: &dyn Noise<Array2<f64>>,
) -> Array2<f64> {
    let problem = Reverse::new(sde, score, eta).unwrap();
    let steps = times.len() as u64 - 1;
    let stepper = method.stepper_on(&times);
    let mut grid = Grid::new(times).unwrap();
    let done = solve(&*stepper, &problem, x.clone(), START, &mut grid, noise, &mut ()).unwrap();
    let (found, claimed) = (done.stats.nfe, method.nfe(steps));
    let right = if method.info().implicit { found >= claimed } else { found == claimed };
    assert!(right, "{}: {found} evaluations in {steps} steps, not {claimed}", method.name());
    done.x
}

fn uniform(n: usize) -> Vec<f64> {
    TimeGrid::Uniform.times(&vp(), n, START, END).unwrap()
}

/// Equal steps, but the first one in pieces that double from `2^-14` of it: what a multistep method
/// does before it has its history is then too small to be seen.
fn eased(n: usize) -> Vec<f64> {
    let uniform = uniform(n);
    let pieces = (0..14).rev().map(|k| START + (uniform[1] - START) * 0.5_f64.powi(k));
    std::iter::once(START).chain(pieces).chain(uniform[2..].iter().copied()).collect()
}

/// What is measured, what is claimed, and on which grid.
type Kind = (&'static str, f64, fn(usize) -> Vec<f64>);

/// ODE order on a bimodal target, with a history and with the method's own start.
#[test]
fn every_method_has_its_ode_order() {
    let (sde, x) = (vp(), normals(7, 64, 1));
    let score = mixture(1.2, 0.7).under(&sde);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let exact = run(Method::Dopri5, &sde, &score, 0.0, &x, uniform(1000), &noiseless);
    let mut missed = vec![];
    let deterministic = |m: &&Method| !m.own_noise() && !m.corrects();
    for &method in Method::ALL.iter().filter(deterministic) {
        let order = method.order();
        let kinds: [Kind; 2] = [("ode", order.ode, eased), ("started", order.started, uniform)];
        for (what, claimed, times) in kinds {
            // High orders reach rounding soon; low ones may hide behind a higher one for long, and
            // a history of four values reaches its order late.
            let multistep = method.nfe_per_step() == 1;
            let finest = match claimed {
                c if c > 4.0 => 80,
                c if c > 3.0 && !multistep => 640,
                c if c > 2.0 && c < 4.0 => 1280,
                _ => 2560,
            };
            let levels = [finest / 8, finest / 4, finest / 2, finest];
            let errors = levels.map(|n| {
                distance(&run(method, &sde, &score, 0.0, &x, times(n), &noiseless), &exact)
            });
            let found = slope(&levels, &errors);
            let name = method.name();
            eprintln!("{name}: {what} order {found:.3}, claimed {claimed}, {errors:?}");
            // A method with a small leading error, as Tsitouras sought, shows more than its order; and
            // a start of low order may hide behind what follows until rounding.
            let most = (claimed + 0.5).max(order.ode);
            if !(found > claimed - 0.15 && found < most) {
                missed.push(format!("{name}, {what}: {found} {errors:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn every_method_has_its_strong_order() {
    strong_orders(512);
}

/// Strong order on a log-concave target, all levels on the same Brownian paths: those of a grid,
/// finer for orders that show on short steps only, or of a tree, which knows every interval.
fn strong_orders(paths: usize) {
    let (sde, x) = (vp(), normals(7, paths, 1));
    let score = mixture(0.8, 1.0).under(&sde);
    let key = Key::root(11);
    let tree = BrownianTree::new(key, 0, START, END, 20).unwrap();
    let grid = BrownianGrid::new(key, 0, START, END, 8192).unwrap();
    let fine = BrownianGrid::new(key, 0, START, END, 16384).unwrap();
    let solve =
        |method, n, path: &dyn Noise<_>| run(method, &sde, &score, 1.0, &x, uniform(n), path);
    // A path, steps of the levels, and the solution on it.
    let case = |path, coarsest: usize, finest| {
        (path, [1, 2, 4, 8].map(|k| k * coarsest), solve(Method::Shark, finest, path))
    };
    let (tree, grid, fine) =
        (case(&tree, 32, 1024), case(&grid, 512, 8192), case(&fine, 1024, 16384));
    for &method in Method::ALL.iter().filter(|m| m.stochastic() && !m.corrects()) {
        let claimed = method.order().strong.unwrap();
        let (path, levels, exact) = match claimed > 1.0 || method.order().ode > 3.0 {
            true => &fine,
            false if draws_inside(method) => &tree,
            false => &grid,
        };
        let errors = levels.map(|n| distance(&solve(method, n, *path), exact));
        let found = slope(levels, &errors);
        eprintln!("{}: strong order {found:.3}, claimed {claimed}, {errors:?}", method.name());
        assert!((found - claimed).abs() < 0.2, "{}: {found} {errors:?}", method.name());
    }
}

/// Adaptive steps reach what they are asked for.
#[test]
fn adaptive_error_follows_the_tolerance() {
    let (sde, x) = (vp(), normals(7, 16, 1));
    let score = mixture(1.5, 0.5).under(&sde);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let exact = run(Method::Dopri5, &sde, &score, 0.0, &x, uniform(2000), &noiseless);
    let problem = Reverse::ode(&sde, &score);
    for &method in Method::ALL.iter().filter(|m| m.adaptive()) {
        let mut before = 0;
        let loosest = if method.order().ode <= 2.0 { 3 } else { 4 };
        for digits in loosest..loosest + 5 {
            let tol = 10_f64.powi(-digits);
            let mut control = Adaptive::new(START, END, Tolerance { abs: tol, rel: tol }).unwrap();
            let stepper = method.stepper();
            let done =
                solve(&*stepper, &problem, x.clone(), START, &mut control, &noiseless, &mut ());
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

/// Every rule of step control reaches the tolerance, in about as many steps, with few rejected.
#[test]
fn every_gain_follows_the_tolerance() {
    let (sde, x) = (vp(), normals(7, 16, 1));
    let score = mixture(1.5, 0.5).under(&sde);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let exact = run(Method::Dopri5, &sde, &score, 0.0, &x, uniform(2000), &noiseless);
    let problem = Reverse::ode(&sde, &score);
    let tol = Tolerance { abs: 1e-8, rel: 1e-8 };
    let plain = Adaptive::new(START, END, tol).unwrap();
    let solved = |mut control: Adaptive| {
        let stepper = Method::Dopri5.stepper();
        solve(&*stepper, &problem, x.clone(), START, &mut control, &noiseless, &mut ()).unwrap()
    };
    let steps = solved(plain.clone()).stats.accepted;
    for gains in [PidGains::I, PidGains::PI, PidGains::PID, PidGains::SDE] {
        let done = solved(plain.clone().with_gains(gains));
        let e = distance(&done.x, &exact);
        eprintln!("{gains:?}: error {e:e}, {:?} against {steps} steps", done.stats);
        assert!(e < 30.0 * tol.abs, "{gains:?}: {e:e}");
        assert!(done.stats.accepted < 2 * steps && done.stats.rejected < 5 + steps / 5);
    }
}
