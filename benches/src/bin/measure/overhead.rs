//! `overhead`: what every method costs by itself, on a score that costs nothing, beside one
//! evaluation of the published network.

use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use sde_core::{Key, Reverse, Score, State, TimeGrid, Vp};
use serde_json::{Map, Value, json};
use solvers::{Grid, IndependentIncrements, Method, solve};

use crate::cli::Options;
use crate::machine::Machine;
use crate::table::markdown;
use crate::timing::Spread;
use crate::work::Work;

/// Particles in the one state.
const PARTICLES: usize = 10_000;
/// Steps a solve: enough for every history, and for methods in discrete time.
const STEPS: usize = 40;

/// The score of a standard normal, which costs one pass less than any: it hands its input back.
struct Free;

impl Score<Tensor> for Free {
    fn score(&self, x: &Tensor, _: f64) -> sde_core::Result<Tensor> {
        Ok(x.clone())
    }
}

/// Seconds of a solve an evaluation, without noise and with it where the method takes noise.
fn time(method: Method, eta: f64, x: &Tensor) -> Result<f64> {
    // A gentle process: backward in time the free score is unstable, and discrete steps need room.
    let vp = Vp::new(0.1, 2.0)?;
    let problem = Reverse::new(&vp, &Free, eta)?;
    let times = TimeGrid::Uniform.times(&vp, STEPS, 1.0, 0.05)?;
    let stepper = method.stepper_on(&times);
    let mut grid = Grid::new(times)?;
    let noise = IndependentIncrements::new(Key::root(1), 0);
    let start = Instant::now();
    let done = solve(&*stepper, &problem, x.clone(), 1.0, &mut grid, &noise, &mut ());
    let seconds = start.elapsed().as_secs_f64();
    let done = done.with_context(|| format!("{} on a free score", method.name()))?;
    Ok(seconds / done.stats.nfe as f64)
}

/// Times one evaluation of the network and all methods, in turn.
pub(crate) fn run(options: &Options) -> Result<()> {
    options.refuse_quiet("overhead")?;
    options.start()?;
    let work = Work::new(options.model.as_deref())?;
    let zero = Tensor::zeros((PARTICLES, 2), candle_core::DType::F32, &Device::Cpu)?;
    let x = zero.normals_like(Key::root(2), 0)?;
    let kinds = |method: &Method| {
        let noisy = method.stochastic() || method.own_noise();
        [Some((*method, 0.0)), (noisy && !method.own_noise()).then_some((*method, 1.0))]
    };
    let items: Vec<(Method, f64)> = Method::ALL.iter().flat_map(kinds).flatten().collect();
    let (mut network, mut own) = (vec![], vec![vec![]; items.len()]);
    for round in 0..=options.rounds {
        eprintln!("{}", if round == 0 { "warm-up".into() } else { format!("round {round}") });
        for ((method, eta), times) in items.iter().zip(&mut own) {
            let start = Instant::now();
            work.net.score(&x, 1.0)?;
            let evaluation = start.elapsed().as_secs_f64();
            let seconds = time(*method, *eta, &x)?;
            if round > 0 {
                network.push(evaluation);
                times.push(seconds);
            }
        }
    }
    let evaluation = Spread::of(network.iter().copied());
    let heading = ["method", "eta", "us an evaluation", "of the network's, %"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut found = Map::new();
    for ((method, eta), times) in items.iter().zip(&own) {
        let median = Spread::of(times.iter().copied()).median;
        let share = median / evaluation.median;
        let cells = [format!("{:.1}", 1e6 * median), format!("{:.2}", 100.0 * share)];
        rows.push([method.name().to_owned(), eta.to_string()].into_iter().chain(cells).collect());
        found.insert(
            format!("{} eta={eta}", method.name()),
            json!({"us": 1e6 * median, "share": share}),
        );
    }
    let machine = Machine::here();
    let text = format!(
        "{}; {} rounds; one evaluation of the published network at {PARTICLES} particles: {:.3} ms \
         ({:.3} to {:.3})\n\n{}",
        machine.in_words(options.threads),
        options.rounds,
        1e3 * evaluation.median,
        1e3 * evaluation.q1,
        1e3 * evaluation.q3,
        markdown(&rows)
    );
    let json = json!({
        "machine": machine, "threads": options.threads, "rounds": options.rounds,
        "particles": PARTICLES, "evaluation_ms": 1e3 * evaluation.median,
        "methods": Value::Object(found),
    });
    options.print(&json, &text)
}
