//! Brownian motion: variances, additivity, independence of how it is asked for.

use ndarray::Array2;
use sde_core::{Error, Key, Reverse, State, TimeGrid, Tolerance, Vp};
use solvers::{
    Adaptive, BrownianGrid, BrownianTree, Grid, IndependentIncrements, Method, Noise, NoiselessEnd,
    solve,
};

use crate::common::{distance, target};

const ROWS: usize = 20_000;

fn like() -> Array2<f64> {
    Array2::zeros((ROWS, 2))
}

/// The mean square of `2 ROWS` increments has standard error `sqrt(2 / (2 ROWS))` relative.
fn check_variance(what: &str, w: &Array2<f64>, expected: f64) {
    let square = w.mapv(|w| w * w).mean().unwrap();
    let error = 4.9 * (1.0 / ROWS as f64).sqrt() * expected;
    assert!((square - expected).abs() < error, "{what}: {square} {expected}");
    let mean = w.mean().unwrap();
    assert!(mean.abs() < 4.9 * (expected / (2 * ROWS) as f64).sqrt(), "{what}: mean {mean}");
}

fn check_uncorrelated(what: &str, a: &Array2<f64>, b: &Array2<f64>) {
    let n = a.len() as f64;
    let scale = (a.mapv(|a| a * a).sum() * b.mapv(|b| b * b).sum()).sqrt();
    let c = (a * b).sum() / scale * n.sqrt();
    assert!(c.abs() < 4.9, "{what}: {c}");
}

#[test]
fn increments_are_brownian() {
    let key = Key::root(1);
    let fresh = IndependentIncrements::new(key, 0);
    let grid = BrownianGrid::new(key, 0, 1.0, 0.0, 64).unwrap();
    let tree = BrownianTree::new(key, 0, 1.0, 0.0, 30).unwrap();
    let all: [(&str, &dyn Noise<Array2<f64>>); 3] =
        [("fresh", &fresh), ("grid", &grid), ("tree", &tree)];
    for (name, noise) in all {
        let w = |a: f64, b: f64| noise.increment(&like(), a, b).unwrap();
        let (first, second) = (w(1.0, 0.75), w(0.75, 0.25));
        check_variance(name, &first, 0.25);
        check_variance(name, &second, 0.5);
        check_uncorrelated(name, &first, &second);
    }
    let w =
        |noise: &dyn Noise<Array2<f64>>, a: f64, b: f64| noise.increment(&like(), a, b).unwrap();
    for (name, noise) in &all[1..] {
        let sum = w(*noise, 1.0, 0.75) + w(*noise, 0.75, 0.25);
        assert!(distance(&sum, &w(*noise, 1.0, 0.25)) < 1e-12, "{name}");
        assert!(distance(&-sum, &w(*noise, 0.25, 1.0)) < 1e-12, "{name}");
    }
    // The tree at times that are no dyadic fractions.
    let (a, b) = (w(&tree, 0.9, 0.7123), w(&tree, 0.7123, 0.1));
    check_variance("tree", &a, 0.9 - 0.7123);
    check_variance("tree", &b, 0.7123 - 0.1);
    check_uncorrelated("tree", &a, &b);
}

#[test]
fn rows_are_particles() {
    let key = Key::root(2);
    let fresh = |r| Box::new(IndependentIncrements::new(key, r)) as Box<dyn Noise<Array2<f64>>>;
    let grid = |r| {
        Box::new(BrownianGrid::new(key, r, 1.0, 0.0, 8).unwrap()) as Box<dyn Noise<Array2<f64>>>
    };
    let tree = |r| {
        Box::new(BrownianTree::new(key, r, 1.0, 0.0, 8).unwrap()) as Box<dyn Noise<Array2<f64>>>
    };
    for (all, part) in [(fresh(0), fresh(5)), (grid(0), grid(5)), (tree(0), tree(5))] {
        assert_eq!(part.first_row(), 5);
        let whole = all.increment(&Array2::zeros((12, 3)), 1.0, 0.5).unwrap();
        let some = part.increment(&Array2::zeros((4, 3)), 1.0, 0.5).unwrap();
        assert_eq!(whole.slice_rows(5, 4).unwrap(), some);
    }
}

#[test]
fn times_without_noise_are_refused() {
    let grid = BrownianGrid::new(Key::root(0), 0, 1.0, 0.0, 8).unwrap();
    let x: Array2<f64> = Array2::zeros((1, 1));
    let refused = |r: Result<Array2<f64>, Error>| matches!(r, Err(Error::Parameter { .. }));
    assert!(refused(grid.increment(&x, 1.0, 0.9)) && refused(grid.increment(&x, 1.25, 0.5)));
    // One ulp beyond the end is still the end; a step beyond is not.
    let tree = BrownianTree::new(Key::root(0), 0, 1.0, 0.0, 60).unwrap();
    assert!(tree.increment(&x, 1.0 + f64::EPSILON, -1e-300).is_ok());
    assert!(refused(tree.increment(&x, 1.0, -0.1)) && refused(tree.increment(&x, f64::NAN, 0.5)));
    assert!(BrownianTree::new(Key::root(0), 0, 1.0, 1.0, 8).is_err());
    assert!(BrownianGrid::new(Key::root(0), 0, 1.0, 0.0, 0).is_err());
    let noiseless = NoiselessEnd::new(&tree, 0.25);
    assert_eq!(noiseless.increment(&x, 0.5, 0.25).unwrap(), x);
    assert_eq!(noiseless.increment(&x, 1.0, 0.5).unwrap(), tree.increment(&x, 1.0, 0.5).unwrap());
}

/// Adaptive steps on a path converge to the solution on that very path.
#[test]
fn adaptive_steps_stay_on_their_path() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let tree = BrownianTree::new(Key::root(3), 0, 1.0, 0.01, 40).unwrap();
    let x = crate::common::normals(4, 8, 2);
    let stepper = Method::Heun.stepper();
    let mut fine = Grid::new(TimeGrid::Quadratic.times(&vp, 20_000, 1.0, 0.01).unwrap()).unwrap();
    let exact = solve(&*stepper, &problem, x.clone(), 1.0, &mut fine, &tree, &mut ()).unwrap().x;
    let mut errors = vec![];
    // Far enough apart that a single row near a fork of its path hides nothing.
    for digits in [1, 3, 5] {
        let tol = 10_f64.powi(-digits);
        let mut control = Adaptive::new(1.0, 0.01, Tolerance { abs: tol, rel: tol }).unwrap();
        let done = solve(&*stepper, &problem, x.clone(), 1.0, &mut control, &tree, &mut ());
        errors.push(distance(&done.unwrap().x, &exact));
    }
    assert!(errors[1] < errors[0] && errors[2] < errors[1] && errors[2] < 0.002, "{errors:?}");
}
