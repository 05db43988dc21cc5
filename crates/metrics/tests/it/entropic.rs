//! Entropic transport and the Sinkhorn divergence: references, closed forms, limits, errors.

use metrics::{
    EntropicTransport, Sinkhorn, SinkhornDivergence, entropic_transport, sinkhorn_divergence, w2,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, array, concatenate, s};

use crate::support::{Numbers, check_close};

fn divergence(x: &Array2<f64>, y: &Array2<f64>, epsilon: f64) -> SinkhornDivergence {
    let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(epsilon) };
    sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap()
}

/// The plan, written out.
fn plan(
    (x, a): (&Array2<f64>, &Array1<f64>),
    (y, b): (&Array2<f64>, &Array1<f64>),
    solved: &EntropicTransport,
    epsilon: f64,
) -> (Array2<f64>, Array2<f64>) {
    let cost: Array2<f64> = Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| {
        x.row(i).iter().zip(y.row(j)).map(|(p, q)| (p - q) * (p - q)).sum()
    });
    let plan = Array2::from_shape_fn(cost.dim(), |(i, j)| {
        a[i] * b[j] * ((solved.f[i] + solved.g[j] - cost[[i, j]]) / epsilon).exp()
    });
    (plan, cost)
}

/// Value and cost are those of the plan that the potentials make, and its marginals are right.
#[test]
fn potentials_make_the_plan() {
    let mut numbers = Numbers::new(1);
    let (x, y) = (numbers.normals(40, 3), numbers.normals(25, 3) * 1.5 + 0.5);
    let mut weights = |n: usize| {
        let w = Array1::from_shape_simple_fn(n, || numbers.uniform() + 0.01);
        &w / w.sum()
    };
    let (a, b) = (weights(40), weights(25));
    for epsilon in [0.1, 1.0, 30.0] {
        let options = Sinkhorn { tolerance: 1e-13, ..Sinkhorn::new(epsilon) };
        let found =
            entropic_transport(x.view(), Some(a.view()), y.view(), Some(b.view()), &options);
        let found = found.unwrap();
        let (plan, cost) = plan((&x, &a), (&y, &b), &found, epsilon);
        let off = (plan.sum_axis(Axis(1)) - &a).mapv(f64::abs).sum();
        assert!(off < 2e-13 && found.marginal_error <= 1e-13, "rows off by {off:e}");
        assert!((plan.sum_axis(Axis(0)) - &b).mapv(f64::abs).sum() < 1e-12);
        let moved = (&plan * &cost).sum();
        check_close("cost", found.transport_cost, moved, 1e-12, 0.0);
        let relative = Array2::from_shape_fn(plan.dim(), |(i, j)| {
            let p = plan[[i, j]];
            if p > 0.0 { p * (p / (a[i] * b[j])).ln() } else { 0.0 }
        });
        check_close("value", found.value, moved + epsilon * relative.sum(), 1e-11, 0.0);
    }
}

/// Two points at distance one, to themselves: a plan of one unknown.
#[test]
fn two_points_in_closed_form() {
    let x = array![[0.0], [1.0]];
    for epsilon in [0.02, 0.3, 1.0, 50.0] {
        let stay = 1.0 / (1.0 + (-1.0_f64 / epsilon).exp());
        let leave = (-1.0_f64 / epsilon).exp() * stay;
        let expected = leave + epsilon * (stay * (2.0 * stay).ln() + leave * (2.0 * leave).ln());
        let found = divergence(&x, &x, epsilon);
        for one in [&found.xy, &found.xx, &found.yy] {
            check_close("value", one.value, expected, 1e-12, 0.0);
            check_close("cost", one.transport_cost, leave, 1e-10, 1e-3);
        }
        check_close("no divergence", found.value, 0.0, 1e-13, 1.0);
    }
}

