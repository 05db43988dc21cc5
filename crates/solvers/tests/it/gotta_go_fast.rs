//! The adaptive SDE solver of Jolicoeur-Martineau et al.: the algorithm written out once more, what
//! it samples, the path it follows, and how it ends.

use ndarray::{Array2, array, s};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Result, Reverse, Score, Sde, Short, State, TimeGrid, Tolerance, Ve, Vp};
use solvers::{
    BrownianTree, Control, Controller, End, ErrorRule, GottaGoFast, Grid, IndependentIncrements,
    Method, Noise, Sampler, SolveError, StepDecision, Trajectory, denoise, sample, sample_from,
    solve,
};

use crate::common::{distance, normals, slope, target};

type Rows = Array2<f64>;

const KEY: u64 = 8;
const ROWS: usize = 12;

fn tree(row: u64, end: f64) -> BrownianTree {
    BrownianTree::new(Key::root(KEY).fold(1), row, 1.0, end, 40).unwrap()
}

fn sampler(end: End, tol: f64) -> Sampler {
    let tol = Tolerance { abs: tol, rel: tol };
    let control = Control::GottaGoFast { t_start: 1.0, t_end: 1e-3, tol };
    Sampler { method: Method::Heun, eta: 1.0, control, end, block_rows: 64 }
}

/// Keeps what its controller was asked: where steps begin and end, their errors and what became of
/// them.
struct Watched(GottaGoFast, Vec<(f64, f64, f64, StepDecision)>);

impl Controller for Watched {
    fn propose(&mut self, t: f64) -> Result<Option<f64>, SolveError> {
        let next = self.0.propose(t)?;
        self.1.extend(next.map(|next| (t, next, f64::NAN, StepDecision::TooSmall)));
        Ok(next)
    }

    fn judge(&mut self, error: Option<f64>) -> StepDecision {
        let verdict = self.0.judge(error);
        let last = self.1.last_mut().unwrap();
        (last.2, last.3) = (error.unwrap(), verdict);
        verdict
    }

    fn adaptive(&mut self, order: Option<f64>) -> Option<Tolerance> {
        self.0.adaptive(order)
    }

    fn error_rule(&self) -> ErrorRule {
        self.0.error_rule()
    }
}

/// Algorithm 1 for one particle, attempt by attempt. Each is taken at the times of the solve: a path
/// is so rough that a rounding in a time would be a different solution a few steps on.
#[test]
fn it_is_the_published_algorithm() {
    let (vp, ve) = (Vp::default(), Ve::default());
    let sdes: [&dyn Sde; 2] = [&vp, &ve];
    for (sde, end) in sdes.into_iter().zip([1e-3, 1e-5]) {
        let score = target("gmm2d").under(sde);
        let problem = Reverse::sde(sde, &score);
        let drift = |x: &Rows, t: f64| {
            x * sde.drift_coef(t) - score.score(x, t).unwrap() * sde.diffusion(t).powi(2)
        };
        let (mut rejected, mut accepted) = (0, 0);
        for row in 0..4_usize {
            let start = normals(4, 8, 2).slice(s![row..=row, ..]).mapv(|x| x * sde.prior_std());
            let tol = GottaGoFast::TOLERANCE;
            let mut control = Watched(GottaGoFast::new(1.0, end, tol).unwrap(), vec![]);
            let mut seen = Trajectory::default();
            let stepper = Method::Heun.stepper();
            let path = tree(row as u64, end);
            let x = start.clone();
            let done = solve(&*stepper, &problem, x, 1.0, &mut control, &path, &mut seen).unwrap();
            assert_eq!((done.t, done.stats.nfe), (end, 2 * control.1.len() as u64));

            let (mut x, mut before, mut h, mut t, mut steps) = (start.clone(), start, 0.01, 1.0, 0);
            for (from, to, error, verdict) in control.1 {
                let expected = f64::max(end, t - h);
                assert_eq!(from, t);
                assert!((to - expected).abs() < 1e-9 * (t - to), "{to} is not {expected}");
                h = t - to;
                let w = path.increment(&x, t, to).unwrap();
                let first = &x - &(drift(&x, t) * h) + &w * sde.diffusion(t);
                let again = &x - &(drift(&first, to) * h) + &w * sde.diffusion(to);
                let second = (&first + &again) * 0.5;
                let mut sum = 0.0;
                for ((a, b), c) in first.iter().zip(&second).zip(&before) {
                    let delta = f64::max(tol.abs, tol.rel * f64::max(a.abs(), c.abs()));
                    sum += ((a - b) / delta).powi(2);
                }
                let e = (sum / 2.0).sqrt();
                assert!((e - error).abs() < 1e-9 * (1.0 + e), "{error:e} is not {e:e}");
                if e <= 1.0 {
                    assert_eq!((verdict, seen.times[steps]), (StepDecision::Accept, to));
                    let gap = distance(&seen.states[steps], &second);
                    assert!(gap < 1e-12 * sde.prior_std(), "step {steps}: {gap:e}");
                    (x, before, t, steps) = (seen.states[steps].clone(), first, to, steps + 1);
                    accepted += 1;
                } else {
                    assert_eq!(verdict, StepDecision::Reject);
                    rejected += 1;
                }
                h = 0.9 * h * e.powf(-0.9);
            }
            assert_eq!(steps, seen.times.len());
        }
        eprintln!("{}: {accepted} steps, {rejected} rejected", sde.name());
        assert!(rejected > 50);
    }
}

