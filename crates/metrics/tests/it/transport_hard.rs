//! Exact transport on hard inputs: the right answer, by a closed form, or an error that says why not.

use metrics::{ExactTransport, GroundCost, Transport, histogram_w2, w1, w2};
use ndarray::{Array1, Array2, ArrayView2, Axis, array, concatenate};

use crate::support::{Numbers, check_close};

const COSTS: [GroundCost; 2] = [GroundCost::SquaredEuclidean, GroundCost::Euclidean];

fn solve(
    cost: GroundCost,
    (x, a): (&Array2<f64>, &Array1<f64>),
    (y, b): (&Array2<f64>, &Array1<f64>),
) -> Transport {
    ExactTransport::new(cost)
        .keep_plan(true)
        .solve(x.view(), Some(a.view()), y.view(), Some(b.view()))
        .unwrap()
}

/// Powers of ten from 1 down to `10^-orders`, in no order.
fn weights_over(orders: i32, n: usize, numbers: &mut Numbers) -> Array1<f64> {
    let order = numbers.permutation(n);
    let exponent = |k: usize| -f64::from(orders) * order[k] as f64 / (n - 1) as f64;
    (0..n).map(|k| (1.0 + numbers.uniform()) * 10_f64.powf(exponent(k))).collect()
}

/// A positive definite linear map is the gradient of a convex function: optimal, whatever the weights.
#[test]
fn weights_over_twenty_orders_of_magnitude() {
    let mut numbers = Numbers::new(20);
    let map = array![[1.6, 0.3], [0.3, 0.7]];
    for n in [2, 3, 30, 400] {
        let a = weights_over(20, n, &mut numbers);
        let mut x = numbers.normals(n, 2);
        // The heavy points stay where they are, so the light ones are all that is seen: down to the
        // lightest alone.
        for heaviest in [1.0, 1e-5, 1e-19] {
            for (mut row, &weight) in x.rows_mut().into_iter().zip(&a) {
                if weight > heaviest {
                    row.fill(0.0);
                }
            }
            let y = x.dot(&map);
            let moves = &y - &x;
            let spent = moves.rows().into_iter().zip(&a).map(|(d, w)| w * d.dot(&d));
            let expected = spent.sum::<f64>() / a.sum();
            let order = numbers.permutation(n);
            let (shuffled, b) = (y.select(Axis(0), &order), a.select(Axis(0), &order));
            let found = solve(GroundCost::SquaredEuclidean, (&x, &a), (&shuffled, &b));
            check_close("linear map", found.primal, expected, 1e-11, 0.0);
            check_close("its dual", found.dual, expected, 1e-10, 0.0);
        }
    }
}

/// W1 on the line is the area between the distribution functions; W2^2 by sweeping from the light end.
#[test]
fn light_points_on_the_line_and_on_a_line_in_space() {
    let mut numbers = Numbers::new(4);
    let direction = array![[0.6, 0.0, -0.8]];
    for n in [2, 10, 300] {
        let mut a = weights_over(20, n, &mut numbers);
        let mut b = weights_over(20, n, &mut numbers);
        let mut x = Array2::from_shape_simple_fn((n, 1), || 1.0 + numbers.uniform());
        let mut y = Array2::from_shape_simple_fn((n, 1), || 1.0 + numbers.uniform());
        // Nearly all mass is at zero on both sides, the light points are to the right of it.
        (a[0], b[0]) = (1e6, 1e6 + a.sum() - a[0] - (b.sum() - b[0]));
        (x[[0, 0]], y[[0, 0]]) = (0.0, 0.0);
        for cost in COSTS {
            let expected = sweep(cost, (&x, &a), (&y, &b)) / a.sum();
            let line = solve(cost, (&x, &a), (&y, &b));
            check_close("on the line", line.primal, expected, 1e-9, 0.0);
            let space = solve(cost, (&x.dot(&direction), &a), (&y.dot(&direction), &b));
            check_close("in space", space.primal, expected, 1e-9, 0.0);
        }
    }
}

