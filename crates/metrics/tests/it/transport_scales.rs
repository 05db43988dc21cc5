//! Exact transport with costs over any number of orders of magnitude, against solvers that are exact by
//! themselves: whole numbers, and all permutations.

use metrics::{ExactTransport, GroundCost, Transport, histogram_w2, w1, w2};
use ndarray::{Array1, Array2, ArrayView2, Axis, array, concatenate};

use crate::support::{Numbers, check_close};

const COSTS: [GroundCost; 2] = [GroundCost::SquaredEuclidean, GroundCost::Euclidean];

/// The value, with a certificate of it.
#[track_caller]
fn check_value(what: &str, found: &Transport, expected: f64) {
    check_close(what, found.primal, expected, 1e-13, 0.0);
    assert!(found.gap().abs() <= 1e-10 * found.primal, "{what}: gap {:e}", found.gap());
}

fn between(cost: GroundCost, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Transport {
    ExactTransport::new(cost).keep_plan(true).solve(x, None, y, None).unwrap()
}

/// Points on a lattice, the same on any machine.
fn lattice(n: usize, turn: usize) -> Array2<f64> {
    let of = |i: usize, k: usize| (i * i * (37 + 12 * k) + (11 + turn) * i + 5 * turn) % 101;
    Array2::from_shape_fn((n, 2), |(i, k)| of(i + 1, k) as f64 / 16.0)
}

/// A point that both clouds have is not moved: without it the problem is that of the others, whose
/// values are of `scipy.optimize.linear_sum_assignment` on costs that are exact there (whole numbers of
/// 256ths; distances to 1e-16).
#[test]
fn a_shared_point_however_far() {
    let (x, y) = (lattice(60, 0), lattice(60, 1));
    let right = [RIGHT_SQUARED / 61.0, RIGHT_PLAIN / 61.0];
    for far in [1e6, 1e8, 1e12, 1e16, 1e60, 1e100] {
        for at in [array![[far, 0.0]], array![[-far, far / 3.0]], array![[3.0, -far]]] {
            let (more_x, more_y) = (concatenate![Axis(0), x, at], concatenate![Axis(0), at, y]);
            for (cost, right) in COSTS.into_iter().zip(right) {
                let found = between(cost, more_x.view(), more_y.view());
                check_value(&format!("{cost:?} with {at}"), &found, right);
                check_certificate(&found, more_x.view(), more_y.view());
            }
        }
    }
}
const RIGHT_SQUARED: f64 = 105.546875;
const RIGHT_PLAIN: f64 = 71.98363254321943;

/// Feasible for every pair and tight on the plan, to the rounding of the potentials of the pair or where
/// the value does not see it.
#[track_caller]
fn check_certificate(found: &Transport, x: ArrayView2<f64>, y: ArrayView2<f64>) {
    let (u, v) = (&found.source_potential, &found.target_potential);
    // Doubles are believed up to a mean potential of 1e5 times the value, and pivot on what exceeds 2e-14
    // of the largest.
    let unseen = 2e-14 * 1e5 * (u.len() + v.len()) as f64 * found.primal;
    let slack = |i: usize, j: usize| {
        let cost = found.cost.between(&x.row(i).to_vec(), &y.row(j).to_vec());
        let rounding = 1e-15 * (u[i].abs() + v[j].abs() + cost) + unseen;
        (cost - u[i] - v[j], rounding)
    };
    for i in 0..u.len() {
        for j in 0..v.len() {
            let (slack, rounding) = slack(i, j);
            assert!(slack >= -rounding, "pair ({i}, {j}): {slack:e} below {rounding:e}");
        }
    }
    for &(i, j, mass) in found.plan.as_ref().unwrap().moves() {
        let (slack, rounding) = slack(i, j);
        assert!(mass > 0.0 && slack.abs() <= rounding, "move ({i}, {j}): {slack:e}");
    }
}

/// Successive shortest paths in whole numbers: the least cost of moving `a` to `b`.
fn cheapest(cost: &Array2<i128>, a: &[i128], b: &[i128]) -> i128 {
    let (n, m) = cost.dim();
    let mut flow = Array2::<i128>::zeros((n, m));
    let (mut left, mut right) = (a.to_vec(), b.to_vec());
    let mut price = vec![0_i128; n + m];
    while left.iter().any(|&mass| mass > 0) {
        // Dijkstra's method from all that is left, under costs that the prices keep above zero.
        let mut length = vec![i128::MAX; n + m];
        let (mut before, mut done) = (vec![usize::MAX; n + m], vec![false; n + m]);
        (0..n).filter(|&i| left[i] > 0).for_each(|i| length[i] = 0);
        while let Some(u) =
            (0..n + m).filter(|&u| !done[u] && length[u] < i128::MAX).min_by_key(|&u| length[u])
        {
            done[u] = true;
            let others = if u < n { n..n + m } else { 0..n };
            for w in others {
                let step = if u < n {
                    cost[[u, w - n]]
                } else if flow[[w, u - n]] > 0 {
                    -cost[[w, u - n]]
                } else {
                    continue;
                };
                let reached = length[u] + step + price[u] - price[w];
                if reached < length[w] {
                    (length[w], before[w]) = (reached, u);
                }
            }
        }
        let end = (n..n + m).filter(|&w| right[w - n] > 0).min_by_key(|&w| length[w]).unwrap();
        (0..n + m).for_each(|u| price[u] += length[u].min(length[end]));
        let mut path = vec![end];
        while before[path[path.len() - 1]] != usize::MAX {
            path.push(before[path[path.len() - 1]]);
        }
        let start = path[path.len() - 1];
        let mut mass = left[start].min(right[end - n]);
        for pair in path.windows(2).filter(|pair| pair[0] < n) {
            mass = mass.min(flow[[pair[0], pair[1] - n]]);
        }
        for pair in path.windows(2) {
            match pair[0] < n {
                true => flow[[pair[0], pair[1] - n]] -= mass,
                false => flow[[pair[1], pair[0] - n]] += mass,
            }
        }
        left[start] -= mass;
        right[end - n] -= mass;
    }
    (&flow * cost).sum()
}

/// Clusters of whole numbers with scales from 1 to 2^50, some of them in one cloud alone.
fn clusters(numbers: &mut Numbers, n: usize, d: usize) -> Array2<f64> {
    let mut point = || {
        let exponent = [0, 0, 12, 25, 38, 50][(numbers.bits() % 6) as usize];
        let scale = 2.0_f64.powi(exponent);
        // About the origin, or about a point as far off as the cluster of the next scale is wide.
        let centre = if numbers.bits().is_multiple_of(2) {
            0.0
        } else {
            (scale * 4096.0).min(2_f64.powi(50))
        };
        let axis = (numbers.bits() % d as u64) as usize;
        let coordinate = |k: usize| {
            let near = scale * ((numbers.bits() % 41) as f64 - 20.0);
            near.clamp(-(2.0_f64.powi(52)), 2.0_f64.powi(52)) + if k == axis { centre } else { 0.0 }
        };
        (0..d).map(coordinate).collect::<Vec<_>>()
    };
    let rows: Vec<f64> = (0..n).flat_map(|_| point()).collect();
    Array2::from_shape_vec((n, d), rows).unwrap()
}

fn whole(x: &Array2<f64>, y: &Array2<f64>) -> Array2<i128> {
    Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| {
        let pairs = x.row(i).into_iter().zip(y.row(j));
        pairs.map(|(&p, &q)| (p as i128 - q as i128).pow(2)).sum()
    })
}

