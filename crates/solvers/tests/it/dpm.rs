//! DPM-Solver++(2M) against its authors' code, state by state.

use ndarray::Array2;
use sde_core::{Key, Reverse, Sde, TimeGrid, Vp};
use serde_json::Value;
use solvers::steppers::{DpmMultistep, LowerOrderFinal};
use solvers::{Grid, IndependentIncrements, Method, Trajectory, denoise, solve};

use crate::common::{distance, fixture, matrix, normals, numbers, target};

/// Largest error over the trajectory and the final state.
fn check(meta: &Value, grid: &[f64], states: &[Array2<f64>], last: &Array2<f64>) -> f64 {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let n = meta["steps"].as_u64().unwrap() as usize;
    let rule = match meta["skip_type"].as_str().unwrap() {
        "logSNR" => TimeGrid::LogSnr,
        "time_uniform" => TimeGrid::Uniform,
        "time_quadratic" => TimeGrid::Quadratic,
        other => panic!("{other}"),
    };
    let times = rule.times(&vp, n, 1.0, 1e-3).unwrap();
    let mut worst = times.iter().zip(grid).fold(0.0_f64, |w, (a, b)| w.max((a - b).abs()));
    let mut gap = |a: &Array2<f64>, b: &Array2<f64>| {
        worst = (a - b).iter().fold(worst, |w, d| w.max(d.abs()));
    };
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let lower = meta["lower_order_final"] == true && n < 10;
    let lower_order_final = if lower { LowerOrderFinal::of(&times) } else { None };
    let stepper = DpmMultistep { lower_order_final, ..DpmMultistep::data(2) };
    let mut x = states[0].clone();
    if meta["order"] == 1 {
        // Order 1 is the first step of order 2, over and over.
        for (w, state) in times.windows(2).zip(&states[1..]) {
            let mut grid = Grid::new(w.to_vec()).unwrap();
            x = solve(&stepper, &problem, x, w[0], &mut grid, &noiseless, &mut ()).unwrap().x;
            gap(&x, state);
        }
    } else {
        let mut seen = Trajectory::default();
        let mut grid = Grid::new(times).unwrap();
        let done = solve(&stepper, &problem, x, 1.0, &mut grid, &noiseless, &mut seen).unwrap();
        for (a, b) in seen.states.iter().zip(&states[1..]) {
            gap(a, b);
        }
        x = done.x;
        assert_eq!(done.stats.nfe, n as u64);
    }
    if meta["denoise_to_zero"] == true {
        x = denoise(&problem, &x, 1e-3).unwrap();
    }
    gap(&x, last);
    worst
}

#[test]
fn states_of_the_fixture() {
    let all = fixture("dpm.json");
    for (name, case) in all["cases"].as_object().unwrap() {
        let states: Vec<_> = case["traj"].as_array().unwrap().iter().map(matrix).collect();
        let (grid, last) = (numbers(&case["grid"]), matrix(&case["x"]));
        let e = check(&case["meta"], &grid, &states, &last);
        assert!(e < 1e-10, "{name}: {e:e}");
        let mut changed = states.clone();
        changed[3][[2, 1]] *= 1.001;
        assert!(check(&case["meta"], &grid, &changed, &last) > 1e-6, "{name}");
    }
}

/// A step to `sigma = 0` returns the predicted data and nothing infinite.
#[test]
fn the_step_to_zero_is_the_denoised_state() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let times = TimeGrid::Uniform.times(&vp, 20, 1.0, 0.0).unwrap();
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let mut seen = Trajectory::default();
    let stepper = Method::DpmSolverPP2M.stepper();
    let mut grid = Grid::new(times.clone()).unwrap();
    let x = normals(1, 8, 2);
    let done = solve(&*stepper, &problem, x, 1.0, &mut grid, &noiseless, &mut seen).unwrap();
    let expected = denoise(&problem, &seen.states[18], times[19]).unwrap();
    assert!(vp.marginal(0.0).sigma == 0.0 && distance(&done.x, &expected) < 1e-14);
}
