//! `metrics`: exact transport between clouds and histograms.

use crate::time;
use criterion::Criterion;
use metrics::{ExactTransport, GroundCost, Histogram2d, HistogramBuilder};
use ndarray::{Array1, Array2};
use sde_core::Key;
use std::hint::black_box;

fn normals(seed: u64, n: usize, d: usize, spread: f64) -> Array2<f64> {
    let mut values = vec![0.0; n * d];
    Key::root(seed).fill_normals(0, &mut values);
    values.iter_mut().for_each(|v| *v *= spread);
    Array2::from_shape_vec((n, d), values).expect("n * d values")
}

fn histogram(seed: u64, nodes: usize, spread: f64) -> Histogram2d {
    let mut builder = HistogramBuilder::new(3.5, nodes).expect("a valid grid");
    builder.add(normals(seed, 200_000, 2, spread).view()).expect("finite samples");
    builder.finish().expect("samples on the grid")
}

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics");
    group.sample_size(10);
    let sizes = [(500, 2), (2000, 2), (4000, 2), (20_000, 2), (5000, 3), (2000, 10), (100_000, 1)];
    for (n, d) in sizes {
        let (x, y) = (normals(1, n, d, 1.0), normals(2, n, d, 1.1));
        time(&mut group, "w2-cloud", format!("{n}x{d}"), n, || {
            metrics::w2(black_box(x.view()), black_box(y.view()))
        });
    }
    // Weights that differ: hardly a pivot is degenerate then. Few places: ties and repeated points.
    let n = 2000;
    let (x, y) = (normals(1, n, 2, 1.0), normals(2, n, 2, 1.1));
    let weights = normals(3, n, 1, 1.0).into_iter().map(|z| z * z).collect::<Array1<f64>>();
    let solver = ExactTransport::new(GroundCost::SquaredEuclidean);
    time(&mut group, "w2-cloud", "weighted-2000x2", n, || {
        solver.solve(x.view(), Some(weights.view()), y.view(), Some(weights.view()))
    });
    time(&mut group, "w1-cloud", "2000x2", n, || {
        metrics::w1(black_box(x.view()), black_box(y.view()))
    });
    let places = |cloud: &Array2<f64>| cloud.mapv(|value| (4.0 * value).round());
    let (x, y) = (places(&x), places(&y));
    time(&mut group, "w2-cloud", "lattice-2000x2", n, || {
        metrics::w2(black_box(x.view()), black_box(y.view()))
    });
    for nodes in [16, 32, 64] {
        let (a, b) = (histogram(1, nodes, 1.0), histogram(2, nodes, 1.1));
        time(&mut group, "w2-grid", format!("{nodes}x{nodes}"), nodes * nodes, || {
            black_box(&a).w2(black_box(&b))
        });
    }
    let n = 100_000;
    let samples = normals(3, n, 2, 1.5);
    time(&mut group, "histogram", n, n, || {
        HistogramBuilder::new(3.5, 64).and_then(|mut h| h.add(black_box(samples.view())))
    });
}
