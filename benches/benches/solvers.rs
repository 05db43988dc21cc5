//! `solvers`: every registered method on the exact score of a mixture, and sampling in blocks.

use crate::time;
use criterion::Criterion;
use ndarray::Array2;
use sde_core::analytic::DataSet;
use sde_core::{Key, Reverse, State, TimeGrid, Vp};
use solvers::{Control, End, Grid, IndependentIncrements, Method, Sampler, sample, solve};
use std::hint::black_box;

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
                Ok(())
            })
        });
    }
}
