//! What must hold on every device: the CPU, and CUDA where it is there (feature `cuda`).
//!
//! The names of these tests end in `on_every_device`: `tests/on_gpu.sh` runs them by it.

use std::sync::{Arc, atomic::AtomicBool};

use candle_core::{DType, Device, Tensor};
use score_nets::{
    Backend, Dsm, Kernels, Output, Schedule, ScoreBatch, ScoreNet, TrainConfig, Trainer,
};
use sde_core::{Key, Score, ScoreJvp, analytic::DataSet};

use crate::common::{Outcome, check, host, points, rows, zoo};

/// Every device with every network of the zoo in double precision.
fn networks() -> Vec<(Device, ScoreNet)> {
    let on = |device: Device| {
        let nets = zoo().into_iter().map(|config| {
            ScoreNet::new(config, Key::root(3), DType::F64, &device).expect("a network")
        });
        nets.map(|net| (net.device().clone(), net)).collect::<Vec<_>>()
    };
    Backend::devices().into_iter().flat_map(on).collect()
}

/// The point moved by `h` along `v`.
fn moved(x: &Tensor, v: &Tensor, h: f64) -> candle_core::Result<Tensor> {
    x + (v * h)?
}

#[test]
fn directional_derivatives_on_every_device() -> Outcome {
    for (device, net) in networks() {
        let (d, h) = (net.dim(), 1e-5);
        // Odd numbers of rows, and one alone.
        for n in [1, 7] {
            let x = rows(&points(31, n, d), d, DType::F64).to_device(&device)?;
            let v = rows(&points(32, n, d), d, DType::F64).to_device(&device)?;
            let t = 0.3 * net.sde().horizon();
            let (score, jvp) = net.score_jvp(&x, t, &v)?;
            let (after, before) =
                (net.score(&moved(&x, &v, h)?, t)?, net.score(&moved(&x, &v, -h)?, t)?);
            let difference = ((after - before)? * (0.5 / h))?;
            let what = format!("{n} rows, {:?}, {:?}", device.location(), net.config());
            check(&format!("score of {what}"), &host(&score), &host(&net.score(&x, t)?), 1e-13);
            check(&format!("derivative of {what}"), &host(&jvp), &host(&difference), 1e-6);
        }
    }
    Ok(())
}

#[test]
fn gradients_of_the_loss_on_every_device() -> Outcome {
    for (device, net) in networks() {
        let (d, n, h) = (net.dim(), 9, 1e-5);
        let horizon = net.sde().horizon();
        let t = (0..n).map(|i| horizon * (0.1 + 0.8 * i as f64 / n as f64)).collect();
        let weight = (0..n).map(|i| 1.0 + (i % 2) as f64).collect();
        let batch = ScoreBatch { x: points(33, n, d), t, target: points(34, n, d), weight };
        let (_, grads) = net.score_loss_and_grad(&batch)?;
        for (i, (name, values)) in net.parameters().iter().enumerate() {
            if net.gauge_parameter() == Some(name) {
                assert_eq!(net.config().output, Output::Potential);
                continue;
            }
            let gradient = grads.get(net.parameters(), name);
            let gradient = gradient.ok_or(format!("{name} has no gradient"))?;
            // Along the signs of the gradient, where nothing cancels.
            let whole = values.detach().copy()?;
            let along = gradient.sign()?;
            let loss_at = |h: f64| -> Result<f64, Box<dyn std::error::Error>> {
                net.parameters().set(name, &moved(&whole, &along, h)?)?;
                Ok(net.score_loss(&batch)?)
            };
            let difference = (loss_at(h)? - loss_at(-h)?) / (2.0 * h);
            loss_at(0.0)?;
            let found: f64 = host(gradient).iter().map(|g| g.abs()).sum();
            let what = format!("{name} ({i}) on {:?}, {:?}", device.location(), net.config());
            assert!(found > 0.0, "the gradient of {what} is zero");
            check(&format!("gradient of {what}"), &[found], &[difference], 1e-5);
        }
    }
    Ok(())
}

#[test]
fn files_and_copies_on_every_device() -> Outcome {
    let dir = tempfile::tempdir()?;
    for (device, net) in networks() {
        let path = dir.path().join("net.safetensors");
        net.save(&path)?;
        let x = rows(&points(35, 5, net.dim()), net.dim(), DType::F64).to_device(&device)?;
        let expected = host(&net.score(&x, 0.5)?);
        let opened = ScoreNet::open_as(&path, DType::F64, &device)?;
        assert_eq!(host(&opened.score(&x, 0.5)?), expected, "{:?}", net.config());
        assert_eq!(host(&net.duplicate()?.score(&x, 0.5)?), expected);
        let single = net.copy_as(DType::F32)?.with_kernels(Kernels::Composite)?;
        let narrow = single.score(&x.to_dtype(DType::F32)?, 0.5)?;
        assert!(narrow.device().same_device(&device));
        check("in single precision", &host(&narrow), &expected, 1e-4);
    }
    Ok(())
}

/// Interrupted and resumed is the same as in one go, bit for bit, on every device.
#[test]
fn training_resumes_on_every_device() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("state.safetensors");
    let config = |steps| TrainConfig::new(steps, Schedule::Constant { lr: 1e-2 });
    let dsm = || Box::new(Dsm::published(Arc::new(DataSet::Blob), 64).t_min(1e-2));
    let weights = |trainer: &Trainer| -> Vec<f64> {
        trainer.net().parameters().iter().flat_map(|(_, values)| host(values)).collect()
    };
    for device in Backend::devices() {
        for dtype in [DType::F32, DType::F64] {
            let run = |mut trainer: Trainer| -> Result<Trainer, score_nets::Error> {
                trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
                Ok(trainer)
            };
            let net = || {
                let net = ScoreNet::new(zoo().swap_remove(1), Key::root(5), dtype, &device)?;
                net.with_kernels(Kernels::Composite)
            };
            let whole = run(Trainer::new(net()?, config(12))?.term(1.0, dsm()))?;
            let first = run(Trainer::new(net()?, config(5))?.term(1.0, dsm()))?;
            first.save_checkpoint(&path)?;
            let rest = Trainer::resume(&path, config(12), Kernels::Composite, &device)?;
            let rest = run(rest.term(1.0, dsm()))?;
            assert_eq!(weights(&rest), weights(&whole), "{dtype:?} on {:?}", device.location());
            assert_ne!(weights(&first), weights(&whole), "{dtype:?} on {:?}", device.location());
        }
    }
    Ok(())
}