#[test]
fn limits_of_the_regularisation() {
    let mut numbers = Numbers::new(2);
    let (x, y) = (numbers.normals(30, 2), numbers.normals(20, 2) * 0.5 + 1.0);
    let gap = x.mean_axis(Axis(0)).unwrap() - y.mean_axis(Axis(0)).unwrap();
    let far = divergence(&x, &y, 1e7);
    // Corrections are of order (size of the cost)^2 / epsilon.
    check_close("means", far.value, gap.dot(&gap), 1e-5, 0.0);
    // Half the MMD^2 of the kernel -|x - y|^2, from the energy distance's own definition.
    let squares = |p: &Array2<f64>, q: &Array2<f64>| -> f64 {
        let rows = p.rows().into_iter().flat_map(|p| q.rows().into_iter().map(move |q| (p, q)));
        let total: f64 = rows.map(|(p, q)| (&p - &q).mapv(|d| d * d).sum()).sum();
        total / (p.nrows() * q.nrows()) as f64
    };
    let mmd = squares(&x, &y) - 0.5 * (squares(&x, &x) + squares(&y, &y));
    check_close("half the MMD", far.value, mmd, 1e-5, 0.0);
    let exact = w2(x.view(), y.view()).unwrap().primal;
    let mut before = f64::INFINITY;
    for epsilon in [0.1, 0.01, 0.001] {
        // Costs are thousands of epsilons here, and potentials have sixteen digits.
        let options = Sinkhorn { tolerance: 1e-9, ..Sinkhorn::new(epsilon) };
        let near = sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap();
        // The entropy of a plan is at most the logarithm of its points.
        let bound = epsilon * 600.0_f64.ln();
        assert!(near.xy.value >= exact - 1e-12 && near.xy.value <= exact + bound);
        assert!(near.xy.transport_cost >= exact - 1e-12);
        let off = (near.xy.transport_cost - exact).abs();
        assert!(off < before, "epsilon {epsilon}: {off} after {before}");
        before = off;
    }
    assert!(before < 1e-3, "{before}");
}

#[test]
fn masses_count_not_rows() {
    let mut numbers = Numbers::new(3);
    let (x, y) = (numbers.normals(12, 2), numbers.normals(15, 2) + 1.0);
    let base = divergence(&x, &y, 0.5);
    let twice = concatenate![Axis(0), x, x];
    check_close("duplicates", divergence(&twice, &y, 0.5).value, base.value, 1e-10, 0.0);
    // Points without mass change nothing, and have the potential of their place.
    let more = concatenate![Axis(0), x, x.slice(s![..3, ..])];
    let weights = Array1::from_shape_fn(15, |i| if i < 12 { 1.0 } else { 0.0 });
    let mass = Array1::from_elem(15, 0.8);
    let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(0.5) };
    let found = sinkhorn_divergence(
        more.view(),
        Some(weights.view()),
        y.view(),
        Some(mass.view()),
        &options,
    );
    let found = found.unwrap();
    check_close("no mass", found.value, base.value, 1e-10, 0.0);
    for i in 0..3 {
        check_close("potential", found.xy.f[12 + i], found.xy.f[i], 1e-9, 1.0);
    }
}

#[test]
fn weights_over_twenty_orders_of_magnitude() {
    let mut numbers = Numbers::new(4);
    let (x, y) = (numbers.normals(21, 2), numbers.normals(30, 2));
    let a = Array1::from_shape_fn(21, |i| 10_f64.powi(-(i as i32)));
    let b = Array1::from_elem(30, a.sum() / 30.0);
    for epsilon in [0.05, 1.0] {
        let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(epsilon) };
        let found =
            entropic_transport(x.view(), Some(a.view()), y.view(), Some(b.view()), &options);
        let found = found.unwrap();
        let (a, b) = (&a / a.sum(), &b / b.sum());
        let (plan, cost) = plan((&x, &a), (&y, &b), &found, epsilon);
        assert!((plan.sum_axis(Axis(1)) - &a).mapv(f64::abs).sum() < 1e-11);
        check_close("cost", found.transport_cost, (&plan * &cost).sum(), 1e-10, 0.0);
    }
}

#[test]
fn one_point_and_coinciding_clouds() {
    let (x, y) = (array![[1.0, 2.0]], array![[4.0, 6.0]]);
    let found = divergence(&x, &y, 0.1);
    check_close("one point", found.value, 25.0, 1e-13, 0.0);
    assert_eq!(found.standard_error, None);
    let same = Array2::from_elem((30, 2), 3.0);
    let found = divergence(&same, &same, 0.1);
    assert_eq!((found.value, found.xy.value), (0.0, 0.0));
    // A common offset far from the origin costs no digits but those of the coordinates.
    let mut numbers = Numbers::new(5);
    let (x, y) = (numbers.normals(30, 2), numbers.normals(20, 2));
    let base = divergence(&x, &y, 0.5).value;
    check_close("offset", divergence(&(&x + 1e6), &(&y + 1e6), 0.5).value, base, 1e-8, 0.0);
}

