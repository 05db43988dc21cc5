//! Models whose network is a potential: the gradient and all of its derivatives against differences, on every device.

use std::sync::{Arc, atomic::AtomicBool};

use candle_core::Tensor;
use candle_nn::{VarBuilder, init::DEFAULT_KAIMING_UNIFORM};
use score_nets::{
    Activation, Architecture, Backend, Build, Condition, Denoising, Error, Jet, Model, Network,
    Objective, Quantity, Schedule, ScoreModel, TrainConfig, Trainer, Weighting,
};
use sde_core::{
    Key, Parametrisation, Potential, Preconditioning, Score, ScoreJvp, State, Vp, analytic::DataSet,
};

use crate::common::{Outcome, check, everywhere, host};

const ROWS: usize = 3;
const TIMES: [f64; ROWS] = [0.15, 0.4, 0.85];
/// Differences of fourth order in double precision, of functions that vary over 0.1: `1e4 h^4 + 1e-16 / h`.
const H: f64 = 1e-4;
const TOLERANCE: f64 = 1e-8;

/// `v . tanh(W_2 tanh(W_1 x + u c)) + b`.
struct Table {
    w1: Tensor,
    u: Tensor,
    w2: Tensor,
    v: Tensor,
    b: Tensor,
}

impl Network for Table {
    fn row_shape(&self) -> Vec<usize> {
        vec![2]
    }

    fn out_shape(&self) -> Vec<usize> {
        vec![1]
    }

    fn forward(&self, x: &Jet, c: &Jet, _: &Condition) -> Result<Jet, Error> {
        let through = |x: &Jet, w: &Tensor| x.map(|x| Ok(x.matmul(&w.t()?)?));
        let level = through(&c.map(|c| Ok(c.unsqueeze(1)?))?, &self.u)?;
        let h = through(x, &self.w1)?.add(&level)?.activate(Activation::Tanh)?;
        let h = through(&h, &self.w2)?.activate(Activation::Tanh)?;
        through(&h, &self.v)?.shift(&self.b)
    }
}

fn table() -> Build {
    Arc::new(|vb: VarBuilder<'static>| -> Result<Box<dyn Network>, Error> {
        let get = |shape: (usize, usize), name: &str| {
            vb.get_with_hints(shape, name, DEFAULT_KAIMING_UNIFORM)
        };
        let (w1, u) = (get((12, 2), "w1")?, get((12, 1), "u")?);
        let (w2, v, b) = (get((9, 12), "w2")?, get((1, 9), "v")?, get((1, 1), "b")?);
        Ok(Box::new(Table { w1, u, w2, v, b }))
    })
}

/// Half of a U-Net with one output, over images of `2 x 4` in one channel. Its norms are over sixteen numbers: over two
/// they would be steps.
fn image() -> Build {
    let json = r#"{"architecture": "guided-diffusion-encoder", "args": {"image_size": [2, 4], "in_channels": 1,
        "model_channels": 64, "out_channels": 1, "num_res_blocks": 1, "attention_resolutions": [1],
        "channel_mult": [1], "num_heads": 2, "pool": "adaptive"}}"#;
    let architecture = Architecture::parse(json).expect("is an architecture");
    Arc::new(move |vb| architecture.build(vb))
}

fn model(build: Build, backend: &Backend) -> Result<ScoreModel, Error> {
    let sde = Arc::new(Vp::default());
    let (output, input) = (Parametrisation::Potential, Preconditioning::edm(0.6));
    let model = ScoreModel::of_network(build, output, input, sde, Key::root(3), backend)?;
    // Away from initial values that are zero.
    for (i, (name, values)) in model.parameters().iter().enumerate() {
        let noise = values.detach().normals_like(Key::root(4).fold(i as u64), 0)?;
        let fan_in = values.elem_count() / values.dims()[0].max(1);
        let noise = (noise * (0.3 / (fan_in as f64).sqrt()))?;
        model.parameters().set(name, &(values + noise)?)?;
    }
    Ok(model)
}

/// Both on every device.
fn models() -> Result<Vec<ScoreModel>, Error> {
    let on = |backend| [model(table(), backend), model(image(), backend)];
    everywhere().iter().flat_map(on).collect()
}

fn like(model: &ScoreModel, seed: u64) -> Result<Tensor, Error> {
    let shape: Vec<usize> = [ROWS].into_iter().chain(model.row_shape()).collect();
    let mut values = vec![0.0; ROWS * model.dim()];
    Key::root(seed).fill_normals(0, &mut values);
    model.parameters().backend().tensor(values, &shape)
}

