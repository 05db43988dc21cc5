//! A row that cannot be solved: named, or NaN while the others are what they would be without it.

use std::sync::Mutex;

use ndarray::{Array2, s};
use sde_core::{Key, Potential, Probe, Score, ScoreJvp, Sde, State, TimeGrid, Tolerance, Vp};
use solvers::density::{
    Divergence, FlowDensity, LogPrior, PathDensity, extrapolated_log_density, flow_log_density,
    sampler_log_density, standard_log_prior,
};
use solvers::{BadRows, Control, End, Method, Sampler, SolveError, flow, sample, sample_from};

use crate::common::{normals, target};

type Rows = Array2<f64>;

const N: usize = 23;
const BAD: [usize; 3] = [4, 5, 17];

/// Points with rows that no solver takes.
fn points() -> Rows {
    let mut x = normals(3, N, 2);
    for row in BAD {
        x[[row, 1]] = f64::NAN;
    }
    x
}

fn times(sde: &dyn Sde, up: bool) -> Vec<f64> {
    let mut times = TimeGrid::Quadratic.times(sde, 12, 1.0, 1e-3).unwrap();
    if up {
        times.reverse();
    }
    times
}

fn adaptive(t_start: f64, t_end: f64) -> Control {
    Control::Adaptive { t_start, t_end, tol: Tolerance { abs: 1e-2, rel: 1e-2 } }
}

/// Told rows, in order.
#[derive(Default)]
struct Lost(Mutex<Vec<u64>>);

impl Lost {
    fn rows(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = self.0.lock().unwrap().iter().map(|r| *r as usize).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

macro_rules! told {
    ($lost:ident) => {
        |row: u64, _: SolveError| $lost.0.lock().unwrap().push(row)
    };
}

#[test]
fn samplers_go_on_past_bad_rows() {
    let vp = Vp::new(0.1, 5.0).unwrap();
    let score = target("gmm2d").under(&vp);
    let (x, fine) = (points(), normals(3, N, 2));
    for &method in Method::ALL {
        let eta = if method.stochastic() { 1.0 } else { 0.0 };
        let mut controls = vec![Control::Grid(times(&vp, false))];
        if method.adaptive() {
            controls.push(adaptive(1.0, 1e-3));
        }
        for control in controls {
            let sampler = Sampler { method, eta, control, end: End::Denoise, block_rows: 10 };
            let run = |x: &Rows, bad: BadRows<'_>| {
                let start = |first: u64, len: usize| x.slice_rows(first as usize, len);
                let mut parts = vec![];
                let mut sink = |_: u64, x: Rows| {
                    parts.push(x);
                    Ok::<(), SolveError>(())
                };
                let (rows, key) = (x.nrows() as u64, Key::root(1));
                sample_from((&sampler, bad), &vp, &score, rows, key, &start, &mut sink)?;
                Ok::<_, SolveError>(Rows::concat_rows(&parts)?)
            };
            let name = method.name();
            let e = run(&x, BadRows::Refuse).unwrap_err();
            assert!(matches!(e, SolveError::InRow { row: 4, .. }), "{name}: {e}");
            assert!(e.to_string().starts_with("row 4: the state is not finite"), "{name}: {e}");
            let lost = Lost::default();
            let found = run(&x, BadRows::Nan(&told!(lost))).unwrap();
            let expected = run(&fine, BadRows::Refuse).unwrap();
            assert_eq!(lost.rows(), BAD, "{name}");
            for row in 0..N {
                if BAD.contains(&row) {
                    assert!(found.row(row).iter().all(|v| v.is_nan()), "{name} {row}");
                } else {
                    assert_eq!(found.row(row), expected.row(row), "{name} {row}");
                }
            }
        }
    }
}

/// Particles from the prior, on a score that breaks for some of them.
#[test]
fn particles_that_a_score_breaks_on_are_nan() {
    struct Breaks;
    impl Score<Rows> for Breaks {
        fn score(&self, x: &Rows, _: f64) -> sde_core::Result<Rows> {
            let mut s = -x;
            for (mut s, x) in s.rows_mut().into_iter().zip(x.outer_iter()) {
                if x[0] > 1.0 {
                    s.fill(f64::INFINITY);
                }
            }
            Ok(s)
        }
    }
    let vp = Vp::new(0.1, 5.0).unwrap();
    for control in [Control::Grid(times(&vp, false)), adaptive(1.0, 1e-3)] {
        let (method, end) = (Method::Heun, End::Plain);
        let sampler = Sampler { method, eta: 1.0, control, end, block_rows: 16 };
        let (lost, like, mut found) = (Lost::default(), Rows::zeros((1, 2)), vec![]);
        let told = told!(lost);
        let mut sink = |_: u64, x: Rows| {
            found.extend(x.column(0).to_vec());
            Ok::<(), SolveError>(())
        };
        let request = (&sampler, BadRows::Nan(&told));
        sample(request, &vp, &Breaks, 100, Key::root(2), &like, &mut sink).unwrap();
        let nan: Vec<usize> = (0..100).filter(|i| found[*i].is_nan()).collect();
        assert!(nan.len() > 5 && nan.len() < 95, "{nan:?}");
        assert_eq!(lost.rows(), nan);
        let e = sample(&sampler, &vp, &Breaks, 100, Key::root(2), &like, &mut |_, _| Ok(()));
        let SolveError::InRow { row, .. } = e.unwrap_err() else { panic!("no row") };
        assert_eq!(row as usize, nan[0]);
    }
}

/// Encodes points or finds their log-densities; what becomes of bad ones is told.
type Run<'a> = Box<dyn Fn(&Rows, BadRows<'_>) -> Result<Vec<f64>, SolveError> + 'a>;

