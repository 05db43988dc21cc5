//! Samples are functions of the key and the particle: nothing else changes a bit of them.

use candle_core::{Device, Tensor};
use ndarray::Array2;
use sde_core::analytic::DataSet;
use sde_core::{Key, Ou, Reverse, Score, Sde, State, TimeGrid, Tolerance, Vp};
use solvers::{
    Control, End, Grid, IndependentIncrements, Method, Sampler, SolveError, Summary, sample,
    sample_from, solve,
};

use crate::common::{normals, target};

const ROWS: u64 = 101;

fn collect(
    sampler: &Sampler,
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    threads: usize,
) -> (Array2<f64>, Summary) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut parts = vec![];
    let mut next = 0;
    let mut sink = |first: u64, x: Array2<f64>| {
        assert_eq!(first, next, "blocks come in the order of rows");
        next += x.nrows() as u64;
        parts.push(x);
        Ok::<(), SolveError>(())
    };
    let like = Array2::zeros((1, 2));
    let done = pool.install(|| sample(sampler, sde, score, ROWS, Key::root(3), &like, &mut sink));
    (State::concat_rows(&parts).unwrap(), done.unwrap())
}

/// Slow enough for twelve steps of a discrete-time sampler.
fn gentle() -> Vp {
    Vp::new(0.1, 5.0).unwrap()
}

fn samplers(vp: &dyn Sde) -> Vec<Sampler> {
    let mut all = vec![];
    for &method in Method::ALL {
        for eta in [0.0, 0.5, 1.0] {
            if eta > 0.0 && !method.stochastic() {
                continue;
            }
            let times = TimeGrid::Quadratic.times(vp, 12, 1.0, 1e-3).unwrap();
            let control = Control::Grid(times);
            all.push(Sampler { method, eta, control, end: End::Denoise, block_rows: 64 });
            if method.adaptive() {
                let tol = Tolerance { abs: 1e-2, rel: 1e-2 };
                let control = Control::Adaptive { t_start: 1.0, t_end: 1e-3, tol };
                all.push(Sampler { method, eta, control, end: End::NoNoise, block_rows: 64 });
                let control = Control::GottaGoFast { t_start: 1.0, t_end: 1e-3, tol };
                all.push(Sampler { method, eta, control, end: End::Denoise, block_rows: 64 });
            }
        }
    }
    all
}

#[test]
fn blocks_and_threads_change_nothing() {
    let vp = gentle();
    let score = DataSet::Blob.under(&vp).unwrap();
    for mut sampler in samplers(&vp) {
        let (expected, summary) = collect(&sampler, &vp, &score, 1);
        assert_eq!((expected.nrows() as u64, summary.rows), (ROWS, ROWS));
        for (block_rows, threads) in [(1, 3), (7, 4), (1000, 2)] {
            sampler.block_rows = block_rows;
            let (found, other) = collect(&sampler, &vp, &score, threads);
            assert_eq!(found, expected, "{sampler:?}, {threads} threads");
            // A block of an implicit method is evaluated until its slowest row has converged.
            if !sampler.method.info().implicit {
                assert_eq!(other.row_evaluations, summary.row_evaluations);
            }
        }
    }
}

/// Every particle is the one it would be alone, and noise is really drawn.
#[test]
fn a_particle_does_not_see_its_neighbours() {
    let vp = gentle();
    let score = DataSet::Blob.under(&vp).unwrap();
    for sampler in samplers(&vp) {
        let (all, _) = collect(&sampler, &vp, &score, 2);
        let start = |first: u64, len: usize| {
            let z = Array2::zeros((len, 2)).normals_like(Key::root(3).fold(0), first + 57);
            Ok(z? * vp.prior_std())
        };
        if sampler.eta == 0.0 && !sampler.method.own_noise() && !sampler.method.corrects() {
            let mut one = None;
            let mut sink = |_, x: Array2<f64>| {
                one = Some(x);
                Ok::<(), SolveError>(())
            };
            let key = Key::root(3);
            sample_from(&sampler, &vp, &score, 1, key, &start, &mut sink).unwrap();
            assert_eq!(one.unwrap().row(0), all.row(57), "{sampler:?}");
        }
        let mean = all.mean_axis(ndarray::Axis(0)).unwrap();
        assert!(mean.iter().all(|m| m.abs() < 1.0), "{mean} {sampler:?}");
    }
}

/// Arrays and f64 tensors take the same steps.
#[test]
fn states_agree() {
    let vp = gentle();
    let score = target("gmm3d_full").under(&vp);
    let x = normals(1, 33, 3);
    let flat: Vec<f64> = x.iter().copied().collect();
    let tx = Tensor::from_vec(flat, x.dim(), &Device::Cpu).unwrap();
    for &method in Method::ALL {
        for eta in [0.0, 1.0] {
            if eta > 0.0 && !method.stochastic() {
                continue;
            }
            let times = TimeGrid::Quadratic.times(&vp, 50, 1.0, 1e-3).unwrap();
            let mut grid = Grid::new(times.clone()).unwrap();
            let noise = IndependentIncrements::new(Key::root(2), 9);
            let problem = Reverse::new(&vp, &score, eta).unwrap();
            let stepper = method.stepper();
            let a = solve(&*stepper, &problem, x.clone(), 1.0, &mut grid, &noise, &mut ()).unwrap();
            let mut grid = Grid::new(times).unwrap();
            let problem = Reverse::new(&vp, &score, eta).unwrap();
            let stepper = method.stepper();
            let b =
                solve(&*stepper, &problem, tx.clone(), 1.0, &mut grid, &noise, &mut ()).unwrap();
            let b: Vec<f64> = b.x.flatten_all().unwrap().to_vec1().unwrap();
            let gap = a.x.iter().zip(&b).fold(0.0_f64, |g, (a, b)| g.max((a - b).abs()));
            assert!(gap <= 1e-12, "{} eta = {eta}: {gap:e}", method.name());
        }
    }
}

/// The error that is reported is that of the first row that fails, and the sink sees all before it.
#[test]
fn the_first_failure_is_reported() {
    struct Bad;
    impl Score<Array2<f64>> for Bad {
        fn score(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
            // Nothing moves; a particle drawn far out fails later on.
            let far = x.iter().any(|x| x.abs() > 2.5 * 0.5_f64.sqrt());
            Ok(x.mapv(|x| if far && t < 9.0 { f64::NAN } else { -2.0 * x }))
        }
    }
    let ou = Ou::default();
    let times = TimeGrid::Uniform.times(&ou, 20, 10.0, 0.0).unwrap();
    let sampler = Sampler {
        method: Method::EulerMaruyama,
        eta: 0.0,
        control: Control::Grid(times),
        end: End::Plain,
        block_rows: 1,
    };
    let mut seen = vec![];
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut rows = 0;
        let mut sink = |first, _| {
            rows = first + 1;
            Ok(())
        };
        let like = Array2::zeros((1, 2));
        let found =
            pool.install(|| sample(&sampler, &ou, &Bad, 500, Key::root(1), &like, &mut sink));
        assert!(matches!(found, Err(SolveError::InRow { .. })));
        seen.push((rows, found.unwrap_err().to_string()));
    }
    assert!(seen[0].0 > 0 && seen.iter().all(|s| *s == seen[0]), "{seen:?}");
}
