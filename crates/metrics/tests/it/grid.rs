//! Histograms: binning, and transport between them.

use metrics::{ExactTransport, GroundCost, Histogram2d, HistogramBuilder, histogram_w2};
use ndarray::{Array1, Array2, Axis, array, concatenate};

use crate::support::{Numbers, check_close};

/// The same problem as a cloud of nodes.
fn as_clouds(a: &Array2<f64>, b: &Array2<f64>, xs: &Array1<f64>, ys: &Array1<f64>) -> f64 {
    let (rows, columns) = a.dim();
    let nodes = Array2::from_shape_fn((rows * columns, 2), |(k, axis)| {
        if axis == 0 { xs[k % columns] } else { ys[k / columns] }
    });
    let flat = |side: &Array2<f64>| side.iter().copied().collect::<Array1<f64>>();
    let (a, b) = (flat(a), flat(b));
    ExactTransport::new(GroundCost::SquaredEuclidean)
        .solve(nodes.view(), Some(a.view()), nodes.view(), Some(b.view()))
        .unwrap()
        .primal
}

#[test]
fn agrees_with_the_point_solver() {
    let mut numbers = Numbers::new(5);
    for (rows, columns, sparsity) in
        [(1, 1, 0.0), (1, 9, 0.3), (7, 1, 0.3), (6, 9, 0.0), (11, 8, 0.7)]
    {
        for _ in 0..4 {
            let mut side = || {
                let mut side = Array2::from_shape_simple_fn((rows, columns), || {
                    if numbers.uniform() < sparsity { 0.0 } else { numbers.uniform() }
                });
                side[[rows / 2, columns / 2]] += 0.1;
                let total = side.sum();
                side / total
            };
            let (a, b) = (side(), side());
            // Uneven and unsorted nodes.
            let xs = Array1::from_shape_simple_fn(columns, || 3.0 * numbers.normal());
            let ys = Array1::from_shape_simple_fn(rows, || numbers.normal());
            let found = histogram_w2(a.view(), b.view(), xs.view(), ys.view()).unwrap();
            let expected = as_clouds(&a, &b, &xs, &ys);
            check_close("grid against cloud", found.squared, expected, 1e-10, 1e-3);
            check_close("dual", found.dual, found.squared, 1e-10, 1e-3);
            check_certificate(&found, &xs, &ys);
        }
    }
}

/// No pair of nodes violates the dual constraint.
fn check_certificate(found: &metrics::GridTransport, xs: &Array1<f64>, ys: &Array1<f64>) {
    for ((r, c), u) in found.source_potential.indexed_iter() {
        for ((s, d), v) in found.target_potential.indexed_iter() {
            let cost = (xs[c] - xs[d]).powi(2) + (ys[r] - ys[s]).powi(2);
            assert!(u + v <= cost + 1e-11, "nodes ({r}, {c}) and ({s}, {d})");
        }
    }
}

#[test]
fn one_node_moves() {
    for n in [2, 5, 64] {
        let nodes = Array1::linspace(-3.5, 3.5, n);
        let at = |i: usize, j: usize| {
            let mut mass = Array2::zeros((n, n));
            mass[[i, j]] = 2.5;
            mass
        };
        let (a, b) = (at(0, n - 1), at(n / 2, 1));
        let found = histogram_w2(a.view(), b.view(), nodes.view(), nodes.view()).unwrap();
        let expected = (nodes[n / 2] - nodes[0]).powi(2) + (nodes[1] - nodes[n - 1]).powi(2);
        check_close("one move", found.squared, expected, 1e-12, 0.0);
        let same = histogram_w2(a.view(), a.view(), nodes.view(), nodes.view()).unwrap();
        assert_eq!(same.squared, 0.0);
    }
}

#[test]
fn node_positions_scale_the_distance() {
    let mut numbers = Numbers::new(9);
    let mut weights = || Array2::from_shape_simple_fn((16, 16), || numbers.uniform());
    let a = Histogram2d::from_weights(3.5, weights()).unwrap();
    let b = Histogram2d::from_weights(3.5, weights()).unwrap();
    let wider = a.w2_on(&b, Array1::linspace(-4.0, 4.0, 16).view()).unwrap();
    check_close("half-width 4", wider.squared * 0.765625, a.w2(&b).unwrap().squared, 1e-12, 0.0);
}

#[test]
fn binning_takes_the_nearest_node_in_any_chunking() {
    let samples = Numbers::new(3).normals(5000, 2) * 1.6;
    let mut whole = HistogramBuilder::new(3.5, 64).unwrap();
    whole.add(samples.view()).unwrap();
    let mut parts = HistogramBuilder::new(3.5, 64).unwrap();
    let mut rest = HistogramBuilder::new(3.5, 64).unwrap();
    let (head, tail) = samples.view().split_at(Axis(0), 1234);
    parts.add(head).unwrap();
    rest.add(tail).unwrap();
    parts.merge(&rest).unwrap();
    let (whole, parts) = (whole.finish().unwrap(), parts.finish().unwrap());
    assert_eq!(whole, parts);

    let nodes = whole.nodes();
    let mut expected = Array2::<f64>::zeros((64, 64));
    let mut n_kept = 0;
    for sample in samples.rows() {
        if sample.iter().all(|value| value.abs() <= 3.5) {
            let nearest = |value: f64| {
                let gap = |k: &usize| (nodes[*k] - value).abs();
                (0..64).min_by(|p, q| gap(p).total_cmp(&gap(q))).unwrap()
            };
            expected[[nearest(sample[1]), nearest(sample[0])]] += 1.0;
            n_kept += 1;
        }
    }
    assert_eq!(whole.weights(), expected / f64::from(n_kept));
    assert_eq!(whole.discarded_share(), f64::from(5000 - n_kept) / 5000.0);
    assert_eq!(whole.n_seen(), 5000);
}

#[test]
fn edges_belong_to_the_grid() {
    let mut builder = HistogramBuilder::new(3.5, 64).unwrap();
    let corner = array![[3.5, 3.5], [-3.5, 3.5], [3.5, -3.5], [-3.5, -3.5]];
    let outside = array![[3.5000001, 0.0], [0.0, -4.0]];
    builder.add(concatenate![Axis(0), corner, outside].view()).unwrap();
    let histogram = builder.finish().unwrap();
    for node in [[0, 0], [0, 63], [63, 0], [63, 63]] {
        assert_eq!(histogram.weights()[node], 0.25);
    }
    assert_eq!(histogram.discarded_share(), 2.0 / 6.0);
}

#[test]
fn total_variation() {
    let a = Histogram2d::from_weights(1.0, array![[1.0, 1.0], [0.0, 2.0]]).unwrap();
    let b = Histogram2d::from_weights(1.0, array![[0.0, 0.0], [3.0, 0.0]]).unwrap();
    assert_eq!(a.total_variation(&b).unwrap(), 1.0);
    assert_eq!(a.total_variation(&a).unwrap(), 0.0);
    let c = Histogram2d::from_weights(1.0, array![[1.0, 1.0], [2.0, 0.0]]).unwrap();
    assert_eq!(a.total_variation(&c).unwrap(), 0.5);
}
