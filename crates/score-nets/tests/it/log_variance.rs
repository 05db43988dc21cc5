//! EDM2's learned log-variance as a part of training.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use candle_core::{Device, Tensor};
use score_nets::{
    Architecture, Backend, Denoising, EmaConfig, Error, FnSource, ModelConfig, Objective, Proposal,
    Result, Schedule, ScoreModel, TimeDistribution, TrainConfig, Trainer, Weighting, log_variance,
};
use sde_core::{Key, State, Vp};

use crate::common::{Outcome, check, host};

const WEIGHT: &str = "log-variance.weight";

/// A model away from its initial values, with 24 features of the noise level.
fn model(backend: &Backend) -> Result<ScoreModel> {
    let json = r#"{"architecture": "residual-mlp", "args": {"dim": 3, "width": 8, "blocks": 1}}"#;
    let config = ModelConfig {
        log_variance: Some(24),
        ..ModelConfig::edm(Architecture::parse(json)?, 0.5, "vp")
    };
    let model = ScoreModel::new(config, Key::root(3), backend)?;
    for (i, (name, values)) in model.parameters().iter().enumerate() {
        let noise = values.detach().normals_like(Key::root(4).fold(i as u64), 0)?;
        model.parameters().set(name, &(values + (noise * 0.3)?)?)?;
    }
    Ok(model)
}

fn loss(batch: usize) -> Denoising {
    let fill = |key: Key, row: u64, out: &mut [f64]| {
        key.fill_normals(3 * row, out);
        out.iter_mut().for_each(|x| *x = 0.4 * *x + 0.2);
        Ok(())
    };
    Denoising::new(Arc::new(FnSource::new(3, fill)), batch).t_min(1e-3)
}

fn proposal() -> Proposal {
    Proposal { share: 0.4, distribution: TimeDistribution::LogUniform { shift: 0.01 } }
}

/// `e^-u L + u` of every row, `L` the loss of the same model without, a row at a time; with times from another law,
/// by the weight of each.
#[test]
fn the_loss_is_that_of_its_rows() -> Outcome {
    let (with, n) = (model(&Backend::cpu_f64())?, 16);
    let plain = model(&Backend::cpu_f64())?.without_log_variance()?;
    assert!(plain.parameters().get(WEIGHT).is_none() && plain.log_variance(&[0.5])?.is_none());
    for loss in [loss(n), loss(n).proposal(proposal())] {
        let key = Key::root(6);
        let samples = loss.samples(&with, key, 0..n as u64)?;
        let u = with.log_variance(&samples.t)?.expect("has one");
        let spread = u.iter().fold(0.0_f64, |m, u| m.max(u.abs()));
        assert!(spread > 0.05, "{u:?}");
        let mut expected = 0.0;
        for (row, u) in u.into_iter().enumerate() {
            let rows = row as u64..row as u64 + 1;
            let share = proposal().weight(
                TimeDistribution::Uniform,
                &Vp::default(),
                1e-3,
                samples.t[row],
            )?;
            let weighted = loss.loss_and_grad(&plain, 0, key, rows)?.0 * n as f64;
            // The weight of a time belongs to the whole of its loss.
            let share = if samples.weight.iter().any(|w| *w != 1.0) { share } else { 1.0 };
            expected += share * log_variance(weighted / share, u).value / n as f64;
        }
        check("loss", &[loss.loss(&with, key)?], &[expected], 1e-12);
        check("value", &[loss.of_batch(&with, 0, key)?.0], &[expected], 1e-12);
    }
    Ok(())
}

/// The gradient by every parameter, the head's among them, is that of differences.
#[test]
fn gradients_with_a_log_variance() -> Outcome {
    let model = model(&Backend::cpu_f64())?;
    for loss in [loss(12), loss(12).proposal(proposal())] {
        let (_, whole) = loss.of_batch(&model, 0, Key::root(7))?;
        let (_, mut sum) = loss.loss_and_grad(&model, 0, Key::root(7), 0..4)?;
        sum.add(1.0, &loss.loss_and_grad(&model, 0, Key::root(7), 4..12)?.1)?;
        assert!(model.parameters().get(WEIGHT).is_some());
        for (name, parameter) in model.parameters().iter() {
            let found = host(whole.get(model.parameters(), name).expect("has one"));
            assert!(
                found.iter().all(|g| g.is_finite()) && found.iter().any(|g| *g != 0.0),
                "{name}"
            );
            let parts = host(sum.get(model.parameters(), name).expect("has one"));
            check(name, &parts, &found, 1e-11);
            let values = host(parameter);
            let places = if name == WEIGHT { 0..values.len() } else { 0..1 };
            let at = |place: usize, h: f64| {
                let mut changed = values.clone();
                changed[place] += h;
                let changed = Tensor::from_vec(changed, parameter.dims(), &Device::Cpu).unwrap();
                model.parameters().set(name, &changed).unwrap();
                loss.loss(&model, Key::root(7)).unwrap()
            };
            let h = 1e-3;
            let slope = |i: usize| {
                (8.0 * (at(i, h) - at(i, -h)) - at(i, 2.0 * h) + at(i, -2.0 * h)) / (12.0 * h)
            };
            let differences: Vec<f64> = places.clone().map(slope).collect();
            at(0, 0.0);
            let scale = found.iter().fold(1e-6_f64, |m, g| m.max(g.abs()));
            for (i, difference) in places.zip(differences) {
                assert!((found[i] - difference).abs() < 1e-7 * scale, "{name} {i}: {difference}");
            }
        }
    }
    Ok(())
}

