//! Bounds of Gaussian models against closed forms by other software: SciPy, Gauss and Legendre's rule with 12 and 24 panels, which
//! agree to 2e-12.

use fp_residual::bounds::{
    GaussianModel, GaussianProfiles, TimeRule, along_paths, coupling, grad_r_from_residual,
    mixed_coupling, path_entropy, relative_entropy, relative_entropy_bound,
};
use ndarray::{Array2, array};
use sde_core::Ou;

/// A Gaussian on a line of variance `w + k e^{-2 c t}` at time t of the model, and what is known of it.
struct Case {
    horizon: f64,
    model: [f64; 3],
    /// Of noise 0, 1/2, 1 and 3/2.
    variances: [f64; 4],
    w2: f64,
    /// Of the ODE from the SDE, and of the SDE from the ODE.
    entropies: [f64; 2],
    coupling: f64,
    entropy_bound: f64,
    path_entropy: f64,
    residual_only: f64,
    /// Given to 4 digits.
    mixed: f64,
}

const CASES: [Case; 3] = [
    // const_a0.8_T1
    Case {
        horizon: 1.0,
        model: [0.8, 0.0, 0.0],
        variances: [1.0585000083063374, 1.0880324628222855, 1.0902040104310498, 1.0157834305401607],
        w2: 0.015294053751732761,
        entropies: [0.00021561363118865855, 0.00021989778135038732],
        coupling: 0.1287108290337109,
        entropy_bound: 0.00882052624943711,
        path_entropy: 0.030062246111878452,
        residual_only: 0.3779843113733393,
        mixed: 0.0845591744054187,
    },
    // const_a0.55_T10
    Case {
        horizon: 10.0,
        model: [0.55, 0.0, 0.0],
        variances: [3.0803235421523216, 0.8894177486542256, 0.6111111024190953, 0.5755813953488373],
        w2: 0.9733490982721547,
        entropies: [1.21150918368144, 0.4079514961161637],
        coupling: 1.0244105304876192,
        entropy_bound: 2.4707263008802323,
        path_entropy: 0.08911200484256239,
        residual_only: 1.9429299407548706,
        mixed: 1.0013589667586713,
    },
    // vary_k2_c0.8_T10
    Case {
        horizon: 10.0,
        model: [0.5, 2.0, 0.8],
        variances: [3.738369849562409, 3.5112529343543755, 3.175670845531641, 2.950483544232783],
        w2: 0.15144524730973297,
        entropies: [0.0070299234137565225, 0.006305430614787069],
        coupling: 0.15144572979193818,
        entropy_bound: 0.007232463493480124,
        path_entropy: 0.008370921544641915,
        residual_only: 0.1960905586914468,
        mixed: 0.15144548410489575,
    },
];

#[track_caller]
fn check(what: &str, found: f64, expected: f64, tolerance: f64) {
    let off = (found - expected).abs() / expected.abs();
    assert!(off <= tolerance, "{what}: expected {expected}, found {found}, off by {off:e}");
}

/// $A = 1 / W$ with its derivative.
fn slope([w, k, c]: [f64; 3]) -> impl Fn(f64) -> (Array2<f64>, Array2<f64>) {
    move |t| {
        let decay = k * (-2.0 * c * t).exp();
        let variance = w + decay;
        (array![[1.0 / variance]], array![[2.0 * c * decay / (variance * variance)]])
    }
}

/// Where the gradient of r passes through zero.
fn sign_changes(
    model: &GaussianModel<impl Fn(f64) -> (Array2<f64>, Array2<f64>)>,
    horizon: f64,
) -> Vec<f64> {
    let fine = TimeRule::gauss(horizon, 300).unwrap();
    let (times, laws) = (fine.times(), model.covariances(1.0, &fine).unwrap().at);
    let signed: Vec<f64> = times
        .iter()
        .zip(&laws)
        .map(|(&t, law)| model.slope_at(t)[[0, 0]] - 1.0 / law[[0, 0]])
        .collect();
    (1..times.len())
        .filter(|&k| signed[k - 1] * signed[k] < 0.0)
        .map(|k| {
            let share = signed[k - 1] / (signed[k - 1] - signed[k]);
            times[k - 1] + share * (times[k] - times[k - 1])
        })
        .collect()
}

fn entropies(rule: &TimeRule, found: &GaussianProfiles) -> [f64; 2] {
    [&found.under_ode, &found.under_sde]
        .map(|[products, squares]| relative_entropy(rule, &found.g_squared, products, squares))
}

