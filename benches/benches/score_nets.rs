//! `score-nets`: the published network evaluated and trained, by candle operations and by the fused
//! kernels.

use crate::time;
use candle_core::{DType, Device, Tensor};
use criterion::Criterion;
use score_nets::{Dsm, Kernels, NetConfig, Objective, Output, ScoreNet};
use sde_core::analytic::DataSet;
use sde_core::{Key, Potential, Score, ScoreJvp, State};
use std::hint::black_box;
use std::sync::Arc;

pub(crate) const KERNELS: [(&str, Kernels); 2] =
    [("composite", Kernels::Composite), ("fused", Kernels::Auto)];

/// The published network; its output is a potential or, else, the score itself.
pub(crate) fn network(output: Output, kernels: Kernels) -> ScoreNet {
    let config = NetConfig { output, ..NetConfig::published() };
    ScoreNet::new(config, Key::root(1), DType::F32, &Device::Cpu)
        .and_then(|net| net.with_kernels(kernels))
        .expect("the published configuration")
}

/// Points, and times between 0 and 10.
pub(crate) fn points(n: usize) -> (Tensor, Vec<f64>) {
    let zero = Tensor::zeros((n, 2), DType::F32, &Device::Cpu).expect("a tensor on the CPU");
    let t = (0..n).map(|i| 10.0 * (i as f64 + 0.5) / n as f64).collect();
    (zero.normals_like(Key::root(2), 0).expect("a tensor on the CPU"), t)
}

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("score-nets");
    group.sample_size(20);
    for n in [500, 20_000] {
        let (x, t) = points(n);
        for (name, kernels) in KERNELS {
            let net = network(Output::Potential, kernels);
            time(&mut group, format!("score-{name}"), n, n, || net.score(black_box(&x), 0.5));
            time(&mut group, format!("derivatives-{name}"), n, n, || {
                net.derivatives(black_box(&x), &t)
            });
        }
    }
    group.sample_size(10);
    let n = 20_000;
    let ((x, _), v) = (points(n), points(n).0);
    let dsm = Dsm::published(Arc::new(DataSet::Blob), n);
    for (name, kernels) in KERNELS {
        let net = network(Output::Potential, kernels);
        time(&mut group, format!("dsm-step-{name}"), n, n, || {
            dsm.of_batch(&net, 0, Key::root(3)).map(|(loss, _)| black_box(loss))
        });
        let net = network(Output::Score, kernels);
        time(&mut group, format!("vector-score-{name}"), n, n, || net.score(black_box(&x), 0.5));
        time(&mut group, format!("vector-jvp-{name}"), n, n, || {
            net.score_jvp(black_box(&x), 0.5, &v)
        });
        time(&mut group, format!("vector-divergence-{name}"), n, n, || {
            net.divergence(black_box(&x), 0.5)
        });
        time(&mut group, format!("vector-dsm-step-{name}"), n, n, || {
            dsm.of_batch(&net, 0, Key::root(3)).map(|(loss, _)| black_box(loss))
        });
    }
}