/// Through `sample`, with noise up to the end and Tweedie's formula behind it.
#[test]
fn a_particle_is_its_own_whatever_its_neighbours() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let collect = |n: u64, block_rows: u64, far: f64| {
        let start = |first: u64, len: usize| {
            let x: Rows = normals(4, ROWS, 2);
            let mut x = x.slice(s![first as usize..first as usize + len, ..]).to_owned();
            for (i, mut x) in x.rows_mut().into_iter().enumerate() {
                // All but every third are sent away.
                if !(first as usize + i).is_multiple_of(3) {
                    x += far;
                }
            }
            Ok(x)
        };
        let mut parts = vec![];
        let sampler = Sampler { block_rows, ..sampler(End::Denoise, 0.02) };
        let mut sink = |_, x: Rows| {
            parts.push(x);
            Ok::<(), SolveError>(())
        };
        let summary =
            sample_from(&sampler, &vp, &score, n, Key::root(KEY), &start, &mut sink).unwrap();
        assert_eq!((summary.rows, summary.blocks), (n, n));
        Rows::concat_rows(&parts).unwrap()
    };
    let all = collect(ROWS as u64, 64, 0.0);
    assert_eq!(all, collect(ROWS as u64, 1, 0.0));
    assert_eq!(all.slice(s![..7, ..]), collect(7, 3, 0.0));
    let others = collect(ROWS as u64, 64, 30.0);
    const TOL: Tolerance = Tolerance { abs: 0.02, rel: 0.02 };
    for i in 0..ROWS {
        assert_eq!(all.row(i) == others.row(i), i % 3 == 0, "row {i}");
        let x = normals(4, ROWS, 2).slice(s![i..=i, ..]).to_owned();
        let problem = Reverse::sde(&vp, &score);
        let mut control = GottaGoFast::new(1.0, 1e-3, TOL).unwrap();
        let (stepper, path) = (Method::Heun.stepper(), tree(i as u64, 1e-3));
        let done = solve(&*stepper, &problem, x, 1.0, &mut control, &path, &mut ()).unwrap();
        let last = denoise(&problem, &done.x, 1e-3).unwrap();
        assert_eq!(last.row(0), all.row(i), "row {i}");
    }
}

