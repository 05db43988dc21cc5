//! `score-nets`: the published network evaluated and trained, by candle operations and by the fused
//! kernels.

use std::hint::black_box;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use score_nets::{Dsm, Kernels, NetConfig, Objective, Output, ScoreNet};
use sde_core::analytic::DataSet;
use sde_core::{Key, Potential, Score, ScoreJvp, State};

const KERNELS: [(&str, Kernels); 2] = [("composite", Kernels::Composite), ("fused", Kernels::Auto)];

fn network(kernels: Kernels) -> ScoreNet {
    with_output(Output::Potential, kernels)
}

fn with_output(output: Output, kernels: Kernels) -> ScoreNet {
    let config = NetConfig { output, ..NetConfig::published() };
    ScoreNet::new(config, Key::root(1), DType::F32, &Device::Cpu)
        .and_then(|net| net.with_kernels(kernels))
        .expect("the published configuration")
}

fn points(n: usize) -> Tensor {
    let zero = Tensor::zeros((n, 2), DType::F32, &Device::Cpu).expect("a tensor on the CPU");
    zero.normals_like(Key::root(2), 0).expect("a tensor on the CPU")
}

fn evaluation(c: &mut Criterion) {
    let mut group = c.benchmark_group("score-nets");
    group.sample_size(20);
    for n in [500, 20_000] {
        let x = points(n);
        let t: Vec<f64> = (0..n).map(|i| 10.0 * (i as f64 + 0.5) / n as f64).collect();
        group.throughput(Throughput::Elements(n as u64));
        for (name, kernels) in KERNELS {
            let net = network(kernels);
            group.bench_function(BenchmarkId::new(format!("score-{name}"), n), |b| {
                b.iter(|| net.score(black_box(&x), 0.5));
            });
            group.bench_function(BenchmarkId::new(format!("derivatives-{name}"), n), |b| {
                b.iter(|| net.derivatives(black_box(&x), &t));
            });
        }
    }
    group.finish();
}

fn training(c: &mut Criterion) {
    let mut group = c.benchmark_group("score-nets");
    group.sample_size(10);
    let batch = 20_000;
    group.throughput(Throughput::Elements(batch as u64));
    for (name, kernels) in KERNELS {
        let net = network(kernels);
        let dsm = Dsm::published(Arc::new(DataSet::Blob), batch);
        group.bench_function(BenchmarkId::new(format!("dsm-step-{name}"), batch), |b| {
            b.iter(|| dsm.of_batch(&net, 0, Key::root(3)).map(|(loss, _)| black_box(loss)));
        });
    }
    group.finish();
}

/// The network with the score itself as its output.
fn vector_output(c: &mut Criterion) {
    let mut group = c.benchmark_group("score-nets");
    group.sample_size(10);
    let n = 20_000;
    let (x, v) = (points(n), points(n));
    group.throughput(Throughput::Elements(n as u64));
    for (name, kernels) in KERNELS {
        let net = with_output(Output::Score, kernels);
        group.bench_function(BenchmarkId::new(format!("vector-score-{name}"), n), |b| {
            b.iter(|| net.score(black_box(&x), 0.5));
        });
        group.bench_function(BenchmarkId::new(format!("vector-jvp-{name}"), n), |b| {
            b.iter(|| net.score_jvp(black_box(&x), 0.5, &v));
        });
        group.bench_function(BenchmarkId::new(format!("vector-divergence-{name}"), n), |b| {
            b.iter(|| net.divergence(black_box(&x), 0.5));
        });
        let dsm = Dsm::published(Arc::new(DataSet::Blob), n);
        group.bench_function(BenchmarkId::new(format!("vector-dsm-step-{name}"), n), |b| {
            b.iter(|| dsm.of_batch(&net, 0, Key::root(3)).map(|(loss, _)| black_box(loss)));
        });
    }
    group.finish();
}

criterion_group!(benches, evaluation, training, vector_output);
criterion_main!(benches);