#[test]
fn bounds_on_a_line_are_those_of_other_software() {
    for case in &CASES {
        let sde = Ou::new(case.horizon).unwrap();
        let model = GaussianModel::new(&sde, slope(case.model));
        let kinks = sign_changes(&model, case.horizon);
        let rule = TimeRule::gauss_with_kinks(case.horizon, 24, &kinks).unwrap();
        for (eta, expected) in [0.0, 0.5, 1.0, 1.5].into_iter().zip(case.variances) {
            let found = model.covariances(eta, &rule).unwrap().start[[0, 0]];
            check(&format!("variance of noise {eta}"), found, expected, 1e-10);
        }
        let found = model.profiles(&rule).unwrap();
        let g = &found.g_squared;
        check("flow coupling", found.flow_coupling, case.w2, 1e-8);
        let bound = coupling(&rule, g, &found.rate_ode, &found.grad_r);
        check("coupling", bound, case.coupling, 1e-8);
        let bound = relative_entropy_bound(&rule, g, &found.grad_rho);
        check("entropy bound", bound, case.entropy_bound, 1e-8);
        let entropy = path_entropy(&rule, g, &found.grad_r);
        check("path entropy", entropy, case.path_entropy, 1e-8);
        for (found, expected) in entropies(&rule, &found).into_iter().zip(case.entropies) {
            check("relative entropy", found, expected, 1e-8);
        }
        let grad_r = grad_r_from_residual(&rule, &found.drift, &found.grad_residual, found.grad_h);
        let of_residual = coupling(&rule, g, &found.rate_ode, &grad_r);
        check("of the residual alone", of_residual, case.residual_only, 1e-8);
        let mixed = mixed_coupling(&rule, g, found.coupled_ode(), found.coupled_sde());
        check("mixed", mixed, case.mixed, 1e-4);
        // What the theorems say, of numbers that are not ours.
        assert!(case.w2 <= case.mixed * (1.0 + 1e-4) && case.mixed <= case.coupling * (1.0 + 1e-4));
        assert!(bound >= case.entropies[0] && of_residual >= case.coupling);
    }
}

/// A model that solves the Fokker-Planck equation: all that is left is what the horizon leaves of the data, e^-2T.
#[test]
fn a_model_without_residual_has_only_the_gap_of_the_prior() {
    let sde = Ou::new(10.0).unwrap();
    let model = GaussianModel::new(&sde, slope([0.5, 1.5, 1.0]));
    let rule = TimeRule::gauss(10.0, 24).unwrap();
    let found = model.profiles(&rule).unwrap();
    assert!(found.grad_residual.iter().all(|norm| *norm < 1e-12));
    let bound = coupling(&rule, &found.g_squared, &found.rate_ode, &found.grad_r);
    assert!(bound < 1e-8 && found.flow_coupling <= bound + 1e-14, "{bound:e}");
}

/// Two axes of variances 0.8 and 0.35 turned by 0.4.
#[test]
fn bounds_in_the_plane_are_those_of_other_software() {
    let (sine, cosine) = 0.4_f64.sin_cos();
    let turned = array![[cosine, sine], [-sine, cosine]];
    let slopes = turned.t().dot(&array![[1.0 / 0.8, 0.0], [0.0, 1.0 / 0.35]]).dot(&turned);
    let sde = Ou::new(1.0).unwrap();
    let model = GaussianModel::new(&sde, |_| (slopes.clone(), Array2::zeros((2, 2))));
    let rule = TimeRule::gauss(1.0, 12).unwrap();
    for (eta, expected) in [
        (0.0, [0.930159392175964, 0.3035541026731925, 0.34052703896884845]),
        (0.5, [0.95790170010358, 0.3077881975190716, 0.36004491742675115]),
        (1.0, [0.9665591094327586, 0.2924476919646747, 0.39850017270750965]),
        (1.5, [0.9085951996708724, 0.2535240068163693, 0.4161427655999359]),
    ] {
        let found = model.covariances(eta, &rule).unwrap().start;
        for (index, expected) in [[0, 0], [0, 1], [1, 1]].into_iter().zip(expected) {
            check(&format!("noise {eta}, {index:?}"), found[index], expected, 1e-10);
        }
    }
    let found = model.profiles(&rule).unwrap();
    let g = &found.g_squared;
    check("flow coupling", found.flow_coupling, 0.06544167964956418, 1e-8);
    check("along paths", along_paths(&rule, g, &found.transported), 0.18234479654741798, 1e-8);
    check(
        "coupling",
        coupling(&rule, g, &found.rate_ode, &found.grad_r),
        0.21697291659477685,
        1e-8,
    );
    let bound = relative_entropy_bound(&rule, g, &found.grad_rho);
    check("entropy bound", bound, 0.032792068565534585, 1e-8);
    let [of_ode, of_sde] = entropies(&rule, &found);
    check("entropy of the ODE", of_ode, 0.015601970403260166, 1e-8);
    check("entropy of the SDE", of_sde, 0.018504212444780888, 1e-8);
}

