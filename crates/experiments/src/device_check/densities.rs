//! Sampling, and densities along the flow.

use anyhow::{Context, Result};
use sde_core::{Probe, State, TimeGrid};
use solvers::density::{Divergence, FlowDensity, flow_log_density, standard_log_prior};
use solvers::{Control, End, Method, Sampler, sample};

use super::networks::{configs, open};
use super::{Found, Place, host};

const PARTICLES: u64 = 300;
const STEPS: usize = 25;
const T_END: f64 = 0.02;

/// What three samplers draw: noise in every step, two evaluations a step, several steps remembered.
pub(super) fn samples(place: &Place) -> Result<Vec<Found>> {
    let methods = [
        (Method::EulerMaruyama, 1.0, End::NoNoise),
        (Method::Heun, 0.0, End::Plain),
        (Method::parse("dpm-solver++-2m")?, 0.0, End::Denoise),
    ];
    let mut all = Vec::new();
    for (name, config) in configs() {
        let net = open(&config, place)?;
        let like = place.tensor(&vec![0.0; net.dim()], net.dim())?;
        let horizon = net.sde().horizon();
        let times = TimeGrid::Uniform.times(net.sde(), STEPS, horizon, T_END * horizon)?;
        for (method, eta, end) in methods {
            let sampler = Sampler {
                method,
                eta,
                control: Control::Grid(times.clone()),
                end,
                block_rows: if place.reference { 64 } else { place.backend.block_rows() },
            };
            let mut drawn = Vec::new();
            let key = sde_core::Key::root(21);
            sample(&sampler, net.sde(), &net, PARTICLES, key, &like, &mut |_, x| {
                drawn.extend(host(&x)?);
                Ok::<(), anyhow::Error>(())
            })?;
            all.push(Found::new(format!("{}, {name}", method.name()), 200.0, drawn));
        }
    }
    Ok(all)
}

/// Log-densities along the probability-flow ODE, with exact divergences and with probes.
pub(super) fn log_densities(place: &Place) -> Result<Vec<Found>> {
    let (_, config) = configs().pop().context("a network")?;
    let net = open(&config, place)?;
    let (sde, rows) = (net.sde(), 64);
    let x = place.tensor(&vec![0.0; rows * net.dim()], net.dim())?;
    let x = x.normals_like(sde_core::Key::root(22), 0)?;
    let mut times = TimeGrid::Uniform.times(sde, STEPS, sde.horizon(), T_END * sde.horizon())?;
    times.reverse();
    let divergences = [
        ("exact divergence", Divergence::Exact),
        ("probes", Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: 4 }),
    ];
    let mut all = Vec::new();
    for (name, divergence) in divergences {
        let control = Control::Grid(times.clone());
        let flow = FlowDensity { divergence, control, block_rows: place.backend.block_rows() };
        let prior = |x: &candle_core::Tensor| standard_log_prior(sde, x);
        let key = sde_core::Key::root(23);
        let found = flow_log_density(&flow, sde, &net, &x, &prior, key, 0)?;
        all.push(Found::new(name, 200.0, found.log_density));
        all.push(Found::new(format!("latents, {name}"), 200.0, host(&found.latent)?));
    }
    Ok(all)
}
