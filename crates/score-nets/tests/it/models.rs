//! Models of any network: quantities, derivatives, training, files.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use candle_core::{DType, Device, Tensor};
use score_nets::{
    Architecture, Backend, Condition, DataSource, Denoising, EmaConfig, EmaProfile, Error, Jet,
    ModelConfig, Network, Objective, Quantity, Result, Schedule, ScoreModel, TimeDistribution,
    TrainConfig, Trainer, Weighting, sigma_data,
};
use sde_core::{
    Key, Level, Parametrisation, Preconditioning, Score, ScoreJvp, Sde, State, sde::parse,
};

use crate::common::{Outcome, check, everywhere, host};

/// The output that is right for data `N(0, variance)`, whatever it stands for.
struct Exact {
    shape: Vec<usize>,
    sde: Arc<dyn Sde>,
    output: Parametrisation,
    variance: f64,
}

impl Network for Exact {
    fn row_shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn forward(&self, x: &Jet, t: &Jet, _: &Condition) -> Result<Jet> {
        let slope = |t: &f64| {
            let level = Level::at(&*self.sde, *t);
            let v = level.alpha * level.alpha * self.variance + level.sigma * level.sigma;
            let target = self.output.target(&level);
            (target.x0 * level.alpha * self.variance + target.eps * level.sigma) / v
        };
        let slopes: Vec<f64> = host(&t.value).iter().map(slope).collect();
        let mut column = vec![1; x.value.rank()];
        column[0] = slopes.len();
        let slopes = Tensor::from_vec(slopes, column, &Device::Cpu)?;
        x.map(|x| Ok(x.broadcast_mul(&slopes)?))
    }
}

fn exact(shape: &[usize], sde: &str, output: Parametrisation, variance: f64) -> Result<ScoreModel> {
    let (shape, process): (Vec<usize>, Arc<dyn Sde>) = (shape.to_vec(), Arc::from(parse(sde)?));
    let of_build = process.clone();
    let build = move |_: candle_nn::VarBuilder<'static>| -> Result<Box<dyn Network>> {
        Ok(Box::new(Exact { shape: shape.clone(), sde: of_build.clone(), output, variance }))
    };
    let plain = Preconditioning::none();
    ScoreModel::of_network(
        Arc::new(build),
        output,
        plain,
        process,
        Key::root(0),
        &Backend::cpu_f64(),
    )
}

/// Every parametrisation of the same knowledge is the same model, on rows of any shape.
#[test]
fn parametrisations_of_one_gaussian_agree() -> Outcome {
    for sde in ["vp", "sub-vp", "ve", "ou", "edm"] {
        for output in ["eps", "x0", "v", "score", "sigma-score", "edm-f:sigma-data=0.7", "velocity"]
        {
            for shape in [&[3][..], &[2, 2, 3]] {
                let model = exact(shape, sde, output.parse()?, 1.7)?;
                let dims: Vec<usize> = [4].into_iter().chain(shape.iter().copied()).collect();
                let x =
                    Tensor::zeros(dims, DType::F64, &Device::Cpu)?.normals_like(Key::root(1), 0)?;
                let w = x.normals_like(Key::root(2), 0)?;
                let t = 0.4 * model.sde().horizon();
                let m = model.sde().marginal(t);
                let v = m.alpha * m.alpha * 1.7 + m.sigma * m.sigma;
                let times = |f: f64, x: &Tensor| host(&(x * f).unwrap());
                let what = format!("{sde} {output}");
                let (score, along) = model.score_jvp(&x, t, &w)?;
                check(&what, &host(&score), &times(-1.0 / v, &x), 1e-11);
                check(&what, &host(&along), &times(-1.0 / v, &w), 1e-11);
                let denoised = model.denoised(&x, t)?.expect("is finite here");
                check(&what, &host(&denoised), &times(1.7 * m.alpha / v, &x), 1e-11);
                let d = model.dim() as f64;
                check(&what, &model.divergence(&x, t)?, &[-d / v; 4], 1e-11);
            }
        }
    }
    Ok(())
}

fn small(labels: usize) -> Architecture {
    let json = format!(
        r#"{{"architecture": "residual-mlp",
             "args": {{"dim": 3, "width": 12, "blocks": 2, "classes": {labels}}}}}"#
    );
    Architecture::parse(&json).expect("is an architecture")
}

