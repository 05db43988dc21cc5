//! Laws of exact transport: clouds with weights, the line and grids, for both costs.

use metrics::{ExactTransport, GridTransport, GroundCost, Transport, histogram_w2};
use ndarray::{Array1, Array2, Axis, concatenate};
use proptest::prelude::*;

use crate::support::{Numbers, check_close};

const COSTS: [GroundCost; 2] = [GroundCost::SquaredEuclidean, GroundCost::Euclidean];

/// A cloud with weights that sum to one.
#[derive(Clone)]
struct Cloud {
    points: Array2<f64>,
    weights: Array1<f64>,
}

/// Some clouds are on a lattice, which makes ties and repeated points; some weights are zero, and
/// some are equal.
fn cloud(numbers: &mut Numbers, n: usize, d: usize, kind: u8) -> Cloud {
    let (scale, shift) = (0.2 + numbers.uniform(), numbers.normal());
    let points = numbers.normals(n, d).mapv(|value| {
        let value = scale * value + shift;
        if kind & 1 == 1 { (2.0 * value).round() } else { value }
    });
    let mut weights = Array1::from_shape_simple_fn(n, || match kind / 2 {
        0 => 1.0,
        1 => numbers.uniform().powi(5),
        _ => {
            if numbers.uniform() < 0.4 {
                0.0
            } else {
                1.0 + (numbers.bits() % 4) as f64
            }
        }
    });
    weights[n / 2] += 0.5;
    let total = weights.sum();
    Cloud { points, weights: weights / total }
}

fn solve(cost: GroundCost, x: &Cloud, y: &Cloud) -> Transport {
    ExactTransport::new(cost)
        .keep_plan(true)
        .solve(x.points.view(), Some(x.weights.view()), y.points.view(), Some(y.weights.view()))
        .unwrap()
}

fn value(cost: GroundCost, x: &Cloud, y: &Cloud) -> f64 {
    solve(cost, x, y).primal
}

fn mapped(cloud: &Cloud, points: Array2<f64>) -> Cloud {
    Cloud { points, weights: cloud.weights.clone() }
}

fn mean(cloud: &Cloud) -> Array1<f64> {
    cloud.weights.dot(&cloud.points)
}

/// A random rotation, as a product of turns in coordinate planes.
fn rotation(numbers: &mut Numbers, d: usize) -> Array2<f64> {
    let mut map = Array2::eye(d);
    for i in 0..d {
        for j in 0..i {
            let (sin, cos) = (6.3 * numbers.uniform()).sin_cos();
            let mut turn = Array2::eye(d);
            (turn[[i, i]], turn[[j, j]], turn[[i, j]], turn[[j, i]]) = (cos, cos, sin, -sin);
            map = map.dot(&turn);
        }
    }
    map
}

fn histogram(numbers: &mut Numbers, rows: usize, columns: usize, sparse: bool) -> Array2<f64> {
    let mut side = Array2::from_shape_simple_fn((rows, columns), || {
        if sparse && numbers.uniform() < 0.5 { 0.0 } else { numbers.uniform() }
    });
    side[[rows / 2, columns / 2]] += 0.1;
    let total = side.sum();
    side / total
}

