//! Space-time Levy areas: laws, independence, and what happens to them where intervals meet.

use ndarray::Array2;
use sde_core::{Key, Reverse, TimeGrid, Tolerance, Vp};
use solvers::{Adaptive, BrownianGrid, BrownianTree, Fresh, Grid, Method, Noise, QuietEnd, solve};

use crate::common::{distance, normals, target};

const ROWS: usize = 20_000;

type Rows = Array2<f64>;

fn pair(noise: &dyn Noise<Rows>, a: f64, b: f64) -> (Rows, Rows) {
    noise.increment_and_area(&Array2::zeros((ROWS, 2)), a, b).unwrap()
}

/// A mean square of `2 ROWS` normals has a relative error of `ROWS^-1/2`; 4.9 of them are passed once
/// in a million.
fn check_variance(what: &str, x: &Rows, expected: f64) {
    let square = x.mapv(|x| x * x).mean().unwrap();
    let error = 4.9 * (1.0 / ROWS as f64).sqrt() * expected;
    assert!((square - expected).abs() < error, "{what}: {square} {expected}");
    assert!(x.mean().unwrap().abs() < 4.9 * (expected / (2 * ROWS) as f64).sqrt(), "{what}");
}

fn check_uncorrelated(what: &str, a: &Rows, b: &Rows) {
    let scale = (a.mapv(|a| a * a).sum() * b.mapv(|b| b * b).sum()).sqrt();
    let c = (a * b).sum() / scale * (a.len() as f64).sqrt();
    assert!(c.abs() < 4.9, "{what}: {c}");
}

#[test]
fn areas_have_their_law() {
    let key = Key::root(5);
    let fresh = Fresh::new(key, 0);
    let grid = BrownianGrid::new(key, 0, 1.0, 0.0, 64).unwrap();
    let tree = BrownianTree::new(key, 0, 1.0, 0.0, 30).unwrap();
    let all: [(&str, &dyn Noise<Rows>, [f64; 3]); 4] = [
        ("fresh", &fresh, [1.0, 0.75, 0.25]),
        ("grid", &grid, [1.0, 0.75, 0.25]),
        ("tree", &tree, [1.0, 0.75, 0.25]),
        ("tree off its nodes", &tree, [0.9, 0.7123, 0.1001]),
    ];
    for (name, noise, [a, b, c]) in all {
        let ((w1, h1), (w2, h2)) = (pair(noise, a, b), pair(noise, b, c));
        for (w, h, length) in [(&w1, &h1, a - b), (&w2, &h2, b - c)] {
            check_variance(name, w, length);
            check_variance(name, h, length / 12.0);
            check_uncorrelated(name, w, h);
        }
        for (x, y) in [(&w1, &h2), (&h1, &w2), (&h1, &h2), (&w1, &w2)] {
            check_uncorrelated(name, x, y);
        }
        let like = Array2::zeros((ROWS, 2));
        assert!(distance(&noise.increment(&like, a, b).unwrap(), &w1) < 1e-12, "{name}");
        // Normals apart: standard, and independent of the path and of each other.
        let z = |t, i| noise.normals(&like, t, i).unwrap();
        check_variance(name, &z(a, 0), 1.0);
        for other in [&w1, &h1, &z(a, 1), &z(b, 0)] {
            check_uncorrelated(name, &z(a, 0), other);
        }
        assert_eq!(z(a, 0), z(a, 0));
    }
}

/// Over two intervals, `h H = h1 (H1 + w1/2) + h2 (w1 + H2 + w2/2) - h w/2`. Backward, the increment
/// changes its sign and the area does not.
#[test]
fn areas_of_a_path_add_up() {
    let key = Key::root(6);
    let grid = BrownianGrid::new(key, 0, 1.0, 0.0, 64).unwrap();
    let tree = BrownianTree::new(key, 0, 1.0, 0.0, 40).unwrap();
    let all: [(&dyn Noise<Rows>, [f64; 3]); 4] = [
        (&grid, [1.0, 0.75, 0.25]),
        (&grid, [0.25, 0.5, 0.875]),
        (&tree, [0.9, 0.7123, 0.1001]),
        (&tree, [0.05, 0.3, 0.77]),
    ];
    for (noise, [a, b, c]) in all {
        let ((w1, h1), (w2, h2)) = (pair(noise, a, b), pair(noise, b, c));
        let (w, h) = pair(noise, a, c);
        let (s1, s2) = ((b - a).abs() / (c - a).abs(), (c - b).abs() / (c - a).abs());
        let sum = (&h1 + &w1 * 0.5) * s1 + (&w1 + &h2 + &w2 * 0.5) * s2 - &w * 0.5;
        assert!(distance(&(&w1 + &w2), &w) < 1e-12 && distance(&sum, &h) < 1e-12);
        let (back, area) = pair(noise, c, a);
        assert!(distance(&-back, &w) < 1e-12 && distance(&area, &h) < 1e-12);
    }
    let quiet = QuietEnd::new(&tree, 0.25);
    let zero = Array2::<f64>::zeros((ROWS, 2));
    assert_eq!(pair(&quiet, 0.5, 0.25), (zero.clone(), zero.clone()));
    assert_eq!(quiet.normals(&zero, 0.25, 3).unwrap(), zero);
    assert_eq!(quiet.normals(&zero, 0.5, 3).unwrap(), tree.normals(&zero, 0.5, 3).unwrap());
}

/// Adaptive steps on a path converge to the solution on that very path.
#[test]
fn adaptive_steps_with_areas_stay_on_their_path() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let tree = BrownianTree::new(Key::root(3), 0, 1.0, 0.01, 40).unwrap();
    let x = normals(4, 8, 2);
    let times = TimeGrid::Quadratic.times(&vp, 6000, 1.0, 0.01).unwrap();
    let mut fine = Grid::new(times).unwrap();
    let shark = Method::Shark.stepper();
    let exact = solve(&*shark, &problem, x.clone(), 1.0, &mut fine, &tree, &mut ()).unwrap().x;
    for method in [Method::Sra1, Method::Shark] {
        let stepper = method.stepper();
        let errors = [2, 3, 4].map(|digits| {
            let tol = 10_f64.powi(-digits);
            let mut control = Adaptive::new(1.0, 0.01, Tolerance { abs: tol, rel: tol }).unwrap();
            let done = solve(&*stepper, &problem, x.clone(), 1.0, &mut control, &tree, &mut ());
            distance(&done.unwrap().x, &exact)
        });
        eprintln!("{}: {errors:?}", method.name());
        assert!(errors[1] < 0.5 * errors[0] && errors[2] < 0.5 * errors[1], "{errors:?}");
        assert!(errors[2] < 1e-3, "{errors:?}");
    }
}