/// Any clouds, dimensions, sizes and masses, with costs over thirty orders.
#[test]
fn clusters_of_all_scales_in_whole_numbers() {
    let mut numbers = Numbers::new(90);
    for round in 0..60 {
        let d = 1 + round % 4;
        let (n, m) = (1 + (numbers.bits() % 30) as usize, 1 + (numbers.bits() % 30) as usize);
        let (mut x, mut y) = (clusters(&mut numbers, n, d), clusters(&mut numbers, m, d));
        // Shared points keep the value small beside the costs.
        for k in 0..n.min(m) {
            if numbers.bits().is_multiple_of(2) {
                y.row_mut(k).assign(&x.row(k));
                let far = f64::from((numbers.bits() % 7) as u32);
                x[[k, 0]] += if far < 3.0 { far } else { 0.0 };
            }
        }
        let mut masses = |count: usize, other: usize| -> Vec<i128> {
            let one =
                |_| if round % 3 == 0 { other as i128 } else { 1 + (numbers.bits() % 5) as i128 };
            (0..count).map(one).collect()
        };
        let (mut a, mut b) = (masses(n, m), masses(m, n));
        let (left, right): (i128, i128) = (a.iter().sum(), b.iter().sum());
        a[0] += (right - left).max(0);
        b[0] += (left - right).max(0);
        let total: i128 = a.iter().sum();
        let expected = cheapest(&whole(&x, &y), &a, &b) as f64 / total as f64;
        let weights = |w: &[i128]| -> Array1<f64> { w.iter().map(|&w| w as f64).collect() };
        let found = ExactTransport::new(GroundCost::SquaredEuclidean)
            .keep_plan(true)
            .solve(x.view(), Some(weights(&a).view()), y.view(), Some(weights(&b).view()))
            .unwrap();
        check_value(&format!("round {round}"), &found, expected);
        check_certificate(&found, x.view(), y.view());
        // The same in other units: no digit changes, within the range of the squares.
        for power in [-500, -60, 1, 430] {
            let unit = 2.0_f64.powi(power);
            let scaled = ExactTransport::new(GroundCost::SquaredEuclidean)
                .solve(
                    (&x * unit).view(),
                    Some(weights(&a).view()),
                    (&y * unit).view(),
                    Some(weights(&b).view()),
                )
                .unwrap();
            assert_eq!(scaled.primal / unit / unit, found.primal, "round {round}, 2^{power}");
            assert_eq!(scaled.dual / unit / unit, found.dual, "round {round}, 2^{power}");
            assert_eq!(scaled.source_potential / unit / unit, found.source_potential);
        }
    }
}