fn model(labels: usize, backend: &Backend) -> Result<ScoreModel> {
    let config = ModelConfig::edm(small(labels), 0.5, "vp");
    let model = ScoreModel::new(config, Key::root(3), backend)?;
    // Layers that begin at zero would leave most gradients zero.
    for (i, (name, values)) in model.parameters().iter().enumerate() {
        let noise = values.detach().normals_like(Key::root(4).fold(i as u64), 0)?;
        model.parameters().set(name, &(values + (noise * 0.2)?)?)?;
    }
    Ok(model)
}

fn points(rows: usize, seed: u64) -> Tensor {
    let like = Tensor::zeros((rows, 3), DType::F64, &Device::Cpu).expect("fits");
    like.normals_like(Key::root(seed), 0).expect("fits")
}

/// Fourth-order central difference.
fn slope(h: f64, f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let at = [f(-2.0 * h), f(-h), f(h), f(2.0 * h)];
    let of = |i: usize| (at[0][i] - 8.0 * at[1][i] + 8.0 * at[2][i] - at[3][i]) / (12.0 * h);
    (0..at[0].len()).map(of).collect()
}

/// Directional derivatives, the divergence and the derivative in time are those of differences.
#[test]
fn derivatives_are_those_of_differences_on_every_device() -> Outcome {
    everywhere().iter().try_for_each(derivatives_on)
}

fn derivatives_on(backend: &Backend) -> Outcome {
    let model = model(2, backend)?;
    let labels = Tensor::new(&[1_u32, 0, 1, 1, 0], &Device::Cpu)?;
    let given = model.with_labels(Some(&labels))?;
    let (x, v, t) = (backend.place(&points(5, 1))?, backend.place(&points(5, 2))?, 0.3);
    let score = |x: &Tensor, t: f64| host(&given.score(x, t).unwrap());
    let (_, along) = given.score_jvp(&x, t, &v)?;
    check(
        "jvp",
        &host(&along),
        &slope(1e-4, |h| score(&(&x + (&v * h).unwrap()).unwrap(), t)),
        1e-9,
    );
    let mut trace = vec![0.0; 5];
    for j in 0..3 {
        let mut unit = vec![0.0; 15];
        unit.iter_mut().skip(j).step_by(3).for_each(|u| *u = 1.0);
        let unit = backend.tensor(unit, &[5, 3])?;
        let column = host(&given.score_jvp(&x, t, &unit)?.1);
        trace.iter_mut().zip(column.chunks(3)).for_each(|(sum, row)| *sum += row[j]);
    }
    check("divergence", &given.divergence(&x, t)?, &trace, 1e-12);
    let condition = Condition::labels(labels.clone());
    for quantity in [Quantity::Output, Quantity::Denoised, Quantity::Score] {
        let value = |t: f64| {
            let jet = model.jet(quantity, &Jet::constant(x.clone()), &[t; 5], None, &condition);
            host(&jet.unwrap().value)
        };
        let jet = model.jet(quantity, &Jet::constant(x.clone()), &[t; 5], Some(0), &condition)?;
        check("d/dt", &host(&jet.first_or_zero(0)?), &slope(1e-5, |h| value(t + h)), 1e-8);
    }
    Ok(())
}

/// Labels belong to particles, whatever the block they are evaluated in.
#[test]
fn labels_belong_to_particles() -> Outcome {
    let model = model(3, &Backend::cpu())?;
    let labels = Tensor::new(&[0_u32, 2, 1, 2], &Device::Cpu)?;
    let given = model.with_labels(Some(&labels))?;
    let x = points(4, 5).to_dtype(DType::F32)?;
    let all = host(&given.score(&x, 0.5)?);
    let some = given.for_rows(&[1, 2])?;
    assert_eq!(host(&some.score(&x.narrow(0, 1, 2)?, 0.5)?), all[3..9]);
    let without = host(&model.score(&x, 0.5)?);
    assert!(all.iter().zip(&without).all(|(a, b)| a != b));
    let message = |e: Option<Error>| e.expect("is refused").to_string();
    let wrong = Tensor::new(&[0_u32, 3], &Device::Cpu)?;
    let error = message(model.with_labels(Some(&wrong)).err());
    assert_eq!(error, "label = 3: must be one of the classes 0 to 2");
    let plain = self::model(0, &Backend::cpu_f64())?;
    let error = message(plain.with_labels(Some(&labels)).err());
    assert_eq!(error, "a batch with labels needs a model with classes, which this is not");
    let error = given.for_rows(&[4]).err().expect("is refused").to_string();
    assert!(error.contains("particle = 4: there are labels of 4"), "{error}");
    Ok(())
}

