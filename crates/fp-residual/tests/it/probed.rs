//! The residual of models of any network, along probes.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use fp_residual::{ProbedPenalty, TimeWeight, residual_along, squared_residual};
use score_nets::{
    Architecture, Backend, Condition, DataSource, Jet, ModelConfig, Noising, Objective, Quantity,
    ScoreModel,
};
use sde_core::{Key, ScoreJvp, Sde, State, Vp, analytic::DataSet};

use crate::common::{Outcome, check, host};

const ROWS: usize = 3;

fn model(architecture: &str, sde: &str) -> Result<ScoreModel, score_nets::Error> {
    let config = ModelConfig::edm(Architecture::parse(architecture)?, 0.6, sde);
    let model = ScoreModel::new(config, Key::root(3), &Backend::cpu_f64())?;
    for (i, (name, values)) in model.parameters().iter().enumerate() {
        let noise = values.detach().normals_like(Key::root(4).fold(i as u64), 0)?;
        model.parameters().set(name, &(values + (noise * 0.2)?)?)?;
    }
    Ok(model)
}

fn table(dim: usize) -> String {
    format!(
        r#"{{"architecture": "residual-mlp", "args": {{"dim": {dim}, "width": 12, "blocks": 2}}}}"#
    )
}

fn like(model: &ScoreModel, rows: usize) -> Tensor {
    let dims: Vec<usize> = [rows].into_iter().chain(model.row_shape()).collect();
    Tensor::zeros(dims, DType::F64, &Device::Cpu).expect("fits")
}

/// Row by row, `(g^2/2) (div s + |s|^2) - a <x, s>`.
fn inner(model: &dyn ScoreJvp<Tensor>, sde: &dyn Sde, x: &Tensor, t: f64) -> Vec<f64> {
    let (divergence, s) = (model.divergence(x, t).unwrap(), model.score(x, t).unwrap());
    let (a, g2) = (sde.drift_coef(t), sde.diffusion_squared(t));
    let (squares, along) = (s.row_dot(&s).unwrap(), s.row_dot(x).unwrap());
    let of = |i: usize| 0.5 * g2 * (divergence[i] + squares[i]) - a * along[i];
    (0..divergence.len()).map(of).collect()
}

fn slope(h: f64, f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let at = [f(-2.0 * h), f(-h), f(h), f(2.0 * h)];
    let of = |i: usize| (at[0][i] - 8.0 * at[1][i] + 8.0 * at[2][i] - at[3][i]) / (12.0 * h);
    (0..at[0].len()).map(of).collect()
}

/// `<v, r>` by its definition: differences of the score in time and of the divergence in space.
fn by_differences(
    model: &dyn ScoreJvp<Tensor>,
    sde: &dyn Sde,
    x: &Tensor,
    t: f64,
    v: &Tensor,
) -> Vec<f64> {
    let moving = slope(1e-5, |h| model.score(x, t + h).unwrap().row_dot(v).unwrap());
    let spread = slope(2e-4, |h| inner(model, sde, &(x + (v * h).unwrap()).unwrap(), t));
    moving.iter().zip(spread).map(|(a, b)| a - b).collect()
}

fn image(classes: usize) -> String {
    format!(
        r#"{{"architecture": "edm", "args": {{"model_type": "SongUNet", "img_resolution": 4,
        "in_channels": 1, "out_channels": 1, "label_dim": {classes}, "model_channels": 8, "channel_mult": [1, 1],
        "num_blocks": 1, "attn_resolutions": [2]}}}}"#
    )
}

