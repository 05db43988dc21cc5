//! What the residual does to densities: along paths of the ODE exactly, of the SDE to first order.

use fp_residual::bounds::{Response, TimeRule, flow_response, noised_response};
use ndarray::{Array2, array};
use sde_core::{Ou, Score as _};

use crate::bowl::Bowl;

/// Points and their `log p - phi` for laws of variances `v` along the axes, where `phi = -x^T A x / 2`.
fn ratio(x: &Array2<f64>, model: &Bowl, v: [f64; 2]) -> Vec<f64> {
    let score = model.score(x, 0.0).expect("is linear");
    let one = |x: f64, s: f64, v: f64| {
        -0.5 * x * x / v - 0.5 * (std::f64::consts::TAU * v).ln() - 0.5 * s * x
    };
    let row = |(x, s): (ndarray::ArrayView1<'_, f64>, ndarray::ArrayView1<'_, f64>)| {
        one(x[0], s[0], v[0]) + one(x[1], s[1], v[1])
    };
    x.outer_iter().zip(score.outer_iter()).map(row).collect()
}

fn worst(response: &Response, rule: &TimeRule, expected: &[f64]) -> f64 {
    let pairs = response.total(rule).into_iter().zip(expected);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn points() -> Array2<f64> {
    array![[0.0, 0.0], [0.7, -0.2], [-1.3, 0.9], [0.1, 1.6]]
}

/// The ODE `x' = -x + A x / 2` ends with variances `e^(2 - a) / 2` after unit time.
#[test]
fn the_flow_s_density_is_a_line_integral() {
    let (sde, x) = (Ou::new(1.0).unwrap(), points());
    let a = [1.3, 2.8];
    let model = Bowl(Array2::from_diag(&array![a[0], a[1]]));
    let rule = TimeRule::gauss(1.0, 3).unwrap();
    let found = flow_response(&sde, &model, &model, &x, &rule, 4).unwrap();
    let v = a.map(|a| 0.5 * (2.0 - a).exp());
    let off = worst(&found, &rule, &ratio(&x, &model, v));
    assert!(off < 1e-9, "{off:e}");
    let rule = TimeRule::trapezoid(&[0.0, 0.25, 0.5, 0.75, 1.0]).unwrap();
    let found = flow_response(&sde, &model, &model, &x, &rule, 4).unwrap();
    let off = worst(&found, &rule, &ratio(&x, &model, v));
    assert!((1e-6..0.05).contains(&off), "of second order in the times: {off:e}");
}

/// From a model of the stationary law, `A = 2`, a small step away: what is left of first order falls with the square of the step.
#[test]
fn the_sde_s_density_responds_to_first_order() {
    let (sde, x) = (Ou::new(1.0).unwrap(), points());
    // Of these the second moments are exact, and the residual is a quadratic form.
    let root = 2.0_f64.sqrt();
    let normals = array![[root, 0.0], [-root, 0.0], [0.0, root], [0.0, -root]];
    let rule = TimeRule::gauss(1.0, 3).unwrap();
    let off = |step: f64| {
        let a = [2.0 + step, 2.0 - 0.6 * step];
        let model = Bowl(Array2::from_diag(&array![a[0], a[1]]));
        let found = noised_response(&sde, &model, &x, &rule, &normals).unwrap();
        let law = a.map(|a| {
            let m = 2.0 * (a - 1.0);
            (1.0 - (-m).exp()) / m + 0.5 * (-m).exp()
        });
        worst(&found, &rule, &ratio(&x, &model, law))
    };
    let (large, small) = (off(0.02), off(0.01));
    assert!(large < 1e-3 && (3.8..4.2).contains(&(large / small)), "{large:e} {small:e}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (sde, x) = (Ou::new(1.0).unwrap(), points());
    let model = Bowl(array![[1.6, 0.5], [0.5, 2.4]]);
    let rule = TimeRule::gauss(1.0, 1).unwrap();
    let none = noised_response(&sde, &model, &x, &rule, &Array2::zeros((0, 2))).unwrap_err();
    assert!(none.to_string().contains("[1, 2]"), "{none}");
    let other = TimeRule::gauss(2.0, 1).unwrap();
    let horizon = flow_response(&sde, &model, &model, &x, &other, 1).unwrap_err();
    assert!(horizon.to_string().contains("horizon 1"), "{horizon}");
    assert!(flow_response(&sde, &model, &model, &Array2::zeros((0, 2)), &rule, 1).is_err());
}
