//! The learned log-variance of the loss, as in EDM2.

use std::f64::consts::{SQRT_2, TAU};

use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::{Backend, Result};

/// [`log_variance`] and its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogVariance {
    /// `e^-u L + u`.
    pub value: f64,
    /// Its derivative in `L`: what the loss's own gradient is multiplied by.
    pub by_loss: f64,
    /// Its derivative in `u`.
    pub by_u: f64,
}

/// The loss `e^-u L + u` of a weighted loss `L` at one noise level and a number `u` that is trained
/// with it, a function of the noise level alone. Its minimum over `u` is at `u = log L`, so that every
/// noise level ends with a gradient of the same size.
///
/// # Reference
/// Kendall, Gal, Cipolla 2018, arXiv 1705.07115; Karras et al. 2024, arXiv 2312.02696, equation 14.
///
/// ```
/// use score_nets::log_variance;
/// let at_best = log_variance(3.0, 3.0_f64.ln());
/// assert!(at_best.by_u.abs() < 1e-15 && (at_best.by_loss * 3.0 - 1.0).abs() < 1e-15);
/// ```
pub fn log_variance(loss: f64, u: f64) -> LogVariance {
    let by_loss = (-u).exp();
    LogVariance { value: by_loss * loss + u, by_loss, by_u: 1.0 - by_loss * loss }
}

/// The number `u` as a function of the noise level: Fourier features of `c = log(sigma / alpha) / 4`, EDM's `c_noise`,
/// and a linear map without bias,
///
/// `u(c) = sum_k w_k sqrt(2 / K) cos(2 pi (f_k c + phi_k))`, `f_k ~ N(0, 1)`, `phi_k ~ U(0, 1)` fixed, `w` trained from
/// zero, where the loss is the plain one.
#[derive(Clone, Debug)]
pub(crate) struct LogVarianceHead {
    /// `2 pi f` and `2 pi phi`, `[K]`.
    frequencies: Tensor,
    phases: Tensor,
    /// `[K]`
    weight: Tensor,
}

/// Beyond e^80 on either side of 1, noise levels are no longer told apart.
const LIMIT: f64 = 80.0;

impl LogVarianceHead {
    /// The names of its tensors that are not trained.
    pub(crate) const BUFFERS: [&str; 2] = ["frequencies", "phases"];

    /// The head with `features` features.
    pub(crate) fn new(features: usize, vb: &VarBuilder<'static>) -> Result<Self> {
        let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
        let fixed = |name: &str, init: Init| -> Result<Tensor> {
            Ok((vb.get_with_hints(features, name, init)?.detach() * TAU)?)
        };
        Ok(Self {
            frequencies: fixed(Self::BUFFERS[0], normal)?,
            phases: fixed(Self::BUFFERS[1], Init::Uniform { lo: 0.0, up: 1.0 })?,
            weight: vb.get_with_hints(features, "weight", Init::Const(0.0))?,
        })
    }

    /// `u` at rows with these `log(sigma / alpha)`, `[B]`.
    pub(crate) fn at(&self, log_ratios: &[f64]) -> Result<Tensor> {
        let (rows, features) = (log_ratios.len(), self.weight.elem_count());
        let c = log_ratios.iter().map(|l| 0.25 * l.clamp(-LIMIT, LIMIT)).collect();
        // Angles of hundreds of radians are too much for half precision.
        let dtype = if self.weight.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let backend = Backend::new(self.weight.device().clone(), dtype)?;
        let [frequencies, phases] = [&self.frequencies, &self.phases].map(|t| t.to_dtype(dtype));
        let angles = backend.tensor(c, &[rows, 1])?.broadcast_mul(&frequencies?)?;
        let waves = angles.broadcast_add(&phases?)?.cos()?.to_dtype(self.weight.dtype())?;
        let weight = (self.weight.unsqueeze(1)? * (SQRT_2 / (features as f64).sqrt()))?;
        Ok(waves.matmul(&weight)?.squeeze(1)?)
    }
}
