//! The samples of every method at one seed, held bit for bit against hashes recorded before.
//!
//! A hash that changes means that samples change: that belongs under *Numerics* in the changelog. The scores call `exp`
//! and `ln` of the platform's C library, whose last bit may differ elsewhere, so the record holds for x86-64 Linux
//! (glibc, on a processor with FMA).

use std::fmt::Write as _;

use ndarray::Array2;
use sde_core::analytic::DataSet;
use sde_core::{Key, TimeGrid, Tolerance, Vp};
use solvers::{ConfiguredMethod, Control, End, Method, Sampler, Scheme, SolveError, sample};

/// FNV-1a over the bits of all numbers, row by row.
fn hash(x: &Array2<f64>) -> u64 {
    let bytes = x.iter().flat_map(|v| v.to_bits().to_le_bytes());
    bytes
        .fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The hash of 21 particles of the blobs under a slow variance-preserving process.
fn samples_of<M: Scheme<Array2<f64>> + std::fmt::Debug>(sampler: &Sampler<M>) -> u64 {
    let vp = Vp::new(0.1, 5.0).unwrap();
    let score = DataSet::Blob.under(&vp).unwrap();
    let mut x = Array2::zeros((0, 2));
    let mut keep = |_: u64, block: Array2<f64>| {
        x.append(ndarray::Axis(0), block.view()).unwrap();
        Ok::<(), SolveError>(())
    };
    let like = Array2::zeros((1, 2));
    sample(sampler, &vp, &score, 21, Key::root(2311), &like, &mut keep)
        .unwrap_or_else(|e| panic!("{sampler:?}: {e}"));
    hash(&x)
}

/// One line for every method, `eta` and kind of control.
fn lines() -> String {
    let vp = Vp::new(0.1, 5.0).unwrap();
    let times = TimeGrid::Quadratic.times(&vp, 12, 1.0, 1e-3).unwrap();
    let tol = Tolerance { abs: 1e-2, rel: 1e-2 };
    let (t_start, t_end) = (1.0, 1e-3);
    let mut text = String::new();
    for &method in Method::ALL {
        for eta in [0.0, 1.0] {
            if eta > 0.0 && !method.stochastic() {
                continue;
            }
            let mut line = |control: Control, kind: &str, end| {
                let found = samples_of(&Sampler { method, eta, control, end, block_rows: 8 });
                writeln!(text, "{} {eta} {kind} {found:016x}", method.name()).unwrap();
            };
            line(Control::Grid(times.clone()), "grid", End::NoNoise);
            if method.adaptive() {
                line(Control::Adaptive { t_start, t_end, tol }, "adaptive", End::NoNoise);
                line(Control::GottaGoFast { t_start, t_end, tol }, "gotta-go-fast", End::Denoise);
            }
        }
    }
    for name in
        ["restart:low=0.2,high=2,steps=3,repeats=2", "edm-churn:churn=10", "sa-solver:corrector=0"]
    {
        let method = ConfiguredMethod::parse(name).unwrap();
        let control = Control::Grid(times.clone());
        let sampler = Sampler { method, eta: 0.0, control, end: End::Plain, block_rows: 8 };
        writeln!(text, "{name} 0 grid {:016x}", samples_of(&sampler)).unwrap();
    }
    text
}

/// A line is a method with `eta` and control, and the hash of its samples.
fn split(line: &str) -> (&str, &str) {
    line.rsplit_once(' ').expect("a hash")
}

/// What is recorded is found again. A method that is newer than the last release has no record yet, but a line
/// `- New: ` in the changelog: its lines are added for the release.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn samples_of_every_method_are_the_recorded_ones() {
    let (found, recorded) = (lines(), include_str!("recorded.txt"));
    for line in recorded.lines() {
        let (what, _) = split(line);
        let now = found.lines().find(|found| split(found).0 == what);
        assert_eq!(now, Some(line));
    }
    let changelog = include_str!("../../../../CHANGELOG.md");
    let unreleased = changelog.split("\n## ").nth(1).expect("a section");
    assert!(unreleased.starts_with("[Unreleased]"), "{unreleased:.40}");
    let recorded_is = |what: &str| recorded.lines().any(|line| split(line).0 == what);
    let told = |line: &str| {
        let name = line.split(' ').next().expect("a name");
        unreleased.lines().any(|line| line.starts_with(&format!("- New: `{name}`")))
    };
    let missing: Vec<&str> =
        found.lines().filter(|line| !recorded_is(split(line).0) && !told(line)).collect();
    let missing = missing.join("\n");
    assert!(
        missing.is_empty(),
        "in neither recorded.txt nor the changelog's Unreleased:\n{missing}"
    );
}
