//! Temporary profile.
use candle_core::{DType, Device};
use fp_residual::*;
use score_nets::*;
use sde_core::{Key, Score, analytic::DataSet};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};
fn time(what: &str, n: usize, mut f: impl FnMut()) {
    f();
    let t = Instant::now();
    for _ in 0..n {
        f()
    }
    println!("{what}: {:.2} ms", t.elapsed().as_secs_f64() * 1e3 / n as f64);
}
fn main() {
    for config in [
        NetConfig::published(),
        NetConfig::with_gaussian_base(2, vec![80; 3], Activation::Silu, 2.3, "ou"),
    ] {
        for k in [Kernels::Fused, Kernels::Composite] {
            let n = if k == Kernels::Fused { 20 } else { 2 };
            println!("{k:?} {:?}", config.base);
            let net = ScoreNet::new(config.clone(), Key::root(1), DType::F32, &Device::Cpu)
                .unwrap()
                .with_kernels(k)
                .unwrap();
            let dsm = Dsm::new(Arc::new(DataSet::Blob), 20_000);
            let fp = FokkerPlanckPenalty::uniform(5_000);
            time("dsm batch", n, || drop(dsm.batch(&net, Key::root(1)).unwrap()));
            let batch = dsm.batch(&net, Key::root(1)).unwrap();
            time("dsm loss+grad", n, || drop(net.score_loss_and_grad(&batch).unwrap()));
            time("fp points", n, || drop(fp.points(&net, Key::root(1)).unwrap()));
            let (x, t) = fp.points(&net, Key::root(1)).unwrap();
            time("fp loss+grad", n, || drop(residual_loss_and_grad(&net, &x, &t).unwrap()));
            let xs = candle_core::Tensor::from_vec(batch.x.clone(), (20_000, 2), &Device::Cpu)
                .unwrap()
                .to_dtype(DType::F32)
                .unwrap();
            time("score 20000", n, || drop(net.score(&xs, 0.3).unwrap()));
            let steps = n as u64;
            let mut tr = Trainer::new(net, TrainConfig::new(steps, Schedule::official()))
                .unwrap()
                .term(1.0, Box::new(dsm))
                .term(1.0, Box::new(fp));
            let t = Instant::now();
            tr.run(&AtomicBool::new(false), &mut |_| Ok(())).unwrap();
            println!(
                "training step dsm+fp: {:.2} ms",
                t.elapsed().as_secs_f64() * 1e3 / steps as f64
            );
        }
    }
}
