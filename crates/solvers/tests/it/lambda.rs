//! Steps of the authors' control in `lambda`, and multistep methods to `sigma = 0`.

use ndarray::Array2;
use sde_core::{Key, Reverse, TimeGrid, Vp};
use solvers::steppers::{DpmMultistep, DpmSinglestep, Prediction, UniPc, Variant};
use solvers::{Grid, IndependentIncrements, LambdaAdaptive, Stepper, Trajectory, denoise, solve};

use crate::common::{distance, normals, target};

/// A smaller tolerance gives a smaller error, up to the end within its slack.
#[test]
fn steps_in_lambda_follow_the_tolerance() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let x = normals(3, 16, 2);
    let run = |digits: i32| {
        let tol = sde_core::Tolerance { abs: 10_f64.powi(-digits), rel: 10_f64.powi(-digits) };
        let mut control = LambdaAdaptive::new(&vp, 1.0, 1e-3, tol).unwrap();
        let stepper = DpmSinglestep::noise(3);
        solve(&stepper, &problem, x.clone(), 1.0, &mut control, &noiseless, &mut ()).unwrap()
    };
    let exact = run(9);
    let mut before = f64::INFINITY;
    for digits in [3, 5, 7] {
        let done = run(digits);
        let e = (&done.x - &exact.x).iter().fold(0.0_f64, |w, d| w.max(d.abs()));
        eprintln!("1e-{digits}: error {e:e}, {:?}", done.stats);
        assert!(e < before / 5.0 && (done.t - 1e-3).abs() <= 1e-5);
        before = e;
    }
    let refused = |a, b, abs| {
        let tol = sde_core::Tolerance { abs, rel: 0.0 };
        LambdaAdaptive::new(&vp, a, b, tol).unwrap_err().to_string()
    };
    assert!(refused(1.0, 0.0, 0.1).contains("need sigma > 0"));
    assert!(refused(0.1, 0.5, 0.1).contains("must be below 0.1"));
    assert!(refused(1.0, 0.1, 0.0).contains("not both zero"));
    assert!(refused(2.0, 0.1, 0.1).contains("outside [0, 1]"));
}

type Boxed = Box<dyn for<'a> Stepper<Array2<f64>, Reverse<'a, Array2<f64>>>>;

/// A step to `sigma = 0` is the predicted data for every method of the family.
#[test]
fn the_step_to_zero_is_the_denoised_state() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let times = TimeGrid::Uniform.times(&vp, 20, 1.0, 0.0).unwrap();
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let mut steppers: Vec<Boxed> = vec![];
    for order in 1..=3 {
        for prediction in [Prediction::Noise, Prediction::Data] {
            steppers.push(Box::new(DpmMultistep { prediction, ..DpmMultistep::data(order) }));
            steppers.push(Box::new(DpmSinglestep { prediction, ..DpmSinglestep::data(order) }));
            steppers.push(Box::new(UniPc { prediction, ..UniPc::data(Variant::Bh2, order) }));
        }
    }
    for stepper in steppers {
        let mut seen = Trajectory::default();
        let mut grid = Grid::new(times.clone()).unwrap();
        let x = normals(1, 8, 2);
        solve(&*stepper, &problem, x, 1.0, &mut grid, &noiseless, &mut seen).unwrap();
        assert!(seen.states.iter().flatten().all(|x| x.is_finite()));
        // UniPC predicts at the state before its correction: without a past there is none.
        let (before, t) = (&seen.states[18], times[19]);
        let mut last = Grid::new(vec![t, 0.0]).unwrap();
        let done = solve(&*stepper, &problem, before.clone(), t, &mut last, &noiseless, &mut ());
        let done = done.unwrap();
        let expected = denoise(&problem, before, t).unwrap();
        assert!(done.stats.nfe == 1 && distance(&done.x, &expected) < 1e-13);
    }
    // With a history too.
    for (prediction, order) in [(Prediction::Data, 3), (Prediction::Noise, 3)] {
        let stepper = DpmMultistep { prediction, ..DpmMultistep::data(order) };
        let mut seen = Trajectory::default();
        let mut grid = Grid::new(times.clone()).unwrap();
        let x = normals(1, 8, 2);
        let done = solve(&stepper, &problem, x, 1.0, &mut grid, &noiseless, &mut seen).unwrap();
        let expected = denoise(&problem, &seen.states[18], times[19]).unwrap();
        assert!(distance(&done.x, &expected) < 1e-13);
    }
}
