//! Classifiers of noised data: gradients, the exact posterior, training, files.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use ndarray::{Array2, array};
use score_nets::{
    Architecture, Backend, Classifier, ClassifierConfig, CrossEntropy, DataSource, Draws,
    EmaProfile, Noising, Objective, Result, Schedule, ScoreModel, TimeDistribution, TrainConfig,
    Trainer,
};
use sde_core::analytic::GaussianMixture;
use sde_core::{Edm, Key, LogLikelihood, Sde as _, State, Vp};

use crate::common::{Outcome, check};

fn rows(outputs: usize) -> Architecture {
    let args = format!(r#"{{"dim": 2, "width": 24, "blocks": 2, "outputs": {outputs}}}"#);
    parse("residual-mlp", &args)
}

fn images(pool: &str) -> Architecture {
    let args = r#"{"image_size": 4, "in_channels": 2, "model_channels": 32, "out_channels": 3, "num_res_blocks": 1,
        "attention_resolutions": [2], "channel_mult": [1, 1], "num_head_channels": 16, "pool": POOL}"#;
    parse("guided-diffusion-encoder", &args.replace("POOL", &format!("\"{pool}\"")))
}

fn parse(name: &str, args: &str) -> Architecture {
    let json = format!(r#"{{"architecture": "{name}", "args": {args}}}"#);
    Architecture::parse(&json).expect("an architecture")
}

/// A classifier whose weights are not those of a beginning, which say nothing of the class.
fn stirred(network: Architecture, sde: &str, backend: &Backend) -> Result<Classifier> {
    let model = Classifier::new(ClassifierConfig::edm(network, 0.7, sde), Key::root(3), backend)?;
    for (i, (name, values)) in model.parameters().iter().enumerate() {
        let noise = values.detach().normals_like(Key::root(4).fold(i as u64), 0)?;
        model.parameters().set(name, &(values + (noise * 0.2)?)?)?;
    }
    Ok(model)
}

fn normals(n: usize, d: usize, seed: u64) -> Array2<f64> {
    Array2::zeros((n, d)).normals_like(Key::root(seed), 0).expect("rows")
}

/// The gradient is that of differences in every architecture; a block of particles has the classes of its own.
#[test]
fn gradients_are_those_of_differences() -> Outcome {
    let networks = [rows(3), images("adaptive"), images("attention"), images("spatial")];
    for (network, sde) in networks.into_iter().zip(["edm", "vp", "edm", "ve"]) {
        let model = stirred(network, sde, &Backend::cpu_f64())?;
        let all = model.with_labels(vec![2, 0, 1, 1, 0])?;
        let some: Box<dyn LogLikelihood<Array2<f64>> + '_> = all.likelihood_for_rows(&[3, 0, 4])?;
        let (x, u, t, h) = (normals(3, model.dim(), 5), normals(3, model.dim(), 6), 0.4, 1e-4);
        let (log, gradient) = some.log_likelihood(&x, t)?;
        let table = model.log_probabilities(&x, t)?;
        check("log p", &log, &[table[[0, 1]], table[[1, 2]], table[[2, 0]]], 1e-13);
        let sums: Vec<f64> = table.outer_iter().map(|r| r.mapv(f64::exp).sum()).collect();
        check("probabilities", &sums, &[1.0; 3], 1e-13);
        let at = |h: f64| some.log_likelihood(&(&x + &(&u * h)), t).map(|found| found.0);
        let [a, b, c, d] = [at(-2.0 * h)?, at(-h)?, at(h)?, at(2.0 * h)?];
        let slope = |i: usize| (a[i] - 8.0 * b[i] + 8.0 * c[i] - d[i]) / (12.0 * h);
        let slopes: Vec<f64> = (0..3).map(slope).collect();
        check("gradient", &gradient.row_dot(&u)?, &slopes, 1e-6);
        // One class for all is a class for each.
        let (same, _) =
            LogLikelihood::<Array2<f64>>::log_likelihood(&model.with_labels(vec![1])?, &x, t)?;
        check("one class", &same, &table.column(1).to_vec(), 1e-13);
        assert_eq!(model.features(&x, t)?.nrows(), 3);
        // Rows of a tensor may be flat.
        let flat = Backend::cpu_f64().tensor(x.iter().copied().collect(), &[3, model.dim()])?;
        let of_flat: Box<dyn LogLikelihood<Tensor> + '_> = all.likelihood_for_rows(&[3, 0, 4])?;
        let (same, slope) = of_flat.log_likelihood(&flat, t)?;
        assert_eq!((same, slope.dims()), (log, &[3, model.dim()][..]));
    }
    Ok(())
}

/// Rows of a mixture, with their component for a class.
struct Components(GaussianMixture);

impl Components {
    fn class(&self, u: f64) -> usize {
        usize::from(u > self.0.weights()[0])
    }
}

impl DataSource for Components {
    fn dim(&self) -> usize {
        2
    }

    fn fill(&self, key: Key, first: u64, out: &mut [f64]) -> Result<()> {
        let mut u = vec![0.0; out.len() / 2];
        key.fold(0).fill_uniforms(first, &mut u);
        key.fold(1).fill_normals(2 * first, out);
        for (row, u) in out.chunks_mut(2).zip(u) {
            let c = self.class(u);
            for (j, x) in row.iter_mut().enumerate() {
                *x = self.0.means()[[c, j]] + 0.4 * *x;
            }
        }
        Ok(())
    }

    fn n_classes(&self) -> usize {
        2
    }

    fn fill_labels(&self, key: Key, first: u64, out: &mut [u32]) -> Result<()> {
        let mut u = vec![0.0; out.len()];
        key.fold(0).fill_uniforms(first, &mut u);
        out.iter_mut().zip(u).for_each(|(c, u)| *c = self.class(u) as u32);
        Ok(())
    }
}

fn mixture() -> GaussianMixture {
    GaussianMixture::isotropic(&[0.3, 0.7], &array![[-0.8, 0.2], [0.6, -0.1]], &[0.4, 0.4])
        .expect("a mixture")
}

fn noising(batch: usize, draws: Draws) -> Noising {
    let time = TimeDistribution::LogNormal { mean: -0.6, std: 1.2 };
    let source = Arc::new(Components(mixture()));
    Noising { time, t_min: 2e-3, draws, ..Noising::new(source, batch) }
}

fn config(steps: u64) -> TrainConfig {
    let schedule = Schedule::Cosine { lr: 1e-2, lr_end: 1e-4, warmup: 10, steps };
    let averages = vec![EmaProfile::Power { sigma_rel: 0.1 }];
    TrainConfig { clip: Some(1.0), averages, ..TrainConfig::new(steps, schedule) }
}

/// After training, probabilities and gradients are about those of the exact posterior at every noise level.
#[test]
fn training_finds_the_posterior() -> Outcome {
    let edm = Edm::default();
    let start = ClassifierConfig::edm(rows(2), 0.8, "edm");
    let model = Classifier::new(start, Key::root(1), &Backend::cpu())?;
    let (loss, never) =
        (CrossEntropy::new(noising(256, Draws::QuasiMonteCarlo)), AtomicBool::new(false));
    let mut trainer = Trainer::new(model, config(400))?.term(1.0, Box::new(loss.clone()));
    let before = loss.loss(trainer.net(), Key::root(9))?;
    trainer.run(&never, &mut |_| Ok(()))?;
    let model = trainer.average_net(0)?.expect("an average");
    assert!(loss.loss(&model, Key::root(9))? < 0.8 * before);
    let (mixture, source) = (mixture(), Components(mixture()));
    let exact = mixture.classes(&[0, 1])?;
    for t in [0.05, 0.3, 1.0, 4.0] {
        let (n, key) = (500, Key::root(7));
        let (mut flat, mut labels) = (vec![0.0; 2 * n], vec![0; n]);
        source.fill(key, 0, &mut flat)?;
        source.fill_labels(key, 0, &mut labels)?;
        let x = Array2::from_shape_vec((n, 2), flat)? + normals(n, 2, 8) * t;
        let truth = exact.under(&edm).of(labels.iter().map(|c| *c as usize).collect());
        let (log, gradient) = truth.log_likelihood(&x, t)?;
        let known = model.with_labels(labels)?;
        let (found, slope) = LogLikelihood::<Array2<f64>>::log_likelihood(&known, &x, t)?;
        // The mean of log p - log q estimates the divergence of the posteriors, which is the loss above the least.
        let excess = log.iter().zip(&found).map(|(p, q)| p - q).sum::<f64>() / n as f64;
        let norm = |a: &Array2<f64>| a.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off = norm(&(&slope - &gradient)) / norm(&gradient);
        eprintln!("t = {t}: excess {excess:.4}, gradient off by {off:.3}");
        assert!(excess < 0.02 && off < 0.35, "t = {t}: excess {excess}, gradient off by {off}");
    }
    Ok(())
}

/// A batch may be cut anywhere, and pairs have the class of their data.
#[test]
fn parts_of_a_batch_add_up() -> Outcome {
    let model = stirred(rows(2), "edm", &Backend::cpu_f64())?;
    for draws in [Draws::Independent, Draws::QuasiMonteCarlo] {
        let (noising, key) = (noising(64, draws), Key::root(2));
        let whole = noising.labels(key, 0..64)?;
        assert_eq!(whole[32..], noising.labels(key, 32..64)?);
        let batch = noising.rows(&Edm::default(), key, 0..64)?;
        // The second coordinate of the means is near: the first tells the classes apart where the noise is small.
        let right = |b: &usize| (batch.x0[2 * b] > -0.1) == (whole[*b] == 1);
        assert!((0..64).filter(right).count() > 55);
        let loss = CrossEntropy::new(noising);
        let (all, _) = loss.of_batch(&model, 0, key)?;
        let (a, _) = loss.loss_and_grad(&model, 0, key, 0..20)?;
        let (b, _) = loss.loss_and_grad(&model, 0, key, 20..64)?;
        assert!((all - a - b).abs() < 1e-12, "{all} {a} {b}");
        assert!((all - loss.loss(&model, key)?).abs() < 1e-12);
    }
    Ok(())
}

fn bits(model: &Classifier, x: &Array2<f64>) -> Vec<u64> {
    model.log_probabilities(x, 0.3).expect("rows").iter().map(|v| v.to_bits()).collect()
}

#[test]
fn interrupted_training_ends_in_the_same_bits() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (path, never) = (folder.path().join("run.safetensors"), AtomicBool::new(false));
    let term = || Box::new(CrossEntropy::new(noising(32, Draws::Independent)));
    let start = || {
        let config = ClassifierConfig::edm(rows(2), 0.8, "edm");
        Classifier::new(config, Key::root(1), &Backend::cpu())
    };
    let mut whole = Trainer::new(start()?, config(9))?.term(1.0, term());
    whole.run(&never, &mut |_| Ok(()))?;
    let mut cut = Trainer::new(start()?, config(9))?.term(1.0, term());
    cut.run_to(4, &never, &mut |_| Ok(()))?;
    cut.save_checkpoint(&path)?;
    let mut cut =
        Trainer::<Classifier>::resume_on(&path, config(9), &Device::Cpu)?.term(1.0, term());
    assert_eq!(cut.step(), 4);
    cut.run(&never, &mut |_| Ok(()))?;
    let x = normals(5, 2, 5);
    assert_eq!(bits(whole.net(), &x), bits(cut.net(), &x));
    let average = |t: &Trainer<Classifier>| t.average_net(0).expect("values").expect("an average");
    assert_eq!(bits(&average(&whole), &x), bits(&average(&cut), &x));
    cut.save_checkpoint(&path)?;
    assert_eq!(bits(&Classifier::open(&path)?, &x), bits(&average(&cut), &x));
    Ok(())
}

