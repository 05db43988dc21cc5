//! Laws given by the masses of cells: closed forms, and exact values of piecewise constant laws.

use metrics::{BracketOptions, CellMasses, W2Bracket};
use ndarray::{Array1, Array2, array};
use statrs::function::erf::erfc;

use crate::support::{Numbers, check_close};

const QUICK: BracketOptions = BracketOptions { nodes: 1 << 16, segments: 8, width: 5e-3 };

/// Masses of a Gaussian in `n` cells of [-`half`, `half`].
fn bell(n: usize, half: f64, mean: f64, deviation: f64) -> Array1<f64> {
    let h = 2.0 * half / n as f64;
    let at = |i: usize| (-half + i as f64 * h - mean) / (deviation * std::f64::consts::SQRT_2);
    // Of the smaller tail, which keeps its digits.
    Array1::from_shape_fn(n, |i| match (at(i), at(i + 1)) {
        (a, b) if a > 0.0 => 0.5 * (erfc(a) - erfc(b)),
        (a, b) => 0.5 * (erfc(-b) - erfc(-a)),
    })
}

fn product(x: &Array1<f64>, y: &Array1<f64>) -> Array2<f64> {
    Array2::from_shape_fn((x.len(), y.len()), |(i, j)| x[i] * y[j])
}

fn line(h: f64, masses: &Array1<f64>) -> CellMasses {
    CellMasses::line(0.0, h, masses.view()).unwrap()
}

fn plane(h: [f64; 2], masses: &Array2<f64>) -> CellMasses {
    CellMasses::plane([0.0, 0.0], h, masses.view()).unwrap()
}

fn on_a_line(h: f64, p: &Array1<f64>, q: &Array1<f64>) -> f64 {
    let found = line(h, p).w2_bracket(&line(h, q), QUICK).unwrap();
    assert_eq!(found.lower, found.upper);
    found.upper
}

#[track_caller]
fn check_contains(what: &str, found: &W2Bracket, truth: f64, width: f64) {
    let (lower, upper) = (found.lower, found.upper);
    assert!(lower <= truth && truth <= upper, "{what}: {truth} is not in [{lower}, {upper}]");
    assert!(found.width() < width, "{what}: [{lower}, {upper}] is {} wide", found.width());
}

#[test]
fn on_a_line_the_distance_is_that_of_the_quantile_functions() {
    // Uniform on [0, 1] and on [0, 2]: the integral of u^2.
    let found = on_a_line(0.5, &array![1.0, 1.0, 0.0, 0.0], &array![1.0, 1.0, 1.0, 1.0]);
    check_close("uniform", found, 1.0 / 3.0, 1e-14, 1.0);
    // An empty stretch in between, and a half of the mass that crosses it.
    let found = on_a_line(1.0, &array![1.0, 0.0, 0.0, 0.0], &array![0.5, 0.0, 0.0, 0.5]);
    // Halves [0, 1/2] to [0, 1] and [1/2, 1] to [3, 4].
    let expected = 0.5 * (1.0 / 12.0) + 0.5 * (2.75 * 2.75 + 1.0 / 48.0);
    check_close("gap", found, expected, 1e-14, 1.0);
    // Deviations 1 and 0.8, a mean of 0.3: h^2 is all that cells add.
    let (p, q) = (bell(2000, 10.0, 0.0, 1.0), bell(2000, 10.0, 0.3, 0.8));
    check_close("bells", on_a_line(0.01, &p, &q), 0.13, 1e-4, 1.0);
    // Lower cannot be right and upper too where one is wrong: here against transport of finer and finer nodes.
    let mut numbers = Numbers::new(3);
    let mut random = || Array1::from_shape_simple_fn(7, || numbers.uniform());
    let (p, q) = (random(), random());
    let exact = on_a_line(1.0, &p, &q);
    let fine = |masses: &Array1<f64>| Array1::from_shape_fn(7 * 200, |i| masses[i / 200] / 200.0);
    let nodes = line(1.0 / 200.0, &fine(&p)).w2_nodes(&line(1.0 / 200.0, &fine(&q))).unwrap();
    assert!(nodes.squared >= exact);
    check_close("nodes", nodes.squared, exact, 0.02, 1e-3);
}

/// Of products of laws on lines the distance is the sum: an exact value for densities that are constant on cells.
#[test]
fn brackets_hold_the_exact_distance_of_products_of_rough_laws() {
    let mut numbers = Numbers::new(7);
    for (n, m, roughness) in [(20, 12, 0.3), (16, 16, 0.9), (9, 30, 1.0)] {
        let mut random =
            |n: usize| Array1::from_shape_simple_fn(n, || 1.0 - roughness * numbers.uniform());
        let [a, b, c, d] = [n, m, n, m].map(&mut random);
        let (h, k) = (0.5, 0.3);
        let exact = on_a_line(h, &a, &c) + on_a_line(k, &b, &d);
        let (p, q) = (plane([h, k], &product(&a, &b)), plane([h, k], &product(&c, &d)));
        let found = p.w2_bracket(&q, QUICK).unwrap();
        check_contains("product", &found, exact, 0.3);
        assert!(p.w2_nodes(&q).unwrap().squared >= exact);
    }
}

