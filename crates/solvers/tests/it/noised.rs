//! The density of the reverse SDE of any score, against closed forms.

use ndarray::{Array2, array};
use sde_core::{Key, Ou, Probe, Result, Score, ScoreJvp, Sde, State, TimeGrid};
use solvers::density::{
    Divergence, NoisedLogDensity, NoisedPaths, reverse_sde_log_density, standard_log_prior,
};

use crate::common::{normals, sde_of, target};

fn paths(sde: &dyn Sde, n: usize, t_start: f64, n_paths: u64) -> NoisedPaths {
    let mut times = TimeGrid::LogSnr.times(sde, n, sde.horizon(), t_start).unwrap();
    times.reverse();
    let (divergence, reference_std) = (Divergence::Exact, 0.2);
    NoisedPaths { n_paths, times, substeps: 4, divergence, reference_std, block_rows: 64 }
}

/// `s = -(p I + q J) x`, `J` a quarter turn: no gradient unless `q = 0`.
struct Turned {
    p: f64,
    q: f64,
}

impl Turned {
    fn matrix(&self) -> Array2<f64> {
        array![[-self.p, self.q], [-self.q, -self.p]]
    }

    /// The samples under `dX = -X dt + dW` start from `N(0, I/2)` and stay isotropic, since a turn does nothing to an
    /// isotropic law: with `k = 1 - p` their variance after a time `h` is `e^(2 k h) / 2 + (e^(2 k h) - 1) / (2 k)`.
    fn log_density(&self, x: &Array2<f64>, h: f64) -> Vec<f64> {
        let k = 1.0 - self.p;
        let v = 0.5 * (2.0 * k * h).exp() + (2.0 * k * h).exp_m1() / (2.0 * k);
        let log = |r: ndarray::ArrayView1<'_, f64>| {
            -0.5 * r.dot(&r) / v - (std::f64::consts::TAU * v).ln()
        };
        x.outer_iter().map(log).collect()
    }
}

impl Score<Array2<f64>> for Turned {
    fn score(&self, x: &Array2<f64>, _: f64) -> Result<Array2<f64>> {
        Ok(x.dot(&self.matrix().t()))
    }
}

impl ScoreJvp<Array2<f64>> for Turned {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        t: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        Ok((self.score(x, t)?, v.dot(&self.matrix().t())))
    }

    fn divergence(&self, x: &Array2<f64>, _: f64) -> Result<Vec<f64>> {
        Ok(vec![-2.0 * self.p; x.nrows()])
    }
}

fn run(how: &NoisedPaths, sde: &dyn Sde, model: &Turned, x: &Array2<f64>) -> NoisedLogDensity {
    let prior = |x: &Array2<f64>| standard_log_prior(sde, x);
    reverse_sde_log_density(how, sde, model, x, &prior, Key::root(11), 0).unwrap()
}

/// Where the score is that of the process every path says the same, the density itself: off by its steps, and less so by
/// shorter ones.
#[test]
#[ignore = "slow"]
fn slow_exact_scores_have_one_weight() {
    for name in ["gmm2d", "gmm3d_full"] {
        for process in ["vp", "ve", "ou", "edm"] {
            let sde = sde_of(process);
            let mixture = target(name);
            let model = mixture.under(&*sde);
            let x = mixture.sample(Key::root(2), 0, 6);
            let exact = model.log_density(&x, 1e-2).unwrap();
            let prior = |x: &Array2<f64>| model.log_density(x, sde.horizon());
            let worst = |n: usize| {
                let how = paths(&*sde, n, 1e-2, 4);
                let found =
                    reverse_sde_log_density(&how, &*sde, &model, &x, &prior, Key::root(1), 0);
                let found = found.unwrap();
                let off = |v: &[f64]| {
                    v.iter().zip(&exact).map(|(f, e)| (f - e).powi(2)).sum::<f64>().sqrt()
                };
                (off(&found.log_density), off(&found.lower_bound))
            };
            let ((a, b), (c, d)) = (worst(50), worst(800));
            assert!(a < 0.3 && b < 0.3, "{name} {process}: {a} {b}");
            assert!(c < 0.02 && d < 0.02, "{name} {process}: {c} {d}");
        }
    }
}