/// The monotone plan from the right, down to the heavy point at zero.
fn sweep(
    cost: GroundCost,
    (x, a): (&Array2<f64>, &Array1<f64>),
    (y, b): (&Array2<f64>, &Array1<f64>),
) -> f64 {
    let sorted = |points: &Array2<f64>, weights: &Array1<f64>| {
        let mut pairs: Vec<(f64, f64)> =
            points.iter().copied().zip(weights.iter().copied()).collect();
        pairs.sort_by(|p, q| q.0.total_cmp(&p.0));
        pairs
    };
    let (left, right) = (sorted(x, a), sorted(y, b));
    let (mut i, mut j, mut spent) = (0, 0, 0.0);
    let (mut p, mut q) = (left[0], right[0]);
    while p.0 > 0.0 || q.0 > 0.0 {
        let mass = p.1.min(q.1);
        let distance = (p.0 - q.0).abs();
        spent += mass * if cost == GroundCost::Euclidean { distance } else { distance * distance };
        (p.1, q.1) = (p.1 - mass, q.1 - mass);
        if p.1 <= 0.0 {
            i += 1;
            p = left[i];
        } else {
            j += 1;
            q = right[j];
        }
    }
    spent
}

#[test]
fn subnormal_and_huge_weights_are_weights() {
    let mut numbers = Numbers::new(11);
    let (x, y) = (numbers.normals(40, 2), numbers.normals(40, 2));
    // Whole numbers, so that they are the same numbers at every scale.
    let a = Array1::from_shape_simple_fn(40, || (1 + numbers.bits() % 1000) as f64);
    let b = a.select(Axis(0), &numbers.permutation(40));
    for cost in COSTS {
        let expected = solve(cost, (&x, &a), (&y, &b)).primal;
        for scale in [5e-324, 1e-310, 2.0_f64.powi(-1022), 2.0_f64.powi(900)] {
            let (a, b) = (a.mapv(|w| w * scale), b.mapv(|w| w * scale));
            let found = solve(cost, (&x, &a), (&y, &b));
            check_close("scaled weights", found.primal, expected, 1e-12, 0.0);
            assert_eq!(found.mass, [a.sum(), b.sum()]);
        }
    }
}

#[test]
fn tiny_and_huge_clouds() {
    let mut numbers = Numbers::new(7);
    let (x, y) = (numbers.normals(60, 2), numbers.normals(50, 2) * 0.5);
    for k in [-498, -300, 0, 300, 498] {
        let factor = 2.0_f64.powi(k);
        let (large_x, large_y) = (&x * factor, &y * factor);
        let squared = w2(large_x.view(), large_y.view()).unwrap();
        let expected = w2(x.view(), y.view()).unwrap();
        // A power of two changes no digit.
        assert_eq!(squared.primal / factor / factor, expected.primal);
        assert!(squared.gap().abs() <= 1e-13 * squared.primal);
        let plain = w1(large_x.view(), large_y.view()).unwrap();
        assert_eq!(plain.primal / factor, w1(x.view(), y.view()).unwrap().primal);
    }
    // Where the squares have no number, the distances still do.
    for factor in [1e-200, 1e200] {
        let (x, y) = (&x * factor, &y * factor);
        let error = w2(x.view(), y.view()).unwrap_err().to_string();
        assert!(error.starts_with("extent of the points must be such that no cost"), "{error}");
        let plain = w1(x.view(), y.view()).unwrap();
        assert!(plain.primal > 0.1 * factor && plain.gap().abs() <= 1e-13 * plain.primal);
    }
    // Small clouds far apart.
    let (x, y) = (&x * 1e-120, &(&y * 1e-120) + 1e100);
    check_close("far apart", w2(x.view(), y.view()).unwrap().primal, 2e200, 1e-12, 0.0);
    for value in [1e301, -f64::MAX] {
        let error = w1(x.view(), array![[0.0, value]].view()).unwrap_err().to_string();
        assert!(error.starts_with("largest coordinate must be at most 1e300"), "{error}");
    }
    let (x, y) = (array![[1e200, 0.0]], array![[0.0, 0.0]]);
    assert!(w2(x.view(), y.view()).is_err());
    assert_eq!(w2(x.view(), x.view()).unwrap().primal, 0.0);
}

