//! The random numbers: the same however they are cut, and distributed as they should be.

use proptest::prelude::*;
use sde_core::{Key, KroneckerSequence};

/// Kolmogorov's critical distance times `sqrt(n)` at a false-alarm rate of 1e-6:
/// `sqrt(log(2 / 1e-6) / 2)`.
const KOLMOGOROV: f64 = 2.693_4;
/// Two-sided normal quantile at a false-alarm rate of 1e-6.
const NORMAL: f64 = 4.891_6;

fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn kolmogorov(mut x: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let d = x.iter().enumerate().map(|(i, x)| {
        let p = cdf(*x);
        (p - i as f64 / n).abs().max(((i + 1) as f64 / n - p).abs())
    });
    d.fold(0.0, f64::max) * n.sqrt()
}

fn normals(key: Key, n: usize) -> Vec<f64> {
    let mut z = vec![0.0; n];
    key.fill_normals(0, &mut z);
    z
}

fn normals_f32(key: Key, n: usize) -> Vec<f64> {
    let mut z = vec![0.0; n];
    key.fill_normals_f32(0, &mut z);
    z.into_iter().map(f64::from).collect()
}

/// Moments of `n` standard normals: `E z^k` has variance `(E z^2k - (E z^k)^2) / n`.
fn check_moments(z: &[f64]) {
    let n = z.len() as f64;
    let double_factorial = |k: i32| (1..k).step_by(2).map(f64::from).product::<f64>();
    for k in 1..=6 {
        let mean = z.iter().map(|z| z.powi(k)).sum::<f64>() / n;
        let expected = if k % 2 == 0 { double_factorial(k) } else { 0.0 };
        let std = ((double_factorial(2 * k) - expected * expected) / n).sqrt();
        assert!((mean - expected).abs() < NORMAL * std, "moment {k}: {mean} not {expected}");
    }
}

#[test]
fn normals_are_normal() {
    let n = 1 << 20;
    for z in [normals(Key::root(1), n), normals_f32(Key::root(2), n)] {
        check_moments(&z);
        assert!(z.iter().all(|z| z.is_finite()));
        // The largest of n normals: P(max |z| > a) <= n 2 Q(a); below the median of the max.
        let largest = z.iter().fold(0.0_f64, |m, z| m.max(z.abs()));
        assert!(largest > 4.2 && largest < 7.1, "{largest}");
        // Both coordinates of a pair, and all four of a block, on their own.
        for lane in 0..4 {
            let part: Vec<f64> = z.iter().skip(lane).step_by(4).copied().collect();
            let d = kolmogorov(part, normal_cdf);
            assert!(d < KOLMOGOROV, "lane {lane}: {d}");
        }
    }
}

/// Correlation of two independent samples of `n` has standard deviation `1 / sqrt(n)`.
fn check_independent(what: &str, x: &[f64], y: &[f64]) {
    let n = x.len() as f64;
    for (what2, f) in [
        ("", (|z| z) as fn(f64) -> f64),
        (" squares", |z| (z * z - 1.0) / std::f64::consts::SQRT_2),
    ] {
        let c = x.iter().zip(y).map(|(x, y)| f(*x) * f(*y)).sum::<f64>() / n.sqrt();
        assert!(c.abs() < NORMAL + 1.0, "{what}{what2}: {c}");
    }
}

#[test]
fn streams_are_independent() {
    let n = 1 << 18;
    for normals in [normals, normals_f32] {
        let key = Key::root(3);
        let z = normals(key, n);
        for lag in 1..9 {
            check_independent("neighbours", &z[..n - lag], &z[lag..]);
        }
        check_independent("seeds", &z, &normals(Key::root(4), n));
        check_independent("children", &z, &normals(key.fold(0), n));
        check_independent("siblings", &normals(key.fold(0), n), &normals(key.fold(1), n));
        check_independent(
            "order",
            &normals(key.fold(0).fold(1), n),
            &normals(key.fold(1).fold(0), n),
        );
    }
    let mut u = vec![0.0; n];
    Key::root(3).fill_uniforms(0, &mut u);
    let u: Vec<f64> = u.iter().map(|u| (u - 0.5) * 12.0_f64.sqrt()).collect();
    check_independent("kinds", &normals(Key::root(3), n), &u);
    check_independent("widths", &normals(Key::root(3), n), &normals_f32(Key::root(3), n));
}

