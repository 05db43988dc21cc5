//! The density of samplers of every stochasticity, against closed forms.
//!
//! A wrong potential that is quadratic, `phi = -(x - m) . P (x - m) / 2 + c(t)`, under
//! `dX = -X dt + dW` on [0, T]: the sampler started from N(0, I/2) is a linear SDE, whose samples are
//! Gaussian. Along an axis of `P` with eigenvalue `p`, in `tau = T - t`,
//!
//! `dx = (k x + b) dtau + eta dW`, `k = 1 - (1 + eta^2) p / 2`, `b = (1 + eta^2) p m / 2`,
//! mean `b (e^{kT} - 1) / k`, variance `e^{2kT} / 2 + eta^2 (e^{2kT} - 1) / (2k)`.
//!
//! In one dimension with `p = 1/0.8`, `m = 0`, `T = 1`: 1.0585000083 for the ODE, 1.0902040104 for the SDE.

use ndarray::{Array2, array};
use sde_core::{
    Derivatives, Key, Ou, Potential, Result, Score, ScoreJvp, Sde, State, TimeGrid, Tolerance, Vp,
};
use solvers::Control;
use solvers::density::{
    Divergence, FlowDensity, PathDensity, PathLogDensity, flow_log_density, sampler_log_density,
    standard_log_prior,
};

use crate::common::{normals, sde_of, target};

/// A quadratic potential with axes `q` (rows), and a gauge `c(t)` with its derivative.
struct Quadratic {
    q: Array2<f64>,
    p: Vec<f64>,
    m: Vec<f64>,
    gauge: fn(f64) -> (f64, f64),
}

const NO_GAUGE: fn(f64) -> (f64, f64) = |_| (0.0, 0.0);

impl Quadratic {
    fn in_one_dimension(gauge: fn(f64) -> (f64, f64)) -> Self {
        Self { q: array![[1.0]], p: vec![1.0 / 0.8], m: vec![0.0], gauge }
    }

    fn in_two() -> Self {
        let (s, c) = 0.6_f64.sin_cos();
        let q = array![[c, s], [-s, c]];
        Self { q, p: vec![1.3, 2.4], m: vec![0.4, -0.7], gauge: NO_GAUGE }
    }

    /// Coordinates along the axes, from the mean.
    fn along(&self, x: &Array2<f64>) -> Array2<f64> {
        x.dot(&self.q.t()) - &ndarray::Array1::from(self.m.clone())
    }

    /// The log-density of the samples, and their variances along the axes.
    fn closed_form(&self, x: &Array2<f64>, eta: f64, horizon: f64) -> (Vec<f64>, Vec<f64>) {
        let y = x.dot(&self.q.t());
        let mut log_p = vec![0.0; x.nrows()];
        let mut variances = vec![];
        for (j, (p, m)) in self.p.iter().zip(&self.m).enumerate() {
            let half = 0.5 * (1.0 + eta * eta) * p;
            let k = 1.0 - half;
            let mean = half * m * (k * horizon).exp_m1() / k;
            let noise = eta * eta * (2.0 * k * horizon).exp_m1() / (2.0 * k);
            let v = 0.5 * (2.0 * k * horizon).exp() + noise;
            for (l, y) in log_p.iter_mut().zip(y.column(j)) {
                *l -= 0.5 * ((y - mean).powi(2) / v + (std::f64::consts::TAU * v).ln());
            }
            variances.push(v);
        }
        (log_p, variances)
    }
}

impl Score<Array2<f64>> for Quadratic {
    fn score(&self, x: &Array2<f64>, _: f64) -> Result<Array2<f64>> {
        let p = ndarray::Array1::from(self.p.clone());
        Ok(-(self.along(x) * &p).dot(&self.q))
    }
}

impl Potential<Array2<f64>> for Quadratic {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        let y = self.along(x);
        let square = |b: usize| y.row(b).iter().zip(&self.p).map(|(y, p)| p * y * y).sum::<f64>();
        let phi = |(b, t): (usize, &f64)| -0.5 * square(b) + (self.gauge)(*t).0;
        Ok(Derivatives {
            potential: t.iter().enumerate().map(phi).collect(),
            score: self.score(x, 0.0)?,
            d_t: t.iter().map(|t| (self.gauge)(*t).1).collect(),
            laplacian: vec![-self.p.iter().sum::<f64>(); t.len()],
        })
    }
}

fn upward(sde: &dyn Sde, grid: TimeGrid, n: usize, t_start: f64) -> Control {
    let mut times = grid.times(sde, n, sde.horizon(), t_start).unwrap();
    times.reverse();
    Control::Grid(times)
}