#[test]
fn a_file_holds_all_of_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("classifier.safetensors");
    for backend in [Backend::cpu(), Backend::cpu_f64()] {
        let network = images("adaptive");
        let mut config = ClassifierConfig::edm(network, 0.7, "vp");
        config.data = Some(serde_json::json!({"rows": "of mine"}));
        let model = Classifier::new(config, Key::root(2), &backend)?;
        model.save(&path)?;
        let opened = Classifier::open(&path)?;
        assert_eq!(opened.config(), model.config());
        let x = normals(4, 32, 5);
        assert_eq!(bits(&opened, &x), bits(&model, &x));
        assert_eq!(opened.sde().name(), Vp::default().name());
        let name = |e: &dyn std::fmt::Display| {
            let text = e.to_string();
            assert!(text.contains("classifier.safetensors") && !text.contains('\n'), "{text}");
            text
        };
        let other = name(&ScoreModel::open(&path).expect_err("another kind"));
        assert!(other.contains("`noise-classifier` file"), "{other}");
        let mut bytes = fs::read(&path)?;
        let last = bytes.len() - 1;
        bytes[last] ^= 4;
        fs::write(&path, &bytes)?;
        assert!(name(&Classifier::open(&path).expect_err("damaged")).contains("damaged"));
        fs::write(&path, &bytes[..last / 2])?;
        name(&Classifier::open(&path).expect_err("cut"));
    }
    Ok(())
}

