//! Values of other implementations: POT, SciPy (see refs/README.md in the shared folder).

use metrics::{ExactTransport, GroundCost, Kernel, Transport};
use ndarray::Array2;
use serde_json::Value;

use crate::support::{check_close, close, fixture, matrix, open_npz, read_json, shared, vector};

/// Exact transport.
const TOLERANCE: f64 = 1e-9;
/// Sliced distances and kernels: sums in closed form.
const CLOSED_FORM: f64 = 1e-10;

/// Solves with both costs and holds value and certificate against the reference.
fn check_transport(name: &str, solve: impl Fn(GroundCost) -> Transport, expected: &Value) {
    let references = [(GroundCost::SquaredEuclidean, "W2_squared"), (GroundCost::Euclidean, "W1")];
    for (cost, key) in references {
        let transport = solve(cost);
        let value = expected[key].as_f64().unwrap();
        // Identical clouds have distance zero: then rounding is measured against 1.
        let floor = if value == 0.0 { 1e-3 } else { 0.0 };
        let what = format!("{name} {key}");
        check_close(&what, transport.primal, value, TOLERANCE, floor);
        check_close(&format!("{what} dual"), transport.dual, value, TOLERANCE, floor);
        let wrong = value * 1.001;
        assert!(
            value == 0.0 || !close(transport.primal, wrong, TOLERANCE, 0.0),
            "{what}: the comparison cannot tell {value} from {wrong}"
        );
    }
}

fn check_unequal(clouds: &std::path::PathBuf, references: &Value) -> usize {
    let mut npz = open_npz(clouds);
    let names = npz.names().unwrap();
    let cases: Vec<String> = names
        .iter()
        .filter_map(|name| name.trim_end_matches(".npy").strip_suffix("_X").map(str::to_owned))
        .collect();
    for case in &cases {
        let (x, y) =
            (matrix(&mut npz, &format!("{case}_X")), matrix(&mut npz, &format!("{case}_Y")));
        let (a, b) =
            (vector(&mut npz, &format!("{case}_a")), vector(&mut npz, &format!("{case}_b")));
        let solve = |cost| {
            let solver = ExactTransport::new(cost);
            solver.solve(x.view(), Some(a.view()), y.view(), Some(b.view())).unwrap()
        };
        check_transport(case, solve, &references[case]);
    }
    cases.len()
}

#[test]
fn weighted_clouds_of_the_fixture() {
    let references = read_json(&fixture("transport.json"));
    assert_eq!(check_unequal(&fixture("transport.npz"), &references), 4);
}

#[test]
fn weighted_clouds() {
    let (Some(clouds), Some(json)) =
        (shared("refs/ot/clouds_unequal.npz"), shared("refs/ot/ot_refs.json"))
    else {
        return;
    };
    assert_eq!(check_unequal(&clouds, &read_json(&json)), 8);
}

#[test]
fn equal_clouds() {
    let (Some(clouds), Some(json)) =
        (shared("refs/ot/clouds_equal.npz"), shared("refs/ot/ot_refs.json"))
    else {
        return;
    };
    let (mut npz, references) = (open_npz(&clouds), read_json(&json));
    for d in [1, 2, 10, 64] {
        for n in [500, 1000, 2000] {
            let case = format!("eq_d{d}_n{n}");
            let x = matrix(&mut npz, &format!("{case}_X"));
            let y = matrix(&mut npz, &format!("{case}_Y"));
            let solve =
                |cost| ExactTransport::new(cost).solve(x.view(), None, y.view(), None).unwrap();
            check_transport(&case, solve, &references[&case]);
        }
    }
}