/// Coordinates on a lattice fine enough to be exact after the shift.
#[test]
fn far_offsets_change_nothing() {
    let mut numbers = Numbers::new(31);
    let mut lattice = |n: usize| {
        numbers
            .normals(n, 3)
            .mapv(|value| (value * f64::from(1 << 16)).round() / f64::from(1 << 16))
    };
    let (x, y) = (lattice(300), lattice(200));
    for cost in COSTS {
        let solver = ExactTransport::new(cost);
        let near = solver.solve(x.view(), None, y.view(), None).unwrap();
        let (far_x, far_y) = (&x + 1e8, &y + 1e8);
        let far = solver.solve(far_x.view(), None, far_y.view(), None).unwrap();
        check_close("both at 1e8", far.primal, near.primal, 1e-14, 0.0);
        check_close("its dual", far.dual, near.primal, 1e-12, 0.0);
    }
    let away = w2(x.view(), (&y + 1e8).view()).unwrap();
    let expected: f64 = (0..3)
        .map(|k| (1e8 + y.column(k).mean().unwrap() - x.column(k).mean().unwrap()).powi(2))
        .sum();
    check_close("one at 1e8", away.primal, expected, 1e-14, 0.0);
}

#[test]
fn collinear_points_are_points_of_a_line() {
    let mut numbers = Numbers::new(16);
    // A Pythagorean direction and whole numbers: distances along it are exact, and full of ties.
    let direction = array![[3.0, 4.0]];
    for (n, m) in [(1500, 1500), (700, 1100)] {
        let mut whole =
            |n: usize| Array2::from_shape_simple_fn((n, 1), || (numbers.bits() % 4000) as f64);
        let (x, y) = (whole(n), whole(m));
        let (in_x, in_y) = (x.dot(&direction), y.dot(&direction));
        for cost in COSTS {
            let solver = ExactTransport::new(cost);
            let line = solver.solve(x.view(), None, y.view(), None).unwrap();
            let plane = solver.solve(in_x.view(), None, in_y.view(), None).unwrap();
            let factor = if cost == GroundCost::Euclidean { 5.0 } else { 25.0 };
            check_close("a line in the plane", plane.primal, factor * line.primal, 1e-12, 0.0);
            check_close("its dual", plane.dual, plane.primal, 1e-12, 0.0);
        }
    }
}

#[test]
fn identical_clouds_and_duplicates_are_free() {
    let mut numbers = Numbers::new(9);
    for d in [1, 2, 10] {
        let x = numbers.normals(1000, d);
        let y = x.select(Axis(0), &numbers.permutation(1000));
        for transport in [w2(x.view(), y.view()).unwrap(), w1(x.view(), y.view()).unwrap()] {
            assert_eq!((transport.primal, transport.dual), (0.0, 0.0));
        }
        // Ten copies of every point on one side, one on the other with all the mass.
        let copies = concatenate(Axis(0), &[x.view(); 10]).unwrap();
        let transport = solve(
            GroundCost::SquaredEuclidean,
            (&copies, &Array1::from_elem(10_000, 0.1)),
            (&y, &Array1::ones(1000)),
        );
        assert_eq!(transport.primal, 0.0);
        let plan = transport.plan.unwrap();
        assert_eq!(plan.moves().len(), 10_000);
        let at_home = |&(i, j, _): &(usize, usize, f64)| copies.row(i) == y.row(j);
        assert!(plan.moves().iter().all(at_home));
    }
    let zeros = array![[0.0, -0.0], [-0.0, 0.0], [0.0, 0.0]];
    assert_eq!(w2(zeros.view(), zeros.slice(ndarray::s![..1, ..])).unwrap().primal, 0.0);
}