/// What goes on past bad rows: names, the number of the first row, runs.
fn runs<'a, M: Potential<Rows> + ScoreJvp<Rows>>(
    vp: &'a Vp,
    model: &'a M,
    prior: &'a LogPrior<'a, Rows>,
) -> Vec<(String, u64, Run<'a>)> {
    let key = Key::root(5);
    let mut runs: Vec<(String, u64, Run<'_>)> = vec![];
    for control in [Control::Grid(times(vp, true)), adaptive(1e-3, 1.0)] {
        let how = format!("{control:?}").chars().take(8).collect::<String>();
        let c = control.clone();
        runs.push((
            format!("flow {how}"),
            0,
            Box::new(move |x, bad| {
                Ok(flow(Method::Heun, (&c, bad), vp, model, x, 0, 9)?.0.column(0).to_vec())
            }),
        ));
        for divergence in
            [Divergence::Exact, Divergence::Hutchinson { probe: Probe::Gaussian, n_probes: 12 }]
        {
            let density = FlowDensity { divergence, control: control.clone(), block_rows: 9 };
            let d = density.clone();
            runs.push((
                format!("density {divergence:?} {how}"),
                7,
                Box::new(move |x, bad| {
                    let found = flow_log_density((&d, bad), vp, model, x, prior, key, 7)?;
                    let errors = found.std_error.iter().flatten();
                    assert!(errors.zip(&found.log_density).all(|(e, l)| e.is_nan() == l.is_nan()));
                    Ok(found.log_density)
                }),
            ));
            if matches!(control, Control::Adaptive { .. }) {
                runs.push((
                    format!("extrapolated {divergence:?}"),
                    7,
                    Box::new(move |x, bad| {
                        let density = &density;
                        let found =
                            extrapolated_log_density((density, bad), vp, model, x, prior, key, 7)?;
                        Ok(found.log_density)
                    }),
                ));
            }
        }
        for eta in [0.0, 1.0] {
            let paths = PathDensity { eta, n_paths: 3, control: control.clone(), block_rows: 10 };
            runs.push((
                format!("paths {eta} {how}"),
                7,
                Box::new(move |x, bad| {
                    Ok(sampler_log_density((&paths, bad), vp, model, x, prior, key, 7)?.log_density)
                }),
            ));
        }
    }
    runs
}

#[test]
fn encodings_and_densities_go_on_past_bad_rows() {
    let vp = Vp::default();
    let mixture = target("gmm2d");
    let model = mixture.under(&vp);
    let (x, fine) = (points(), normals(3, N, 2));
    let prior = |x: &Rows| standard_log_prior(&vp, x);
    for (name, first, run) in runs(&vp, &model, &prior) {
        let lost = Lost::default();
        let found = run(&x, BadRows::Nan(&told!(lost))).unwrap();
        let expected = run(&fine, BadRows::Refuse).unwrap();
        assert_eq!(lost.rows(), BAD.map(|b| b + first as usize), "{name}");
        for row in 0..N {
            let same =
                if BAD.contains(&row) { found[row].is_nan() } else { found[row] == expected[row] };
            assert!(same, "{name} {row}: {} {}", found[row], expected[row]);
        }
        let e = run(&x, BadRows::Refuse).unwrap_err().to_string();
        assert!(
            e.starts_with(&format!("row {}: the state is not finite", 4 + first)),
            "{name}: {e}"
        );
        // Alone as among others.
        let one = x.slice(s![6..7, ..]).to_owned();
        if first == 0 {
            assert_eq!(run(&one, BadRows::Refuse).unwrap()[0], found[6], "{name}");
        }
    }
}