/// Summed over all unit vectors in the place of probes, the value along `v` is that of differences: for a table,
/// for images, and for images given their class.
#[test]
fn unit_vectors_give_the_residual() -> Outcome {
    for (architecture, sde, classes) in
        [(table(3), "vp", 0), (table(2), "ve", 0), (image(0), "vp", 0), (image(3), "edm", 3)]
    {
        let model = model(&architecture, sde)?;
        let x = like(&model, ROWS).normals_like(Key::root(1), 0)?;
        let v = x.normals_like(Key::root(2), 0)?;
        let (t, d) = (0.35, model.dim());
        let axis = |j: usize| {
            let mut unit = vec![0.0; ROWS * d];
            unit.iter_mut().skip(j).step_by(d).for_each(|u| *u = 1.0);
            Tensor::from_vec(unit, x.dims(), &Device::Cpu).expect("fits")
        };
        let axes: Vec<Tensor> = (0..d).map(axis).collect();
        let labels = Tensor::new(&[2_u32, 0, 1], &Device::Cpu)?;
        let labels = (classes > 0).then_some(labels);
        let condition = Condition { labels: labels.clone(), training: None };
        let along = residual_along(&model, &x, &[t; ROWS], &v, &axes, &condition)?;
        let zero = residual_along(&model, &x, &[t; ROWS], &v, &[x.zeros_like()?], &condition)?;
        // What does not hold a probe is in every one of them.
        let plain = host(&zero[0]);
        let mut sum = plain.clone();
        for one in &along {
            sum.iter_mut()
                .zip(host(one))
                .zip(&plain)
                .for_each(|((sum, one), plain)| *sum += one - plain);
        }
        let given = model.with_labels(labels.as_ref())?;
        let found = by_differences(&given, model.sde(), &x, t, &v);
        check(&architecture, &sum, &found, 1e-6);
    }
    Ok(())
}

/// The mean over many probes is the square of the residual: no bias.
#[test]
fn the_square_is_without_bias() -> Outcome {
    let model = model(&table(2), "vp")?;
    let penalty = ProbedPenalty::new(Arc::new(DataSet::Checker), 40).t_min(0.05);
    let n = 400;
    let draws: Vec<f64> = (0..n)
        .map(|k| Ok(host(&penalty.graph(&model, Key::root(8).fold(k), 0..40)?)[0]))
        .collect::<Result<_, score_nets::Error>>()?;
    // The same mean with the whole residual at points of other keys.
    let mut exact = Vec::new();
    for k in 0..60 {
        exact.push(whole(&model, Key::root(9).fold(k), 40)?);
    }
    let moments = |v: &[f64]| {
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    };
    let ((a, va), (b, vb)) = (moments(&draws), moments(&exact));
    let error = (a - b) / (va + vb).sqrt();
    assert!(error.abs() < 4.89, "{a} against {b}: {error} standard errors");
    Ok(())
}

/// The mean of `|r|^2` over points drawn as the penalty draws them, with all unit vectors.
fn whole(model: &ScoreModel, key: Key, n: usize) -> Result<f64, score_nets::Error> {
    let (mut u, mut z) = (vec![0.0; n], vec![0.0; 2 * n]);
    key.fold(1).fill_uniforms(0, &mut u);
    key.fold(2).fill_normals(0, &mut z);
    let mut x: Vec<f64> = DataSet::Checker.sample(key.fold(0), 0, n).iter().copied().collect();
    let t: Vec<f64> = u.iter().map(|u| 0.05 + 0.95 * u).collect();
    for (i, x) in x.iter_mut().enumerate() {
        let m = model.sde().marginal(t[i / 2]);
        *x = m.alpha * *x + m.sigma * z[i];
    }
    let x = Tensor::from_vec(x, (n, 2), &Device::Cpu)?;
    let axis = |j: usize| {
        let unit = (0..2 * n).map(|i| f64::from(u8::from(i % 2 == j)));
        Tensor::from_vec(unit.collect::<Vec<f64>>(), (n, 2), &Device::Cpu)
    };
    let axes = [axis(0)?, axis(1)?];
    let none = Condition::default();
    let mut sum = 0.0;
    for v in &axes {
        let along = residual_along(model, &x, &t, v, &axes, &none)?;
        let plain = residual_along(model, &x, &t, v, &[x.zeros_like()?], &none)?;
        let r = ((&along[0] + &along[1])? - &plain[0])?;
        sum += host(&r).iter().map(|r| r * r).sum::<f64>();
    }
    Ok(sum / n as f64)
}

/// Rows of noise with classes.
struct Classes;

impl DataSource for Classes {
    fn dim(&self) -> usize {
        16
    }

    fn fill(&self, key: Key, first: u64, out: &mut [f64]) -> score_nets::Result<()> {
        key.fill_normals(16 * first, out);
        Ok(())
    }

    fn n_classes(&self) -> usize {
        3
    }

    fn fill_labels(&self, _: Key, first: u64, out: &mut [u32]) -> score_nets::Result<()> {
        out.iter_mut().zip(first..).for_each(|(label, row)| *label = (row % 3) as u32);
        Ok(())
    }
}

