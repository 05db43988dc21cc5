//! Training: the reference losses, the optimiser, resuming, independence of threads.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use candle_core::{DType, Device};
use score_nets::{
    AdamConfig, Dsm, EmaConfig, Error, Gradients, Kernels, NetConfig, Objective, Optimiser,
    Outcome as End, Phase, Schedule, ScoreNet, SoapConfig, TimeDistribution, TrainConfig, Trainer,
    Weighting,
};
use sde_core::{Key, Potential, analytic::DataSet};

use crate::common::{Outcome, check, host, net, zoo};

fn dsm(batch: usize) -> Box<dyn Objective> {
    Box::new(Dsm::published(Arc::new(DataSet::Blob), batch))
}

fn busy_config(steps: u64) -> TrainConfig {
    TrainConfig {
        seed: Key::root(3),
        clip: Some(0.5),
        ema: Some(EmaConfig { decay: 0.9, warmup: true }),
        log_every: 1,
        ..TrainConfig::new(
            steps,
            Schedule::Phases {
                phases: vec![Phase { lr: 1e-2, steps: 5 }, Phase { lr: 1e-3, steps: 100 }],
            },
        )
    }
}

fn small() -> NetConfig {
    NetConfig { hidden: vec![24, 24], ..NetConfig::published() }
}

fn no_observer(_: &score_nets::Progress<'_>) -> score_nets::Result<()> {
    Ok(())
}

fn bits(net: &ScoreNet) -> Vec<u64> {
    net.parameters().iter().flat_map(|(_, v)| host(v)).map(f64::to_bits).collect()
}

/// Interrupted twice (once inside a phase, once at its end) and resumed is not interrupted at all.
#[test]
fn resuming_is_bit_for_bit() -> Outcome {
    let soap = Optimiser::Soap(SoapConfig { refresh: 2, ..SoapConfig::default() });
    for (dtype, kernels, optimiser) in [
        (DType::F32, Kernels::Auto, Optimiser::default()),
        (DType::F32, Kernels::Composite, Optimiser::default()),
        (DType::F64, Kernels::Auto, Optimiser::default()),
        (DType::F32, Kernels::Auto, soap),
    ] {
        let busy_config = |steps| TrainConfig { optimiser, ..busy_config(steps) };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.safetensors");
        let start = || net(&small(), dtype).with_kernels(kernels);
        let never = AtomicBool::new(false);
        let mut whole = Trainer::new(start()?, busy_config(12))?.term(1.0, dsm(300));
        let mut losses = Vec::new();
        let outcome = whole.run(&never, &mut |p| {
            losses.push(p.loss);
            Ok(())
        })?;
        assert_eq!((outcome, losses.len()), (End::Finished, 12));

        let stop = AtomicBool::new(false);
        let mut again = Vec::new();
        let mut part =
            Trainer::new(start()?, busy_config(12))?.term(1.0, dsm(300)).checkpoint_to(&path);
        for stop_at in [3, 5, 99] {
            stop.store(false, Ordering::Relaxed);
            let outcome = part.run(&stop, &mut |p| {
                again.push(p.loss);
                stop.store(p.step == stop_at, Ordering::Relaxed);
                Ok(())
            })?;
            let end = if stop_at < 12 { End::Interrupted } else { End::Finished };
            assert_eq!((outcome, part.step()), (end, stop_at.min(12)));
            part = Trainer::resume(&path, busy_config(12), kernels, &Device::Cpu)?
                .term(1.0, dsm(300))
                .checkpoint_to(&path);
        }
        assert_eq!(losses, again);
        assert_eq!(bits(whole.net()), bits(part.net()));
        let average = |t: &Trainer| bits(&t.ema_net().unwrap().unwrap());
        assert_eq!(average(&whole), average(&part));
        assert_ne!(average(&whole), bits(whole.net()));
        // What a checkpoint opens as is its average.
        assert_eq!(bits(&ScoreNet::open(&path)?), average(&whole));

        let other = TrainConfig { seed: Key::root(4), ..busy_config(12) };
        let error = Trainer::resume(&path, other, kernels, &Device::Cpu).err().unwrap();
        assert!(error.to_string().contains("trained with another seed"), "{error}");
    }
    Ok(())
}