/// The nodes of a grid with the masses there, row by row.
fn as_cloud(side: &Array2<f64>, xs: &Array1<f64>, ys: &Array1<f64>) -> Cloud {
    let columns = xs.len();
    let points = Array2::from_shape_fn((side.len(), 2), |(k, axis)| {
        if axis == 0 { xs[k % columns] } else { ys[k / columns] }
    });
    Cloud { points, weights: side.iter().copied().collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn certificates_prove_the_value(
        seed: u64, n in 1_usize..50, m in 1_usize..50, d in 1_usize..5, kinds in (0_u8..6, 0_u8..6),
    ) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, kinds.0), cloud(&mut numbers, m, d, kinds.1));
        for cost in COSTS {
            let found = solve(cost, &x, &y);
            check_close("primal = dual", found.dual, found.primal, 1e-12, 1e-1);
            let (u, v) = (&found.source_potential, &found.target_potential);
            check_close("dual", x.weights.dot(u) + y.weights.dot(v), found.dual, 1e-12, 1.0);
            let pair = |i: usize, j: usize| cost.between(
                x.points.row(i).as_slice().unwrap(), y.points.row(j).as_slice().unwrap());
            for i in 0..n {
                for j in 0..m {
                    prop_assert!(u[i] + v[j] <= pair(i, j) + 1e-12, "pair ({}, {})", i, j);
                }
            }
            // The plan is one, costs the value, and uses tight pairs alone.
            let (mut left, mut right) = (x.weights.clone(), y.weights.clone());
            let mut spent = 0.0;
            for &(i, j, mass) in found.plan.as_ref().unwrap().moves() {
                prop_assert!(mass > 0.0 && pair(i, j) - u[i] - v[j] < 1e-12);
                (left[i], right[j]) = (left[i] - mass, right[j] - mass);
                spent += mass * pair(i, j);
            }
            check_close("cost of the plan", spent, found.primal, 1e-13, 1e-3);
            // What n + m roundings of numbers below 1 leave, of the subtractions here and of the masses.
            let rounding = (n + m) as f64 * f64::EPSILON;
            prop_assert!(left.iter().chain(&right).all(|rest| rest.abs() <= rounding));
            prop_assert!(found.plan.unwrap().moves().len() < n + m);
        }
    }

    #[test]
    fn it_is_a_distance(
        seed: u64, sizes in (1_usize..40, 1_usize..40, 1_usize..40), d in 1_usize..5,
        kinds in (0_u8..6, 0_u8..6, 0_u8..6),
    ) {
        let mut numbers = Numbers::new(seed);
        let x = cloud(&mut numbers, sizes.0, d, kinds.0);
        let y = cloud(&mut numbers, sizes.1, d, kinds.1);
        let z = cloud(&mut numbers, sizes.2, d, kinds.2);
        for cost in COSTS {
            let xy = solve(cost, &x, &y);
            check_close("symmetry", value(cost, &y, &x), xy.primal, 1e-12, 1e-3);
            let order = numbers.permutation(sizes.0);
            let same = Cloud {
                points: x.points.select(Axis(0), &order), weights: x.weights.select(Axis(0), &order),
            };
            prop_assert_eq!(value(cost, &x, &same), 0.0);
            let around = solve(cost, &x, &z).distance() + solve(cost, &z, &y).distance();
            prop_assert!(xy.distance() <= around + 1e-12);
        }
        // Jensen: W1 is at most W2, and both at least the distance of the means.
        let (plain, squared) = (value(COSTS[1], &x, &y), value(COSTS[0], &x, &y));
        let gap = (mean(&x) - mean(&y)).mapv(|v| v * v).sum();
        prop_assert!(gap <= plain * plain * (1.0 + 1e-12) + 1e-24);
        prop_assert!(plain * plain <= squared * (1.0 + 1e-12) + 1e-24);
    }

    #[test]
    fn it_moves_with_its_clouds(
        seed: u64, n in 1_usize..50, m in 1_usize..50, d in 1_usize..5, kinds in (0_u8..6, 0_u8..6),
        factor in -50.0_f64..50.0,
    ) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, kinds.0), cloud(&mut numbers, m, d, kinds.1));
        let shift = Array1::from_shape_simple_fn(d, || 3.0 * numbers.normal());
        let turn = rotation(&mut numbers, d);
        for cost in COSTS {
            let base = value(cost, &x, &y);
            let both = |map: &dyn Fn(&Array2<f64>) -> Array2<f64>| {
                value(cost, &mapped(&x, map(&x.points)), &mapped(&y, map(&y.points)))
            };
            check_close("shift of both", both(&|p| p + &shift), base, 1e-12, 1e-1);
            check_close("turn of both", both(&|p| p.dot(&turn)), base, 1e-12, 1e-1);
            let power = if cost == GroundCost::Euclidean { 1 } else { 2 };
            let scaled = both(&|p| p * factor);
            check_close("scale", scaled, base * factor.abs().powi(power), 1e-12, 1e-12);
        }
        // Shifting one side adds |s|^2 + 2 s.(difference of the means).
        let moved = value(COSTS[0], &mapped(&x, &x.points + &shift), &y);
        let expected = value(COSTS[0], &x, &y) + shift.dot(&shift)
            + 2.0 * shift.dot(&(mean(&x) - mean(&y)));
        check_close("shift of one", moved, expected, 1e-12, 1.0);
        let centred = mapped(&x, &x.points - &mean(&x) + &mean(&y));
        let moved = value(COSTS[0], &mapped(&centred, &centred.points + &shift), &y);
        let expected = value(COSTS[0], &centred, &y) + shift.dot(&shift);
        check_close("equal means", moved, expected, 1e-12, 1.0);
    }

    #[test]
    fn it_knows_masses_and_not_rows(
        seed: u64, n in 1_usize..30, m in 1_usize..30, d in 1_usize..4, k in 2_usize..5,
        kinds in (0_u8..6, 0_u8..6),
    ) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, kinds.0), cloud(&mut numbers, m, d, kinds.1));
        // k copies of every point, each with its share of the weight, in some order.
        let copied = |cloud: &Cloud, numbers: &mut Numbers| {
            let rows = cloud.weights.len();
            let shares = Array2::from_shape_simple_fn((k, rows), || numbers.uniform() + 0.01);
            let shares = &shares / &shares.sum_axis(Axis(0));
            let order = numbers.permutation(k * rows);
            let all = concatenate(Axis(0), &vec![cloud.points.view(); k]).unwrap();
            let weights: Array1<f64> = (&shares * &cloud.weights).iter().copied().collect();
            Cloud { points: all.select(Axis(0), &order), weights: weights.select(Axis(0), &order) }
        };
        let (many_x, many_y) = (copied(&x, &mut numbers), copied(&y, &mut numbers));
        for cost in COSTS {
            let base = value(cost, &x, &y);
            check_close("copies on one side", value(cost, &many_x, &y), base, 1e-12, 1e-3);
            check_close("copies on both", value(cost, &many_x, &many_y), base, 1e-12, 1e-3);
        }
    }

    #[test]
    fn grids_are_clouds_of_nodes(
        seed: u64, rows in 1_usize..9, columns in 1_usize..9, sparse: (bool, bool), even: bool,
    ) {
        let mut numbers = Numbers::new(seed);
        let a = histogram(&mut numbers, rows, columns, sparse.0);
        let b = histogram(&mut numbers, rows, columns, sparse.1);
        let mut nodes = |n: usize| Array1::from_shape_fn(n, |k| {
            if even { 0.5 * k as f64 } else { 2.0 * numbers.normal() }
        });
        let (xs, ys) = (nodes(columns), nodes(rows));
        let solve = |a: &Array2<f64>, b: &Array2<f64>, xs: &Array1<f64>, ys: &Array1<f64>| -> GridTransport {
            histogram_w2(a.view(), b.view(), xs.view(), ys.view()).unwrap()
        };
        let found = solve(&a, &b, &xs, &ys);
        let cloud = value(COSTS[0], &as_cloud(&a, &xs, &ys), &as_cloud(&b, &xs, &ys));
        check_close("as a cloud", found.squared, cloud, 1e-12, 1e-2);
        check_close("primal = dual", found.dual, found.squared, 1e-12, 1e-1);
        for ((r, c), u) in found.source_potential.indexed_iter() {
            for ((s, d), v) in found.target_potential.indexed_iter() {
                let cost = (xs[c] - xs[d]).powi(2) + (ys[r] - ys[s]).powi(2);
                prop_assert!(u + v <= cost + 1e-12, "nodes ({}, {}) and ({}, {})", r, c, s, d);
            }
        }
        check_close("symmetry", solve(&b, &a, &xs, &ys).squared, found.squared, 1e-12, 1e-2);
        check_close("identity", solve(&a, &a, &xs, &ys).squared, 0.0, 1e-14, 1.0);
        let (ta, tb) = (a.t().to_owned(), b.t().to_owned());
        check_close("transposed", solve(&ta, &tb, &ys, &xs).squared, found.squared, 1e-12, 1e-2);
        let stretched = solve(&a, &b, &(&xs * -3.0), &(&ys * -3.0)).squared;
        check_close("stretched", stretched, 9.0 * found.squared, 1e-12, 1e-2);
        let moved = solve(&a, &b, &(&xs + 7.0), &(&ys - 7.0)).squared;
        check_close("moved", moved, found.squared, 1e-12, 1e-1);
    }

    #[test]
    fn grids_obey_the_triangle_inequality(seed: u64, rows in 1_usize..8, columns in 1_usize..8, sparse: bool) {
        let mut numbers = Numbers::new(seed);
        let sides: Vec<_> = (0..3).map(|_| histogram(&mut numbers, rows, columns, sparse)).collect();
        let (xs, ys) = (Array1::linspace(0.0, 1.0, columns), Array1::linspace(0.0, 2.0, rows));
        let distance = |i: usize, j: usize| {
            histogram_w2(sides[i].view(), sides[j].view(), xs.view(), ys.view()).unwrap().distance()
        };
        prop_assert!(distance(0, 2) <= distance(0, 1) + distance(1, 2) + 1e-12);
    }
}