fn adaptive(sde: &dyn Sde, t_start: f64, tol: f64) -> Control {
    let tol = Tolerance { abs: tol, rel: tol };
    Control::Adaptive { t_start, t_end: sde.horizon(), tol }
}

/// From the standard prior.
fn run(
    paths: &PathDensity,
    sde: &dyn Sde,
    model: &dyn Potential<Array2<f64>>,
    x: &Array2<f64>,
) -> PathLogDensity {
    let prior = |x: &Array2<f64>| standard_log_prior(sde, x);
    sampler_log_density(paths, sde, model, x, &prior, Key::root(11), 0).unwrap()
}

/// Every point within four standard errors, which are small.
fn holds(found: &PathLogDensity, exact: &[f64], most: f64, case: &str) {
    let errors = found.std_error.as_ref().unwrap();
    for ((f, e), s) in found.log_density.iter().zip(exact).zip(errors) {
        assert!((f - e).abs() < 4.0 * s && *s < most, "{case}: {f} against {e}, error {s}");
    }
}

#[test]
fn the_one_dimensional_case() {
    let ou = Ou::new(1.0).unwrap();
    let model = Quadratic::in_one_dimension(NO_GAUGE);
    let x = array![[-1.7], [0.0], [0.4], [2.2]];
    let (ode, v_ode) = model.closed_form(&x, 0.0, 1.0);
    let (sde, v_sde) = model.closed_form(&x, 1.0, 1.0);
    assert!((v_ode[0] - 1.058_500_008_3).abs() < 1e-10, "{v_ode:?}");
    assert!((v_sde[0] - 1.090_204_010_4).abs() < 1e-10, "{v_sde:?}");
    assert!(((v_sde[0].sqrt() - v_ode[0].sqrt()).powi(2) - 2.339_080_8e-4).abs() < 1e-11);

    let mut paths =
        PathDensity { eta: 0.0, n_paths: 99, control: adaptive(&ou, 0.0, 1e-11), block_rows: 64 };
    let found = run(&paths, &ou, &model, &x);
    assert!(found.std_error.is_none() && found.summary.rows == 4);
    for (f, e) in found.log_density.iter().zip(&ode) {
        assert!((f - e).abs() < 1e-9, "{f} against {e}");
    }
    paths.eta = 1.0;
    paths.n_paths = 4000;
    paths.control = upward(&ou, TimeGrid::Uniform, 64, 0.0);
    let found = run(&paths, &ou, &model, &x);
    holds(&found, &sde, 0.02, "eta = 1");
    // The two densities are told apart where they differ most.
    assert!((found.log_density[3] - ode[3]).abs() > 4.0 * found.std_error.unwrap()[3]);
    // Steps chosen for each path, on a Brownian path.
    paths.control = adaptive(&ou, 0.0, 1e-2);
    paths.n_paths = 400;
    holds(&run(&paths, &ou, &model, &x), &sde, 0.06, "adaptive");
}

#[test]
fn wrong_gaussians_in_two_dimensions() {
    let ou = Ou::new(0.7).unwrap();
    let model = Quadratic::in_two();
    let x = normals(6, 5, 2);
    let line =
        PathDensity { eta: 0.0, n_paths: 1, control: adaptive(&ou, 0.0, 1e-11), block_rows: 1 };
    let (exact, _) = model.closed_form(&x, 0.0, 0.7);
    for (f, e) in run(&line, &ou, &model, &x).log_density.iter().zip(&exact) {
        assert!((f - e).abs() < 1e-9, "{f} against {e}");
    }
    for eta in [0.3, 1.0, 1.6] {
        let control = upward(&ou, TimeGrid::Uniform, 64, 0.0);
        let paths = PathDensity { eta, n_paths: 3000, control, block_rows: 256 };
        let (exact, _) = model.closed_form(&x, eta, 0.7);
        let found = run(&paths, &ou, &model, &x);
        holds(&found, &exact, 0.1, &format!("eta = {eta}"));
        assert!(found.effective_paths.iter().all(|n| 30.0 < *n && *n <= 3000.0));
    }
}

/// Where the potential is exact, every path says the same, whatever the sampler: the density itself.
#[test]
fn exact_potentials_have_one_density() {
    for name in ["gmm2d", "gmm3d_full"] {
        for process in ["vp", "subvp", "ve", "ou"] {
            let sde = sde_of(process);
            let mixture = target(name);
            let model = mixture.under(&*sde);
            let x = mixture.sample(Key::root(2), 0, 4);
            let exact = model.log_density(&x, 1e-3).unwrap();
            let prior = |x: &Array2<f64>| model.log_density(x, sde.horizon());
            for eta in [0.0, 0.5, 1.0, 2.0] {
                let control = upward(&*sde, TimeGrid::LogSnr, 300, 1e-3);
                let paths = PathDensity { eta, n_paths: 5, control, block_rows: 7 };
                let found = sampler_log_density(&paths, &*sde, &model, &x, &prior, Key::root(1), 0);
                let found = found.unwrap().log_density;
                for (f, e) in found.iter().zip(&exact) {
                    assert!((f - e).abs() < 1e-8, "{name} {process} eta = {eta}: {f} against {e}");
                }
            }
        }
    }
}