#[test]
fn uniforms_and_signs() {
    let n = 1 << 20;
    let mut u = vec![0.0; n];
    Key::root(5).fill_uniforms(0, &mut u);
    assert!(u.iter().all(|u| *u > 0.0 && *u < 1.0));
    let d = kolmogorov(u, |u| u);
    assert!(d < KOLMOGOROV, "{d}");
    let mut s = vec![0.0; n];
    Key::root(5).fill_signs(0, &mut s);
    let sum = s.iter().sum::<f64>() / (n as f64).sqrt();
    assert!(sum.abs() < NORMAL, "{sum}");
    for lag in [1, 31, 32, 33, 127, 128] {
        let c = s.iter().zip(&s[lag..]).map(|(a, b)| a * b).sum::<f64>() / (n as f64).sqrt();
        assert!(c.abs() < NORMAL, "lag {lag}: {c}");
    }
}

/// The numbers themselves never change: samples of earlier versions stay reproducible.
#[test]
fn numbers_are_frozen() {
    let key = Key::root(20).fold(7);
    let mut z = [0.0; 3];
    key.fill_normals(u64::MAX / 4, &mut z);
    let mut z32 = [0.0; 3];
    key.fill_normals_f32(1, &mut z32);
    let mut u = [0.0; 2];
    key.fill_uniforms(1, &mut u);
    let found = (z.map(f64::to_bits), z32.map(f32::to_bits), u.map(f64::to_bits));
    assert_eq!(found, FROZEN, "{found:x?}");
}

const FROZEN: ([u64; 3], [u32; 3], [u64; 2]) = (
    [0xbfbc_1fb2_505a_dc95, 0x3fef_5a66_0527_d3b7, 0xbff4_a05f_f1ec_a07c],
    [0xbe80_32e5, 0x3ff5_4356, 0x3f57_e7b8],
    [0x3fe9_ae06_2c43_06e7, 0x3fed_057f_bfac_ea13],
);

proptest! {
    /// Any cut of a stream gives the same numbers.
    #[test]
    fn chunks_do_not_matter(seed: u64, first in 0..u64::MAX / 2, cuts in prop::collection::vec(0..70_usize, 1..8)) {
        let key = Key::root(seed);
        let n: usize = cuts.iter().sum();
        let mut whole = (vec![0.0; n], vec![0.0_f32; n], vec![0.0; n], vec![0.0; n]);
        key.fill_normals(first, &mut whole.0);
        key.fill_normals_f32(first, &mut whole.1);
        key.fill_uniforms(first, &mut whole.2);
        key.fill_signs(first, &mut whole.3);
        let mut parts = (vec![0.0; n], vec![0.0_f32; n], vec![0.0; n], vec![0.0; n]);
        let mut at = 0;
        for len in cuts {
            let (from, range) = (first + at as u64, at..at + len);
            key.fill_normals(from, &mut parts.0[range.clone()]);
            key.fill_normals_f32(from, &mut parts.1[range.clone()]);
            key.fill_uniforms(from, &mut parts.2[range.clone()]);
            key.fill_signs(from, &mut parts.3[range]);
            at += len;
        }
        prop_assert_eq!(whole, parts);
    }
}

#[test]
fn lattices_are_uniform_and_even() {
    let n = 4096;
    for dim in [1, 2, 3, 5] {
        let sequence = KroneckerSequence::new(Key::root(11), dim);
        let (mut u, mut z) = (vec![0.0; n * dim], vec![0.0; n * dim]);
        sequence.fill_uniforms(0, &mut u);
        sequence.fill_normals(0, &mut z);
        for j in 0..dim {
            let column = |x: &[f64]| x.iter().skip(j).step_by(dim).copied().collect::<Vec<_>>();
            // Independent points would be some 0.8 away.
            let d = kolmogorov(column(&u), |u| u);
            assert!(d < 0.3, "{dim} dimensions, coordinate {j}: {d}");
            let d = kolmogorov(column(&z), normal_cdf);
            assert!(d < 0.3, "{dim} dimensions, coordinate {j}: {d}");
        }
        // Any stretch is the same points.
        let mut part = vec![0.0; 10 * dim];
        sequence.fill_uniforms(77, &mut part);
        assert_eq!(part, u[77 * dim..87 * dim]);
    }
}

/// Over keys, a point is uniform: means of lattices of a few points are unbiased.
#[test]
fn lattices_are_unbiased() {
    let (keys, n) = (20_000, 3);
    let mut means = Vec::new();
    for k in 0..keys {
        let mut u = [0.0; 6];
        KroneckerSequence::new(Key::root(12).fold(k), 2).fill_uniforms(5, &mut u);
        means.push(u.chunks(2).map(|u| u[0] * u[1]).sum::<f64>() / f64::from(n));
    }
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / means.len() as f64;
    let error = (mean - 0.25) / (variance / means.len() as f64).sqrt();
    assert!(error.abs() < NORMAL, "{error}");
}
