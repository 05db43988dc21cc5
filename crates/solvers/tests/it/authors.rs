//! End states of the authors' own code: DEIS, EDM, UniPC and singlestep DPM-Solver.
//!
//! The first rows of target `gmm2d`; the whole set is compared by `experiment verify refs`.

use ndarray::Array2;
use sde_core::schedule::iddpm_sigmas;
use sde_core::{Brownian, Edm, Error, Key, Reverse, Sde, State, TimeGrid, Vp};
use serde_json::Value;
use solvers::steppers::{
    Deis, DpmSchedule, DpmScheduled, EdmChurn, EdmHeun, Expansion, IntegrationVariable,
    LowerOrderFinal, Polynomial, Prediction, RhoRungeKutta, UniPc, Variant,
};
use solvers::{Grid, IndependentIncrements, Noise, Stepper, solve};

use crate::common::{fixture, matrix, target};

type Rows = Array2<f64>;
type Sampler = Box<dyn for<'a> Stepper<Rows, Reverse<'a, Rows>>>;

/// A process, a method and its times.
struct Setup {
    sde: Box<dyn Sde>,
    times: Vec<f64>,
    stepper: Sampler,
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} of {case}"))
}

fn count(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap_or_else(|| panic!("{key} of {case}")) as usize
}

/// The rule of a `skip_type`.
fn skip(case: &Value) -> TimeGrid {
    match text(case, "skip_type") {
        "time_uniform" => TimeGrid::Uniform,
        "logSNR" => TimeGrid::LogSnr,
        other => panic!("skip_type {other}"),
    }
}

/// VP from time 1 to 1e-3.
fn on_vp(grid: TimeGrid, case: &Value) -> (Box<dyn Sde>, Vec<f64>) {
    let vp = Vp::default();
    let times = grid.times(&vp, count(case, "steps"), 1.0, 1e-3).unwrap();
    (Box::new(vp), times)
}

fn deis(case: &Value) -> Setup {
    let (phase, power) = (text(case, "ts_phase"), case["ts_order"].as_f64().unwrap());
    let grid = match (phase, power) {
        ("t", 1.0) => TimeGrid::Uniform,
        ("t", 2.0) => TimeGrid::Quadratic,
        ("rho", rho) => TimeGrid::Karras { rho },
        ("log", _) => TimeGrid::LogSnr,
        other => panic!("grid {other:?}"),
    };
    let stepper: Sampler = match text(case, "method") {
        "t_ab" => Box::new(Deis::new(Polynomial::Time, count(case, "order"))),
        // The authors' sums instead of integrals.
        "rho_ab" => Box::new(Deis {
            left_sums: Some(10_000),
            ..Deis::new(Polynomial::Ratio, count(case, "order"))
        }),
        _ => Box::new(match text(case, "order") {
            "2heun" => RhoRungeKutta::HEUN,
            "3kutta" => RhoRungeKutta::KUTTA3,
            "4rk" => RhoRungeKutta::RK4,
            other => panic!("Runge-Kutta {other}"),
        }),
    };
    let (sde, times) = on_vp(grid, case);
    Setup { sde, times, stepper }
}

/// Processes and grids of Karras et al., with their constants; the last step is to zero.
fn edm(case: &Value) -> Setup {
    let n = count(case, "num_steps");
    let discretisation = case["discretization"].as_str().unwrap_or("edm");
    let variable = if matches!(discretisation, "vp" | "ve") {
        IntegrationVariable::Time
    } else {
        IntegrationVariable::Ratio
    };
    let (sde, grid, start, end): (Box<dyn Sde>, _, _, _) = match discretisation {
        "edm" => (Box::new(Edm::new(80.0).unwrap()), TimeGrid::Karras { rho: 7.0 }, 80.0, 0.002),
        "vp" => (Box::<Vp>::default(), TimeGrid::Uniform, 1.0, 1e-3),
        "ve" => (Box::new(Brownian::new(1e4).unwrap()), TimeGrid::LogSnr, 1e4, 4e-4),
        "iddpm" => {
            let mut levels = iddpm_sigmas(1000, 0.001, 0.008);
            levels.retain(|u| (0.002..=81.0).contains(u));
            let (first, last) = (levels[0], levels[levels.len() - 1]);
            (Box::new(Edm::new(81.0).unwrap()), TimeGrid::Iddpm, first, last)
        }
        other => panic!("discretization {other}"),
    };
    let mut times = grid.times(sde.as_ref(), n - 1, start, end).unwrap();
    times.push(0.0);
    let stepper: Sampler = if let Some(churn) = case["S_churn"].as_f64() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let (lowest, highest) = (number("S_min"), number("S_max"));
        Box::new(EdmChurn {
            steps: n as u64,
            churn,
            lowest,
            highest,
            noise_scale: number("S_noise"),
        })
    } else if case["solver"] == "euler" {
        Box::new(Deis::new(Polynomial::Ratio, 0))
    } else {
        Box::new(EdmHeun { second_stage: case["alpha"].as_f64().unwrap_or(1.0), variable })
    };
    Setup { sde, times, stepper }
}

