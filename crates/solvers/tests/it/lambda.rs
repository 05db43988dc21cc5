//! The DPM-Solver family and UniPC against their authors' code, state by state.

use ndarray::Array2;
use ndarray_npy::NpzReader;
use sde_core::{Key, Reverse, TimeGrid, Vp};
use serde_json::Value;
use solvers::steppers::{
    DpmMultistep, DpmSchedule, DpmScheduled, DpmSinglestep, Expansion, LowerOrderFinal, Prediction,
    UniPc, Variant,
};
use solvers::{Grid, IndependentIncrements, LambdaAdaptive, Stepper, Trajectory, denoise, solve};

use crate::common::{distance, fixture, json, matrix, normals, numbers, shared, target};

type Rows = Array2<f64>;
type Boxed = Box<dyn for<'a> Stepper<Rows, Reverse<'a, Rows>>>;

fn text<'a>(meta: &'a Value, key: &str) -> &'a str {
    meta[key].as_str().unwrap_or("")
}

/// The stepper of a case, and its times.
fn stepper(vp: &Vp, meta: &Value) -> (Boxed, Vec<f64>) {
    let count = |key: &str| meta[key].as_u64().unwrap() as usize;
    let (steps, order) = (count("steps"), count("order"));
    let grid = match text(meta, "skip_type") {
        "logSNR" => TimeGrid::LogSnr,
        "time_uniform" => TimeGrid::Uniform,
        "time_quadratic" => TimeGrid::Quadratic,
        other => panic!("{other}"),
    };
    let times = grid.times(vp, steps, 1.0, 1e-3).unwrap();
    let prediction = match text(meta, "algorithm") {
        "dpmsolver" | "noise_prediction" => Prediction::Noise,
        "dpmsolver++" | "data_prediction" => Prediction::Data,
        other => panic!("{other}"),
    };
    let lower = meta["lower_order_final"] == true;
    let end = |lower| if lower { LowerOrderFinal::of(&times) } else { None };
    let expansion = match text(meta, "solver_type") {
        "taylor" => Expansion::Taylor,
        _ => Expansion::DpmSolver,
    };
    match (text(meta, "variant"), text(meta, "method")) {
        ("", "multistep") => {
            let lower_order_final = end(lower && steps < 10);
            (Box::new(DpmMultistep { prediction, order, expansion, lower_order_final }), times)
        }
        ("", method) => {
            let make = if method == "singlestep" { DpmSchedule::fast } else { DpmSchedule::fixed };
            let schedule = make(vp, grid, steps, order, 1.0, 1e-3).unwrap();
            let expected = numbers(&meta["orders"]);
            assert!(schedule.orders().iter().map(|&o| o as f64).eq(expected));
            let times = schedule.times().to_vec();
            (Box::new(DpmScheduled { prediction, expansion, schedule }), times)
        }
        (variant, _) => {
            let variant = if variant == "bh1" { Variant::Bh1 } else { Variant::Bh2 };
            let (end, lower_order_final) = (Some(1e-3), end(lower));
            (Box::new(UniPc { prediction, variant, order, end, lower_order_final }), times)
        }
    }
}

/// Largest error of the grid and the states, where the states may lack the start.
fn check(meta: &Value, x: &Rows, grid: &[f64], states: &[Rows]) -> f64 {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let (stepper, times) = stepper(&vp, meta);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let mut seen = Trajectory::default();
    let mut control = Grid::new(times.clone()).unwrap();
    let done =
        solve(&*stepper, &problem, x.clone(), 1.0, &mut control, &noiseless, &mut seen).unwrap();
    let mut nfe = done.stats.nfe;
    if meta["denoise_to_zero"] == true {
        seen.states.push(denoise(&problem, &done.x, 1e-3).unwrap());
        nfe += 1;
    }
    assert_eq!(nfe, meta["nfe"].as_u64().unwrap());
    assert_eq!(grid.len(), times.len());
    let mut worst = times.iter().zip(grid).fold(0.0_f64, |w, (a, b)| w.max((a - b).abs()));
    let skip = states.len() - seen.states.len();
    assert!(skip <= 1);
    for (a, b) in seen.states.iter().zip(&states[skip..]) {
        worst = (a - b).iter().fold(worst, |w, d| w.max(d.abs()));
    }
    worst
}

#[test]
fn states_of_the_fixture() {
    let all = fixture("lambda.json");
    let x = matrix(&all["start"]);
    for (name, case) in all["cases"].as_object().unwrap() {
        let states: Vec<_> = case["traj"].as_array().unwrap().iter().map(matrix).collect();
        let grid = numbers(&case["grid"]);
        let e = check(&case["meta"], &x, &grid, &states);
        assert!(e < 1e-10, "{name}: {e:e}");
        let mut changed = states.clone();
        changed[2][[1, 0]] *= 1.001;
        assert!(check(&case["meta"], &x, &grid, &changed) > 1e-6, "{name}");
    }
}

#[test]
fn states_of_the_full_set() {
    let Some(cases) = shared("refs/solvers/cases.json") else { return };
    let cases = json(&cases);
    let path = shared("refs/solvers/solver_trajectories.npz").unwrap();
    let mut npz = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let x: Rows = npz.by_name("gmm2d/xT").unwrap();
    let (mut worst, mut checked) = (0.0_f64, [0, 0]);
    for (name, meta) in cases.as_object().unwrap() {
        let family = usize::from(name.starts_with("gmm2d/unipc/"));
        let ours = family == 1 || name.starts_with("gmm2d/dpm/");
        if !ours || meta["method"] == "adaptive" {
            continue;
        }
        let traj: ndarray::Array3<f64> = npz.by_name(&format!("{name}/traj")).unwrap();
        let grid: ndarray::Array1<f64> = npz.by_name(&format!("{name}/grid")).unwrap();
        let states: Vec<_> = traj.outer_iter().map(|s| s.to_owned()).collect();
        let e = check(meta, &x, grid.as_slice().unwrap(), &states);
        assert!(e < 1e-10, "{name}: {e:e}");
        worst = worst.max(e);
        checked[family] += 1;
    }
    eprintln!("{checked:?} cases of DPM-Solver and UniPC, worst error {worst:e}");
    assert_eq!(checked, [78, 96]);
}

/// DPM-Solver-12 and -23; the authors round a factor of their steps to single precision.
#[test]
fn adaptive_steps_are_those_of_the_authors() {
    let Some(cases) = shared("refs/solvers/cases.json") else { return };
    let cases = json(&cases);
    let path = shared("refs/solvers/solver_trajectories.npz").unwrap();
    let mut npz = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let x: Rows = npz.by_name("gmm2d/xT").unwrap();
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    for order in [2, 3] {
        let name = format!("gmm2d/dpm/adaptive_o{order}");
        let tol = LambdaAdaptive::TOLERANCE;
        let mut control = LambdaAdaptive::new(&vp, 1.0, 1e-3, tol).unwrap();
        let stepper = DpmSinglestep::noise(order);
        let done = solve(&stepper, &problem, x.clone(), 1.0, &mut control, &noiseless, &mut ());
        let done = done.unwrap();
        assert_eq!(done.stats.nfe, cases[&name]["nfe"].as_u64().unwrap());
        let expected: Rows = npz.by_name(&format!("{name}/x")).unwrap();
        let e = (&done.x - &expected).iter().fold(0.0_f64, |w, d| w.max(d.abs()));
        eprintln!("{name}: {:?}, error {e:e}", done.stats);
        assert!(e < 1e-6, "{name}: {e:e}");
    }
}

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