fn slope(f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let at = [f(-2.0 * H), f(-H), f(H), f(2.0 * H)];
    let of = |i: usize| (at[0][i] - 8.0 * at[1][i] + 8.0 * at[2][i] - at[3][i]) / (12.0 * H);
    (0..at[0].len()).map(of).collect()
}

fn moved(x: &Tensor, v: &Tensor, h: f64) -> Tensor {
    (x + (v * h).unwrap()).unwrap()
}

#[test]
fn derivatives_are_those_of_differences_on_every_device() -> Outcome {
    for model in models()? {
        let (x, v) = (like(&model, 1)?, like(&model, 2)?);
        let at = model.derivatives(&x, &TIMES)?;
        let phi = |x: &Tensor, t: &[f64]| model.derivatives(x, t).unwrap().potential;
        let along = slope(|h| phi(&moved(&x, &v, h), &TIMES));
        check("gradient", &at.score.row_dot(&v)?, &along, TOLERANCE);
        let later = |h: f64| TIMES.map(|t| t + h);
        check("rate", &at.d_t, &slope(|h| phi(&x, &later(h))), TOLERANCE);

        // At a common time the score alone, along a direction, and its divergence.
        let t = TIMES[1];
        let common = model.derivatives(&x, &[t; ROWS])?;
        let score = |x: &Tensor| host(&model.score(x, t).unwrap());
        check("score", &score(&x), &host(&common.score), 1e-12);
        let (value, along) = model.score_jvp(&x, t, &v)?;
        check("score of the product", &host(&value), &score(&x), 1e-12);
        check("product", &host(&along), &slope(|h| score(&moved(&x, &v, h))), TOLERANCE);
        let mut trace = vec![0.0; ROWS];
        for j in 0..model.dim() {
            let mut unit = vec![0.0; x.elem_count()];
            unit.iter_mut().skip(j).step_by(model.dim()).for_each(|u| *u = 1.0);
            let unit = model.parameters().backend().tensor(unit, x.dims())?;
            let column = slope(|h| score(&moved(&x, &unit, h)));
            trace.iter_mut().zip(column.chunks(model.dim())).for_each(|(sum, row)| *sum += row[j]);
        }
        check("divergence", &model.divergence(&x, t)?, &trace, TOLERANCE);
        check("Laplacian", &common.laplacian, &trace, TOLERANCE);
    }
    Ok(())
}

/// The attached form goes along axes, the detached one through backward passes: both are the same function with the
/// same derivatives in space and time, and the products of cotangents belong to them.
#[test]
fn attached_and_detached_are_one_function_on_every_device() -> Outcome {
    for model in models()? {
        let (x, v, w) = (like(&model, 1)?, like(&model, 2)?, like(&model, 3)?);
        let condition = Condition::default();
        for quantity in [Quantity::Output, Quantity::Score, Quantity::Denoised] {
            let input = Jet::input(x.clone(), vec![v.clone()], vec![]);
            let live = model.jet(quantity, &input, &TIMES, Some(1), &condition)?;
            let still = model.jet_detached(quantity, &input, &TIMES, Some(1), &condition)?;
            check("value", &host(&live.value), &host(&still.value), 1e-12);
            for a in [0, 1] {
                let (live, still) = (live.first_or_zero(a)?, still.first_or_zero(a)?);
                check("derivative", &host(&live), &host(&still), 1e-11);
            }
            let at = |h: f64| {
                let (x, t) = (Jet::constant(x.clone()), TIMES.map(|t| t + h));
                host(&model.jet_detached(quantity, &x, &t, None, &condition).unwrap().value)
            };
            check("in time", &host(&still.first_or_zero(1)?), &slope(at), TOLERANCE);
            let back = model.vjp(quantity, &x, &TIMES, &condition, &w)?;
            check("value", &host(&back.value), &host(&still.value), 1e-12);
            let (along, rate) = (still.first_or_zero(0)?, still.first_or_zero(1)?);
            check("cotangent", &back.x.row_dot(&v)?, &w.row_dot(&along)?, 1e-11);
            check("cotangent of time", &host(&back.c), &w.row_dot(&rate)?, 1e-11);
        }
    }
    Ok(())
}