/// Mean and covariance of Gaussian data, within four standard errors.
#[test]
fn gaussian_data_have_their_moments() {
    let vp = Vp::default();
    let (mean, cov) = (array![[1.0, -0.5]], array![[0.5, 0.3], [0.3, 0.4]]);
    let data = GaussianMixture::new(&[1.0], &mean, std::slice::from_ref(&cov)).unwrap();
    let score = data.under(&vp);
    let n = 600;
    let mut parts = vec![];
    let mut sink = |_, x: Rows| {
        parts.push(x);
        Ok::<(), SolveError>(())
    };
    let like = Array2::zeros((1, 2));
    let done = sample(&sampler(End::Plain, 1e-2), &vp, &score, n, Key::root(KEY), &like, &mut sink);
    let done = done.unwrap();
    let x = Rows::concat_rows(&parts).unwrap();
    let m = vp.marginal(1e-3);
    let cov = cov * (m.alpha * m.alpha) + Rows::eye(2) * (m.sigma * m.sigma);
    let n = n as f64;
    let found = x.mean_axis(ndarray::Axis(0)).unwrap();
    let centred = &x - &found.view().insert_axis(ndarray::Axis(0));
    let spread = centred.t().dot(&centred) / (n - 1.0);
    eprintln!("{done:?}: mean {found}, covariance {spread}");
    for i in 0..2 {
        let error = (cov[[i, i]] / n).sqrt();
        let gap = found[i] - m.alpha * mean[[0, i]];
        assert!(gap.abs() < 4.0 * error, "mean {i}: {gap} +- {error}");
        for j in 0..=i {
            let error = ((cov[[i, i]] * cov[[j, j]] + cov[[i, j]].powi(2)) / n).sqrt();
            let gap = spread[[i, j]] - cov[[i, j]];
            assert!(gap.abs() < 4.0 * error, "covariance {i}, {j}: {gap} +- {error}");
        }
    }
}

/// On one path, whatever was rejected on the way, the solution is that of short fixed steps. Local
/// errors are of order 3/2 and the strong order is 1: the error goes with the power 2/3 of the
/// tolerance.
#[test]
fn solutions_converge_on_their_paths() {
    let vp = Vp::new(0.1, 4.0).unwrap();
    // Log-concave: no path decides between modes by a rounding.
    let means = array![[-0.8, 0.3], [0.8, 0.0]];
    let data = GaussianMixture::isotropic(&[0.5, 0.5], &means, &[1.0, 1.0]).unwrap();
    let score = data.under(&vp);
    let problem = Reverse::sde(&vp, &score);
    let (rows, end) = (96, 0.05);
    let start = normals(4, rows, 2);
    // Levels below the shortest steps.
    let tree = |row| BrownianTree::new(Key::root(KEY), row, 1.0, end, 24).unwrap();
    let fixed = |steps| {
        let times = TimeGrid::Uniform.times(&vp, steps, 1.0, end).unwrap();
        let mut grid = Grid::new(times).unwrap();
        let stepper = Method::Shark.stepper();
        solve(&*stepper, &problem, start.clone(), 1.0, &mut grid, &tree(0), &mut ()).unwrap().x
    };
    let exact = fixed(2048);
    let floor = distance(&fixed(1024), &exact);
    let (parts, mut errors, mut rejected) = ([1, 4, 16, 64], vec![], 0);
    for n in parts {
        let tol = 0.1 / n as f64;
        let one = |row: usize| {
            let mut control = GottaGoFast::new(1.0, end, Tolerance { abs: tol, rel: tol }).unwrap();
            let x = start.slice(s![row..=row, ..]).to_owned();
            let path = tree(row as u64);
            let stepper = Method::Heun.stepper();
            solve(&*stepper, &problem, x, 1.0, &mut control, &path, &mut ()).unwrap()
        };
        let ends: Vec<_> = (0..rows).map(one).collect();
        rejected += ends.iter().map(|s| s.stats.rejected).sum::<u64>();
        let steps = ends.iter().map(|s| s.stats.accepted).sum::<u64>() / rows as u64;
        let ends: Vec<_> = ends.into_iter().map(|s| s.x).collect();
        let ends = Rows::concat_rows(&ends).unwrap();
        errors.push(distance(&ends, &exact));
        eprintln!("{tol:e}: error {:e} in {steps} steps", errors[errors.len() - 1]);
    }
    let found = slope(&parts, &errors);
    eprintln!("power {found:.3} of the tolerance, {rejected} rejected, fixed steps {floor:e}");
    assert!((found - 2.0 / 3.0).abs() < 0.15 && rejected > 50, "{found} {errors:?}");
}

/// A score given by a formula.
struct Formula(fn(f64, f64) -> f64);

impl Score<Rows> for Formula {
    fn score(&self, x: &Rows, t: f64) -> Result<Rows> {
        Ok(x.mapv(|x| (self.0)(x, t)))
    }
}