fn unipc(case: &Value) -> Setup {
    let (sde, times) = on_vp(skip(case), case);
    let prediction = match text(case, "algorithm") {
        "noise_prediction" => Prediction::Noise,
        _ => Prediction::Data,
    };
    let variant = if text(case, "variant") == "bh1" { Variant::Bh1 } else { Variant::Bh2 };
    let lower = case["lower_order_final"] == true;
    let lower_order_final = if lower { LowerOrderFinal::of(&times) } else { None };
    let (order, end) = (count(case, "order"), times.last().copied());
    let stepper = Box::new(UniPc { prediction, variant, order, end, lower_order_final });
    Setup { sde, times, stepper }
}

fn singlestep(case: &Value) -> Setup {
    let (vp, grid) = (Vp::default(), skip(case));
    let (nfe, order) = (count(case, "steps"), count(case, "order"));
    let schedule = match text(case, "method") {
        "singlestep" => DpmSchedule::fast(&vp, grid, nfe, order, 1.0, 1e-3),
        _ => DpmSchedule::fixed(&vp, grid, nfe, order, 1.0, 1e-3),
    }
    .unwrap();
    assert_eq!(serde_json::json!(schedule.orders()), case["orders"]);
    let prediction = match text(case, "algorithm") {
        "dpmsolver" => Prediction::Noise,
        _ => Prediction::Data,
    };
    let taylor = text(case, "solver_type") == "taylor";
    let expansion = if taylor { Expansion::Taylor } else { Expansion::DpmSolver };
    let times = schedule.times().to_vec();
    let stepper = Box::new(DpmScheduled { prediction, expansion, schedule });
    Setup { sde: Box::new(vp), times, stepper }
}

/// The normals that the authors' code drew, one array a step.
struct Recorded {
    times: Vec<f64>,
    normals: Vec<Rows>,
}

impl Noise<Rows> for Recorded {
    fn increment(&self, _: &Rows, t0: f64, t1: f64) -> sde_core::Result<Rows> {
        let step = self.times.windows(2).position(|w| w == [t0, t1]);
        let z = step.and_then(|i| self.normals.get(i)).ok_or_else(|| Error::Parameter {
            name: "t".into(),
            value: t0.to_string(),
            reason: format!("no noise to {t1}"),
        })?;
        State::lincomb(&[((t1 - t0).abs().sqrt(), z)])
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// Our end state; the evaluations must be the authors'.
fn end_state(all: &Value, case: &Value) -> Rows {
    let source = text(case, "source");
    let Setup { sde, times, stepper } = match source {
        "deis" => deis(case),
        "edm" => edm(case),
        "UniPC" => unipc(case),
        "dpm-solver" => singlestep(case),
        other => panic!("source {other}"),
    };
    let mixture = target("gmm2d");
    let score = mixture.under(sde.as_ref());
    let problem = Reverse::ode(sde.as_ref(), &score);
    let start = times[0];
    // The references of EDM start from as many standard deviations as the others.
    let scale = if source == "edm" { sde.marginal(start).sigma } else { 1.0 };
    let x = matrix(&all["xT"]) * scale;
    let noise: Box<dyn Noise<Rows>> = if case["S_churn"].is_number() {
        let normals = all["noise"].as_array().unwrap().iter().map(matrix).collect();
        Box::new(Recorded { times: times.clone(), normals })
    } else {
        Box::new(IndependentIncrements::new(Key::root(0), 0))
    };
    let mut grid = Grid::new(times).unwrap();
    let done = solve(&*stepper, &problem, x, start, &mut grid, &*noise, &mut ()).unwrap();
    assert_eq!(done.stats.nfe, case["nfe"].as_u64().unwrap(), "{case}");
    done.x
}

/// The largest difference; `f64::max` would drop a NaN.
fn gap(a: &Rows, b: &Rows) -> f64 {
    assert_eq!(a.dim(), b.dim());
    (a - b).iter().fold(0.0, |w, d| if d.is_nan() || d.abs() > w { d.abs() } else { w })
}

/// Every end state is the authors', and that of no other case: methods, orders, predictions, grids
/// and lower orders at the end are told apart.
#[test]
fn end_states_are_the_authors() {
    let all = fixture("authors.json");
    let cases = all["cases"].as_object().unwrap();
    let expected: Vec<Rows> = cases.values().map(|case| matrix(&case["x"])).collect();
    let mut worst = 0.0_f64;
    for (i, (name, case)) in cases.iter().enumerate() {
        let found = end_state(&all, case);
        for (j, x) in expected.iter().enumerate() {
            let e = gap(&found, x);
            if i == j {
                assert!(e < 1e-10, "{name}: {e:e}");
                worst = worst.max(e);
            } else {
                assert!(e > 1e-4, "{name} is case {j} too: {e:e}");
            }
        }
    }
    eprintln!("{} end states, worst error {worst:e}", cases.len());
    assert_eq!(cases.len(), 30);
}