/// Two clusters with a class each.
struct Clusters;

impl DataSource for Clusters {
    fn dim(&self) -> usize {
        3
    }

    fn fill(&self, key: Key, first_row: u64, out: &mut [f64]) -> Result<()> {
        key.fill_normals(3 * first_row, out);
        let mut labels = vec![0; out.len() / 3];
        self.fill_labels(key, first_row, &mut labels)?;
        for (row, label) in out.chunks_mut(3).zip(labels) {
            row.iter_mut().for_each(|x| *x = 0.1 * *x + f64::from(label) - 0.5);
        }
        Ok(())
    }

    fn n_classes(&self) -> usize {
        2
    }

    fn fill_labels(&self, key: Key, first_row: u64, out: &mut [u32]) -> Result<()> {
        let mut u = vec![0.0; out.len()];
        key.fold(9).fill_uniforms(first_row, &mut u);
        out.iter_mut().zip(u).for_each(|(label, u)| *label = u32::from(u > 0.5));
        Ok(())
    }
}

fn loss(batch: usize) -> Denoising {
    let law = TimeDistribution::Uniform;
    Denoising::new(Arc::new(Clusters), batch).time(law).t_min(1e-2).label_dropout(0.2)
}

/// Every parameter gets the gradient of differences, and parts of a batch add up to it.
#[test]
fn gradients_of_denoising_on_every_device() -> Outcome {
    everywhere().iter().try_for_each(gradients_on)
}

fn gradients_on(backend: &Backend) -> Outcome {
    let model = model(2, backend)?;
    let loss = loss(24).weighting("min-snr:gamma=5".parse::<Weighting>()?);
    let (whole, gradients) = loss.of_batch(&model, 0, Key::root(7))?;
    let (a, mut sum) = loss.loss_and_grad(&model, 0, Key::root(7), 0..10)?;
    let (b, rest) = loss.loss_and_grad(&model, 0, Key::root(7), 10..24)?;
    sum.add(1.0, &rest)?;
    check("parts", &[a + b], &[whole], 1e-13);
    check("alone", &[loss.loss(&model, Key::root(7))?], &[whole], 1e-13);
    for (name, parameter) in model.parameters().iter() {
        let found = host(gradients.get(model.parameters(), name).expect("has one"));
        assert!(found.iter().any(|g| *g != 0.0), "{name}");
        check(name, &host(sum.get(model.parameters(), name).expect("has one")), &found, 1e-11);
        let values = host(parameter);
        let at = values.len() / 2;
        let set = |values: &[f64]| {
            let values = Tensor::from_slice(values, parameter.dims(), &Device::Cpu).unwrap();
            model.parameters().set(name, &values).unwrap();
        };
        let difference = slope(1e-3, |h| {
            let mut changed = values.clone();
            changed[at] += h;
            set(&changed);
            vec![loss.loss(&model, Key::root(7)).unwrap()]
        });
        set(&values);
        let scale = found.iter().fold(1e-6_f64, |m, g| m.max(g.abs()));
        assert!((found[at] - difference[0]).abs() < 1e-7 * scale, "{name}: {difference:?}");
    }
    Ok(())
}

fn config(steps: u64, parts: u64) -> TrainConfig {
    TrainConfig {
        seed: Key::root(5),
        ema: Some(EmaConfig { decay: 0.9, warmup: true }),
        averages: vec![EmaProfile::Power { sigma_rel: 0.1 }, EmaProfile::Constant { decay: 0.0 }],
        log_every: 1,
        parts,
        ..TrainConfig::new(steps, Schedule::Constant { lr: 1e-2 })
    }
}

fn bits(model: &ScoreModel) -> Vec<u64> {
    model.parameters().iter().flat_map(|(_, v)| host(v)).map(f64::to_bits).collect()
}