fn check_kernels(case: &str, x: &Array2<f64>, y: &Array2<f64>, expected: &Value) -> usize {
    let mut n_checked = 0;
    for (key, value) in expected.as_object().unwrap() {
        let Some(value) = value.as_f64() else { continue };
        let number = |prefix: &str| -> Option<f64> {
            key.strip_prefix(prefix)?.split('_').next()?.parse().ok()
        };
        let kernel = if let Some(bandwidth) = number("mmd2_rbf_sigma") {
            Kernel::Rbf { bandwidth }
        } else if let Some(offset) = number("mmd2_imq_c") {
            Kernel::InverseMultiquadric { offset }
        } else if key.starts_with("kid_poly3") {
            Kernel::Cubic
        } else if key.starts_with("energy") {
            Kernel::Distance
        } else if key.starts_with("frechet") {
            let found = metrics::frechet_distance(x.view(), y.view()).unwrap();
            check_close(&format!("{case} {key}"), found, value, CLOSED_FORM, 0.0);
            n_checked += 1;
            continue;
        } else {
            continue;
        };
        let mmd = metrics::mmd2(x.view(), y.view(), kernel).unwrap();
        let biased = key.ends_with("_biased") || key.contains("V_statistic");
        let found = if biased { mmd.biased } else { mmd.unbiased };
        // The reference took a diagonal of ones off its sums: it has the rounding of the V-statistic.
        let floor = f64::EPSILON * mmd.biased.abs() / CLOSED_FORM;
        check_close(&format!("{case} {key}"), found, value, CLOSED_FORM, floor);
        assert!(
            !close(found, value * 1.001, CLOSED_FORM, 0.0),
            "{case} {key} cannot be told apart"
        );
        n_checked += 1;
    }
    n_checked
}

#[test]
fn kernels() {
    let Some(json) = shared("refs/ot/ot_refs.json") else { return };
    let references = read_json(&json);
    let mut n_checked = 0;
    for (file, cases) in [
        ("refs/ot/clouds_equal.npz", ["eq_d2_n1000", "eq_d10_n1000", "eq_d64_n1000"].as_slice()),
        (
            "refs/ot/clouds_unequal.npz",
            ["uneq0_uniform_d2_n300_m700", "uneq1_uniform_d10_n700_m300"].as_slice(),
        ),
    ] {
        let Some(clouds) = shared(file) else { return };
        let mut npz = open_npz(&clouds);
        for case in cases {
            let x = matrix(&mut npz, &format!("{case}_X"));
            let y = matrix(&mut npz, &format!("{case}_Y"));
            n_checked += check_kernels(case, &x, &y, &references[format!("kernel_{case}")]);
        }
    }
    assert!(n_checked >= 5 * 13, "only {n_checked} values were compared");
}

#[test]
fn sliced() {
    let (Some(json), Some(directions)) =
        (shared("refs/ot/ot_refs.json"), shared("refs/ot/projections.npz"))
    else {
        return;
    };
    let references = read_json(&json);
    let mut directions = open_npz(&directions);
    for (key, expected) in references.as_object().unwrap() {
        let Some(case) = key.strip_prefix("sliced_") else { continue };
        let file = if case.starts_with("eq") { "clouds_equal.npz" } else { "clouds_unequal.npz" };
        let Some(clouds) = shared(&format!("refs/ot/{file}")) else { return };
        let mut npz = open_npz(&clouds);
        let (x, y) =
            (matrix(&mut npz, &format!("{case}_X")), matrix(&mut npz, &format!("{case}_Y")));
        let weights = case.starts_with("uneq").then(|| {
            (vector(&mut npz, &format!("{case}_a")), vector(&mut npz, &format!("{case}_b")))
        });
        let (a, b) =
            weights.as_ref().map_or((None, None), |(a, b)| (Some(a.view()), Some(b.view())));
        let names = directions.names().unwrap();
        let name = names.iter().find(|name| name.contains(case)).unwrap().clone();
        let along = matrix(&mut directions, name.trim_end_matches(".npy"));
        for (p, mean, max) in [(1.0, "SW1", "maxSW1"), (2.0, "SW2", "maxSW2")] {
            let found = metrics::sliced_w(x.view(), a, y.view(), b, along.view(), p).unwrap();
            check_close(
                &format!("{case} {mean}"),
                found.mean,
                expected[mean].as_f64().unwrap(),
                CLOSED_FORM,
                0.0,
            );
            check_close(
                &format!("{case} {max}"),
                found.max,
                expected[max].as_f64().unwrap(),
                CLOSED_FORM,
                0.0,
            );
        }
    }
}
