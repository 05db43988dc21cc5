//! `fp-residual`: the residual of the published network and a step of the penalty, by candle
//! operations and by the fused kernels.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fp_residual::{FokkerPlanckPenalty, Probe, hutchinson_divergence, potential_residual};
use score_nets::{Kernels, NetConfig, Objective, ScoreNet};
use sde_core::analytic::DataSet;
use sde_core::{Key, ScoreJvp, State, Vp};

const KERNELS: [(&str, Kernels); 2] = [("composite", Kernels::Composite), ("fused", Kernels::Auto)];

fn network(kernels: Kernels) -> ScoreNet {
    ScoreNet::new(NetConfig::published(), Key::root(1), DType::F32, &Device::Cpu)
        .and_then(|net| net.with_kernels(kernels))
        .expect("the published configuration")
}

fn networks(c: &mut Criterion) {
    let mut group = c.benchmark_group("fp-residual");
    group.sample_size(10);
    let n = 5000;
    let zero = Tensor::zeros((n, 2), DType::F32, &Device::Cpu).expect("a tensor on the CPU");
    let x = zero.normals_like(Key::root(2), 0).expect("a tensor on the CPU");
    let t: Vec<f64> = (0..n).map(|i| 10.0 * (i as f64 + 0.5) / n as f64).collect();
    group.throughput(Throughput::Elements(n as u64));
    for (name, kernels) in KERNELS {
        let net = network(kernels);
        group.bench_function(BenchmarkId::new(format!("residual-{name}"), n), |b| {
            b.iter(|| potential_residual(&net, black_box(&x), &t, net.sde()));
        });
        let penalty = FokkerPlanckPenalty::uniform(n);
        group.bench_function(BenchmarkId::new(format!("penalty-step-{name}"), n), |b| {
            b.iter(|| penalty.of_batch(&net, 0, Key::root(3)).map(|(loss, _)| black_box(loss)));
        });
    }
    group.finish();
}

fn divergences(c: &mut Criterion) {
    let mut group = c.benchmark_group("fp-residual");
    let vp = Vp::default();
    let model = DataSet::Blob.under(&vp).expect("a mixture");
    let x = DataSet::Blob.sample(Key::root(4), 0, 1000);
    group.throughput(Throughput::Elements(1000));
    group.bench_function(BenchmarkId::new("divergence-exact", 1000), |b| {
        b.iter(|| model.divergence(black_box(&x), 0.5));
    });
    group.bench_function(BenchmarkId::new("divergence-4-probes", 1000), |b| {
        b.iter(|| {
            hutchinson_divergence(&model, black_box(&x), 0.5, Probe::Rademacher, 4, Key::root(5), 0)
        });
    });
    group.finish();
}

criterion_group!(benches, networks, divergences);
criterion_main!(benches);
