//! How long a train step and sampling take: the published network, as `measure` times it on the CPU.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use candle_core::Tensor;
use score_nets::{Backend, Dsm, NetConfig, ScoreNet};
use sde_core::analytic::DataSet;
use sde_core::{Key, TimeGrid};
use serde::Serialize;
use solvers::{Control, End, Method, Sampler, sample};

/// Rows of a train step.
const BATCH: usize = 20_000;
/// Particles that are sampled, and the steps of each.
const PARTICLES: u64 = 50_000;
const STEPS: usize = 200;
/// Of so many turns, the first not counted, the fastest is taken.
const TURNS: usize = 4;

/// Milliseconds on one device in `f32`.
#[derive(Clone, Debug, Serialize)]
pub struct Times {
    /// The device.
    pub device: String,
    /// Loss of score matching and gradients of all parameters on 20 000 rows.
    pub train_step_ms: f64,
    /// 50 000 particles through 200 steps of Euler-Maruyama.
    pub sampling_ms: f64,
}

/// Times the published network.
///
/// # Errors
/// Whatever the network fails with.
pub fn times(backend: &Backend) -> Result<Times> {
    let net =
        ScoreNet::new(NetConfig::published(), Key::root(1), backend.dtype(), backend.device())?;
    let batch = Dsm::published(Arc::new(DataSet::Blob), BATCH).batch(&net, Key::root(2))?;
    let step = || -> Result<()> {
        let (_, grads) = net.score_loss_and_grad(&batch)?;
        // The device is done when a gradient of the first layer is here.
        let first = grads.iter().flatten().next();
        first
            .map(|g| g.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>())
            .transpose()?;
        Ok(())
    };
    let times = TimeGrid::Uniform.times(net.sde(), STEPS, net.sde().horizon(), 1e-3)?;
    let sampler = Sampler {
        method: Method::EulerMaruyama,
        eta: 1.0,
        control: Control::Grid(times),
        end: End::Plain,
        block_rows: backend.block_rows(),
    };
    let like = Tensor::zeros((1, net.dim()), net.dtype(), net.device())?;
    let sampling = || -> Result<()> {
        sample(&sampler, net.sde(), &net, PARTICLES, Key::root(3), &like, &mut |_, x| {
            // To the host, as a user has it.
            super::host(&x).map(drop)
        })?;
        Ok(())
    };
    Ok(Times {
        device: backend.device_name(),
        train_step_ms: fastest(&step)?,
        sampling_ms: fastest(&sampling)?,
    })
}

/// The fastest of some turns, in milliseconds.
fn fastest(work: &dyn Fn() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for turn in 0..TURNS {
        let start = Instant::now();
        work()?;
        if turn > 0 {
            best = best.min(1e3 * start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}
