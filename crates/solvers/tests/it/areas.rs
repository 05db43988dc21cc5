//! Space-time Levy areas: laws, independence, and what happens to them where intervals meet.

use ndarray::Array2;
use sde_core::{Key, Reverse, TimeGrid, Tolerance, Vp};
use solvers::{
    Adaptive, BrownianGrid, BrownianTree, Grid, IndependentIncrements, Method, Noise, NoiselessEnd,
    solve,
};

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
    let fresh = IndependentIncrements::new(key, 0);
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
    let noiseless = NoiselessEnd::new(&tree, 0.25);
    let zero = Array2::<f64>::zeros((ROWS, 2));
    assert_eq!(pair(&noiseless, 0.5, 0.25), (zero.clone(), zero.clone()));
    assert_eq!(noiseless.normals(&zero, 0.25, 3).unwrap(), zero);
    assert_eq!(noiseless.normals(&zero, 0.5, 3).unwrap(), tree.normals(&zero, 0.5, 3).unwrap());
}

/// Adaptive steps on a path converge to the solution on that very path.
#[test]
fn adaptive_steps_with_areas_stay_on_their_path() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let tree = BrownianTree::new(Key::root(3), 0, 1.0, 0.01, 40).unwrap();
    let x = normals(4, 64, 2);
    let times = TimeGrid::Quadratic.times(&vp, 6000, 1.0, 0.01).unwrap();
    let mut fine = Grid::new(times).unwrap();
    let shark = Method::Shark.stepper();
    let exact = solve(&*shark, &problem, x.clone(), 1.0, &mut fine, &tree, &mut ()).unwrap().x;
    for method in [Method::Sra1, Method::Shark] {
        let stepper = method.stepper();
        // The mean over rows: a single one may be near a fork of its path.
        let errors = [2, 3, 4].map(|digits| {
            let tol = 10_f64.powi(-digits);
            let mut control = Adaptive::new(1.0, 0.01, Tolerance { abs: tol, rel: tol }).unwrap();
            let done = solve(&*stepper, &problem, x.clone(), 1.0, &mut control, &tree, &mut ());
            let off = done.unwrap().x - &exact;
            off.mapv(|d| d * d).mean().unwrap().sqrt()
        });
        eprintln!("{}: {errors:?}", method.name());
        assert!(errors[1] < 0.5 * errors[0] && errors[2] < 0.5 * errors[1], "{errors:?}");
        assert!(errors[2] < 1e-3, "{errors:?}");
    }
}

/// Over intervals of any length, anywhere in the tree: `W` and `H` have their variances, are uncorrelated, compose
/// with those of their neighbours (Chen's relation) to rounding, and are the same however they are asked for.
#[test]
fn short_intervals_have_all_their_digits() {
    const SOME: usize = 4000;
    let like = Array2::<f64>::zeros((SOME, 1));
    for (depth, lengths) in [(20, [3, 9, 15]), (40, [5, 25, 35]), (60, [30, 40, 46])] {
        let tree = BrownianTree::new(Key::root(1), 0, 1.0, 0.0, depth).unwrap();
        let all = |a: f64, b: f64| tree.increment_and_area(&like, a, b).unwrap();
        for k in lengths {
            let h = 2.0_f64.powi(-k);
            for a in [0.0, h, 0.3, 0.5 - 0.25 * h, 0.75, 1.0 - 2.0 * h] {
                let (b, c) = (a + h, a + 2.0 * h);
                let ((w1, h1), (w2, h2), (w, area)) = (all(c, b), all(b, a), all(c, a));
                let (l1, l2) = (c - b, b - a);
                let ratio = |x: &Rows, unit: f64| x.mapv(|x| x * x).mean().unwrap() / unit;
                for (w, area, length) in [(&w1, &h1, l1), (&w2, &h2, l2), (&w, &area, c - a)] {
                    // A mean square of SOME normals has a relative error of (2 / SOME)^(1/2) = 0.022.
                    for found in [ratio(w, length), ratio(area, length / 12.0)] {
                        assert!((found - 1.0).abs() < 4.9 * 0.022, "{depth} {k} {a}: {found}");
                    }
                    check_uncorrelated("short", w, area);
                }
                check_uncorrelated("neighbours", &h1, &h2);
                let (s1, s2) = (l1 / (c - a), l2 / (c - a));
                let sum = &h1 * s1 + &h2 * s2 + (&w1 * s2 - &w2 * s1) * 0.5;
                // Differences of a long interval's ends carry the rounding of the whole path.
                let leaf = 0.5_f64.powi(i32::try_from(depth).unwrap());
                // And a straight part that is cut has no area, where a whole one has its own.
                let resolution = 2.0 * leaf / h * leaf.sqrt();
                let rounding = 1e-13 * h.sqrt() + 1e-15 * f64::from(u8::from(k < 20)) + resolution;
                assert!(
                    distance(&sum, &area) < rounding,
                    "{depth} {k} {a}: {:e}",
                    distance(&sum, &area)
                );
                assert!(distance(&(&w1 + &w2), &w) < rounding, "{depth} {k} {a}");
                let (back, same) = all(a, c);
                assert_eq!((-back, same), (w, area));
                assert_eq!(tree.increment(&like, b, a).unwrap(), w2);
            }
        }
        // Below the resolution the path is a straight line: without an area, never with a wrong one.
        let h = 2.0_f64.powi(-i32::try_from(depth).unwrap() - 8).max(2.0_f64.powi(-53));
        let (w, area) = all(0.75 + h, 0.75);
        let most = 2.0 * h.max(2.0_f64.powi(-i32::try_from(depth).unwrap()));
        assert!(w.iter().all(|w| w * w < 40.0 * most) && area.iter().all(|a| a * a < 40.0 * most));
        let none = all(0.3, 0.3);
        assert_eq!(none, (like.clone(), like.clone()));
    }
}

/// Towards time 0 the path is resolved relative to the time that is left, from either side.
#[test]
fn the_end_at_zero_is_resolved_at_any_scale() {
    const SOME: usize = 4000;
    let like = Array2::<f64>::zeros((SOME, 1));
    for (t0, t1) in [(10.0, 0.0), (0.0, 10.0), (1e4, 0.0), (1.0, 1e-60)] {
        let tree = BrownianTree::new(Key::root(2), 0, t0, t1, 40).unwrap();
        let end = f64::min(t0, t1);
        for k in [25, 45, 70, 130] {
            let t = end + t0.max(t1) * 0.7 * 2.0_f64.powi(-k);
            let h = 1e-3 * (t - end);
            if t + h == t || (end > 0.0 && t < 1e4 * end) {
                continue;
            }
            assert!(Noise::<Rows>::least_interval(&tree, t) < h);
            let (w, area) = tree.increment_and_area(&like, t, t + h).unwrap();
            for (x, unit) in [(w, h), (area, h / 12.0)] {
                let ratio = x.mapv(|x| x * x).mean().unwrap() / unit;
                assert!((ratio - 1.0).abs() < 4.9 * 0.022, "{t0} {t1} {k}: {ratio}");
            }
        }
    }
}
