//! Exact transport on clouds: closed forms, certificates, plans, hard inputs.

use metrics::{ExactTransport, GroundCost, Transport, w1, w2};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::support::{Numbers, check_close};

const COSTS: [GroundCost; 2] = [GroundCost::SquaredEuclidean, GroundCost::Euclidean];

/// Marginals of the plan, its cost, and the feasibility and value of the potentials.
#[track_caller]
fn check_optimal(
    transport: &Transport,
    (x, a): (ArrayView2<f64>, ArrayView1<f64>),
    (y, b): (ArrayView2<f64>, ArrayView1<f64>),
) {
    let plan = transport.plan.as_ref().expect("the plan was asked for");
    let (mut left, mut right) = (Array1::zeros(a.len()), Array1::zeros(b.len()));
    let mut spent = 0.0;
    let cost = |i: usize, j: usize| transport.cost.between(&x.row(i).to_vec(), &y.row(j).to_vec());
    for &(i, j, mass) in plan.moves() {
        assert!(mass > 0.0);
        left[i] += mass;
        right[j] += mass;
        spent += mass * cost(i, j);
    }
    let (total, scale) = (a.sum(), transport.primal.abs().max(1e-3));
    assert!((left - &a / total).iter().all(|d: &f64| d.abs() < 1e-14));
    assert!((right - &b / total).iter().all(|d: &f64| d.abs() < 1e-14));
    check_close("cost of the plan", spent, transport.primal, 1e-10, 1e-3);
    let (u, v) = (&transport.source_potential, &transport.target_potential);
    for i in 0..a.len() {
        for j in 0..b.len() {
            assert!(u[i] + v[j] <= cost(i, j) + 1e-10 * scale, "pair ({i}, {j}) of {a}");
        }
    }
    let dual = (a.dot(u) + b.dot(v)) / total;
    check_close("dual", dual, transport.dual, 1e-9, 1e-3);
    assert!(transport.gap().abs() <= 1e-11 * scale, "gap {:e}", transport.gap());
}

#[test]
fn certificates_hold_for_all_kinds_of_weights() {
    let mut numbers = Numbers::new(1);
    for d in [1, 2, 3, 5, 12] {
        for (n, m) in [(1, 1), (1, 7), (20, 20), (31, 17), (200, 150), (300, 300)] {
            let (x, y) = (numbers.normals(n, d) + 3.0, numbers.normals(m, d) * 0.5);
            let mut weights = |count: usize, sparse: bool| {
                let mut w = Array1::from_shape_simple_fn(count, || {
                    let zero = sparse && numbers.uniform() < 0.4;
                    if zero { 0.0 } else { numbers.uniform().powi(6) }
                });
                w[count / 2] += 0.01;
                let total = 2.0 / w.sum();
                w * total
            };
            for sparse in [false, true] {
                let (a, b) = (weights(n, sparse), weights(m, sparse));
                for cost in COSTS {
                    let solver = ExactTransport::new(cost).keep_plan(true);
                    let transport =
                        solver.solve(x.view(), Some(a.view()), y.view(), Some(b.view())).unwrap();
                    check_optimal(&transport, (x.view(), a.view()), (y.view(), b.view()));
                }
            }
        }
    }
}

#[test]
fn lattices_full_of_ties() {
    // Every point has many partners at equal cost, and many points coincide.
    let mut numbers = Numbers::new(8);
    let mut lattice =
        |n: usize| Array2::from_shape_simple_fn((n, 2), || (numbers.bits() % 6) as f64);
    let (x, y) = (lattice(400), lattice(400));
    let uniform = Array1::from_elem(400, 1.0 / 400.0);
    for cost in COSTS {
        let solver = ExactTransport::new(cost).keep_plan(true);
        let transport = solver.solve(x.view(), None, y.view(), None).unwrap();
        check_optimal(&transport, (x.view(), uniform.view()), (y.view(), uniform.view()));
        if cost == GroundCost::SquaredEuclidean {
            let cost_of_all = transport.primal * 400.0;
            check_close("whole number", cost_of_all, cost_of_all.round(), 1e-12, 1.0);
        }
    }
}

#[test]
fn a_point_mass_on_either_side() {
    let mut numbers = Numbers::new(2);
    let x = numbers.normals(500, 4);
    let origin = Array2::zeros((1, 4));
    let expected = x.iter().map(|value| value * value).sum::<f64>() / 500.0;
    check_close("to a point", w2(x.view(), origin.view()).unwrap().primal, expected, 1e-12, 0.0);
    check_close("from a point", w2(origin.view(), x.view()).unwrap().primal, expected, 1e-12, 0.0);
    let same = Array2::from_elem((300, 4), 7.0);
    assert_eq!(w2(same.view(), same.view()).unwrap().primal, 0.0);
    let transport = w1(same.view(), origin.view()).unwrap();
    check_close("all in one place", transport.primal, 14.0, 1e-12, 0.0);
}

#[test]
fn linear_maps_have_a_closed_form() {
    // A positive definite linear map is the gradient of a convex function, so it is optimal.
    let mut numbers = Numbers::new(6);
    let x = numbers.normals(1500, 2);
    let map = ndarray::array![[1.6, 0.3], [0.3, 0.7]];
    let y = x.dot(&map) + 5.0;
    let expected = (&y - &x).iter().map(|d| d * d).sum::<f64>() / 1500.0;
    let order = numbers.permutation(1500);
    let shuffled = y.select(Axis(0), &order);
    let transport = w2(x.view(), shuffled.view()).unwrap();
    check_close("linear map", transport.primal, expected, 1e-12, 0.0);
    check_close("dual", transport.dual, expected, 1e-12, 0.0);
}

#[test]
fn offsets_cost_no_digits() {
    let mut numbers = Numbers::new(13);
    let (x, y) = (numbers.normals(300, 2), numbers.normals(300, 2));
    let near = w2(x.view(), y.view()).unwrap().primal;
    let far = w2((&x + 1e6).view(), (&y + 1e6).view()).unwrap();
    check_close("both far away", far.primal, near, 1e-8, 0.0);
}

/// Very different clouds: nearest neighbours say nothing about the optimal plan.
#[test]
fn disjoint_supports() {
    let mut numbers = Numbers::new(21);
    let mut x = numbers.normals(600, 2) * 0.1;
    let mut y = numbers.normals(600, 2) * 0.1;
    for i in 0..600 {
        x[[i, 0]] += if i % 3 == 0 { 10.0 } else { -10.0 };
        y[[i, 1]] += if i % 2 == 0 { 10.0 } else { -30.0 };
    }
    let uniform = Array1::from_elem(600, 1.0 / 600.0);
    for cost in COSTS {
        let transport = ExactTransport::new(cost)
            .keep_plan(true)
            .solve(x.view(), None, y.view(), None)
            .unwrap();
        check_optimal(&transport, (x.view(), uniform.view()), (y.view(), uniform.view()));
    }
}