/// Rows with no mass may be anywhere: they change nothing, and their potentials are feasible.
#[test]
fn massless_points_change_nothing() {
    let mut numbers = Numbers::new(77);
    let (x, y) = (numbers.normals(50, 2), numbers.normals(60, 2));
    let (a, b) = (Array1::from_elem(50, 0.6), Array1::from_elem(60, 0.5));
    for cost in COSTS {
        let expected = solve(cost, (&x, &a), (&y, &b)).primal;
        let more_x = concatenate![Axis(0), x, array![[30.0, 0.0], [x[[0, 0]], x[[0, 1]]]]];
        let more_y = concatenate![Axis(0), array![[0.0, -30.0]], y];
        let (more_a, more_b) =
            (concatenate![Axis(0), a, [0.0, 0.0]], concatenate![Axis(0), [0.0], b]);
        let found = solve(cost, (&more_x, &more_a), (&more_y, &more_b));
        check_close("with massless points", found.primal, expected, 1e-13, 0.0);
        check_feasible(&found, more_x.view(), more_y.view());
    }
}

/// Potentials are differences of costs: up to the rounding of the largest ones.
#[track_caller]
fn check_feasible(transport: &Transport, x: ArrayView2<f64>, y: ArrayView2<f64>) {
    let pair =
        |(i, j): (usize, usize)| transport.cost.between(&x.row(i).to_vec(), &y.row(j).to_vec());
    let costs = Array2::from_shape_fn((x.nrows(), y.nrows()), pair);
    let rounding = 8.0 * f64::EPSILON * costs.fold(0.0, |most: f64, &cost| most.max(cost));
    for ((i, j), cost) in costs.indexed_iter() {
        let (u, v) = (transport.source_potential[i], transport.target_potential[j]);
        assert!(u + v <= cost + rounding, "{u} + {v} > {cost}");
    }
}

/// Two groups on each side that are out of balance: a few points have to go a long way.
#[test]
fn surplus_goes_to_the_far_cluster() {
    let mut numbers = Numbers::new(40);
    let group = |n: usize, at: f64, numbers: &mut Numbers| {
        let mut points = numbers.normals(n, 2) * 0.01;
        points.column_mut(0).mapv_inplace(|value| value + at);
        points
    };
    let x = concatenate![Axis(0), group(330, 0.0, &mut numbers), group(270, 100.0, &mut numbers)];
    let y = concatenate![Axis(0), group(290, 0.0, &mut numbers), group(310, 100.0, &mut numbers)];
    for cost in COSTS {
        let uniform = Array1::ones(600);
        let found = solve(cost, (&x, &uniform), (&y, &uniform));
        let far = found.plan.as_ref().unwrap().moves();
        let far = far.iter().filter(|(i, j, _)| (x[[*i, 0]] - y[[*j, 0]]).abs() > 50.0).count();
        assert_eq!(far, 40);
        check_close("dual", found.dual, found.primal, 1e-12, 0.0);
        check_feasible(&found, x.view(), y.view());
    }
}

/// Everything about the answer is the same with one thread and with several.
#[test]
fn threads_change_nothing() {
    let mut numbers = Numbers::new(55);
    let (x, y) = (numbers.normals(1200, 2), numbers.normals(900, 2));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let solver = ExactTransport::new(GroundCost::SquaredEuclidean).keep_plan(true);
        pool.install(|| solver.solve(x.view(), None, y.view(), None)).unwrap()
    };
    let (one, four) = (run(1), run(4));
    assert_eq!((one.primal, one.dual), (four.primal, four.dual));
    assert_eq!(one.source_potential, four.source_potential);
    assert_eq!(one.target_potential, four.target_potential);
    assert_eq!(one.plan, four.plan);
}

/// The masses are said as given, and only what rounding explains is made equal.
#[test]
fn masses_are_stated() {
    let (x, y) = (array![[0.0, 0.0], [1.0, 0.0]], array![[0.0, 1.0]]);
    let given = solve(GroundCost::Euclidean, (&x, &array![3.0, 4.0]), (&y, &array![7.0 + 1e-9]));
    assert_eq!(given.mass, [7.0, 7.0 + 1e-9]);
    assert_eq!(w1(x.view(), y.view()).unwrap().mass, [1.0, 1.0]);
    let error = ExactTransport::new(GroundCost::Euclidean)
        .solve(x.view(), Some(array![3.0, 4.0].view()), y.view(), Some(array![7.1].view()))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "masses differ: 7 on the left, 7.1 on the right, by 1.4e-2 of the larger"
    );
}