/// Each row is told its class, or none, and counts what the weight of its time says; parts of a batch add up to it.
#[test]
fn classes_and_weights_are_those_of_the_rows() -> Outcome {
    let model = model(&image(3), "edm")?;
    let (n, key) = (6, Key::root(21));
    let noising = Noising { t_min: 0.05, ..Noising::new(Arc::new(Classes), n) };
    let noised = noising.rows(model.sde(), key, 0..n as u64)?;
    let x = Tensor::from_vec(noised.x, (n, 1, 4, 4), &Device::Cpu)?;
    let told = Tensor::new(&[0_u32, 1, 2, 0, 1, 2], &Device::Cpu)?;
    let mut means = Vec::new();
    for (share, labels) in [(0.0, Some(told)), (1.0, None)] {
        let condition = Condition { labels, training: None };
        let squares = host(&squared_residual(&model, &x, &noised.t, (key, 0), &condition)?);
        let mean = squares.iter().zip(&noised.t).map(|(r, t)| r * t.powi(6)).sum::<f64>() / 6.0;
        let penalty = ProbedPenalty::new(Arc::new(Classes), n).t_min(0.05).label_dropout(share);
        let penalty = penalty.time_weight(TimeWeight::Denoiser);
        let whole = host(&penalty.graph(&model, key, 0..n as u64)?)[0];
        let parts = [0..2, 2..6].map(|rows| host(&penalty.graph(&model, key, rows).unwrap())[0]);
        check("mean", &[whole, parts.iter().sum()], &[mean, mean], 1e-9);
        means.push(mean);
    }
    assert!((means[0] - means[1]).abs() > 1e-3 * means[0].abs(), "classes matter: {means:?}");
    Ok(())
}

/// Of a linear score `s = -p(t) x`, whose residual is known, the weight makes the square of the drift of the expected
/// data along the reverse SDE, in a unit of `log(alpha / sigma)`.
#[test]
fn the_weight_of_the_denoiser_is_the_drift_of_the_expected_data() -> Outcome {
    let vp = Vp::default();
    for t in [0.02, 0.3, 0.9] {
        let p = |t: f64| 1.3 + 0.4 * t;
        let (a, g2) = (vp.drift_coef(t), vp.diffusion_squared(t));
        // d_t s - grad[(g^2/2) (div s + |s|^2) - a x . s] of x = 1.
        let residual = -0.4 - g2 * p(t).powi(2) - 2.0 * a * p(t);
        let data = |t: f64| {
            let m = vp.marginal(t);
            (1.0 - m.sigma.powi(2) * p(t)) / m.alpha
        };
        let rate = slope(1e-4, |h| vec![data(t + h)])[0];
        // Backward in time: dx = (-a x + g^2 s) dtau + g dW.
        let drift = -rate + (-a - g2 * p(t)) * data(t);
        let unit = slope(1e-4, |h| vec![vp.half_log_snr(t - h)])[0];
        let weight = TimeWeight::Denoiser.at(&vp, &[t])?[0];
        check("drift", &[weight * residual.powi(2)], &[(drift / unit).powi(2)], 1e-7);
    }
    Ok(())
}

/// One backward pass reaches every parameter, with the gradient of differences.
#[test]
fn the_penalty_has_parameter_gradients() -> Outcome {
    let model = model(&table(2), "vp")?;
    let penalty = ProbedPenalty::new(Arc::new(DataSet::Checker), 6).t_min(0.05);
    let (_, gradients) = penalty.of_batch(&model, 0, Key::root(5))?;
    for (name, parameter) in model.parameters().iter() {
        let found = host(gradients.get(model.parameters(), name).expect("has one"));
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
            host(&penalty.graph(&model, Key::root(5), 0..6).unwrap())
        });
        set(&values);
        let scale = found.iter().fold(1e-6_f64, |m, g| m.max(g.abs()));
        assert!(
            (found[at] - difference[0]).abs() < 1e-6 * scale,
            "{name}: {} {difference:?}",
            found[at]
        );
    }
    let jet = model.jet(
        Quantity::Score,
        &Jet::constant(like(&model, 1)),
        &[0.5],
        None,
        &Condition::default(),
    )?;
    assert!(jet.is_constant());
    Ok(())
}