#[test]
fn brackets_hold_the_distance_of_gaussians() {
    let (n, half) = (48, 6.0);
    let h = 2.0 * half / n as f64;
    let standard = plane([h, h], &product(&bell(n, half, 0.0, 1.0), &bell(n, half, 0.0, 1.0)));
    for (mean, first, second, width) in [
        (0.05, 1.0, 1.0, 0.01),
        (0.5, 1.0, 1.0, 0.02),
        (0.0, 1.1, 0.9, 0.06),
        (0.2, 0.8, 1.0, 0.04),
    ] {
        let other = product(&bell(n, half, mean, first), &bell(n, half, 0.0, second));
        let found = standard.w2_bracket(&plane([h, h], &other), QUICK).unwrap();
        let exact = mean * mean + (first - 1.0).powi(2) + (second - 1.0).powi(2);
        check_contains(&format!("{mean} {first} {second}"), &found, exact, width);
    }
}

/// A Gaussian and the same turned: no product, and a map with mixed derivatives.
#[test]
fn brackets_hold_the_distance_of_turned_gaussians() {
    let (n, half) = (56, 5.0);
    let h = 2.0 * half / n as f64;
    let (wide, narrow) = (1.0, 0.6);
    let law = |angle: f64| {
        let (s, c) = angle.sin_cos();
        let masses = Array2::from_shape_fn((n, n), |(i, j)| {
            let at = |k: usize| -half + (k as f64 + 0.5) * h;
            let (x, y) = (at(i), at(j));
            let (u, v) = ((c * x + s * y) / wide, (c * y - s * x) / narrow);
            (-0.5 * (u * u + v * v)).exp()
        });
        plane([h, h], &masses)
    };
    let angle: f64 = 0.6;
    // Bures: of C1 and C2 the trace of the root of C1^{1/2} C2 C1^{1/2}, from its trace and determinant.
    let (a, b) = (wide * wide, narrow * narrow);
    let (s, c) = angle.sin_cos();
    let trace = a * (c * c * a + s * s * b) + b * (s * s * a + c * c * b);
    let exact = 2.0 * (a + b) - 2.0 * (trace + 2.0 * a * b).sqrt();
    let found = law(0.0).w2_bracket(&law(angle), QUICK).unwrap();
    check_contains("turned", &found, exact, 0.08);
}

#[test]
fn brackets_hold_translations_whatever_lies_between() {
    // A pattern moved by whole cells, through cells with little or no mass.
    let mut numbers = Numbers::new(11);
    let pattern = Array2::from_shape_simple_fn((5, 5), || 0.5 + numbers.uniform());
    for floor in [1e-4, 0.0] {
        let at = |x: usize, y: usize| {
            let mut masses = Array2::from_elem((16, 16), 0.0);
            masses.slice_mut(ndarray::s![x..x + 5, y..y + 5]).assign(&pattern);
            // What both have in common may stay: less than the translation of all.
            plane([0.25, 0.25], &(masses + floor))
        };
        let found = at(1, 2).w2_bracket(&at(9, 5), QUICK).unwrap();
        let shift = 0.0625 * (64.0 + 9.0);
        let moved = pattern.sum() / (pattern.sum() + 256.0 * floor);
        assert!(found.lower <= moved * shift + 1e-12, "{found:?}");
        if floor == 0.0 {
            check_contains("moved", &found, shift, 0.02);
            assert_eq!(found.segments, 0);
        }
    }
}

#[test]
fn brackets_scale_and_vanish() {
    let mut numbers = Numbers::new(5);
    let mut random = || Array2::from_shape_simple_fn((12, 10), || 0.2 + numbers.uniform());
    let (p, q) = (random(), random());
    let once = plane([0.5, 0.5], &p).w2_bracket(&plane([0.5, 0.5], &q), QUICK).unwrap();
    let twice = plane([1.0, 1.0], &p).w2_bracket(&plane([1.0, 1.0], &q), QUICK).unwrap();
    check_close("upper", twice.upper, 4.0 * once.upper, 1e-12, 0.0);
    check_close("lower", twice.lower, 4.0 * once.lower, 1e-9, 0.0);
    let none = plane([1.0, 1.0], &p).w2_bracket(&plane([1.0, 1.0], &p), QUICK).unwrap();
    assert_eq!((none.lower, none.upper, none.width()), (0.0, 0.0, 0.0));
    // A row of cells in the plane is a line.
    let row = |masses: &Array2<f64>| {
        plane([0.5, 0.5], &masses.row(0).to_owned().insert_axis(ndarray::Axis(0)))
    };
    let found = row(&p).w2_bracket(&row(&q), QUICK).unwrap();
    assert_eq!(found.lower, on_a_line(0.5, &p.row(0).to_owned(), &q.row(0).to_owned()));
}