/// The score of one process, used under another: a potential that is wrong everywhere.
struct Misused<'a>(sde_core::analytic::AnalyticScore<'a>);

impl Score<Array2<f64>> for Misused<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        self.0.score(x, t)
    }
}

impl ScoreJvp<Array2<f64>> for Misused<'_> {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        t: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        self.0.score_jvp(x, t, v)
    }

    fn divergence(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        self.0.divergence(x, t)
    }
}

impl Potential<Array2<f64>> for Misused<'_> {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        self.0.derivatives(x, t)
    }
}

/// Two ways to the density of the flow: the divergence of its velocity, and the residual of its
/// potential. They have nothing in common but the path.
#[test]
fn the_line_integral_agrees_with_the_divergence() {
    let (vp, ou) = (Vp::new(0.5, 4.0).unwrap(), Ou::new(1.0).unwrap());
    for name in ["gmm2d", "gmm3d_full"] {
        let mixture = target(name);
        let model = Misused(mixture.under(&vp));
        let x = mixture.sample(Key::root(2), 0, 12);
        let control = adaptive(&ou, 0.01, 1e-11);
        let paths = PathDensity { eta: 0.0, n_paths: 1, control: control.clone(), block_rows: 1 };
        let line = run(&paths, &ou, &model, &x);
        let flow = FlowDensity { divergence: Divergence::Exact, control, block_rows: 1 };
        let prior = |x: &Array2<f64>| standard_log_prior(&ou, x);
        let along = flow_log_density(&flow, &ou, &model, &x, &prior, Key::root(0), 0).unwrap();
        for (a, b) in line.log_density.iter().zip(&along.log_density) {
            assert!((a - b).abs() < 1e-8, "{name}: {a} against {b}");
        }
        // And it is another density than the mixture's.
        let exact = model.0.log_density(&x, 0.01).unwrap();
        assert!(exact.iter().zip(&line.log_density).any(|(a, b)| (a - b).abs() > 0.1));
    }
}

/// A potential that is no Gaussian, and a sampler that is not the flow: the density has mass one.
#[test]
fn densities_of_stochastic_samplers_have_mass_one() {
    let (vp, ou) = (Vp::new(0.5, 4.0).unwrap(), Ou::new(1.0).unwrap());
    let means = array![[-1.0], [1.2]];
    let mixture =
        sde_core::analytic::GaussianMixture::isotropic(&[0.4, 0.6], &means, &[0.3, 0.5]).unwrap();
    let model = Misused(mixture.under(&vp));
    let (low, h, n) = (-5.0, 0.125, 81);
    let x = Array2::from_shape_fn((n, 1), |(i, _)| low + h * i as f64);
    for eta in [0.5, 1.0] {
        let control = upward(&ou, TimeGrid::Quadratic, 100, 0.05);
        let paths = PathDensity { eta, n_paths: 400, control, block_rows: 256 };
        let found = run(&paths, &ou, &model, &x);
        let errors = found.std_error.unwrap();
        let p: Vec<f64> = found.log_density.iter().map(|l| h * l.exp()).collect();
        let mass: f64 = p.iter().sum();
        let error = p.iter().zip(&errors).map(|(p, e)| (p * e).powi(2)).sum::<f64>().sqrt();
        assert!((mass - 1.0).abs() < 4.0 * error && error < 0.05, "{eta}: {mass} +- {error}");
    }
}

/// Adding `c(t)` to the potential changes nothing: exactly where the rule of the steps integrates
/// `c'` exactly, and to the tolerance otherwise.
#[test]
fn the_gauge_cancels() {
    let ou = Ou::new(1.0).unwrap();
    let x = array![[-0.3], [1.4]];
    let plain = Quadratic::in_one_dimension(NO_GAUGE);
    let square = Quadratic::in_one_dimension(|t| (7.0 - 3.0 * t + 2.0 * t * t, 4.0 * t - 3.0));
    let wave = Quadratic::in_one_dimension(|t| ((9.0 * t).sin(), 9.0 * (9.0 * t).cos()));
    let control = upward(&ou, TimeGrid::Quadratic, 20, 0.0);
    let grid = PathDensity { eta: 1.0, n_paths: 50, control, block_rows: 16 };
    let fine =
        PathDensity { eta: 0.0, n_paths: 1, control: adaptive(&ou, 0.0, 1e-11), block_rows: 1 };
    for (paths, gauge) in [(&grid, &square), (&fine, &square), (&fine, &wave)] {
        let (a, b) = (run(paths, &ou, &plain, &x), run(paths, &ou, gauge, &x));
        for (a, b) in a.log_density.iter().zip(&b.log_density) {
            assert!((a - b).abs() < 1e-9, "{a} against {b}");
        }
        if let (Some(a), Some(b)) = (a.std_error, b.std_error) {
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-11));
        }
    }
}

