//! Networks: scores, their derivatives, losses and gradients, residuals.

use anyhow::Result;
use candle_core::{DType, Tensor};
use fp_residual::{
    CollocationPoints, network_residual, residual_loss_and_grad, score_form_residual,
};
use score_nets::{
    Activation, Base, Gradients, NetConfig, Output, ScoreBatch, ScoreNet, TimeEmbedding,
};
use sde_core::{Key, Potential, Score, ScoreJvp};

use super::{Found, Place, host};

// Tolerances are twice what the tests of the kernels hold single precision to against double: 42
// roundings for a score, 84 for its derivatives and the gradients of score matching, 420 for those of
// operators of second order; each side has errors of its own.

/// More rows than a block of the fused kernels holds, and some left over.
const ROWS: usize = 403;

/// Networks that between them have both outputs, a base, an embedding of time and every activation but
/// the sine.
pub(super) fn configs() -> Vec<(&'static str, NetConfig)> {
    let base = NetConfig::with_gaussian_base(2, vec![32, 32], Activation::Tanh, 1.3, "ou");
    let score = NetConfig {
        dim: 3,
        hidden: vec![48, 48],
        activation: Activation::Silu,
        embedding: TimeEmbedding::Fourier { bands: 4, max_frequency: 8.0 },
        output: Output::Score,
        base: Base::None,
        sde: "vp".into(),
        ..base.clone()
    };
    vec![("published", NetConfig::published()), ("gaussian base", base), ("vector score", score)]
}

/// A network under a fixed key: the same weights on both sides.
pub(super) fn open(config: &NetConfig, place: &Place) -> Result<ScoreNet> {
    let backend = &place.backend;
    let net = ScoreNet::new(config.clone(), Key::root(7), backend.dtype(), backend.device())?;
    Ok(net.with_kernels(place.kernels)?)
}

/// Points with their times and what a loss asks of them, in numbers that `f32` holds.
pub(super) fn batch(net: &ScoreNet) -> ScoreBatch {
    let d = net.dim();
    let normals = |seed: u64| -> Vec<f64> {
        let mut single = vec![0.0_f32; ROWS * d];
        Key::root(seed).fill_normals_f32(0, &mut single);
        single.into_iter().map(f64::from).collect()
    };
    let horizon = net.sde().horizon();
    let t = (0..ROWS).map(|i| horizon * (0.02 + 0.97 * i as f64 / ROWS as f64)).collect();
    let weight = (0..ROWS).map(|i| 0.5 + (i % 3) as f64).collect();
    ScoreBatch { x: normals(11), t, target: normals(12), weight }
}

/// What `run` finds of every network, under its name.
fn of_all(
    place: &Place,
    only: Option<Output>,
    run: impl Fn(&ScoreNet, &Place) -> Result<Vec<Found>>,
) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for (name, config) in configs() {
        if only.is_none_or(|output| output == config.output) {
            for found in run(&open(&config, place)?, place)? {
                all.push(Found { name: format!("{}, {name}", found.name), ..found });
            }
        }
    }
    Ok(all)
}

/// Scores, derivatives along directions, divergences.
pub(super) fn scores(place: &Place) -> Result<Vec<Found>> {
    of_all(place, None, |net, place| {
        let batch = batch(net);
        let (d, t) = (net.dim(), batch.t[ROWS / 3]);
        let (x, v) = (place.tensor(&batch.x, d)?, place.tensor(&batch.target, d)?);
        let (score, jvp) = net.score_jvp(&x, t, &v)?;
        Ok(vec![
            Found::new("score", 100.0, host(&net.score(&x, t)?)?),
            Found::new("score beside its derivative", 100.0, host(&score)?),
            Found::new("derivative along a direction", 200.0, host(&jvp)?),
            Found::new("divergence", 200.0, net.divergence(&x, t)?),
        ])
    })
}

/// Potential, its time derivative and Laplacian, rows at their own times.
pub(super) fn derivatives(place: &Place) -> Result<Vec<Found>> {
    of_all(place, Some(Output::Potential), |net, place| {
        let batch = batch(net);
        let d = net.derivatives(&place.tensor(&batch.x, net.dim())?, &batch.t)?;
        Ok(vec![
            Found::new("potential", 100.0, d.potential),
            Found::new("gradient", 100.0, host(&d.score)?),
            Found::new("time derivative", 100.0, d.d_t),
            Found::new("Laplacian", 200.0, d.laplacian),
        ])
    })
}

/// The loss of denoising score matching and its gradients.
pub(super) fn score_matching(place: &Place) -> Result<Vec<Found>> {
    of_all(place, None, |net, _| {
        let batch = batch(net);
        let (loss, grads) = net.score_loss_and_grad(&batch)?;
        Ok(vec![
            Found::new("loss", 200.0, vec![loss]),
            Found::new("loss alone", 200.0, vec![net.score_loss(&batch)?]),
            gradients(net, &grads, 200.0)?,
        ])
    })
}

/// Fokker-Planck residuals of potentials and of scores, the penalty and its gradients.
pub(super) fn residuals(place: &Place) -> Result<Vec<Found>> {
    let of_potentials = of_all(place, Some(Output::Potential), |net, _| {
        let ScoreBatch { x, t, weight, .. } = batch(net);
        let residual = network_residual(net, &x, &t)?;
        let (loss, grads) = residual_loss_and_grad(net, &CollocationPoints { x, t, weight })?;
        let mut found = vec![
            Found::new("penalty", 1000.0, vec![loss]),
            Found { name: "gradients of the penalty".into(), ..gradients(net, &grads, 1000.0)? },
        ];
        // Computed in f64 whatever the network's type: it says something in f64 only.
        if net.dtype() == DType::F64 {
            found.push(Found::new("residual", 1000.0, residual));
        }
        Ok(found)
    })?;
    let of_scores = of_all(place, None, |net, place| {
        let batch = batch(net);
        let x = place.tensor(&batch.x, net.dim())?;
        let residual = score_form_residual(net, &x, &batch.t)?;
        Ok(vec![Found::new("residual of the score", 1000.0, host(&residual)?)])
    })?;
    Ok([of_potentials, of_scores].concat())
}

/// The gradients of all parameters, each a part; zeros where there is none.
fn gradients(net: &ScoreNet, grads: &Gradients, roundings: f64) -> Result<Found> {
    let of = |(gradient, (_, parameter)): (Option<&Tensor>, (&str, &Tensor))| match gradient {
        Some(gradient) => host(gradient),
        None => Ok(vec![0.0; parameter.elem_count()]),
    };
    let parts = grads.iter().zip(net.parameters().iter()).map(of).collect::<Result<_>>()?;
    Ok(Found { name: "gradients".into(), parts, roundings })
}