/// One row, or one column, is the line.
#[test]
fn light_nodes_of_a_grid() {
    let mut numbers = Numbers::new(61);
    for n in [2, 12, 64] {
        let (mut a, mut b) = (weights_over(20, n, &mut numbers), weights_over(20, n, &mut numbers));
        let nodes = Array1::from_shape_fn(n, |k| 0.25 * k as f64);
        (a[0], b[0]) = (1e6, 1e6 + a.sum() - a[0] - (b.sum() - b[0]));
        if n > 2 {
            (a[1], b[n - 1]) = (0.0, 0.0);
            b[0] = a.sum() - (b.sum() - b[0]);
        }
        let points = nodes.clone().insert_axis(Axis(1));
        let expected = sweep(GroundCost::SquaredEuclidean, (&points, &a), (&points, &b)) / a.sum();
        let zero = array![0.0];
        let (row_a, row_b) = (a.view().insert_axis(Axis(0)), b.view().insert_axis(Axis(0)));
        let row = histogram_w2(row_a, row_b, nodes.view(), zero.view()).unwrap();
        check_close("one row", row.squared, expected, 1e-9, 0.0);
        let (column_a, column_b) = (a.view().insert_axis(Axis(1)), b.view().insert_axis(Axis(1)));
        let column = histogram_w2(column_a, column_b, zero.view(), nodes.view()).unwrap();
        check_close("one column", column.squared, expected, 1e-9, 0.0);
        for found in [row, column] {
            assert!(found.gap().abs() <= 1e-10 * found.squared, "gap {:e}", found.gap());
        }
    }
}

#[test]
fn tiny_huge_and_far_grids() {
    let mut numbers = Numbers::new(3);
    let mut side = || {
        let side = Array2::from_shape_simple_fn((7, 9), || (numbers.bits() % 100) as f64);
        let total = side.sum();
        side / total
    };
    let (a, b) = (side(), side());
    let (xs, ys) = (Array1::linspace(0.0, 2.0, 9), Array1::linspace(0.0, 3.0, 7));
    let solve = |a: &Array2<f64>, b: &Array2<f64>, factor: f64, shift: f64| {
        let (xs, ys) = (xs.mapv(|x| x * factor + shift), ys.mapv(|y| y * factor - shift));
        histogram_w2(a.view(), b.view(), xs.view(), ys.view())
    };
    let base = solve(&a, &b, 1.0, 0.0).unwrap();
    for k in [-498, -300, 300, 498] {
        let factor = 2.0_f64.powi(k);
        let found = solve(&a, &b, factor, 0.0).unwrap();
        assert_eq!(found.squared / factor / factor, base.squared);
        assert!(found.gap().abs() <= 1e-13 * found.squared);
    }
    check_close("at 1e8", solve(&a, &b, 1.0, 1e8).unwrap().squared, base.squared, 1e-13, 0.0);
    for factor in [1e-200, 1e200] {
        let error = solve(&a, &b, factor, 0.0).unwrap_err().to_string();
        assert!(error.starts_with("extent of the points must be such that no cost"), "{error}");
    }
    let error = solve(&a, &b, 1.0, 1e305).unwrap_err().to_string();
    assert!(error.starts_with("largest coordinate must be at most 1e300"), "{error}");
    // Weights are weights at every scale, and the masses are stated.
    for scale in [1e-300, 1e300] {
        let found = solve(&(&a * scale), &(&b * scale), 1.0, 0.0).unwrap();
        check_close("scaled weights", found.squared, base.squared, 1e-13, 0.0);
        check_close("mass", found.mass[0], (&a * scale).sum(), 1e-14, 0.0);
        check_close("mass", found.mass[1], (&b * scale).sum(), 1e-14, 0.0);
    }
    assert_eq!(solve(&a, &a, 1.0, 0.0).unwrap().squared, 0.0);
}
