//! Bounds from paths against the closed forms of Gaussian models.

use fp_residual::bounds::{
    FlowPair, GaussianModel, TimeRule, along_paths, carried, coupling_from_entropy, flow_coupling,
    flow_gap, path_entropy, residual_excess, residual_excess_within, transported,
};
use ndarray::{Array2, array};
use sde_core::{FnScore, Key, Ou, Score};

use crate::bowl::Bowl;

fn bowl() -> Bowl {
    Bowl(array![[1.6, 0.5], [0.5, 2.4]])
}

/// The score of the law of its SDE under `dX = -X dt + dW` over unit time: with M = A - 1 the covariance is
/// (1 - e^{-2 M tau}) / (2 M) + e^{-2 M tau} / 2.
fn law(a: &Array2<f64>) -> impl Score<Array2<f64>> {
    let (half, off) = (0.5 * (a[[0, 0]] - a[[1, 1]]), a[[0, 1]]);
    let (middle, radius) = (0.5 * (a[[0, 0]] + a[[1, 1]]), half.hypot(off));
    // Unit vector of the larger eigenvalue.
    let angle = 0.5 * off.atan2(half);
    let turned = array![[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]];
    FnScore::new(move |x: &Array2<f64>, t: f64| {
        let precision = |eigenvalue: f64| {
            let m = eigenvalue - 1.0;
            let decay = (-2.0 * m * (1.0 - t)).exp();
            1.0 / ((1.0 - decay) / (2.0 * m) + 0.5 * decay)
        };
        let diagonal = [middle + radius, middle - radius].map(precision);
        let inner = array![[diagonal[0], 0.0], [0.0, diagonal[1]]];
        Ok(-x.dot(&turned.t().dot(&inner).dot(&turned)))
    })
}