/// The best of all assignments, for any cost: sums of positive numbers lose nothing.
fn best_assignment(cost: GroundCost, x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    fn extend(costs: &Array2<f64>, i: usize, used: u32, so_far: f64, best: &mut f64) {
        if so_far >= *best {
            return;
        }
        if i == costs.nrows() {
            *best = so_far;
            return;
        }
        for j in (0..costs.ncols()).filter(|j| used & 1 << j == 0) {
            extend(costs, i + 1, used | 1 << j, so_far + costs[[i, j]], best);
        }
    }
    let costs = Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| {
        cost.between(&x.row(i).to_vec(), &y.row(j).to_vec())
    });
    let mut best = f64::INFINITY;
    extend(&costs, 0, 0, 0.0, &mut best);
    best / x.nrows() as f64
}

/// Coordinates over sixteen orders at once, both costs.
#[test]
fn random_scales_against_all_assignments() {
    let mut numbers = Numbers::new(91);
    for round in 0..200 {
        let (n, d) = (2 + round % 6, 1 + round % 3);
        let mut cloud = || {
            let mut points = numbers.normals(n, d);
            for mut row in points.rows_mut() {
                row *= 10_f64.powf(16.0 * numbers.uniform() - 8.0);
            }
            points
        };
        let (x, mut y) = (cloud(), cloud());
        if round % 2 == 0 {
            // Beside the far ones there are neighbours.
            let order = numbers.permutation(n);
            y = x.select(Axis(0), &order) + &(&y * 1e-6);
        }
        for cost in COSTS {
            let found = between(cost, x.view(), y.view());
            let expected = best_assignment(cost, &x, &y);
            check_value(&format!("{cost:?}, round {round}"), &found, expected);
            check_certificate(&found, x.view(), y.view());
        }
    }
}

/// What is far may be so in one cloud alone, and what is near to within the last digits.
#[test]
fn corners() {
    // A far point that has to be reached; the rest is free.
    let (x, y) = (array![[0.0, 0.0], [1.0, 0.0]], array![[1.0, 0.0], [1e12, 0.0]]);
    // The other one goes: (1e12 - 1)^2 + 1 is less than 1e24.
    let right = 0.5 * ((1e12_f64 - 1.0).powi(2) + 1.0);
    check_value("far in one", &w2(x.view(), y.view()).unwrap(), right);
    check_value("far in one", &w1(x.view(), y.view()).unwrap(), 0.5 * 1e12);
    // One place, and one against one.
    let same = Array2::from_elem((5, 3), 1e150);
    for found in [w2(same.view(), same.view()).unwrap(), w1(same.view(), same.view()).unwrap()] {
        assert_eq!((found.primal, found.dual), (0.0, 0.0));
    }
    let (p, q) = (array![[1e150, 1.0]], array![[1e150, 4.0]]);
    assert_eq!(w2(p.view(), q.view()).unwrap().primal, 9.0);
    // The largest and the smallest beside each other.
    let tiny = array![[1e-300, 0.0], [1e300, 1e300], [0.0, 5e-324]];
    let near = array![[3e-300, 0.0], [0.0, 5e-324], [1e300, 1e300]];
    let found = w1(tiny.view(), near.view()).unwrap();
    check_close("both ends", found.primal, 2e-300 / 3.0, 1e-13, 0.0);
    assert!(found.gap().abs() <= 1e-13 * found.primal);
    // A value that is no normal number, and a cost that is none at all.
    let subnormal = w1(array![[1e-310, 0.0]].view(), array![[0.0, 0.0]].view()).unwrap_err();
    for error in [subnormal, w2(tiny.view(), near.view()).unwrap_err()] {
        let said = error.to_string();
        assert!(said.contains("no cost (a squared distance for W2) is too small"), "{said}");
    }
    // On the line the order is that of the coordinates as they are given.
    let x = array![[1e16], [0.25], [0.5], [0.75]];
    let y = array![[0.5], [1.0], [1e16], [0.625]];
    check_value(
        "on the line",
        &w2(x.view(), y.view()).unwrap(),
        (0.0625 + 0.015625 + 0.0625) / 4.0,
    );
    check_value("on the line", &w1(x.view(), y.view()).unwrap(), (0.25 + 0.125 + 0.25) / 4.0);
}

