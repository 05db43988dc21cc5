//! `sde-core`: keyed random numbers and the linear algebra of the solver loop.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use sde_core::{Key, State};
use std::hint::black_box;

fn random_numbers(c: &mut Criterion) {
    let key = Key::root(1);
    for n in [1 << 10, 1 << 17] {
        let mut group = c.benchmark_group("sde-core");
        group.throughput(Throughput::Elements(n as u64));
        let mut wide = vec![0.0_f64; n];
        group.bench_function(BenchmarkId::new("normals", n), |b| {
            b.iter(|| key.fill_normals(0, black_box(&mut wide)));
        });
        let mut narrow = vec![0.0_f32; n];
        group.bench_function(BenchmarkId::new("normals-f32", n), |b| {
            b.iter(|| key.fill_normals_f32(0, black_box(&mut narrow)));
        });
        group.bench_function(BenchmarkId::new("uniforms", n), |b| {
            b.iter(|| key.fill_uniforms(0, black_box(&mut wide)));
        });
        group.bench_function(BenchmarkId::new("signs", n), |b| {
            b.iter(|| key.fill_signs(0, black_box(&mut wide)));
        });
        group.finish();
    }
}

fn states(c: &mut Criterion) {
    for rows in [1 << 9, 1 << 16] {
        let mut group = c.benchmark_group("sde-core");
        group.throughput(Throughput::Elements(2 * rows as u64));
        let zero = Array2::<f64>::zeros((rows, 2));
        let x: Vec<Array2<f64>> = (0..3)
            .map(|k| zero.normals_like(Key::root(k), 0).expect("ndarray cannot fail"))
            .collect();
        let terms = [(0.5, &x[0]), (-1.5, &x[1]), (0.25, &x[2])];
        group.bench_function(BenchmarkId::new("lincomb3", rows), |b| {
            b.iter(|| State::lincomb(black_box(&terms)));
        });
        group.bench_function(BenchmarkId::new("normals-like", rows), |b| {
            b.iter(|| black_box(&zero).normals_like(Key::root(9), 0));
        });
        group.finish();
    }
}

criterion_group!(benches, random_numbers, states);
criterion_main!(benches);
