//! Everything that cannot work says so, and where.

use ndarray::{Array2, array};
use sde_core::analytic::DataSet;
use sde_core::{Key, Result, Reverse, Score, Short, TimeGrid, Tolerance, Vp};
use solvers::{
    Adaptive, BrownianTree, Control, Controller, End, Grid, IndependentIncrements, Method, Noise,
    Sampler, SolveError, sample, solve,
};

/// A score given by a formula.
struct Formula(fn(f64, f64) -> f64);

impl Score<Array2<f64>> for Formula {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        Ok(x.mapv(|x| (self.0)(x, t)))
    }
}

const TOL: Tolerance = Tolerance { abs: 1e-6, rel: 1e-6 };

fn run(
    method: Method,
    eta: f64,
    score: &dyn Score<Array2<f64>>,
    control: &mut dyn Controller,
    noise: &dyn Noise<Array2<f64>>,
) -> Result<Array2<f64>, SolveError> {
    // Ten steps of it are short enough for a discrete-time sampler.
    let vp = Vp::new(0.1, 9.0).unwrap();
    let problem = Reverse::new(&vp, score, eta).unwrap();
    let x = array![[1.0, 0.5], [-0.3, 2.0]];
    solve(&*method.stepper(), &problem, x, 1.0, control, noise, &mut ()).map(|s| s.x)
}

fn grid(n: usize) -> Grid {
    Grid::new(TimeGrid::Uniform.times(&Vp::default(), n, 1.0, 0.0).unwrap()).unwrap()
}

fn adaptive() -> Adaptive {
    Adaptive::new(1.0, 0.0, TOL).unwrap()
}

fn fresh() -> IndependentIncrements {
    IndependentIncrements::new(Key::root(0), 0)
}

#[test]
fn scores_that_break_are_named_with_time_and_step() {
    let late_nan = Formula(|x, t| if t < 0.5 { f64::NAN } else { -x });
    let infinite = Formula(|x, t| if t < 0.5 { f64::INFINITY } else { -x });
    let explosive = Formula(|x, _| 1e200 * x);
    for &method in Method::ALL {
        for (score, latest) in [(&late_nan, 0.6), (&infinite, 0.6), (&explosive, 1.0)] {
            let e = run(method, 0.0, score, &mut grid(10), &fresh()).unwrap_err();
            let SolveError::NonFinite { t, h } = e else { panic!("{e}") };
            assert!(t <= latest && t > 0.0 && (h + 0.1).abs() < 1e-12, "{}: {e}", method.name());
            let said = e.to_string();
            assert!(
                said.contains(&format!("t = {t}")) && said.contains(&format!("h = {}", Short(h)))
            );
            if method.adaptive() && latest < 1.0 {
                let e = run(method, 0.0, score, &mut adaptive(), &fresh()).unwrap_err();
                let SolveError::NonFinite { t, h } = e else { panic!("{e}") };
                assert!(t <= latest && t >= 0.4 && h.abs() < 1e-12, "{}: {e}", method.name());
            }
        }
    }
}

#[test]
fn a_singularity_ends_adaptive_control() {
    // Backward in time x moves by -1/x: it reaches 0, where nothing goes on.
    let singular = Formula(|x, _| -1.0 / x);
    for method in [Method::Heun, Method::Dopri5] {
        let tol = Tolerance { abs: 1e-13, rel: 1e-6 };
        let mut control = Adaptive::new(1.0, 0.0, tol).unwrap();
        let e = run(method, 0.0, &singular, &mut control, &fresh()).unwrap_err();
        let SolveError::StepTooSmall { t, h, abs, rel } = e else { panic!("{e}") };
        assert!(t > 0.0 && t < 1.0 && h < 0.0 && h > -1e-13 && (abs, rel) == (1e-13, 1e-6), "{e}");
        assert!(e.to_string().contains(&format!("h = {} at t = {t} is too small", Short(h))));
    }
}

