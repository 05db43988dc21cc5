//! `solvers`: every registered method on the exact score of a mixture, sampling in blocks, and what the
//! methods cost by themselves.

use crate::score_nets::{KERNELS, network, points};
use crate::time;
use candle_core::Tensor;
use criterion::Criterion;
use ndarray::Array2;
use score_nets::Output;
use sde_core::analytic::DataSet;
use sde_core::{Key, Reverse, Score, State, TimeGrid, Vp};
use solvers::{
    Control, End, Grid, IndependentIncrements, Method, Sampler, SolveError, sample, solve,
};
use std::hint::black_box;
use std::time::Duration;

const STEPS: usize = 20;

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("solvers");
    // Gentle enough for methods in discrete time, which refuse long steps.
    let vp = Vp::new(0.1, 4.0).expect("valid constants");
    let score = DataSet::Blob.under(&vp).expect("a mixture");
    let times = TimeGrid::Uniform.times(&vp, STEPS, 1.0, 1e-3).expect("a valid grid");
    for rows in [64, 1024] {
        let zero = Array2::<f64>::zeros((rows, 2));
        let x = zero.normals_like(Key::root(1), 0).expect("ndarray cannot fail");
        for method in Method::ALL {
            let problem = if method.stochastic() && !method.own_noise() {
                Reverse::sde(&vp, &score)
            } else {
                Reverse::ode(&vp, &score)
            };
            let stepper = method.stepper_on(&times);
            let noise = IndependentIncrements::new(Key::root(2), 0);
            time(&mut group, method.name(), rows, rows * STEPS, || {
                let mut grid = Grid::new(times.clone()).expect("a valid grid");
                let start = black_box(x.clone());
                // An error would be quick: it must not be timed for a result.
                solve(&*stepper, &problem, start, 1.0, &mut grid, &noise, &mut ())
                    .expect("a solvable problem")
            });
        }
    }
    group.sample_size(10);
    let (vp, n) = (Vp::default(), 20_000);
    let score = DataSet::Blob.under(&vp).expect("a mixture");
    let times = TimeGrid::LogSnr.times(&vp, STEPS, 1.0, 1e-3).expect("a valid grid");
    for block_rows in [64, 256, 4096] {
        let sampler = Sampler {
            method: Method::EulerMaruyama,
            eta: 1.0,
            control: Control::Grid(times.clone()),
            end: End::NoNoise,
            block_rows,
        };
        let like = Array2::zeros((1, 2));
        time(&mut group, "sample-in-blocks-of", block_rows, n * STEPS, || {
            sample(&sampler, &vp, &score, n as u64, Key::root(3), &like, &mut |_, x| {
                black_box(x);
                Ok::<(), SolveError>(())
            })
        });
    }
}

/// The score of a standard normal up to its sign, which is free: it returns its argument.
struct Free;

impl Score<Tensor> for Free {
    fn score(&self, x: &Tensor, _: f64) -> sde_core::Result<Tensor> {
        Ok(x.clone())
    }
}

/// Every method on a score that costs nothing, beside one evaluation of the published network: both in
/// evaluations of particles a second.
pub(crate) fn overhead(c: &mut Criterion) {
    let mut group = c.benchmark_group("overhead");
    group.sample_size(20).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    let n = 10_000;
    let (x, _) = points(n);
    let net = network(Output::Potential, KERNELS[1].1);
    time(&mut group, "one-evaluation-of-the-network", n, n, || net.score(black_box(&x), 1.0));
    // A gentle process: backward in time the free score is unstable, and discrete steps need room.
    let vp = Vp::new(0.1, 2.0).expect("valid constants");
    let times = TimeGrid::Uniform.times(&vp, 40, 1.0, 0.05).expect("a valid grid");
    for method in Method::ALL {
        let noisy = method.stochastic() && !method.own_noise();
        for eta in if noisy { &[0.0, 1.0][..] } else { &[0.0] } {
            let problem = Reverse::new(&vp, &Free, *eta).expect("a valid eta");
            let stepper = method.stepper_on(&times);
            let noise = IndependentIncrements::new(Key::root(1), 0);
            let solve = || {
                let mut grid = Grid::new(times.clone()).expect("a valid grid");
                solve(&*stepper, &problem, x.clone(), 1.0, &mut grid, &noise, &mut ())
                    .expect("a solvable problem")
            };
            let evaluations = solve().stats.nfe as usize;
            time(&mut group, method.name(), format!("eta={eta}"), evaluations * n, solve);
        }
    }
}
