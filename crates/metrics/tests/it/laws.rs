//! Laws that hold for every input.

use metrics::{ExactTransport, GroundCost, Kernel, Transport, mmd2};
use ndarray::{Array1, Array2, Axis, concatenate};
use proptest::prelude::*;

use crate::support::{Numbers, check_close};

fn solve(cost: GroundCost, x: &Array2<f64>, y: &Array2<f64>) -> Transport {
    ExactTransport::new(cost).solve(x.view(), None, y.view(), None).unwrap()
}

/// A cloud of a size, dimension and spread; some are on a lattice, which makes ties.
fn cloud(numbers: &mut Numbers, n: usize, d: usize, lattice: bool) -> Array2<f64> {
    let (scale, shift) = (0.2 + numbers.uniform(), numbers.normal());
    numbers.normals(n, d).mapv(|value| {
        let value = scale * value + shift;
        if lattice { (2.0 * value).round() } else { value }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn transport_is_a_distance(
        seed: u64, n in 1_usize..60, m in 1_usize..60, k in 1_usize..60, d in 1_usize..5,
        lattice: bool, squared: bool,
    ) {
        let cost = if squared { GroundCost::SquaredEuclidean } else { GroundCost::Euclidean };
        let mut numbers = Numbers::new(seed);
        let x = cloud(&mut numbers, n, d, lattice);
        let y = cloud(&mut numbers, m, d, lattice);
        let z = cloud(&mut numbers, k, d, lattice);
        let xy = solve(cost, &x, &y);
        check_close("primal = dual", xy.primal, xy.dual, 1e-11, 1e-3);
        check_close("symmetry", solve(cost, &y, &x).primal, xy.primal, 1e-11, 1e-3);
        check_close("identity", solve(cost, &x, &x).primal, 0.0, 1e-13, 1.0);
        let around = solve(cost, &x, &z).distance() + solve(cost, &z, &y).distance();
        prop_assert!(xy.distance() <= around + 1e-10);
    }

    #[test]
    fn transport_moves_with_its_clouds(
        seed: u64, n in 1_usize..60, m in 1_usize..60, d in 1_usize..5, factor in 0.01_f64..100.0,
    ) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, false), cloud(&mut numbers, m, d, false));
        let cost = GroundCost::SquaredEuclidean;
        let base = solve(cost, &x, &y).primal;
        check_close("shift both", solve(cost, &(&x + 2.5), &(&y + 2.5)).primal, base, 1e-10, 1e-3);
        let scaled = solve(cost, &(&x * factor), &(&y * factor)).primal;
        check_close("scale both", scaled, base * factor * factor, 1e-11, 0.0);
        // Shifting one side adds |s|^2 + 2 s.(difference of the means).
        let gap = x.mean_axis(Axis(0)).unwrap() - y.mean_axis(Axis(0)).unwrap();
        let shifted = solve(cost, &(&x + 1.5), &y).primal;
        let expected = base + 2.25 * d as f64 + 3.0 * gap.sum();
        check_close("shift one", shifted, expected, 1e-10, 1e-3);
        let plain = solve(GroundCost::Euclidean, &x, &y).primal;
        check_close("scale W1", solve(GroundCost::Euclidean, &(&x * factor), &(&y * factor)).primal,
            plain * factor, 1e-11, 0.0);
        prop_assert!(plain * plain <= base * (1.0 + 1e-11) + 1e-15, "W1 <= W2");
    }

    #[test]
    fn transport_knows_masses_not_rows(seed: u64, n in 1_usize..40, m in 1_usize..40, d in 1_usize..4) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, false), cloud(&mut numbers, m, d, false));
        let cost = GroundCost::SquaredEuclidean;
        let base = solve(cost, &x, &y).primal;
        let order = numbers.permutation(n);
        let permuted = x.select(Axis(0), &order);
        check_close("permutation", solve(cost, &permuted, &y).primal, base, 1e-12, 1e-3);
        let twice = concatenate![Axis(0), x, permuted];
        check_close("duplication", solve(cost, &twice, &y).primal, base, 1e-11, 1e-3);
        let a = Array1::from_shape_simple_fn(n, || numbers.uniform() + 1e-3);
        let b = Array1::from_elem(m, a.sum() / m as f64);
        let halves = concatenate![Axis(0), &a * 0.25, a.select(Axis(0), &order) * 0.75];
        let weighted = |x: &Array2<f64>, a: &Array1<f64>| {
            let solver = ExactTransport::new(cost);
            solver.solve(x.view(), Some(a.view()), y.view(), Some(b.view())).unwrap().primal
        };
        check_close("split masses", weighted(&twice, &halves), weighted(&x, &a), 1e-11, 1e-3);
    }

    #[test]
    fn discrepancy_is_symmetric_and_vanishes(seed: u64, n in 2_usize..40, m in 2_usize..40, d in 1_usize..4) {
        let mut numbers = Numbers::new(seed);
        let (x, y) = (cloud(&mut numbers, n, d, false), cloud(&mut numbers, m, d, false));
        for kernel in [Kernel::Rbf { bandwidth: 0.8 }, Kernel::InverseMultiquadric { offset: 1.0 }, Kernel::Distance] {
            let (xy, yx) = (mmd2(x.view(), y.view(), kernel).unwrap(), mmd2(y.view(), x.view(), kernel).unwrap());
            check_close("symmetry", xy.biased, yx.biased, 1e-12, 1e-2);
            check_close("symmetry", xy.unbiased, yx.unbiased, 1e-12, 1e-2);
            prop_assert!(xy.biased >= -1e-13);
            let order = numbers.permutation(n);
            let same = mmd2(x.view(), x.select(Axis(0), &order).view(), kernel).unwrap();
            check_close("identity", same.biased, 0.0, 1e-12, 1.0);
        }
    }
}