/// Adam on the gradients of a known quadratic, by the textbook recursion in f64.
#[test]
fn adam_is_the_textbook_recursion() -> Outcome {
    struct Quadratic;
    impl Objective for Quadratic {
        fn name(&self) -> &str {
            "quadratic"
        }
        fn rows(&self) -> u64 {
            1
        }
        fn loss_and_grad(
            &self,
            net: &ScoreNet,
            _: u64,
            _: Key,
            _: std::ops::Range<u64>,
        ) -> score_nets::Result<(f64, Gradients)> {
            let squares = net.parameters().iter().map(|(_, p)| p.sqr()?.sum_all());
            let squares = squares.collect::<candle_core::Result<Vec<_>>>()?;
            let loss = candle_core::Tensor::stack(&squares, 0)?.sum_all()?;
            Ok((host(&loss)[0], Gradients::of(&loss, net.parameters())?))
        }
    }
    let start = net(&small(), DType::F64);
    let mut theta: Vec<f64> = start.parameters().iter().flat_map(|(_, v)| host(v)).collect();
    let config = TrainConfig {
        optimiser: Optimiser::Adam(AdamConfig { beta1: 0.8, beta2: 0.95, eps: 1e-3 }),
        clip: Some(2.0),
        ..TrainConfig::new(
            7,
            Schedule::Phases {
                phases: vec![Phase { lr: 0.1, steps: 4 }, Phase { lr: 0.02, steps: 9 }],
            },
        )
    };
    let mut trainer = Trainer::new(start, config)?.term(1.0, Box::new(Quadratic));
    trainer.run(&AtomicBool::new(false), &mut no_observer)?;

    let (mut m, mut v) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
    for (k, lr) in [0.1, 0.1, 0.1, 0.1, 0.02, 0.02, 0.02].into_iter().enumerate() {
        let n = if k < 4 { k + 1 } else { k - 3 } as f64;
        if k == 4 {
            m.fill(0.0);
            v.fill(0.0);
        }
        let norm = theta.iter().map(|x| 4.0 * x * x).sum::<f64>().sqrt();
        for i in 0..theta.len() {
            let g = 2.0 * theta[i] * (2.0 / norm).min(1.0);
            m[i] = 0.8 * m[i] + 0.2 * g;
            v[i] = 0.95 * v[i] + 0.05 * g * g;
            let (mh, vh) = (m[i] / (1.0 - 0.8_f64.powf(n)), v[i] / (1.0 - 0.95_f64.powf(n)));
            theta[i] -= lr * mh / (vh.sqrt() + 1e-3);
        }
    }
    let found: Vec<f64> = trainer.net().parameters().iter().flat_map(|(_, v)| host(v)).collect();
    check("parameters", &found, &theta, 1e-12);
    Ok(())
}