#[test]
fn a_hard_regularisation_is_met() {
    let mut numbers = Numbers::new(6);
    let (x, y) = (numbers.normals(100, 4), numbers.normals(100, 4) + 0.5);
    let exact = w2(x.view(), y.view()).unwrap().primal;
    let options = Sinkhorn { tolerance: 1e-7, ..Sinkhorn::new(2e-3) };
    let found = sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap();
    check_close("the plan is all but exact", found.xy.transport_cost, exact, 1e-3, 0.0);
    assert!(found.xy.transport_cost >= exact - 1e-10 && found.xy.value >= exact - 1e-10);
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut numbers = Numbers::new(7);
    let (x, y) = (numbers.normals(150, 3), numbers.normals(90, 3) + 0.3);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| divergence(&x, &y, 0.2))
    };
    assert_eq!(with(1), with(3));
}

/// The standard error against the spread over repetitions.
#[test]
fn standard_error_is_the_spread() {
    let mut numbers = Numbers::new(8);
    let (mut values, mut variances) = (Vec::new(), 0.0);
    let n_repeats = 300;
    for _ in 0..n_repeats {
        let (x, y) = (numbers.normals(60, 2), numbers.normals(40, 2) + 1.0);
        let options = Sinkhorn { tolerance: 1e-8, ..Sinkhorn::new(2.0) };
        let found = sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap();
        values.push(found.value);
        variances += found.standard_error.unwrap().powi(2) / f64::from(n_repeats);
    }
    let mean = values.iter().sum::<f64>() / f64::from(n_repeats);
    let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n_repeats - 1);
    // A variance of 300 values is known to 8 percent: five of these in the root.
    check_close("spread", variances.sqrt(), spread.sqrt(), 0.2, 0.0);
}

/// OT of the clouds is above exact transport by at most epsilon times the entropy of a plan, and so is what
/// is taken off: the divergence is within epsilon log n of it, whatever doubles make of the plan.
#[test]
fn any_epsilon_has_a_value() {
    let mut numbers = Numbers::new(10);
    for (n, m, d, factor) in [(200, 200, 2, 1.0), (60, 45, 3, 1e6), (40, 40, 1, 1e-9)] {
        let (x, y) = (numbers.normals(n, d) * factor, (numbers.normals(m, d) + 1.0) * factor);
        let exact = w2(x.view(), y.view()).unwrap().primal;
        let relative =
            [1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13, 1e-16, 1e-100, 1e-250];
        for epsilon in relative.map(|relative| relative * factor * factor) {
            let options = Sinkhorn::new(epsilon);
            let found = sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap();
            let (rounding, bound) = (1e-14 * exact, epsilon * ((n * m) as f64).ln());
            let off = found.value - exact;
            assert!(off.abs() <= bound + rounding, "epsilon {epsilon:e}: off by {off:e}");
            // For clouds of one size a plan without entropy is an assignment.
            let bound = epsilon * (n.max(m) as f64).ln() * if n == m { 1.0 } else { 2.0 };
            let above = found.xy.value - exact;
            assert!(above >= -rounding - 1e-9 * epsilon, "epsilon {epsilon:e}: {above:e}");
            assert!(above <= bound + rounding, "epsilon {epsilon:e}: {above:e} above {bound:e}");
            let (error, settled) = (found.marginal_error(), found.converged());
            assert!((0.0..=2.0).contains(&error) && (!settled || error <= 1e-3), "{error:e}");
            assert!(found.xy.transport_cost.is_finite() && found.standard_error.unwrap() > 0.0);
        }
    }
}

/// What the iterations gave is said, and is a lower bound of what more of them give.
#[test]
fn iterations_that_run_out_leave_a_bound() {
    let mut numbers = Numbers::new(11);
    let (x, y) = (numbers.normals(50, 2), numbers.normals(50, 2) + 1.0);
    let solve =
        |options: Sinkhorn| entropic_transport(x.view(), None, y.view(), None, &options).unwrap();
    for epsilon in [0.01, 0.1, 1.0] {
        let best = solve(Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(epsilon) });
        assert!(best.converged);
        for max_iterations in [1, 3, 10] {
            let hurried = solve(Sinkhorn { max_iterations, ..Sinkhorn::new(epsilon) });
            assert!(!hurried.converged && hurried.marginal_error > 1e-10);
            assert!(hurried.value <= best.value + 1e-12 && hurried.value > 0.0);
        }
        // Asking for less takes fewer; asking for more than doubles hold is met by what they hold.
        let loose = solve(Sinkhorn { tolerance: 1e-3, ..Sinkhorn::new(epsilon) });
        assert!(loose.converged && loose.iterations < best.iterations);
        assert!(loose.marginal_error <= 1e-3 && loose.value <= best.value + 1e-12);
        let finest = solve(Sinkhorn { tolerance: 1e-30, ..Sinkhorn::new(epsilon) });
        assert!(finest.converged && finest.marginal_error < 1e-12, "{:e}", finest.marginal_error);
    }
}

