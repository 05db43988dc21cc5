//! What every method costs by itself: solves with a score that costs nothing, a time for each of its
//! evaluations, beside one evaluation of the published network.

use std::rc::Rc;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use sde_core::{Key, Reverse, Score, State, TimeGrid, Vp};
use serde_json::json;
use solvers::{Grid, IndependentIncrements, Method, solve};

use super::published::{Work, weights};
use crate::cli::Options;
use crate::workload::{Item, Ours, Task, Unit, Workload};

/// Particles in the one state.
const PARTICLES: usize = 10_000;
/// Steps a solve: enough for every history, and for methods in discrete time.
const STEPS: usize = 40;

/// The score of a standard normal up to its sign, which is free: it returns its argument.
struct Free;

impl Score<Tensor> for Free {
    fn score(&self, x: &Tensor, _: f64) -> sde_core::Result<Tensor> {
        Ok(x.clone())
    }
}

/// Every method without noise and, where it takes noise, with it.
pub(crate) fn workload(options: &Options) -> Result<Workload> {
    let net = Work::new(options.model.as_deref())?.net;
    let zero = Tensor::zeros((PARTICLES, 2), DType::F32, &Device::Cpu)?;
    let x = zero.normals_like(Key::root(2), 0)?;
    let noisy = |method: &Method| method.stochastic() && !method.own_noise();
    let items = Method::ALL.iter().flat_map(|method| {
        let eta_1 = noisy(method).then(|| format!("{}:eta=1", method.name()));
        [Some(method.name().to_owned()), eta_1].into_iter().flatten()
    });
    let items = items.map(|key| Item::new(key, Unit::Us)).collect();
    let input = x.clone();
    let network = Ours::new("network", "network", move |_| {
        let (net, x) = (Rc::clone(&net), input.clone());
        let task = Task::new(move || Ok(net.score(&x, 1.0)?));
        Ok(Some(Task { repeat_for: 0.0, ..task }))
    });
    let method = Ours::new("", "method", move |item| method(item, &x).map(Some));
    let mut workload = Workload::new(items, vec![network, method]);
    workload.facts.insert("weights".into(), weights(options));
    workload.facts.insert("particles".into(), json!(PARTICLES.to_string()));
    Ok(workload)
}

/// Solves with the method of an item; a piece is one evaluation of the score.
fn method(item: &str, x: &Tensor) -> Result<Task> {
    let (name, eta) = match item.strip_suffix(":eta=1") {
        Some(name) => (name, 1.0),
        None => (item, 0.0),
    };
    let method = *Method::ALL.iter().find(|method| method.name() == name).context("no method")?;
    let x = x.clone();
    let run = move || {
        // A gentle process: backward in time the free score is unstable, and discrete steps need room.
        let vp = Vp::new(0.1, 2.0)?;
        let problem = Reverse::new(&vp, &Free, eta)?;
        let times = TimeGrid::Uniform.times(&vp, STEPS, 1.0, 0.05)?;
        let stepper = method.stepper_on(&times);
        let (mut grid, noise) = (Grid::new(times)?, IndependentIncrements::new(Key::root(1), 0));
        Ok(solve(&*stepper, &problem, x.clone(), 1.0, &mut grid, &noise, &mut ())?.stats.nfe)
    };
    let pieces = run()? as f64;
    Ok(Task { pieces, repeat_for: 0.0, ..Task::new(run) })
}