/// Axes that turn in time: the matrices do not commute, and the flow coupling is only an upper bound.
#[test]
fn bounds_are_ordered_where_nothing_commutes() {
    let sde = Ou::new(1.0).unwrap();
    let model = GaussianModel::new(&sde, |t: f64| {
        let (s, c) = (2.0 * t).sin_cos();
        let (sum, difference) = (2.0, 0.8);
        let (x, y) = (difference * (c * c - s * s), difference * 2.0 * s * c);
        // The derivative of the angle is 2.
        let (dx, dy) = (-4.0 * y, 4.0 * x);
        (array![[sum + x, y], [y, sum - x]], array![[dx, dy], [dy, -dx]])
    });
    let rule = TimeRule::gauss(1.0, 12).unwrap();
    let (ode, law) =
        (model.covariances(0.0, &rule).unwrap(), model.covariances(1.0, &rule).unwrap());
    let product = ode.start.dot(&law.start);
    let determinant = |m: &Array2<f64>| m[[0, 0]] * m[[1, 1]] - m[[0, 1]] * m[[1, 0]];
    let trace = |m: &Array2<f64>| m[[0, 0]] + m[[1, 1]];
    // Bures in the plane.
    let cross = (trace(&product) + 2.0 * determinant(&product).sqrt()).sqrt();
    let w2 = (trace(&ode.start) + trace(&law.start) - 2.0 * cross).sqrt();
    let found = model.profiles(&rule).unwrap();
    let g = &found.g_squared;
    let along = along_paths(&rule, g, &found.transported);
    let bound = coupling(&rule, g, &found.rate_ode, &found.grad_r);
    let flow = found.flow_coupling;
    assert!(w2 < flow && flow < along && along < bound, "{w2} {flow} {along} {bound}");
    // The exact identity, against the closed form.
    let inverse =
        |m: &Array2<f64>| array![[m[[1, 1]], -m[[0, 1]]], [-m[[1, 0]], m[[0, 0]]]] / determinant(m);
    let kl = |p: &Array2<f64>, q: &Array2<f64>| {
        let ratio = inverse(q).dot(p);
        0.5 * (trace(&ratio) - 2.0 - determinant(&ratio).ln())
    };
    let [of_ode, of_sde] = entropies(&rule, &found);
    check("entropy of the ODE", of_ode, kl(&ode.start, &law.start), 1e-8);
    check("entropy of the SDE", of_sde, kl(&law.start, &ode.start), 1e-8);
}

#[test]
fn what_does_not_fit_is_said() {
    let sde = Ou::new(1.0).unwrap();
    let says = |result: sde_core::Result<GaussianProfiles>| result.unwrap_err().to_string();
    let model = GaussianModel::new(&sde, slope([0.8, 0.0, 0.0]));
    let message = says(model.profiles(&TimeRule::gauss(2.0, 4).unwrap()));
    assert!(message.contains("must be a Gauss rule up to 1"), "{message}");
    let message = says(model.profiles(&TimeRule::trapezoid(&[0.0, 1.0]).unwrap()));
    assert!(message.contains("must be a Gauss rule"), "{message}");
    let crooked = |_| (array![[1.0, 0.5], [0.0, 1.0]], Array2::zeros((2, 2)));
    let rule = TimeRule::gauss(1.0, 4).unwrap();
    let message = says(GaussianModel::new(&sde, crooked).profiles(&rule));
    assert!(message.contains("symmetric"), "{message}");
    assert!(TimeRule::gauss(1.0, 0).is_err() && TimeRule::gauss(f64::NAN, 4).is_err());
    assert!(TimeRule::trapezoid(&[0.0]).is_err() && TimeRule::trapezoid(&[0.5, 1.0]).is_err());
}