/// Light points beside a far one: the value is theirs, to all digits.
#[test]
fn light_points_beside_far_and_heavy_ones() {
    let mut numbers = Numbers::new(92);
    let (mut x, mut y) = (numbers.normals(40, 2), numbers.normals(40, 2));
    let light = |k: usize| if k < 2 { 1.0 } else { 1e-20 };
    let weights = Array1::from_shape_fn(40, light);
    for cloud in [&mut x, &mut y] {
        cloud.row_mut(0).assign(&array![1e9, -1e9]);
        cloud.row_mut(1).assign(&array![0.0, 0.0]);
    }
    for cost in COSTS {
        let solver = ExactTransport::new(cost).keep_plan(true);
        let (a, b) = (Some(weights.view()), Some(weights.view()));
        let found = solver.solve(x.view(), a, y.view(), b).unwrap();
        // The heavy point at zero takes and gives what it likes: the light ones may go through it.
        let rest = ndarray::s![1.., ..];
        let mut near = weights.slice(ndarray::s![1..]).to_owned();
        near[0] = 39e-20;
        let expected = solver
            .solve(x.slice(rest), Some(near.view()), y.slice(rest), Some(near.view()))
            .unwrap();
        let factor = near.sum() / weights.sum();
        check_value("light", &found, expected.primal * factor);
        check_certificate(&found, x.view(), y.view());
    }
}

/// A grid with nodes of all scales is a cloud of its nodes, and light nodes have a certificate.
#[test]
fn grids_of_all_scales() {
    let mut numbers = Numbers::new(93);
    for round in 0..40 {
        let (rows, columns) = (1 + round % 5, 2 + round % 4);
        let mut nodes = |n: usize| {
            Array1::from_shape_simple_fn(n, || {
                numbers.normal() * 10_f64.powf(20.0 * numbers.uniform() - 10.0)
            })
        };
        let (xs, ys) = (nodes(columns), nodes(rows));
        let mut side = || {
            let light = [1.0, 1.0, 1e-20][round % 3];
            let mass = |_| if numbers.uniform() < 0.5 { 1.0 } else { light * numbers.uniform() };
            let all = Array2::from_shape_fn((rows, columns), mass);
            let total = all.sum();
            all / total
        };
        // Masses that are nearly the same on both sides leave a small value.
        let (a, other) = (side(), side());
        let b = &a * (1.0 - 1e-9) + &other * 1e-9;
        let points = Array2::from_shape_fn((rows * columns, 2), |(k, axis)| {
            if axis == 0 { xs[k % columns] } else { ys[k / columns] }
        });
        let weights = |side: &Array2<f64>| -> Array1<f64> { side.iter().copied().collect() };
        let cloud = ExactTransport::new(GroundCost::SquaredEuclidean)
            .solve(points.view(), Some(weights(&a).view()), points.view(), Some(weights(&b).view()))
            .unwrap();
        let found = histogram_w2(a.view(), b.view(), xs.view(), ys.view()).unwrap();
        check_close("as a cloud", found.squared, cloud.primal, 1e-12, 0.0);
        assert!(found.gap().abs() <= 1e-10 * found.squared, "gap {:e}", found.gap());
        let unit = 2.0_f64.powi(-300);
        let scaled =
            histogram_w2(a.view(), b.view(), (&xs * unit).view(), (&ys * unit).view()).unwrap();
        assert_eq!(scaled.squared / unit / unit, found.squared);
        assert_eq!(scaled.dual / unit / unit, found.dual);
    }
}
