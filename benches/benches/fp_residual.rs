//! `fp-residual`: the residual of the published network and a step of the penalty, by candle
//! operations and by the fused kernels.

use crate::score_nets::{KERNELS, network, points};
use crate::time;
use criterion::Criterion;
use fp_residual::{FokkerPlanckPenalty, Probe, hutchinson_divergence, potential_residual};
use score_nets::{Objective, Output};
use sde_core::analytic::DataSet;
use sde_core::{Key, ScoreJvp, Vp};
use std::hint::black_box;

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("fp-residual");
    group.sample_size(10);
    let n = 5000;
    let (x, t) = points(n);
    for (name, kernels) in KERNELS {
        let net = network(Output::Potential, kernels);
        time(&mut group, format!("residual-{name}"), n, n, || {
            potential_residual(&net, black_box(&x), &t, net.sde())
        });
        let penalty = FokkerPlanckPenalty::uniform(n);
        time(&mut group, format!("penalty-step-{name}"), n, n, || {
            penalty.of_batch(&net, 0, Key::root(3)).map(|(loss, _)| black_box(loss))
        });
    }
    let (vp, n) = (Vp::default(), 1000);
    let model = DataSet::Blob.under(&vp).expect("a mixture");
    let x = DataSet::Blob.sample(Key::root(4), 0, n);
    time(&mut group, "divergence-exact", n, n, || model.divergence(black_box(&x), 0.5));
    time(&mut group, "divergence-4-probes", n, n, || {
        hutchinson_divergence(&model, black_box(&x), 0.5, Probe::Rademacher, 4, Key::root(5), 0)
    });
}