/// Of a wrong score, a gradient and none: every point within four standard errors, and the bound below.
#[test]
#[ignore = "slow"]
fn slow_wrong_scores_that_turn() {
    let ou = Ou::new(1.0).unwrap();
    let x = normals(6, 6, 2);
    for (p, q) in [(1.4, 0.0), (1.4, 0.5), (2.5, -0.4)] {
        let model = Turned { p, q };
        let exact = model.log_density(&x, 0.9);
        let mut how = paths(&ou, 60, 0.1, 4000);
        for divergence in
            [Divergence::Exact, Divergence::Hutchinson { probe: Probe::Gaussian, n_probes: 40 }]
        {
            // A probe's noise would enter the exponential: the bound alone is without bias.
            let exactly = divergence == Divergence::Exact;
            how.divergence = divergence;
            let found = run(&how, &ou, &model, &x);
            let errors = found.std_error.unwrap();
            for (i, e) in exact.iter().enumerate() {
                let (f, s) = (found.log_density[i], errors[i]);
                assert!(!exactly || (f - e).abs() < 4.0 * s && s < 0.05, "{p} {q}: {f} {e} {s}");
                let (b, s) = (found.lower_bound[i], found.bound_error.as_ref().unwrap()[i]);
                assert!(b < e + 4.0 * s && s < 0.05, "{p} {q}: bound {b} of {e}, error {s}");
            }
        }
    }
}

/// The bound's gap is that of a quadratic form: `E W` of a linear score, by its moments.
#[test]
fn the_bound_is_its_integral() {
    let (ou, p, q, t) = (Ou::new(1.0).unwrap(), 1.4, 0.5, 0.1);
    let x = array![[0.8, -0.3], [0.0, 0.0], [1.5, 1.0]];
    let how = paths(&ou, 60, t, 4000);
    let found = run(&how, &ou, &Turned { p, q }, &x);
    for (i, row) in x.outer_iter().enumerate() {
        // E W = E log p_T + int (div f - div s) - E|s|^2/2: E|X_u|^2 = e^(-2(u - t)) |x|^2 + (1 - e^(-2(u - t))).
        let (square, h) = (row.dot(&row), 1.0 - t);
        let decay = (-2.0 * h).exp();
        let mean_square = decay * square + (1.0 - decay);
        let integral = square * (1.0 - decay) / 2.0 + h - (1.0 - decay) / 2.0;
        let log_prior = -mean_square - std::f64::consts::PI.ln();
        let exact = log_prior + h * (-2.0 + 2.0 * p) - 0.5 * (p * p + q * q) * integral;
        let (b, s) = (found.lower_bound[i], found.bound_error.as_ref().unwrap()[i]);
        assert!((b - exact).abs() < 4.0 * s + 1e-3 && s < 0.05, "{b} {exact} {s}");
    }
}

/// A point's paths are functions of the key and its number alone.
#[test]
fn points_do_not_depend_on_their_neighbours() {
    let (ou, model) = (Ou::new(1.0).unwrap(), Turned { p: 1.4, q: 0.5 });
    let x = normals(6, 7, 2);
    let mut how = paths(&ou, 10, 0.1, 13);
    how.divergence = Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: 2 };
    let all = run(&how, &ou, &model, &x);
    for (block_rows, threads) in [(1, 1), (5, 3), (1000, 2)] {
        how.block_rows = block_rows;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| run(&how, &ou, &model, &x));
        assert_eq!(again.log_density, all.log_density);
        assert_eq!(again.lower_bound, all.lower_bound);
    }
    let prior = |x: &Array2<f64>| standard_log_prior(&ou, x);
    let one = x.slice_rows(4, 1).unwrap();
    let alone = reverse_sde_log_density(&how, &ou, &model, &one, &prior, Key::root(11), 4).unwrap();
    assert_eq!(alone.log_density[0], all.log_density[4]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (ou, model) = (Ou::new(1.0).unwrap(), Turned { p: 1.4, q: 0.5 });
    let prior = |x: &Array2<f64>| standard_log_prior(&ou, x);
    let sound = paths(&ou, 5, 0.1, 2);
    let none = Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: 0 };
    for (how, needle) in [
        (NoisedPaths { n_paths: 0, ..sound.clone() }, "n_paths = 0"),
        (NoisedPaths { substeps: 0, ..sound.clone() }, "substeps = 0"),
        (NoisedPaths { divergence: none, ..sound.clone() }, "n_probes = 0"),
        (NoisedPaths { reference_std: f64::NAN, ..sound.clone() }, "reference_std = NaN"),
        (NoisedPaths { times: vec![0.1, 0.5], ..sound.clone() }, "horizon 1"),
        (NoisedPaths { times: vec![0.0, 1.0], ..sound.clone() }, "t_start = 0"),
        (NoisedPaths { block_rows: 0, ..sound.clone() }, "block-rows = 0"),
    ] {
        let x = Array2::zeros((1, 2));
        let e = reverse_sde_log_density(&how, &ou, &model, &x, &prior, Key::root(0), 0);
        let e = e.unwrap_err().to_string();
        assert!(e.contains(needle), "{e}");
    }
}