/// A point's paths are functions of the key and its number alone.
#[test]
fn points_do_not_depend_on_their_neighbours() {
    let ou = Ou::new(1.0).unwrap();
    let model = Quadratic::in_two();
    let x = normals(6, 7, 2);
    let prior = |x: &Array2<f64>| standard_log_prior(&ou, x);
    for control in [upward(&ou, TimeGrid::Uniform, 10, 0.0), adaptive(&ou, 0.0, 0.1)] {
        let mut paths = PathDensity { eta: 1.0, n_paths: 9, control, block_rows: 64 };
        let all = run(&paths, &ou, &model, &x);
        for (block_rows, threads) in [(1, 1), (5, 3), (1000, 2)] {
            paths.block_rows = block_rows;
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| run(&paths, &ou, &model, &x));
            assert_eq!(again.log_density, all.log_density);
            assert_eq!(again.std_error, all.std_error);
        }
        let one = x.slice_rows(4, 1).unwrap();
        let key = Key::root(11);
        let alone = sampler_log_density(&paths, &ou, &model, &one, &prior, key, 4).unwrap();
        assert_eq!(alone.log_density[0], all.log_density[4]);
        let other = sampler_log_density(&paths, &ou, &model, &one, &prior, key, 5).unwrap();
        assert!(other.log_density[0] != all.log_density[4]);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let ou = Ou::new(1.0).unwrap();
    let model = Quadratic::in_two();
    let prior = |x: &Array2<f64>| standard_log_prior(&ou, x);
    let sound =
        PathDensity { eta: 1.0, n_paths: 2, control: adaptive(&ou, 0.0, 0.1), block_rows: 1 };
    for (paths, needle) in [
        (PathDensity { eta: -1.0, ..sound.clone() }, "eta = -1"),
        (PathDensity { eta: f64::NAN, ..sound.clone() }, "eta = NaN"),
        (PathDensity { n_paths: 0, ..sound.clone() }, "n_paths = 0"),
        (PathDensity { control: Control::Grid(vec![0.0, 0.5]), ..sound.clone() }, "horizon 1"),
        (
            PathDensity { block_rows: 0, control: Control::Grid(vec![0.0, 1.0]), ..sound.clone() },
            "block-rows = 0",
        ),
    ] {
        let x = Array2::zeros((1, 2));
        let e = sampler_log_density(&paths, &ou, &model, &x, &prior, Key::root(0), 0);
        let e = e.unwrap_err().to_string();
        assert!(e.contains(needle), "{e}");
    }
}

/// Standard errors are those of repetition: over 200 keys the estimates spread as they say, and their
/// bias is below what `-std_error^2 / 2` and four standard errors of the mean allow.
#[test]
#[ignore = "slow"]
fn slow_standard_errors_are_those_of_repetition() {
    let ou = Ou::new(1.0).unwrap();
    let model = Quadratic::in_one_dimension(NO_GAUGE);
    let x = array![[1.0]];
    let (exact, _) = model.closed_form(&x, 1.0, 1.0);
    let control = upward(&ou, TimeGrid::Uniform, 100, 0.0);
    let paths = PathDensity { eta: 1.0, n_paths: 500, control, block_rows: 250 };
    let prior = |x: &Array2<f64>| standard_log_prior(&ou, x);
    let n = 200;
    let (mut values, mut squares) = (vec![], 0.0);
    for seed in 0..n {
        let key = Key::root(seed);
        let found = sampler_log_density(&paths, &ou, &model, &x, &prior, key, 0).unwrap();
        values.push(found.log_density[0]);
        squares += found.std_error.unwrap()[0].powi(2) / n as f64;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    // A variance of 199 degrees of freedom: five of its standard errors.
    assert!((spread / squares - 1.0).abs() < 5.0 * (2.0_f64 / 199.0).sqrt(), "{spread} {squares}");
    let bias = mean - exact[0] + 0.5 * squares;
    assert!(bias.abs() < 4.0 * (spread / n as f64).sqrt(), "{bias}");
}
