//! The probability-flow ODE to tight tolerance, against two other integrators' agreed answer.

use ndarray::Array2;
use sde_core::{Key, Reverse, State, Tolerance};
use solvers::{Adaptive, IndependentIncrements, Method, solve};

use crate::common::{fixture, matrices, matrix, sde_of, shared, target};

const ENDS: [(&str, f64); 3] = [("x_eps_1e_3", 1e-3), ("x_eps_1e_5", 1e-5), ("x_eps_0", 0.0)];

/// The largest distance of any coordinate at any of the three ends.
fn check(case: &str, x_t: Array2<f64>, expected: &[Array2<f64>; 3]) -> f64 {
    let (name, process) = case.rsplit_once('_').unwrap();
    let sde = sde_of(process);
    let score = target(name).under(&*sde);
    let problem = Reverse::ode(&*sde, &score);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let stepper = Method::Dopri5.stepper();
    let (mut x, mut t, mut worst) = (x_t, sde.horizon(), 0.0_f64);
    for ((_, end), expected) in ENDS.iter().zip(expected) {
        let mut control = Adaptive::new(t, *end, Tolerance { abs: 1e-12, rel: 1e-12 }).unwrap();
        x = solve(&*stepper, &problem, x, t, &mut control, &noiseless, &mut ()).unwrap().x;
        t = *end;
        worst = (&x - expected).iter().fold(worst, |w, d| w.max(d.abs()));
    }
    worst
}

#[test]
fn trajectories_of_the_fixture() {
    let all = fixture("pfode.json");
    for (case, v) in all.as_object().unwrap() {
        let expected = ENDS.map(|(n, _)| matrix(&v[n]));
        let e = check(case, matrix(&v["xT"]), &expected);
        assert!(e < 1e-8, "{case}: {e:e}");
        // A reference that is off by a thousandth is caught.
        let mut changed = expected.clone();
        changed[2][[1, 0]] *= 1.001;
        assert!(check(case, matrix(&v["xT"]), &changed) > 1e-6, "{case}");
    }
}

#[test]
fn trajectories_of_the_full_set() {
    let mut worst = 0.0_f64;
    for name in ["gmm2d", "gmm3d_full", "gmm8d"] {
        for process in ["vp", "subvp", "ve", "ou"] {
            let case = format!("{name}_{process}");
            let Some(path) = shared(&format!("refs/pfode/pfode_{case}.npz")) else { return };
            let found = matrices(&path, &["xT", ENDS[0].0, ENDS[1].0, ENDS[2].0]);
            let expected = ENDS.map(|(n, _)| found[n].clone());
            // One row at a time gives each row the tolerance.
            let parts: Vec<_> = (0..4).map(|b| b * 16).collect();
            for b in parts {
                let cut = |x: &Array2<f64>| x.slice_rows(b, 16).unwrap();
                let e = check(&case, cut(&found["xT"]), &[0, 1, 2].map(|i| cut(&expected[i])));
                assert!(e < 1e-8, "{case}: {e:e}");
                worst = worst.max(e);
            }
        }
    }
    eprintln!("flow ODE: worst error {worst:e}");
}