/// Every parameter of every kind of network is trained, but for the gauge constant.
#[test]
fn every_parameter_gets_a_gradient() -> Outcome {
    for config in zoo() {
        let d = config.dim;
        let source = score_nets::FnSource::new(d, move |key: Key, row: u64, out: &mut [f64]| {
            key.fill_normals(row * d as u64, out);
            Ok(())
        });
        let dsm =
            Dsm::published(Arc::new(source), 64).t_min(1e-2).weighting(Weighting::SigmaSquared);
        for dtype in [DType::F32, DType::F64] {
            let net = net(&config, dtype);
            let (loss, grads) = dsm.of_batch(&net, 0, Key::root(1))?;
            assert!(loss.is_finite() && loss > 0.0);
            check("loss alone", &[dsm.loss(&net, Key::root(1))?], &[loss], 1e-5);
            for name in net.parameters().names() {
                match grads.get(net.parameters(), name) {
                    None => assert_eq!(net.gauge_parameter(), Some(name), "{config:?}"),
                    Some(g) => {
                        let g = host(g);
                        assert!(g.iter().all(|g| g.is_finite()), "{name} of {config:?}");
                        assert!(g.iter().any(|g| *g != 0.0), "{name} of {config:?}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// The batch of a step is what the recursion `x_t = alpha x_0 + sigma z` makes of keyed numbers.
#[test]
fn batches_are_keyed() -> Outcome {
    let net = net(&NetConfig::published(), DType::F32);
    let dsm =
        |n| Dsm::published(Arc::new(DataSet::Checker), n).weighting(Weighting::DiffusionSquared);
    let (long, short) = (dsm(3000).batch(&net, Key::root(8))?, dsm(700).batch(&net, Key::root(8))?);
    assert_eq!(long.x[..1400], short.x[..]);
    assert_eq!(long.t[..700], short.t[..]);
    assert_eq!(long.target[..1400], short.target[..]);
    let x0 = DataSet::Checker.sample(Key::root(8).fold(0), 0, 3000);
    for (b, t) in long.t.iter().enumerate() {
        let m = net.sde().marginal(*t);
        for j in 0..2 {
            let z = -long.target[2 * b + j] * m.sigma;
            let x = m.alpha * x0[[b, j]] + m.sigma * z;
            assert!((x - long.x[2 * b + j]).abs() < 1e-12);
        }
        assert_eq!(long.weight[b], net.sde().diffusion_squared(*t));
    }
    let other = dsm(700).batch(&net, Key::root(9))?;
    assert_ne!(other.t, short.t);
    let error = Dsm::published(Arc::new(DataSet::Blob), 0).batch(&net, Key::root(0)).err().unwrap();
    assert!(error.to_string().contains("batch = 0"));
    let wide = crate::common::net(&zoo()[2], DType::F32);
    let error = dsm(5).batch(&wide, Key::root(0)).err().unwrap();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    Ok(())
}

/// Likelihood weighting over uniform times is the weighting sigma^2 over log-SNR-uniform times, up
/// to `2 (lambda(t_min) - lambda(T)) / (T - t_min)`.
#[test]
fn importance_sampling_keeps_the_expectation() -> Outcome {
    let config = NetConfig { sde: "vp".into(), hidden: vec![6], ..NetConfig::published() };
    let net = net(&config, DType::F64);
    let n = 400_000;
    let plain =
        Dsm::published(Arc::new(DataSet::Blob), n).t_min(0.01).time(TimeDistribution::Uniform);
    let plain = plain.weighting(Weighting::DiffusionSquared).batch(&net, Key::root(1))?;
    let snr = Dsm::published(Arc::new(DataSet::Blob), n).t_min(0.01).time(TimeDistribution::LogSnr);
    let snr = snr.weighting(Weighting::SigmaSquared).batch(&net, Key::root(2))?;
    let (sde, horizon) = (net.sde(), net.sde().horizon());
    let factor = 2.0 * (sde.half_log_snr(0.01) - sde.half_log_snr(horizon)) / (horizon - 0.01);
    let (a, b) = (net.score_loss(&plain)?, factor * net.score_loss(&snr)?);
    // The relative standard errors are 0.5 % and 0.15 %; 4.9 of them is a false alarm in 1e6.
    assert!((a / b - 1.0).abs() < 4.9 * 0.0053, "{a} {b}");
    Ok(())
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() -> Outcome {
    struct Bad(f64);
    impl Objective for Bad {
        fn name(&self) -> &str {
            "bad"
        }
        fn rows(&self) -> u64 {
            1
        }
        fn loss_and_grad(
            &self,
            net: &ScoreNet,
            step: u64,
            _: Key,
            _: std::ops::Range<u64>,
        ) -> score_nets::Result<(f64, Gradients)> {
            let sums = net.parameters().iter().map(|(_, p)| p.sum_all());
            let sums = sums.collect::<candle_core::Result<Vec<_>>>()?;
            let loss = candle_core::Tensor::stack(&sums, 0)?.sum_all()?;
            let value = if step == 2 { self.0 } else { 1.0 };
            let factor = if step == 2 && self.0 == 0.0 { f64::NAN } else { 1.0 };
            Ok((value, Gradients::of(&(loss * factor)?, net.parameters())?))
        }
    }
    let config = || TrainConfig::new(5, Schedule::Constant { lr: 0.01 });
    for (value, part) in
        [(f64::NAN, "loss `bad` is NaN at step 2"), (0.0, "norm of the gradient is NaN at step 2")]
    {
        let mut trainer =
            Trainer::new(net(&small(), DType::F32), config())?.term(1.0, Box::new(Bad(value)));
        let error = trainer.run(&AtomicBool::new(false), &mut no_observer).unwrap_err();
        assert_eq!(error.to_string(), part);
        assert_eq!(trainer.step(), 2);
        assert!(bits(trainer.net()).iter().all(|b| f64::from_bits(*b).is_finite()));
    }
    let mut idle = Trainer::new(net(&small(), DType::F32), config())?;
    let error = idle.run(&AtomicBool::new(false), &mut no_observer).unwrap_err();
    assert!(error.to_string().contains("at least one objective"));
    Ok(())
}

#[test]
fn a_parameter_without_a_gradient_stops_the_run() -> Outcome {
    struct Partial;
    impl Objective for Partial {
        fn name(&self) -> &str {
            "partial"
        }
        fn rows(&self) -> u64 {
            1
        }
        fn loss_and_grad(
            &self,
            net: &ScoreNet,
            _: u64,
            _: Key,
            _: std::ops::Range<u64>,
        ) -> score_nets::Result<(f64, Gradients)> {
            let first = net.parameters().get("hidden1.bias").expect("there is one");
            Ok((1.0, Gradients::of(&first.sqr()?.sum_all()?, net.parameters())?))
        }
    }
    let config = TrainConfig::new(5, Schedule::Constant { lr: 0.01 });
    let mut lost = Trainer::new(net(&small(), DType::F32), config)?.term(1.0, Box::new(Partial));
    let error = lost.run(&AtomicBool::new(false), &mut no_observer).unwrap_err();
    assert_eq!(error.to_string(), "parameter `hidden1.weight` received no gradient");
    Ok(())
}

const DIGEST: &str = "SCORE_NETS_TEST_DIGEST";

/// Trains in processes with one and with several threads; the bits must agree.
#[test]
fn training_does_not_depend_on_threads() -> Outcome {
    if std::env::var_os(DIGEST).is_some() {
        for kernels in [Kernels::Fused, Kernels::Composite] {
            let net = net(&small(), DType::F32).with_kernels(kernels)?;
            let mut trainer = Trainer::new(net, busy_config(6))?.term(1.0, dsm(3000));
            trainer.run(&AtomicBool::new(false), &mut no_observer)?;
            let sum = bits(trainer.net())
                .iter()
                .fold(0_u64, |h, b| (h ^ b).wrapping_mul(0x0100_0000_01b3));
            eprintln!("digest {kernels:?} {sum:016x}");
        }
        // Matrices large enough for the decompositions to think of threads.
        let optimiser = Optimiser::Soap(SoapConfig { refresh: 2, ..SoapConfig::default() });
        let config = TrainConfig { optimiser, ..busy_config(5) };
        let wide = NetConfig { hidden: vec![160, 160], ..NetConfig::published() };
        let mut trainer = Trainer::new(net(&wide, DType::F32), config)?.term(1.0, dsm(500));
        trainer.run(&AtomicBool::new(false), &mut no_observer)?;
        let sum =
            bits(trainer.net()).iter().fold(0_u64, |h, b| (h ^ b).wrapping_mul(0x0100_0000_01b3));
        eprintln!("digest soap {sum:016x}");
        return Ok(());
    }
    let run = |threads: &str| -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let output = Command::new(std::env::current_exe()?)
            .args(["--exact", "training::training_does_not_depend_on_threads", "--nocapture"])
            .env(DIGEST, "1")
            .env("RAYON_NUM_THREADS", threads)
            .env("CANDLE_NUM_THREADS", threads)
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<_> =
            text.lines().filter_map(|l| Some(l[l.find("digest ")?..].to_string())).collect();
        assert_eq!(lines.len(), 3, "{text}");
        Ok(lines)
    };
    let one = run("1")?;
    for threads in ["2", "5"] {
        assert_eq!(run(threads)?, one, "{threads} threads");
    }
    Ok(())
}

/// A short training halves what the loss has above that of the exact score.
#[test]
fn training_learns() -> Outcome {
    let variance = DataSet::Blob.variance();
    let silu = score_nets::Activation::Silu;
    let config = NetConfig::with_gaussian_base(2, vec![48, 48], silu, variance, "ou");
    let net = net(&config, DType::F32);
    let dsm = |n| Dsm::published(Arc::new(DataSet::Blob), n).weighting(Weighting::SigmaSquared);
    let held_out = dsm(20_000).batch(&net, Key::root(77))?;
    let x = ndarray::Array2::from_shape_vec((20_000, 2), held_out.x.clone())?;
    let exact = DataSet::Blob.under(net.sde()).expect("a mixture").derivatives(&x, &held_out.t)?;
    let terms = exact.score.iter().zip(&held_out.target).enumerate();
    let floor: f64 = terms.map(|(i, (s, t))| held_out.weight[i / 2] * (s - t).powi(2)).sum();
    let floor = floor / 40_000.0;

    let before = net.score_loss(&held_out)? - floor;
    let schedule = Schedule::Cosine { lr: 1e-2, lr_end: 0.0, warmup: 20, steps: 500 };
    let mut trainer =
        Trainer::new(net, TrainConfig::new(500, schedule))?.term(1.0, Box::new(dsm(1000)));
    trainer.run(&AtomicBool::new(false), &mut no_observer)?;
    let after = trainer.net().score_loss(&held_out)? - floor;
    eprintln!("above the exact score's {floor}: {before} -> {after}");
    assert!(after > 0.0 && after < 0.5 * before, "{floor}: {before} -> {after}");
    Ok(())
}