#[test]
fn it_ends_whatever_the_score() {
    let vp = Vp::default();
    let through_sample = |score: &Formula| {
        let like = Array2::zeros((1, 2));
        let sampler = sampler(End::Denoise, 1e-2);
        let done = sample(&sampler, &vp, score, 3, Key::root(1), &like, &mut |_, _| Ok(()));
        match done.unwrap_err() {
            SolveError::InRow { row: 0, source } => *source,
            other => panic!("{other}"),
        }
    };
    for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let late: fn(f64, f64) -> f64 = match broken {
            b if b.is_nan() => |x, t| if t < 0.5 { f64::NAN } else { -x },
            b if b > 0.0 => |x, t| if t < 0.5 { f64::INFINITY } else { -x },
            _ => |x, t| if t < 0.5 { f64::NEG_INFINITY } else { -x },
        };
        let e = through_sample(&Formula(late));
        let SolveError::NonFinite { t, h } = e else { panic!("{broken}: {e}") };
        assert!((0.5..0.5 + 1e-9).contains(&t) && h < 0.0 && h > -1e-11, "{broken}: {e}");
        let said = e.to_string();
        assert!(
            said.contains(&format!("t = {t}")) && said.contains(&format!("h = {}", Short(h))),
            "{said}"
        );
    }
    // Too stiff for the steps allowed, and too stiff for any step.
    let stiff = Formula(|x, _| -1e8 * x);
    let problem = Reverse::sde(&vp, &stiff);
    let tol = Tolerance { abs: 1e-2, rel: 1e-2 };
    let mut control = GottaGoFast::new(1.0, 1e-3, tol).unwrap().with_max_steps(2000);
    let (stepper, path, x) = (Method::Heun.stepper(), tree(0, 1e-3), normals(1, 1, 2));
    let e = solve(&*stepper, &problem, x, 1.0, &mut control, &path, &mut ()).unwrap_err();
    let SolveError::TooManySteps { limit: 2000, t, h } = e else { panic!("{e}") };
    assert!(t > 1e-3 && t <= 1.0 && h < 0.0, "{e}");
    assert!(e.to_string().ends_with(&format!("at t = {t} with h = {}", Short(h))), "{e}");
    let e = through_sample(&Formula(|x, _| -1e15 * x));
    let SolveError::StepTooSmall { t, h, abs, rel } = e else { panic!("{e}") };
    assert!(t <= 1.0 && h < 0.0 && h > -1e-11 && (abs, rel) == (1e-2, 1e-2), "{e}");
    let e = through_sample(&Formula(|x, _| 1e200 * x));
    assert!(matches!(e, SolveError::NonFinite { t: 1.0, .. }), "{e}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bad = |a: f64, b: f64, abs: f64, rel: f64| {
        GottaGoFast::new(a, b, Tolerance { abs, rel }).unwrap_err().to_string()
    };
    assert!(bad(1.0, 1.0, 0.1, 0.1).contains("end = 1"));
    assert!(bad(1.0, f64::NAN, 0.1, 0.1).contains("end = NaN"));
    assert!(bad(1.0, 0.0, -0.1, 0.1).contains("tolerance"));
    assert!(bad(1.0, 0.0, 0.0, 0.0).contains("not both zero"));
    let vp = Vp::default();
    let score = Formula(|x, _| -x);
    let problem = Reverse::sde(&vp, &score);
    let attempt = |method: Method, noise: &dyn Noise<Rows>| {
        let mut control = GottaGoFast::new(1.0, 1e-3, GottaGoFast::TOLERANCE).unwrap();
        let x = array![[1.0, 0.5]];
        solve(&*method.stepper(), &problem, x, 1.0, &mut control, noise, &mut ()).map(|s| s.t)
    };
    let e = attempt(Method::Heun, &IndependentIncrements::new(Key::root(0), 0));
    assert!(matches!(e, Err(SolveError::NotAPath { t: 1.0 })));
    let e = attempt(Method::EulerMaruyama, &tree(0, 1e-3));
    assert!(matches!(e, Err(SolveError::NoErrorEstimate { t: 1.0 })));
    assert_eq!(attempt(Method::Heun, &tree(0, 1e-3)).unwrap(), 1e-3);
}
