//! Every misuse is named, with its numbers.

use metrics::{Error, ExactTransport, GroundCost, Histogram2d, HistogramBuilder, Kernel};
use ndarray::{Array1, Array2, ArrayView1, array};

fn solve_weighted(a: ArrayView1<f64>, b: ArrayView1<f64>) -> Result<f64, Error> {
    let points = array![[0.0, 0.0], [1.0, 1.0]];
    let solver = ExactTransport::new(GroundCost::SquaredEuclidean);
    solver.solve(points.view(), Some(a), points.view(), Some(b)).map(|t| t.primal)
}

#[track_caller]
fn check<T>(result: Result<T, Error>, message: &str) {
    let error = result.err().expect("the input was accepted");
    assert_eq!(error.to_string(), message);
}

#[test]
fn clouds() {
    let (x, empty) = (array![[0.0, 1.0], [2.0, 3.0]], Array2::<f64>::zeros((0, 2)));
    let line = array![[1.0], [2.0]];
    check(metrics::w2(empty.view(), x.view()), "first cloud has 0 rows, expected at least 1");
    check(metrics::w1(x.view(), empty.view()), "second cloud has 0 rows, expected at least 1");
    check(metrics::w2(x.view(), line.view()), "dimensions differ: 2 on the left, 1 on the right");
    let flat = Array2::<f64>::zeros((2, 0));
    check(metrics::w2(flat.view(), flat.view()), "first cloud: expected [2, 1], found [2, 0]");
    let mut bad = x.clone();
    bad[[1, 0]] = f64::INFINITY;
    check(metrics::w2(x.view(), bad.view()), "second cloud holds inf at row 1, column 0");
    check(
        metrics::energy_distance(bad.view(), x.view()),
        "first cloud holds inf at row 1, column 0",
    );
    let one = array![[1.0, 1.0]];
    let kernel = Kernel::Rbf { bandwidth: 1.0 };
    check(
        metrics::mmd2(x.view(), one.view(), kernel),
        "second cloud has 1 rows, expected at least 2",
    );
    let kernel = Kernel::Rbf { bandwidth: 0.0 };
    check(
        metrics::mmd2(x.view(), x.view(), kernel),
        "bandwidth must be positive and finite, found 0",
    );
    // Of points in one place any width is as good.
    let kernel = Kernel::rbf_median(one.view(), one.view());
    assert_eq!(kernel, Ok(Kernel::Rbf { bandwidth: 1.0 }));
}

#[test]
fn weights() {
    let half = array![0.5, 0.5];
    check(
        solve_weighted(half.view(), array![0.5, 0.6].view()),
        "masses differ: 1 on the left, 1.1 on the right, by 9.1e-2 of the larger",
    );
    check(
        solve_weighted(array![1.5, -0.5].view(), half.view()),
        "first cloud holds the weight -0.5 at index 1, expected a finite value >= 0",
    );
    check(
        solve_weighted(half.view(), array![f64::NAN, 0.5].view()),
        "second cloud holds the weight NaN at index 0, expected a finite value >= 0",
    );
    check(solve_weighted(array![0.0, 0.0].view(), half.view()), "first cloud has no mass: total 0");
    check(solve_weighted(array![1.0].view(), half.view()), "first cloud: expected [2], found [1]");
    // Differences that rounding explains are accepted.
    assert!(solve_weighted(half.view(), array![0.5, 0.5 + 1e-11].view()).is_ok());
}

#[test]
fn histograms() {
    let a = array![[0.5, 0.5], [0.0, 0.0]];
    let nodes = array![0.0, 1.0];
    let solve = |b: Array2<f64>, nodes: Array1<f64>| {
        metrics::histogram_w2(a.view(), b.view(), nodes.view(), nodes.view())
    };
    check(
        solve(&a * 0.5, nodes.clone()),
        "masses differ: 1 on the left, 0.5 on the right, by 5.0e-1 of the larger",
    );
    check(
        solve(-&a, nodes.clone()),
        "second histogram holds the weight -0.5 at index 0, expected a finite value >= 0",
    );
    check(solve(array![[1.0, 0.0]], nodes), "second histogram: expected [2, 2], found [1, 2]");
    check(solve(a.clone(), array![0.0, f64::NAN]), "column positions holds NaN at row 1, column 0");
    check(HistogramBuilder::new(-1.0, 3), "half-width must be positive and finite, found -1");
    check(HistogramBuilder::new(1.0, 1), "nodes per axis must be >= 2, found 1");
    let mut builder = HistogramBuilder::new(1.0, 3).unwrap();
    check(builder.finish(), "histogram has no mass: total 0");
    check(builder.add(array![[1.0]].view()), "samples: expected [1, 2], found [1, 1]");
    check(
        builder.add(array![[0.0, 0.0], [0.0, f64::NAN]].view()),
        "samples holds NaN at row 1, column 1",
    );
    assert_eq!(builder.n_seen(), 0);
    check(
        Histogram2d::from_weights(1.0, array![[1.0, 0.0]]),
        "histogram: expected [1, 1], found [1, 2]",
    );
}