#[test]
fn a_power_of_two_changes_no_digit() {
    let mut numbers = Numbers::new(12);
    let (x, y) = (numbers.normals(40, 2), numbers.normals(30, 2) + 1.0);
    for epsilon in [0.5, 1e-3] {
        let solve = |unit: f64| {
            let options = Sinkhorn::new(epsilon * unit * unit);
            sinkhorn_divergence((&x * unit).view(), None, (&y * unit).view(), None, &options)
        };
        let base = solve(1.0).unwrap();
        for power in [-500, -300, 7, 300, 500] {
            let unit = 2.0_f64.powi(power);
            let found = solve(unit).unwrap();
            assert_eq!(found.value / unit / unit, base.value, "2^{power}");
            assert_eq!(found.standard_error.unwrap() / unit / unit, base.standard_error.unwrap());
            assert_eq!(found.xy.f[3] / unit / unit, base.xy.f[3]);
        }
    }
    // Where the squares are no numbers, an error says so.
    for unit in [1e-200, 1e200] {
        let (x, y) = (&x * unit, &y * unit);
        let options = Sinkhorn::new(1.0);
        let error = sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap_err();
        assert!(error.to_string().starts_with("extent of the points must be such"), "{error}");
    }
}

/// The squared distance of the means, up to the square of the cost over epsilon.
#[test]
fn a_huge_epsilon_has_the_distance_of_the_means() {
    let mut numbers = Numbers::new(13);
    let (x, y) = (numbers.normals(30, 2), numbers.normals(20, 2) + 1.0);
    let gap = x.mean_axis(Axis(0)).unwrap() - y.mean_axis(Axis(0)).unwrap();
    for epsilon in [1e9, 1e12, 1e16, 1e20, 1e100, 1e300, f64::MAX] {
        let options = Sinkhorn::new(epsilon);
        let found = sinkhorn_divergence(x.view(), None, y.view(), None, &options).unwrap();
        let tolerance = 1e-13 + 100.0 / epsilon;
        check_close(&format!("epsilon {epsilon:e}"), found.value, gap.dot(&gap), tolerance, 1.0);
    }
}

#[test]
fn what_cannot_be_solved_says_so() {
    let mut numbers = Numbers::new(9);
    let (x, y) = (numbers.normals(50, 2), numbers.normals(50, 2) + 1.0);
    let solve = |options: Sinkhorn| {
        sinkhorn_divergence(x.view(), None, y.view(), None, &options).map(|found| found.value)
    };
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = solve(Sinkhorn::new(epsilon)).unwrap_err().to_string();
        assert_eq!(message, format!("epsilon must be positive and finite, found {epsilon}"));
    }
    let message = |options: Sinkhorn| solve(options).unwrap_err().to_string();
    let none = message(Sinkhorn { max_iterations: 0, ..Sinkhorn::new(0.1) });
    assert_eq!(none, "iterations must be >= 1, found 0");
    for tolerance in [0.0, -1e-3, f64::NAN, f64::INFINITY] {
        let refused = message(Sinkhorn { tolerance, ..Sinkhorn::new(0.1) });
        assert_eq!(refused, format!("tolerance must be positive and finite, found {tolerance}"));
    }
    let mut bad = x.clone();
    bad[[3, 1]] = f64::NAN;
    let options = Sinkhorn::new(1.0);
    let fails = |x: &Array2<f64>, a: Option<ArrayView1<f64>>| {
        entropic_transport(x.view(), a, y.view(), None, &options).unwrap_err().to_string()
    };
    assert_eq!(fails(&bad, None), "first cloud holds NaN at row 3, column 1");
    assert_eq!(fails(&Array2::zeros((0, 2)), None), "first cloud has 0 rows, expected at least 1");
    assert_eq!(
        fails(&numbers.normals(5, 3), None),
        "dimensions differ: 3 on the left, 2 on the right"
    );
    let heavy = Array1::from_elem(50, 1.0);
    assert_eq!(
        fails(&x, Some(heavy.view())),
        "masses differ: 50 on the left, 1 on the right, by 9.8e-1 of the larger"
    );
}
