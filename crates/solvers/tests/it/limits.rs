//! Both ends of the flow, for every method: `sigma = 0` at the data, `alpha = 0` at the noise. Held against
//! the flow of a Gaussian, `x_t = alpha_t m + sqrt(v_t / v_s) (x_s - alpha_s m)`,
//! `v = alpha^2 c + sigma^2`.

use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Error, Key, Ou, Result, Score, Sde, State, TimeGrid, Tolerance, sde};
use solvers::{Control, End, Method, Sampler, SolveError, sample_from};

use crate::common::{distance, normals};

const SDES: [&str; 8] = [
    "ou",
    "edm:sigma-max=10",
    "vp",
    "sub-vp",
    "ve:sigma-max=10",
    "brownian:horizon=25",
    "rectified",
    "cosine",
];
const MEAN: [f64; 2] = [0.6, -0.3];

fn gaussian(variances: [f64; 2]) -> GaussianMixture {
    let cov = Array2::from_diag(&array![variances[0], variances[1]]);
    GaussianMixture::new(&[1.0], &array![MEAN], &[cov]).unwrap()
}

/// Along the flow from `s` to `t`.
fn exact(sde: &dyn Sde, variances: [f64; 2], x: &Array2<f64>, s: f64, t: f64) -> Array2<f64> {
    let (a, b) = (sde.marginal(s), sde.marginal(t));
    Array2::from_shape_fn(x.dim(), |(i, j)| {
        let v = |alpha: f64, sigma: f64| alpha * alpha * variances[j] + sigma * sigma;
        let stretch = (v(b.alpha, b.sigma) / v(a.alpha, a.sigma)).sqrt();
        b.alpha * MEAN[j] + stretch * (x[[i, j]] - a.alpha * MEAN[j])
    })
}

/// Through the sampler from `x`.
fn run(
    method: Method,
    eta: f64,
    control: Control,
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    x: &Array2<f64>,
) -> Result<Array2<f64>, SolveError> {
    let sampler = Sampler { method, eta, control, end: End::Plain, block_rows: 512 };
    let start = |first: u64, len: usize| x.slice_rows(first as usize, len);
    let mut parts = vec![];
    let mut keep = |_: u64, part| {
        parts.push(part);
        Ok::<(), SolveError>(())
    };
    sample_from(&sampler, sde, score, x.nrows() as u64, Key::root(5), &start, &mut keep)?;
    Ok(Array2::concat_rows(&parts)?)
}

/// Points of the law at `t`.
fn points(sde: &dyn Sde, variances: [f64; 2], t: f64, rows: usize) -> Array2<f64> {
    let (m, z) = (sde.marginal(t), normals(3, rows, 2));
    Array2::from_shape_fn((rows, 2), |(i, j)| {
        let std = (m.alpha * m.alpha * variances[j] + m.sigma * m.sigma).sqrt();
        m.alpha * MEAN[j] + std * z[[i, j]]
    })
}

/// Between the ends of the horizon, on the grids that are usual down and up.
fn grid(sde: &dyn Sde, steps: usize, up: bool) -> Vec<f64> {
    // Levels of noise that are infinite have no grid.
    let silent = sde.marginal(sde.horizon()).alpha == 0.0;
    let rule = if up || silent { TimeGrid::Quadratic } else { TimeGrid::Karras { rho: 7.0 } };
    let mut times = rule.times(sde, steps, sde.horizon(), 0.0).unwrap();
    if up {
        times.reverse();
    }
    times
}

/// A method that says in words why it does not go there.
fn said(error: &SolveError) -> bool {
    matches!(error, SolveError::Model { source: Error::Parameter { .. }, .. })
}

const DISCRETE: [Method; 2] = [Method::Ancestral, Method::ReverseDiffusion];