#[test]
fn divergences_approach_those_of_gaussians_as_they_say() {
    let half = 7.0;
    let (mean, deviation): (f64, f64) = (0.4, 0.8);
    let kl = deviation.ln() + (1.0 + mean * mean) / (2.0 * 0.64) - 0.5;
    let reverse = -deviation.ln() + (0.64 + mean * mean) / 2.0 - 0.5;
    // E |-x + (x - mean) / 0.64|^2 of a standard Gaussian.
    let fisher = (1.0 / 0.64 - 1.0_f64).powi(2) + (mean / 0.64).powi(2);
    for n in [64, 128, 256] {
        let h = 2.0 * half / n as f64;
        let (p, q) = (line(h, &bell(n, half, 0.0, 1.0)), line(h, &bell(n, half, mean, deviation)));
        let found = p.divergences(&q).unwrap();
        for (what, value, truth) in [
            ("kl", found.kl, kl),
            ("reverse", found.reverse_kl, reverse),
            ("jeffreys", found.jeffreys, kl + reverse),
            ("fisher", found.fisher, fisher),
        ] {
            let off = (value.value - truth).abs();
            assert!(
                off < 1.5 * value.error() + 1e-9,
                "{what} {n}: off {off:e}, {:e}",
                value.error()
            );
            let rest = (value.extrapolated() - truth).abs();
            assert!(rest < 0.2 * off + 1e-7, "{what} {n}: {rest:e} left of {off:e}");
        }
        assert!((found.mass[0] - 1.0).abs() < 1e-9);
    }
}

#[test]
fn divergences_in_the_plane_are_those_of_products() {
    let (n, half) = (64, 6.0);
    let h = 2.0 * half / n as f64;
    let (a, b, c) = (bell(n, half, 0.0, 1.0), bell(n, half, 0.3, 1.0), bell(n, half, -0.2, 0.9));
    let line = |p: &Array1<f64>, q: &Array1<f64>| line(h, p).divergences(&line(h, q)).unwrap();
    let plane = |p: &Array2<f64>| plane([h, h], p);
    let found = plane(&product(&a, &b)).divergences(&plane(&product(&b, &c))).unwrap();
    let (x, y) = (line(&a, &b), line(&b, &c));
    check_close("kl", found.kl.value, x.kl.value + y.kl.value, 1e-12, 0.0);
    check_close("fisher", found.fisher.value, x.fisher.value + y.fisher.value, 1e-12, 0.0);
    assert!(found.total_variation.value <= x.total_variation.value + y.total_variation.value);
    assert!(found.total_variation.value >= x.total_variation.value.max(y.total_variation.value));
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let half = line(1.0, &array![0.3, 0.2]);
    let all = line(1.0, &array![1.0, 0.0]);
    let found = half.divergences(&all).unwrap();
    assert_eq!((found.mass, half.outside()), ([0.5, 1.0], 0.5));
    // The second law has nothing where the first has two fifths.
    assert_eq!((found.kl.value, found.fisher.value), (f64::INFINITY, f64::INFINITY));
    check_close("kl", found.reverse_kl.value, (1.0_f64 / 0.6).ln(), 1e-14, 0.0);
    assert_eq!(half.w2_bracket(&all, QUICK).unwrap().mass, [0.5, 1.0]);
    assert_eq!(half.w2_nodes(&all).unwrap().mass, [0.5, 1.0]);

    let says = |result: metrics::Result<W2Bracket>| result.unwrap_err().to_string();
    let other = line(1.0, &array![0.3, 0.2, 0.5]);
    assert_eq!(
        says(half.w2_bracket(&other, QUICK)),
        "cells of the second law: expected [2], found [3]"
    );
    let other = line(0.5, &array![0.3, 0.2]);
    assert_eq!(
        says(half.w2_bracket(&other, QUICK)),
        "spacing of the second law must be that of the first law, found 0.5"
    );
    let other = CellMasses::line(1.0, 1.0, array![0.3, 0.2].view()).unwrap();
    assert_eq!(
        says(half.w2_bracket(&other, QUICK)),
        "origin of the second law must be that of the first law, found 1"
    );
    let wide = BracketOptions { width: f64::NAN, ..QUICK };
    assert_eq!(says(half.w2_bracket(&all, wide)), "width must be finite and at least 0, found NaN");
    let much = BracketOptions { nodes: usize::MAX, ..QUICK };
    assert!(half.w2_bracket(&all, much).is_err());
    for (spacing, message) in [
        (0.0, "spacing must be finite and positive, found 0"),
        (f64::NAN, "spacing must be finite and positive, found NaN"),
    ] {
        let error = CellMasses::line(0.0, spacing, array![1.0].view()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert!(CellMasses::line(0.0, 1.0, array![f64::INFINITY].view()).is_err());
    assert!(CellMasses::line(0.0, 1.0, array![0.0, 0.0].view()).is_err());
}
