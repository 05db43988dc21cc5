//! Laws of the metrics of clouds beside exact transport, through the registry.

use metrics::{Metric, Options, Sample};
use ndarray::{Array1, Array2, Axis, concatenate};
use proptest::prelude::*;

use crate::support::{Numbers, check_close};

/// What a metric obeys, beyond what all of them do.
struct Laws {
    metric: Metric,
    /// The value scales like this power of the coordinates, with the lengths among the options.
    scale: i32,
    /// This power of the value is a distance of laws: zero from itself, with a triangle inequality.
    distance: Option<f64>,
    /// Copies of every row change nothing.
    copies: bool,
}

const CASES: [Laws; 9] = [
    Laws::new(Metric::W2, 2).distance(0.5).copies(),
    Laws::new(Metric::W1, 1).distance(1.0).copies(),
    Laws::new(Metric::Sliced, 2).distance(0.5).copies(),
    Laws::new(Metric::Frechet, 2).distance(0.5),
    Laws::new(Metric::Sinkhorn, 2).copies(),
    Laws::new(Metric::Mmd, 0).distance(0.5).copies(),
    Laws::new(Metric::MmdMixture, 0).distance(0.5).copies(),
    Laws::new(Metric::MmdImq, -1).distance(0.5).copies(),
    Laws::new(Metric::Energy, 1).distance(0.5).copies(),
];

impl Laws {
    const fn new(metric: Metric, scale: i32) -> Self {
        Self { metric, scale, distance: None, copies: false }
    }

    const fn distance(self, power: f64) -> Self {
        Self { distance: Some(power), ..self }
    }

    const fn copies(self) -> Self {
        Self { copies: true, ..self }
    }
}

/// Every length among the parameters is given, in units of `scale`.
fn options(scale: f64) -> Options {
    Options {
        bandwidth: Some(0.8 * scale),
        offset: 0.7 * scale,
        epsilon: Some(0.5 * scale * scale),
        projections: 16,
        errors: false,
        ..Options::default()
    }
}

fn scaled(metric: Metric, x: &Array2<f64>, y: &Array2<f64>, scale: f64) -> f64 {
    let (x, y) = (Sample::cloud(x.clone()), Sample::cloud(y.clone()));
    let value = metric.evaluate(&x, &y, &options(scale)).unwrap().value;
    // The mean before the root is taken: that is what rounding leaves alone near zero.
    if matches!(metric, Metric::W2 | Metric::Sliced) { value * value } else { value }
}

fn value(metric: Metric, x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    scaled(metric, x, y, 1.0)
}

/// A cloud about the origin, of coordinates about one; some are on a lattice, which makes ties.
fn cloud(numbers: &mut Numbers, n: usize, d: usize, lattice: bool) -> Array2<f64> {
    let scale = 0.3 + numbers.uniform();
    numbers.normals(n, d).mapv(|value| {
        let value = scale * value;
        if lattice { (2.0 * value).round() } else { value }
    })
}

fn mean(x: &Array2<f64>) -> Array1<f64> {
    x.mean_axis(Axis(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn they_compare_laws(
        seed: u64, n in 2_usize..24, m in 2_usize..24, k in 2_usize..24, d in 1_usize..5, lattice: bool,
    ) {
        let mut numbers = Numbers::new(seed);
        let x = cloud(&mut numbers, n, d, lattice);
        let y = cloud(&mut numbers, m, d, lattice);
        let z = cloud(&mut numbers, k, d, lattice);
        let order = numbers.permutation(n);
        let permuted = x.select(Axis(0), &order);
        let twice = concatenate![Axis(0), x, permuted];
        for Laws { metric, distance, copies, .. } in CASES {
            let name = metric.name();
            let xy = value(metric, &x, &y);
            check_close(name, value(metric, &y, &x), xy, 1e-9, 1.0);
            check_close(name, value(metric, &permuted, &y), xy, 1e-9, 1.0);
            check_close(name, value(metric, &x, &permuted), 0.0, 1e-9, 1.0);
            prop_assert!(xy >= -1e-9, "{}: {}", name, xy);
            if copies {
                check_close(name, value(metric, &twice, &y), xy, 1e-9, 1.0);
            }
            if let Some(power) = distance {
                let root = |x, y| value(metric, x, y).max(0.0).powf(power);
                prop_assert!(root(&x, &y) <= root(&x, &z) + root(&z, &y) + 1e-6, "{}", name);
            }
        }
    }

    #[test]
    fn they_move_with_their_clouds(
        seed: u64, n in 2_usize..24, m in 2_usize..24, d in 1_usize..5, lattice: bool,
        factor in 0.05_f64..20.0,
    ) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, lattice), cloud(&mut numbers, m, d, lattice));
        let shift = Array1::from_shape_simple_fn(d, || 3.0 * numbers.normal());
        for Laws { metric, scale, .. } in CASES {
            let (name, base) = (metric.name(), value(metric, &x, &y));
            check_close(name, value(metric, &(&x + &shift), &(&y + &shift)), base, 1e-9, 1.0);
            let unit = factor.powi(scale);
            let found = scaled(metric, &(&x * factor), &(&y * factor), factor);
            check_close(name, found, base * unit, 1e-9, unit);
        }
        // Squared ones: |s|^2 + 2 s.(difference of the means) more.
        let more = shift.dot(&shift) + 2.0 * shift.dot(&(mean(&x) - mean(&y)));
        for metric in [Metric::W2, Metric::Sinkhorn, Metric::Frechet] {
            let expected = value(metric, &x, &y) + more;
            check_close(metric.name(), value(metric, &(&x + &shift), &y), expected, 1e-9, 1.0);
        }
    }

    /// Neighbours see the order of distances alone, which are exact on a lattice.
    #[test]
    fn overlap_knows_neither_rows_nor_units(
        seed: u64, n in 7_usize..30, m in 7_usize..30, d in 1_usize..5, power in -3_i32..4,
    ) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, true), cloud(&mut numbers, m, d, true));
        let mapped = |z: &Array2<f64>| z * 2.0_f64.powi(power) + 3.0;
        let order = numbers.permutation(n);
        for metric in [Metric::Precision, Metric::Recall, Metric::Density, Metric::Coverage] {
            let base = value(metric, &x, &y);
            prop_assert_eq!(value(metric, &mapped(&x), &mapped(&y)), base);
            prop_assert_eq!(value(metric, &x.select(Axis(0), &order), &y), base);
        }
        // What one asks of the real sample, the other asks of the generated one.
        prop_assert_eq!(value(Metric::Precision, &x, &y), value(Metric::Recall, &y, &x));
    }
}