/// Four points with mean zero and the covariance of the prior, one half.
fn start() -> Array2<f64> {
    array![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
}

#[test]
fn paths_from_the_prior_have_the_displacements_of_the_closed_form() {
    let (sde, bowl) = (Ou::new(1.0).unwrap(), bowl());
    let law = law(&bowl.0);
    let model = GaussianModel::new(&sde, |_| (bowl.0.clone(), Array2::zeros((2, 2))));
    let rule = TimeRule::gauss(1.0, 4).unwrap();
    let exact = model.profiles(&rule).unwrap();
    // Means of squares of linear functions of the start: those of its covariance.
    let found = flow_coupling(&sde, &bowl, &law, &start(), &rule).unwrap();
    let off = (found.value.sqrt() / exact.flow_coupling - 1.0).abs();
    assert!(off < 1e-6, "{off:e}");
    let found = transported(&sde, &bowl, &law, &start(), &rule).unwrap();
    for (found, exact) in found.iter().zip(&exact.transported) {
        assert!((found.value.sqrt() - exact).abs() < 1e-7 * exact.max(0.01), "{found:?} {exact}");
    }
    let roots: Vec<f64> = found.iter().map(|mean| mean.value.sqrt()).collect();
    let bound = along_paths(&rule, &exact.g_squared, &roots);
    assert!(bound >= exact.flow_coupling, "{bound} {}", exact.flow_coupling);
}

/// The gradient of log p^O - phi along the ODE, against that of the covariances; R has the gradient 2 A x - A^2 x.
#[test]
fn the_gap_of_the_flow_is_that_of_the_closed_form() {
    let (sde, bowl) = (Ou::new(1.0).unwrap(), bowl());
    let model = GaussianModel::new(&sde, |_| (bowl.0.clone(), Array2::zeros((2, 2))));
    let rule = TimeRule::gauss(1.0, 4).unwrap();
    let exact = model.profiles(&rule).unwrap();
    let slope = 2.0 * &bowl.0 - bowl.0.dot(&bowl.0);
    let grad_residual = |x: &Array2<f64>, _: f64| Ok(x.dot(&slope));
    let found = flow_gap(&sde, &bowl, &grad_residual, &start(), &rule, 2).unwrap();
    // Both ends are no times of the rule.
    assert_eq!(found.len(), rule.times().len() + 2);
    for (found, exact) in found[1..].iter().zip(&exact.grad_rho) {
        let square: f64 = found.gradient.iter().map(|v| v * v).sum();
        let off = ((0.25 * square).sqrt() / exact - 1.0).abs();
        assert!(off < 1e-7, "{}: {off:e}", found.t);
    }
}

/// The integral of what is carried is the displacement, particle by particle, and its growth bounds it.
#[test]
fn what_is_carried_adds_up_to_the_displacement() {
    let (sde, bowl) = (Ou::new(1.0).unwrap(), bowl());
    let law = law(&bowl.0);
    let rule = TimeRule::gauss(1.0, 4).unwrap();
    let start = array![[0.9, -0.2], [0.1, 0.6], [-3.0, 0.3]];
    let pair = FlowPair::follow(&sde, &bowl, &law, &start, &rule, 2).unwrap();
    let all = carried(&sde, &bowl, &law, &pair, 2).unwrap();
    let apart = pair.displacements();
    for row in 0..3 {
        for j in 0..2 {
            let speed: Vec<f64> =
                all[1..all.len() - 1].iter().map(|at| 0.5 * at.moved[[row, j]]).collect();
            // The other way round: X^O - X^S.
            assert!((rule.integral(&speed) + apart[[row, j]]).abs() < 1e-7, "{row} {j}");
        }
    }
    for at in &all {
        for (row, growth) in at.growth.iter().enumerate() {
            let [moved, gradient] = [&at.moved, &at.gradient].map(|m| m.row(row).to_owned());
            let (moved, gradient) = (moved.dot(&moved).sqrt(), gradient.dot(&gradient).sqrt());
            assert!(moved <= growth * gradient * (1.0 + 1e-9), "{}", at.t);
        }
    }
    assert_eq!(pair.within(2.0), [true, true, false]);
}

/// On the trapezoidal rule the values at its times are the same, the ends among them.
#[test]
fn times_of_ones_own_will_do() {
    let (sde, bowl) = (Ou::new(1.0).unwrap(), bowl());
    let law = law(&bowl.0);
    let times: Vec<f64> = (0..=40).map(|k| f64::from(k) / 40.0).collect();
    let rule = TimeRule::trapezoid(&times).unwrap();
    let found = transported(&sde, &bowl, &law, &start(), &rule).unwrap();
    assert_eq!(found.len(), times.len());
    // At time 0 the gradient of r itself, at the points of the flow; at T that of h, carried down.
    let model = GaussianModel::new(&sde, |_| (bowl.0.clone(), Array2::zeros((2, 2))));
    let fine = TimeRule::gauss(1.0, 6).unwrap();
    let exact = model.profiles(&fine).unwrap();
    let roots: Vec<f64> = found.iter().map(|mean| mean.value.sqrt()).collect();
    let bound = along_paths(&rule, &rule.diffusion_squared(&sde), &roots);
    let truth = along_paths(&fine, &exact.g_squared, &exact.transported);
    assert!((bound / truth - 1.0).abs() < 1e-3, "{bound} {truth}");
}

/// Both relative entropies of the path measures: $\frac12 \int g^2 |\nabla r|^2$ under the law of the SDE, and under its samples noised.
#[test]
fn the_residual_in_excess_is_the_sum_of_both_entropies() {
    let (sde, bowl) = (Ou::new(1.0).unwrap(), bowl());
    let model = GaussianModel::new(&sde, |_| (bowl.0.clone(), Array2::zeros((2, 2))));
    let rule = TimeRule::gauss(1.0, 6).unwrap();
    let laws = model.covariances(1.0, &rule).unwrap();
    let exact = model.profiles(&rule).unwrap();
    let entropy = path_entropy(&rule, &exact.g_squared, &exact.grad_r);
    let law = law(&bowl.0);
    let noised: Vec<f64> = rule
        .times()
        .iter()
        .map(|&t| {
            let left = (-2.0 * t).exp();
            let covariance = left * &laws.start + 0.5 * (1.0 - left) * Array2::<f64>::eye(2);
            let unit = Array2::eye(2);
            let slope = law.score(&unit, t).unwrap() - bowl.score(&unit, t).unwrap();
            slope.t().dot(&covariance).dot(&slope).diag().sum()
        })
        .collect();
    let truth = entropy + 0.5 * rule.integral(&noised);
    let found = residual_excess(&sde, &bowl, 2, 4000, &rule, Key::root(3)).unwrap();
    // Five standard errors, and a thousandth for the steps.
    let off = (found.value - truth).abs();
    assert!(off < 5.0 * found.standard_error + 1e-3 * truth, "{found:?} {truth}");
    assert!(found.standard_error < 0.1 * truth, "{found:?} {truth}");
    assert!(truth > entropy);
    // Nobody leaves a box of ten units.
    let within = residual_excess_within(&sde, &bowl, (2, 4000), &rule, Key::root(3), 10.0);
    assert_eq!(within.unwrap(), (found, 1.0));
    let bound = coupling_from_entropy(&rule, &exact.g_squared, &exact.rate_ode, truth);
    assert!(bound > exact.flow_coupling);
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_solved() {
    let (sde, bowl) = (Ou::new(1.0).unwrap(), bowl());
    let other = TimeRule::gauss(2.0, 1).unwrap();
    let error = flow_coupling(&sde, &bowl, &bowl, &start(), &other).unwrap_err().to_string();
    assert!(error.contains("must have the horizon 1 of the process"), "{error}");
    let rule = TimeRule::gauss(1.0, 1).unwrap();
    let none = Array2::zeros((0, 2));
    assert!(flow_coupling(&sde, &bowl, &bowl, &none, &rule).is_err());
    assert!(transported(&sde, &bowl, &bowl, &none, &rule).is_err());
    assert!(residual_excess(&sde, &bowl, 2, 1, &rule, Key::root(0)).is_err());
}