/// Explicit methods run into the step limit or out of the domain, and say where; the implicit one
/// arrives.
#[test]
fn a_stiff_score_ends_every_adaptive_method() {
    let stiff = Formula(|x, _| -1e9 * x);
    for &method in Method::ALL.iter().filter(|m| m.adaptive()) {
        let mut control = adaptive().with_max_steps(2000);
        let found = run(method, 0.0, &stiff, &mut control, &fresh());
        if method.info().implicit {
            assert!(found.unwrap().iter().all(|x| x.abs() < 1e-5));
            continue;
        }
        let e = found.unwrap_err();
        let (t, h) = match e {
            SolveError::TooManySteps { limit: 2000, t, h } => (t, h),
            SolveError::StepTooSmall { t, h, .. } | SolveError::NonFinite { t, h } => (t, h),
            _ => panic!("{}: {e}", method.name()),
        };
        eprintln!("{}: {e}", method.name());
        assert!(t > 0.0 && t <= 1.0 && h < 0.0, "{}: {e}", method.name());
        let said = e.to_string();
        assert!(
            said.contains(&format!("t = {t}")) && said.contains(&Short(h).to_string()),
            "{said}"
        );
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let fine = Formula(|x, _| -x);
    let e = run(Method::Heun, 1.0, &fine, &mut adaptive(), &fresh()).unwrap_err();
    assert!(matches!(e, SolveError::NotAPath { t: 1.0 }), "{e}");
    let tree = BrownianTree::new(Key::root(0), 0, 1.0, 0.0, 40).unwrap();
    let loose = &mut Adaptive::new(1.0, 0.0, Tolerance { abs: 0.1, rel: 0.1 }).unwrap();
    assert!(run(Method::Heun, 1.0, &fine, loose, &tree).is_ok());
    for method in [Method::EulerMaruyama, Method::DpmSolverPP2M, Method::SaSolver] {
        let e = run(method, 0.0, &fine, &mut adaptive(), &fresh()).unwrap_err();
        assert!(matches!(e, SolveError::NoErrorEstimate { t: 1.0 }), "{e}");
    }
    for method in [Method::Dopri5, Method::DpmSolverPP2M] {
        let e = run(method, 0.5, &fine, &mut grid(10), &fresh()).unwrap_err();
        assert!(matches!(e, SolveError::NotAnOde { t: 1.0, .. }), "{e}");
    }
    assert!(Reverse::new(&Vp::default(), &fine, -1.0).is_err());
    assert!(Reverse::new(&Vp::default(), &fine, f64::NAN).is_err());
}

#[test]
fn times_outside_the_horizon_are_refused() {
    let vp = Vp::default();
    let fine = Formula(|x, _| -x);
    let problem = Reverse::ode(&vp, &fine);
    for &method in Method::ALL {
        let mut grid = Grid::new(vec![2.0, 1.0]).unwrap();
        let x = array![[1.0]];
        let e = solve(&*method.stepper(), &problem, x, 2.0, &mut grid, &fresh(), &mut ());
        let said = e.unwrap_err().to_string();
        // An implicit method asks for a time inside the step first.
        let time = if method.info().implicit { "1.7071067811865475" } else { "2" };
        let expected = format!("in a step from t = 2 by h = -1: time t = {time} is outside [0, 1]");
        assert_eq!(said, expected, "{}", method.name());
    }
    let score = DataSet::Blob.under(&vp).unwrap();
    let attempt = |control, block_rows| {
        let (method, eta, end) = (Method::Dopri5, 0.0, End::Plain);
        let sampler = Sampler { method, eta, control, end, block_rows };
        let like = Array2::zeros((1, 2));
        sample(&sampler, &vp, &score, 3, Key::root(0), &like, &mut |_, _| Ok::<(), SolveError>(()))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(attempt(Control::Grid(vec![1.5, 0.5]), 4), "time t = 1.5 is outside [0, 1]");
    assert_eq!(attempt(Control::Grid(vec![1.0, -0.5]), 4), "time t = -0.5 is outside [0, 1]");
    let control = |t_start, t_end, abs| Control::Adaptive {
        t_start,
        t_end,
        tol: Tolerance { abs, rel: 0.0 },
    };
    assert_eq!(attempt(control(3.0, 0.0, 0.1), 4), "time t = 3 is outside [0, 1]");
    assert!(attempt(control(1.0, 1.0, 0.1), 4).contains("end = 1"));
    assert!(attempt(control(1.0, 0.0, -0.1), 4).contains("tolerance"));
    assert!(attempt(Control::Grid(vec![1.0, 0.0]), 0).contains("block-rows = 0"));
    assert!(attempt(Control::Grid(vec![]), 4).contains("empty"));
}

#[test]
fn grids_that_are_none_are_refused() {
    let message = |times: &[f64]| Grid::new(times.to_vec()).unwrap_err().to_string();
    assert!(message(&[]).contains("the grid is empty"));
    assert!(message(&[1.0, f64::NAN]).contains("must be finite"));
    assert_eq!(
        message(&[1.0, 0.5, 0.7]),
        "time grid entry 2 is 0.7 after 0.5: the grid must be strictly monotone"
    );
    assert!(message(&[1.0, 1.0]).contains("monotone"));
    // A grid that begins elsewhere than the solve.
    let mut elsewhere = Grid::new(vec![0.9, 0.1]).unwrap();
    let e = run(Method::Heun, 0.0, &Formula(|x, _| -x), &mut elsewhere, &fresh()).unwrap_err();
    assert!(e.to_string().contains("the solve is at another time"), "{e}");
}

/// An observer sees every step and may end the solve.
#[test]
fn observers_may_stop() {
    let vp = Vp::default();
    let score = Formula(|x, _| -x);
    let problem = Reverse::ode(&vp, &score);
    let mut seen = vec![];
    let mut observer = |e: solvers::Event<'_, Array2<f64>>| {
        seen.push((e.index, e.t, e.nfe));
        if e.index == 3 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    };
    let stepper = Method::Heun.stepper();
    let x = array![[1.0]];
    let done = solve(&*stepper, &problem, x, 1.0, &mut grid(4), &fresh(), &mut observer).unwrap();
    assert_eq!(done.t, 0.25);
    assert_eq!(seen, [(1, 0.75, 2), (2, 0.5, 4), (3, 0.25, 6)]);
}

/// What an implicit method is for: steps far longer than the fastest decay. Backward in time the drift
/// of the flow is contracting where the data are narrow.
#[test]
fn an_implicit_method_takes_long_steps_on_a_stiff_problem() {
    let stiff = Formula(|x, _| -1e6 * x);
    let attempt = |method| {
        let vp = Vp::default();
        let problem = Reverse::ode(&vp, &stiff);
        let x = array![[1.0, 0.5], [-0.3, 2.0]];
        solve(&*Method::stepper(method), &problem, x, 1.0, &mut grid(20), &fresh(), &mut ())
    };
    let done = attempt(Method::Sdirk2).unwrap();
    assert!(done.x.iter().all(|x| x.abs() < 1e-12), "{:?}", done.x);
    assert!(done.stats.nfe < 400, "{:?}", done.stats);
    assert!(!matches!(attempt(Method::Rk4), Ok(done) if done.x.iter().all(|x| x.abs() < 1e3)));
}
