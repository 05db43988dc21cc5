//! `solvers`: every registered method on the exact score of a mixture, and sampling in blocks.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use sde_core::analytic::DataSet;
use sde_core::{Key, Reverse, State, TimeGrid, Vp};
use solvers::{Control, End, Grid, IndependentIncrements, Method, Sampler, sample, solve};
use std::hint::black_box;

const STEPS: usize = 20;

fn methods(c: &mut Criterion) {
    // Gentle enough for methods in discrete time, which refuse long steps.
    let vp = Vp::new(0.1, 4.0).expect("valid constants");
    let score = DataSet::Blob.under(&vp).expect("a mixture");
    let times = TimeGrid::Uniform.times(&vp, STEPS, 1.0, 1e-3).expect("a valid grid");
    let mut group = c.benchmark_group("solvers");
    for rows in [64, 1024] {
        let zero = Array2::<f64>::zeros((rows, 2));
        let x = zero.normals_like(Key::root(1), 0).expect("ndarray cannot fail");
        group.throughput(Throughput::Elements((rows * STEPS) as u64));
        for method in Method::ALL {
            let problem = if method.stochastic() && !method.own_noise() {
                Reverse::sde(&vp, &score)
            } else {
                Reverse::ode(&vp, &score)
            };
            let stepper = method.stepper_on(&times);
            let noise = IndependentIncrements::new(Key::root(2), 0);
            group.bench_function(BenchmarkId::new(method.name(), rows), |b| {
                b.iter(|| {
                    let mut grid = Grid::new(times.clone()).expect("a valid grid");
                    let start = black_box(x.clone());
                    // An error would be quick: it must not be timed for a result.
                    solve(&*stepper, &problem, start, 1.0, &mut grid, &noise, &mut ())
                        .expect("a solvable problem")
                });
            });
        }
    }
    group.finish();
}

fn blocks(c: &mut Criterion) {
    let vp = Vp::default();
    let score = DataSet::Blob.under(&vp).expect("a mixture");
    let times = TimeGrid::LogSnr.times(&vp, STEPS, 1.0, 1e-3).expect("a valid grid");
    let mut group = c.benchmark_group("solvers");
    group.sample_size(10);
    let n = 20_000;
    group.throughput(Throughput::Elements(n * STEPS as u64));
    for block_rows in [64, 256, 4096] {
        let sampler = Sampler {
            method: Method::EulerMaruyama,
            eta: 1.0,
            control: Control::Grid(times.clone()),
            end: End::NoNoise,
            block_rows,
        };
        let like = Array2::zeros((1, 2));
        group.bench_function(BenchmarkId::new("sample-in-blocks-of", block_rows), |b| {
            b.iter(|| {
                sample(&sampler, &vp, &score, n, Key::root(3), &like, &mut |_, x| {
                    black_box(x);
                    Ok(())
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, methods, blocks);
criterion_main!(benches);