/// Down to the data and up from them on a grid: twice the steps, half the error, or nearly.
#[test]
fn every_method_reaches_and_leaves_the_data_on_grids() {
    let (data, mut missed) = ([0.49, 0.16], vec![]);
    for name in SDES {
        let sde = sde::parse(name).unwrap();
        let score = gaussian(data).under(&*sde);
        for up in [false, true] {
            let (s, t) = if up { (0.0, sde.horizon()) } else { (sde.horizon(), 0.0) };
            let x = points(&*sde, data, s, 16);
            let truth = exact(&*sde, data, &x, s, t);
            let size = distance(&truth, &(&truth * 0.0));
            for &method in Method::ALL {
                let what = format!("{} {name} up: {up}", method.name());
                let error = |steps| -> Result<f64, SolveError> {
                    let times = Control::Grid(grid(&*sde, steps, up));
                    let found = run(method, 0.0, times, &*sde, &score, &x)?;
                    assert!(found.iter().all(|x| x.is_finite()), "{what}");
                    Ok(distance(&found, &truth) / size)
                };
                match (error(40), error(80)) {
                    // Langevin steps, churn and climbs draw noise.
                    (Ok(_), Ok(_)) if method.corrects() || method.own_noise() => {}
                    (Ok(_), Ok(_)) if up && method == Method::Restart => {}
                    (Ok(coarse), Ok(fine)) => {
                        let falls = fine < 0.8 * coarse || fine < 1e-4;
                        let most = if method.order().started > 1.0 { 0.1 } else { 0.5 };
                        if !(falls && fine < most) {
                            missed.push(format!("{what}: {coarse:e} {fine:e}"));
                        }
                    }
                    (Err(e), _) | (_, Err(e)) => {
                        let may = method.corrects() || DISCRETE.contains(&method);
                        assert!(may && said(&e), "{what}: {e}");
                    }
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// With noise, down to the data: the deviation of 2000 samples is known to 1.6 %, times five.
#[test]
fn noise_ends_in_the_data() {
    let (data, mut missed) = ([0.49, 0.16], vec![]);
    for name in SDES {
        let sde = sde::parse(name).unwrap();
        let score = gaussian(data).under(&*sde);
        let x = points(&*sde, data, sde.horizon(), 2000);
        for &method in Method::ALL.iter().filter(|m| m.stochastic()) {
            let times = Control::Grid(grid(&*sde, 120, false));
            match run(method, 1.0, times, &*sde, &score, &x) {
                Ok(found) if method.corrects() => assert!(found.iter().all(|x| x.is_finite())),
                Ok(found) => {
                    let floor = sde.marginal(0.0).sigma;
                    for (j, c) in data.iter().enumerate() {
                        let ratio = found.column(j).std(0.0) / c.sqrt().hypot(floor);
                        let most = if method.order().weak > Some(1.0) { 0.1 } else { 0.2 };
                        if (ratio - 1.0).abs() > most || ratio.is_nan() {
                            missed.push(format!("{} {name}: {ratio}", method.name()));
                        }
                    }
                }
                Err(e) => assert!(said(&e), "{} {name}: {e}", method.name()),
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// The same with steps of the method's own; data without variance in one direction as well, from which
/// and to which a method goes that does not ask for a score there.
#[test]
fn adaptive_steps_reach_and_leave_the_data() {
    let mut missed = vec![];
    for data in [[0.49, 0.16], [0.49, 0.0]] {
        for name in SDES {
            let sde = sde::parse(name).unwrap();
            let score = gaussian(data).under(&*sde);
            for up in [false, true] {
                if up && data[1] == 0.0 {
                    continue;
                }
                let (s, t) = if up { (0.0, sde.horizon()) } else { (sde.horizon(), 0.0) };
                let x = points(&*sde, data, s, 3);
                let truth = exact(&*sde, data, &x, s, t);
                let size = distance(&truth, &(&truth * 0.0));
                for &method in Method::ALL.iter().filter(|m| m.adaptive()) {
                    let what = format!("{} {name} {data:?} up: {up}", method.name());
                    let tol = Tolerance { abs: 1e-5, rel: 1e-5 };
                    let control = Control::Adaptive { t_start: s, t_end: t, tol };
                    match run(method, 0.0, control, &*sde, &score, &x) {
                        Ok(found) => {
                            let e = distance(&found, &truth) / size;
                            if e > 1e-3 || e.is_nan() {
                                missed.push(format!("{what}: {e:e}"));
                            }
                        }
                        // There is no score at the data.
                        Err(e) if data[1] == 0.0 && said(&e) => {}
                        Err(SolveError::StepTooSmall { .. }) if data[1] == 0.0 => {}
                        Err(e) => missed.push(format!("{what}: {e}")),
                    }
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    // These ask for none, and are sure of the end when sigma is below the tolerance.
    let vp = sde::parse("vp").unwrap();
    let score = gaussian([0.49, 0.0]).under(&*vp);
    let x = points(&*vp, [0.49, 0.0], 1.0, 2);
    for method in [Method::DpmSolver2, Method::DpmSolver3, Method::DpmSolverPP2S] {
        let tol = Tolerance { abs: 1e-5, rel: 1e-5 };
        let control = Control::Adaptive { t_start: 1.0, t_end: 0.0, tol };
        let found = run(method, 0.0, control, &*vp, &score, &x).unwrap();
        assert!(found.column(1).iter().all(|x| (x - MEAN[1]).abs() < 1e-4), "{found}");
    }
}

/// The flow of `N(3, 1)` from far out in the noise, two steps of DDIM: by hand, without cancellation.
#[test]
fn two_steps_from_no_signal_are_those_of_the_formula() {
    let mean = 3.0;
    let target = GaussianMixture::new(&[1.0], &array![[mean]], &[array![[1.0]]]).unwrap();
    let x = normals(1, 5, 1);
    for horizon in [20.0, 30.0, 40.0, 50.0, 100.0, 700.0, 740.0, 800.0, 1e4] {
        let ou = Ou::new(horizon).unwrap();
        let score = target.under(&ou);
        let (m0, m1) = (ou.marginal(horizon), ou.marginal(0.5 * horizon));
        let times = || Control::Grid(vec![horizon, 0.5 * horizon, 0.0]);
        for &method in Method::ALL.iter().filter(|m| !m.corrects() && m.name() != "heun") {
            let found = run(method, 0.0, times(), &ou, &score, &x);
            let Ok(found) = found else {
                let e = found.unwrap_err();
                assert!(said(&e) && DISCRETE.contains(&method), "{} {horizon}: {e}", method.name());
                continue;
            };
            for (x, found) in x.iter().zip(&found) {
                let data = |m: sde_core::Marginal, x: f64| {
                    let v = m.alpha * m.alpha + m.sigma * m.sigma;
                    mean + m.alpha * (x - m.alpha * mean) / v
                };
                let middle = m1.sigma / m0.sigma * x
                    + (m1.alpha - m0.alpha * m1.sigma / m0.sigma) * data(m0, *x);
                let end = data(m1, middle);
                let e = (found - end).abs();
                if method == Method::Ddim {
                    // From the noise where it has more than half of the digits.
                    let level = m1.sigma / m1.alpha;
                    let lost = if level < 6e7 { f64::EPSILON * level } else { 0.0 };
                    assert!(e < 1e-14 + lost, "ddim {horizon}: {e:e}");
                }
                // Others differ where the signal is not gone, and Runge-Kutta in t is far off.
                let exponential = !method.info().in_time;
                let two_stages = e <= 1e-14 + 10.0 * m1.alpha || method.nfe_per_step() > 1;
                if exponential && !method.own_noise() && horizon >= 40.0 {
                    assert!(two_stages, "{} {horizon}: {found} {end}", method.name());
                }
            }
        }
    }
}

/// Steps of several units of time down from no signal: where the signal comes back the history of a
/// multistep method is that of the way there. The flow of `N(2, 1/4)` ends within `|x|/2` of 2.
#[test]
fn multistep_methods_keep_their_history_where_there_is_no_signal() {
    let target = GaussianMixture::new(&[1.0], &array![[2.0]], &[array![[0.25]]]).unwrap();
    let x = normals(1, 8, 1);
    let most = 0.5 * x.iter().fold(0.0_f64, |most, x| most.max(x.abs())) + 0.05;
    for horizon in [100.0, 200.0, 300.0, 400.0, 800.0] {
        let ou = Ou::new(horizon).unwrap();
        let score = target.under(&ou);
        for method in [Method::Pndm, Method::Ipndm, Method::DpmSolverPP2M, Method::Ddim] {
            let times = TimeGrid::Uniform.times(&ou, 60, horizon, 0.0).unwrap();
            let found = run(method, 0.0, Control::Grid(times), &ou, &score, &x).unwrap();
            let off = found.iter().fold(0.0_f64, |most, x| most.max((x - 2.0).abs()));
            assert!(off < most, "{} {horizon}: {off} of {most}", method.name());
        }
    }
}

/// Into and out of times without signal, against the flow: `alpha` is 0, below the normal numbers, and
/// too small for the predicted noise on the way.
#[test]
fn every_exponential_method_crosses_times_without_signal() {
    let data = [0.49, 0.16];
    let ou = Ou::new(800.0).unwrap();
    let score = gaussian(data).under(&ou);
    let mut missed = vec![];
    let mut down: Vec<f64> = (0..=155).map(|k| 800.0 - 5.0 * f64::from(k)).collect();
    down.extend(TimeGrid::Quadratic.times(&ou, 200, 20.0, 1e-4).unwrap());
    for up in [false, true] {
        let times: Vec<f64> = if up { down.iter().rev().copied().collect() } else { down.clone() };
        let (s, t) = (times[0], times[times.len() - 1]);
        let x = points(&ou, data, s, 8);
        let truth = exact(&ou, data, &x, s, t);
        let methods = Method::ALL.iter().filter(|m| !m.info().in_time);
        let noisy = |m: Method| m.corrects() || m.own_noise() || (up && m == Method::Restart);
        for &method in methods.filter(|m| !noisy(**m)) {
            let found = run(method, 0.0, Control::Grid(times.clone()), &ou, &score, &x);
            match found {
                Ok(found) => {
                    let e = distance(&found, &truth);
                    let most = if method.order().started > 1.0 { 0.05 } else { 0.15 };
                    if e > most || e.is_nan() {
                        missed.push(format!("{} up: {up}: {e:e}", method.name()));
                    }
                }
                Err(e) if DISCRETE.contains(&method) && said(&e) => {}
                Err(e) => missed.push(format!("{} up: {up}: {e}", method.name())),
            }
            if !method.adaptive() {
                continue;
            }
            let tol = Tolerance { abs: 1e-6, rel: 1e-6 };
            let control = Control::Adaptive { t_start: s, t_end: t, tol };
            match run(method, 0.0, control, &ou, &score, &x).map(|f| distance(&f, &truth)) {
                Ok(e) if e < 1e-4 => {}
                found => missed.push(format!("{} adaptive up: {up}: {found:?}", method.name())),
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    // With noise the law is that of the data.
    let x = points(&ou, data, 800.0, 2000);
    let methods = Method::ALL.iter().filter(|m| m.stochastic() && !m.info().in_time);
    for &method in methods.filter(|m| !m.corrects() && !DISCRETE.contains(m)) {
        let found = run(method, 1.0, Control::Grid(down.clone()), &ou, &score, &x).unwrap();
        for (j, c) in data.iter().enumerate() {
            let ratio = found.column(j).std(0.0) / c.sqrt();
            assert!((ratio - 1.0).abs() < 0.1, "{}: {ratio}", method.name());
        }
    }
}

/// A score that is all its model knows.
struct Bare<'a>(&'a dyn Score<Array2<f64>>);

impl Score<Array2<f64>> for Bare<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        self.0.score(x, t)
    }
}

/// Where the score alone has no digit of the data left, long steps are refused and short ones are not.
#[test]
fn a_score_alone_is_refused_where_it_has_no_digits() {
    let data = [0.49, 0.16];
    let attempt = |method, horizon: f64, steps| {
        let ou = Ou::new(horizon).unwrap();
        let score = gaussian(data).under(&ou);
        let x = points(&ou, data, horizon, 4);
        let times = TimeGrid::Uniform.times(&ou, steps, horizon, 0.0).unwrap();
        let found = run(method, 0.0, Control::Grid(times.clone()), &ou, &Bare(&score), &x);
        found.map(|found| {
            let known = run(method, 0.0, Control::Grid(times), &ou, &score, &x).unwrap();
            distance(&found, &known)
        })
    };
    for &method in Method::ALL.iter().filter(|m| !m.info().in_time && !m.corrects()) {
        if DISCRETE.contains(&method) || method.own_noise() {
            continue;
        }
        for horizon in [100.0, 800.0] {
            let e = attempt(method, horizon, 2).unwrap_err();
            let text = e.to_string();
            assert!(said(&e) && text.contains("no digit") && text.len() < 400, "{text}");
        }
        assert!(attempt(method, 20.0, 2).unwrap() < 1e-5, "{}", method.name());
    }
    // Errors of the data early on are not seen later.
    for method in [Method::Ddim, Method::DpmSolverPP2M, Method::EdmHeun, Method::Lms] {
        assert!(attempt(method, 60.0, 600).unwrap() < 1e-8, "{}", method.name());
    }
}

/// Times that rounding took past an end are that end; others are refused.
#[test]
fn a_rounding_past_the_horizon_is_the_horizon() {
    let edm = sde::parse("edm").unwrap();
    let data = [0.49, 0.16];
    let score = gaussian(data).under(&*edm);
    let x = points(&*edm, data, 80.0, 2);
    let tol = Tolerance { abs: 1e-5, rel: 1e-5 };
    let adaptive = |t_start, t_end| Control::Adaptive { t_start, t_end, tol };
    for method in [Method::DpmSolver2, Method::Dopri5] {
        let go = |control| run(method, 0.0, control, &*edm, &score, &x);
        let expected = go(adaptive(80.0, 0.0)).unwrap();
        assert_eq!(go(adaptive(80.000_000_000_000_01, -1e-16)).unwrap(), expected);
        let expected = go(Control::Grid(vec![80.0, 1.0, 0.0])).unwrap();
        let past = Control::Grid(vec![80.000_000_000_000_01, 1.0, -1e-17]);
        assert_eq!(go(past).unwrap(), expected);
        assert!(go(adaptive(80.0001, 0.0)).unwrap_err().to_string().contains("outside [0, 80]"));
    }
}