/// The gradient of the loss of denoising against differences along a direction of every parameter, and what the loss
/// is without gradients.
#[test]
fn the_loss_of_denoising_has_its_gradient_on_every_device() -> Outcome {
    for model in models()? {
        let d = model.dim();
        let normal = move |key: Key, row: u64, out: &mut [f64]| {
            key.fill_normals(row * d as u64, out);
            Ok(())
        };
        let source = score_nets::FnSource::new(d, normal);
        let loss = Denoising::new(Arc::new(source), 4).t_min(0.1);
        let (value, gradients) = loss.of_batch(&model, 0, Key::root(8))?;
        let of = || loss.loss(&model, Key::root(8));
        check("loss", &[value], &[of()?], 1e-12);
        let names: Vec<String> = model.parameters().names().map(String::from).collect();
        let largest = gradients.norm()?;
        for (i, name) in names.iter().enumerate() {
            let parameter = model.parameters().get(name).expect("is there").detach().copy()?;
            let direction = parameter.normals_like(Key::root(9).fold(i as u64), 0)?;
            let difference = slope(|h| {
                let values = moved(&parameter, &direction, h);
                model.parameters().set(name, &values).expect("fits");
                vec![of().expect("is a number")]
            })[0];
            model.parameters().set(name, &parameter)?;
            let found = match gradients.get(model.parameters(), name) {
                Some(gradient) => (gradient * &direction)?.sum_all()?.to_scalar::<f64>()?,
                None => 0.0,
            };
            let error = (found - difference).abs() / largest;
            assert!(error < TOLERANCE, "{name}: {found} against {difference}");
        }
    }
    Ok(())
}

/// The constant has no gradient and is known not to have one, so that training goes on, and down.
#[test]
fn a_potential_is_trained_by_denoising() -> Outcome {
    let model = model(table(), &Backend::cpu_f64())?;
    let known = |name: &str| Model::is_without_gradient(&model, name);
    assert_eq!(["b", "u", "v", "w1", "w2"].map(known), [true, false, false, false, false]);
    let encoder = self::model(image(), &Backend::cpu_f64())?;
    let silent = |name: &&str| Model::is_without_gradient(&encoder, name);
    let silent: Vec<&str> = encoder.parameters().names().filter(silent).collect();
    assert!(silent.contains(&"out.3.bias"), "{silent:?}");
    let loss =
        Denoising::new(Arc::new(DataSet::Blob), 256).t_min(0.1).weighting(Weighting::SigmaSquared);
    let held_out = Key::root(12);
    let before = loss.loss(&model, held_out)?;
    let config = TrainConfig::new(60, Schedule::Constant { lr: 2e-2 });
    let mut trainer = Trainer::new(model, config)?.term(1.0, Box::new(loss.clone()));
    trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    let after = loss.loss(trainer.net(), held_out)?;
    assert!(after < 0.8 * before, "from {before} to {after}");
    Ok(())
}

#[test]
fn what_is_no_potential_is_refused() -> Outcome {
    let build = |output| {
        let (sde, key) = (Arc::new(Vp::default()), Key::root(1));
        let input = Preconditioning::none();
        ScoreModel::of_network(table(), output, input, sde, key, &Backend::cpu_f64())
    };
    let error = build(Parametrisation::Eps).unwrap_err().to_string();
    assert_eq!(error, "output of the network: expected shape [2], found [1]");
    let json = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 8, "blocks": 1}}"#;
    let network = Architecture::parse(json)?;
    let vector: Build = Arc::new(move |vb| network.build(vb));
    let of = |output| {
        let (sde, key) = (Arc::new(Vp::default()), Key::root(1));
        let input = Preconditioning::none();
        ScoreModel::of_network(vector.clone(), output, input, sde, key, &Backend::cpu_f64())
    };
    let error = of(Parametrisation::Potential).unwrap_err().to_string();
    assert_eq!(error, "output of the network: expected shape [1], found [2]");
    let vector = of(Parametrisation::Eps)?;
    let x = like(&vector, 1)?;
    let error = vector.derivatives(&x, &TIMES).unwrap_err().to_string();
    assert!(error.contains("a network whose output is a potential"), "{error}");
    // Second derivatives of the score would be third ones of the potential.
    let potential = model(table(), &Backend::cpu_f64())?;
    let input = Jet::input(x.clone(), vec![x], vec![vec![(0, 0, 1.0)]]);
    let error = potential
        .jet(Quantity::Score, &input, &TIMES, None, &Condition::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("third derivatives"), "{error}");
    Ok(())
}