#[test]
fn what_is_no_classifier_is_refused_in_one_line() -> Outcome {
    let backend = Backend::cpu();
    let made = |json: &str| {
        let network = Architecture::parse(json).expect("an architecture");
        let config = ClassifierConfig::edm(network, 0.5, "edm");
        Classifier::new(config, Key::root(1), &backend).expect_err("refused").to_string()
    };
    let one = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 8, "blocks": 1, "outputs": 1}}"#;
    assert!(made(one).contains("expected shape [2], found [1]"), "{}", made(one));
    let told = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 8, "blocks": 1, "outputs": 2, "classes": 2}}"#;
    assert!(made(told).contains("not told the class"), "{}", made(told));
    let none = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 8, "blocks": 1, "outputs": 0}}"#;
    assert!(made(none).contains("outputs = 0"), "{}", made(none));
    let unet = Architecture::example("edm")?.to_json().to_string();
    assert!(made(&unet).contains("output of the network of a classifier"), "{}", made(&unet));

    let model = stirred(rows(3), "edm", &backend)?;
    let label = model.with_labels(vec![0, 3]).expect_err("no class").to_string();
    assert!(label.contains("label = 3") && label.contains("0 to 2"), "{label}");
    let known = model.with_labels(vec![0, 1])?;
    let of = |x: &Array2<f64>, t: f64| {
        LogLikelihood::<Array2<f64>>::log_likelihood(&known, x, t).expect_err("refused").to_string()
    };
    assert!(of(&normals(3, 2, 1), 0.5).contains("expected shape [2], found [3]"));
    assert!(of(&normals(2, 3, 1), 0.5).contains("[2, 3]"));
    assert!(of(&normals(2, 2, 1), f64::NAN).contains("NaN"));
    let loss = CrossEntropy::new(noising(8, Draws::Independent));
    let classes = loss.loss(&model, Key::root(1)).expect_err("other classes").to_string();
    assert!(classes.contains("classes of the data = 2") && classes.contains("has 3"), "{classes}");
    Ok(())
}
