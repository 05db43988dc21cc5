//! Criterion benches of every crate: how long our own code takes.

mod core;
mod fp_residual;
mod metrics;
mod score_nets;
mod solvers;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Throughput, criterion_group, criterion_main};
use std::fmt::Display;

/// Times `work` as `GROUP/what/size`; `elements` is the number of elements that it handles.
fn time<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    what: impl Into<String>,
    size: impl Display,
    elements: usize,
    mut work: impl FnMut() -> T,
) {
    group.throughput(Throughput::Elements(elements as u64));
    group.bench_function(BenchmarkId::new(what, size), |b| b.iter(&mut work));
}

criterion_group!(
    benches,
    core::benches,
    fp_residual::benches,
    metrics::benches,
    score_nets::benches,
    solvers::benches,
    solvers::overhead
);
criterion_main!(benches);