fn bits(model: &ScoreModel) -> Vec<u64> {
    model.parameters().iter().flat_map(|(_, v)| host(v)).map(f64::to_bits).collect()
}

/// Interrupted and resumed is not interrupted; what is saved, and what a checkpoint opens as, is without the head and
/// otherwise what was trained.
#[test]
fn checkpoints_keep_it_and_models_do_not() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let config = |steps: u64| TrainConfig {
        ema: Some(EmaConfig { decay: 0.9, warmup: true }),
        log_every: 1,
        ..TrainConfig::new(steps, Schedule::Constant { lr: 1e-2 })
    };
    let start = || {
        let trainer = Trainer::new(model(&Backend::cpu())?, config(6))?;
        Ok::<_, Error>(trainer.term(1.0, Box::new(loss(20))))
    };
    let mut whole = start()?;
    let before = host(whole.net().parameters().get(WEIGHT).expect("is a parameter"));
    whole.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    let after = host(whole.net().parameters().get(WEIGHT).expect("is a parameter"));
    assert!(before.iter().zip(&after).all(|(a, b)| a != b), "all of it is trained");
    let stop = AtomicBool::new(false);
    let mut part = start()?.checkpoint_to(&path);
    part.run(&stop, &mut |p| {
        stop.store(p.step == 3, Ordering::Relaxed);
        Ok(())
    })?;
    assert_eq!(part.step(), 3);
    let fresh = model(&Backend::cpu())?;
    let resumed = [
        Trainer::<ScoreModel>::resume_on(&path, config(6), &Device::Cpu)?,
        Trainer::resume_like(&fresh, &path, config(6))?,
    ];
    for trainer in resumed {
        let mut trainer = trainer.term(1.0, Box::new(loss(20))).checkpoint_to(&path);
        trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
        assert_eq!(bits(trainer.net()), bits(whole.net()));
        let averages = [&trainer, &whole].map(|t| bits(&t.ema_net().unwrap().expect("is kept")));
        assert_eq!(averages[0], averages[1]);
    }
    let average = whole.ema_net()?.expect("is kept");
    let file = folder.path().join("model.safetensors");
    average.save(&file)?;
    let bare = average.without_log_variance()?;
    for opened in [
        ScoreModel::open(&path)?,
        ScoreModel::open(&file)?,
        bare.open_like(&path)?,
        fresh.open_like(&path)?,
        fresh.open_like(&file)?,
    ] {
        assert!(opened.config().log_variance.is_none() && opened.log_variance(&[0.1])?.is_none());
        assert_eq!(opened.config(), bare.config());
        assert_eq!(bits(&opened), bits(&bare));
        assert!(opened.parameters().state().keys().all(|name| !name.contains("log-variance")));
    }
    let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
    assert!(!text.contains("log-variance"), "nothing of it is in the file");
    Ok(())
}

/// Beside a network that stays as it is, `u` comes to the logarithm of the loss: `e^-u L` has the mean 1 wherever one
/// looks.
#[test]
fn it_learns_the_logarithm_of_the_loss() -> Outcome {
    let plain = model(&Backend::cpu_f64())?.without_log_variance()?;
    let model = model(&Backend::cpu_f64())?.with_log_variance(64, Key::root(2))?;
    // That error of the data is from 0.006 to 0.25 of that of F between these times.
    let weighting = "data".parse::<Weighting>()?;
    let loss =
        |batch: usize| loss(batch).time(TimeDistribution::LogSnr).t_min(0.02).weighting(weighting);
    let config = TrainConfig::new(300, Schedule::Constant { lr: 2e-2 });
    let mut trainer = Trainer::new(model, config)?.term(1.0, Box::new(loss(128)));
    for _ in 0..300 {
        // One step at a time.
        trainer.run(&AtomicBool::new(true), &mut |_| Ok(()))?;
        for (name, values) in plain.parameters().iter() {
            trainer.net().parameters().set(name, values)?;
        }
    }
    let (model, n, key) = (trainer.into_net(), 800, Key::root(9));
    let loss = loss(n);
    let t = loss.samples(&model, key, 0..n as u64)?.t;
    let u = model.log_variance(&t)?.expect("has one");
    let mut rows: Vec<(f64, f64, f64)> = Vec::new();
    for (row, (t, u)) in t.into_iter().zip(u).enumerate() {
        let rows_of = row as u64..row as u64 + 1;
        let plain = loss.loss_and_grad(&plain, 0, key, rows_of)?.0 * n as f64;
        rows.push((t, plain, plain * (-u).exp()));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let means = |of: fn(&(f64, f64, f64)) -> f64| -> Vec<f64> {
        rows.chunks(n / 4)
            .map(|part| part.iter().map(of).sum::<f64>() / part.len() as f64)
            .collect()
    };
    let (before, after) = (means(|r| r.1), means(|r| r.2));
    assert!(before.iter().all(|mean| *mean < 0.5), "{before:?}");
    // A mean square of 3 numbers scatters by 0.8: 4.9 standard errors of 200 rows.
    assert!(after.iter().all(|mean| (mean - 1.0).abs() < 0.28), "{after:?}, before {before:?}");
    Ok(())
}