/// Interrupted and resumed is not interrupted; what a file holds is what was trained.
#[test]
fn training_resumes_bit_for_bit() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let start = || {
        Ok::<_, Error>(
            Trainer::new(model(2, &Backend::cpu())?, config(6, 1))?.term(1.0, Box::new(loss(40))),
        )
    };
    let mut whole = start()?;
    whole.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    let stop = AtomicBool::new(false);
    let mut part = start()?.checkpoint_to(&path);
    part.run(&stop, &mut |p| {
        stop.store(p.step == 4, Ordering::Relaxed);
        Ok(())
    })?;
    assert_eq!(part.step(), 4);
    let mut part = Trainer::<ScoreModel>::resume_on(&path, config(6, 1), &Device::Cpu)?
        .term(1.0, Box::new(loss(40)))
        .checkpoint_to(&path);
    part.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    assert_eq!(bits(whole.net()), bits(part.net()));
    let average = whole.ema_net()?.expect("is kept");
    for k in 0..3 {
        let [a, b] = [&whole, &part].map(|t| bits(&t.average_net(k).unwrap().expect("is kept")));
        assert_eq!(a, b, "average {k}");
        // A decay of 0 keeps the last values, the others do not.
        assert_eq!(a == bits(whole.net()), k == 2, "average {k}");
    }
    assert!(whole.average_net(3)?.is_none());
    let like = whole.net().open_like(&path)?;
    assert_eq!(bits(&like), bits(&average), "a checkpoint opens as its average");
    let file = folder.path().join("model.safetensors");
    average.save(&file)?;
    assert_eq!(bits(&whole.net().open_like(&file)?), bits(&average));
    let error = score_nets::ScoreNet::open(&file).err().expect("is refused").to_string();
    assert!(
        error.contains("is a `score-model` file, where a `score-nets` file was expected"),
        "{error}"
    );
    Ok(())
}

/// A batch in parts takes the same steps, to rounding.
#[test]
fn parts_of_a_batch_take_the_same_steps() -> Outcome {
    let run = |parts: u64| -> Result<Vec<f64>> {
        let trainer = Trainer::new(model(2, &Backend::cpu_f64())?, config(5, parts))?;
        let mut trainer = trainer.term(1.0, Box::new(loss(50)));
        trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
        Ok(trainer.net().parameters().iter().flat_map(|(_, v)| host(v)).collect())
    };
    check("parameters", &run(7)?, &run(1)?, 1e-10);
    Ok(())
}

/// What nobody said is measured when training begins, goes with the model into every file, and changes nothing that
/// is computed.
#[test]
fn the_deviation_of_the_data_is_measured() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let measured = sigma_data(&Clusters, Key::root(1), 100_000)?;
    let said = ModelConfig::edm_for(small(2), &Clusters, "vp", Key::root(2))?;
    let close = |found: Option<f64>| {
        let found = found.expect("is measured");
        assert!((found / measured.value - 1.0).abs() < 0.01, "{found} for {measured:?}");
    };
    close(said.sigma_data);
    assert_eq!(said.output, Parametrisation::F { sigma_data: said.sigma_data.expect("is") });
    assert_eq!(said.preconditioning, Preconditioning::edm(said.sigma_data.expect("is")));
    let silent = ModelConfig { output: Parametrisation::Eps, sigma_data: None, ..said };
    let start = |silent: &ModelConfig| {
        let model = ScoreModel::new(silent.clone(), Key::root(3), &Backend::cpu())?;
        Ok::<_, Error>(Trainer::new(model, config(4, 1))?.term(1.0, Box::new(loss(40))))
    };
    let mut whole = start(&silent)?;
    whole.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    close(whole.net().config().sigma_data);
    let mut same = start(&ModelConfig { sigma_data: Some(7.0), ..silent.clone() })?;
    same.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    assert_eq!(bits(same.net()), bits(whole.net()));
    assert_eq!(same.net().config().sigma_data, Some(7.0), "what was said stays");
    // Resumed, by either way, it is the same number.
    let mut part = start(&silent)?.checkpoint_to(&path);
    part.run(&AtomicBool::new(true), &mut |_| Ok(()))?;
    let fresh = ScoreModel::new(silent, Key::root(3), &Backend::cpu())?;
    for trainer in [
        Trainer::<ScoreModel>::resume_on(&path, config(4, 1), &Device::Cpu)?,
        Trainer::resume_like(&fresh, &path, config(4, 1))?,
    ] {
        let mut trainer = trainer.term(1.0, Box::new(loss(40)));
        trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
        assert_eq!(trainer.net().config(), whole.net().config());
    }
    for opened in [ScoreModel::open(&path)?, fresh.open_like(&path)?] {
        assert_eq!(opened.config().sigma_data, whole.net().config().sigma_data);
    }
    Ok(())
}
