//! A network in its preconditioning: the expected data, `D(x; t) = c_skip x + c_out F(c_in x; c_noise)`.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use score_nets::{Backend, Condition, Error, Jet, Network, Result};
use sde_core::{Level, Parametrisation, Preconditioning, Sde};

/// The denoised point as a network of the noised one and its time.
pub(crate) struct Denoiser {
    /// The network `F`.
    pub(crate) net: Box<dyn Network>,
    /// The process whose time it is.
    pub(crate) sde: Arc<dyn Sde>,
    /// What the network is given.
    pub(crate) preconditioning: Preconditioning,
    /// What it gives back; channels beyond those of the point are read by nobody.
    pub(crate) output: Parametrisation,
}

impl Denoiser {
    /// `c_in`, `c_skip`, `c_out`, `c_noise`, each with its derivative in time.
    fn coefficients(&self, t: f64) -> [(f64, f64); 4] {
        let (sde, Preconditioning { input, label }) = (&*self.sde, &self.preconditioning);
        let level = Level::at(sde, t);
        let (c, dc) = (self.output.denoised(&level), self.output.denoised_rate(&level));
        [
            (input.at(&level), input.rate(&level)),
            (c.x, dc.x),
            (c.p, dc.p),
            (label.at(sde, t), label.rate(sde, t)),
        ]
    }
}

impl Network for Denoiser {
    fn row_shape(&self) -> Vec<usize> {
        self.net.row_shape()
    }

    fn n_classes(&self) -> usize {
        self.net.n_classes()
    }

    fn forward(&self, x: &Jet, t: &Jet, condition: &Condition) -> Result<Jet> {
        let times = t.value.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let known: Vec<_> = times.iter().map(|t| self.coefficients(*t)).collect();
        let each = |i: usize| function(t, &known.iter().map(|k| k[i]).collect::<Vec<_>>());
        let mut column = vec![1; x.value.rank()];
        column[0] = times.len();
        let scale = |i| each(i)?.map(|c: &Tensor| Ok(c.reshape(column.as_slice())?));
        let output = self.net.forward(&x.mul(&scale(0)?)?, &each(3)?, condition)?;
        let channels = x.value.dim(1)?;
        let output = output.map(|y| Ok(y.narrow(1, 0, channels)?))?;
        x.mul(&scale(1)?)?.add(&output.mul(&scale(2)?)?)
    }

    fn buffers(&self) -> Vec<String> {
        self.net.buffers()
    }

    fn without_gradient(&self) -> Vec<(String, &'static str)> {
        self.net.without_gradient()
    }
}

/// A function of the times by its values and derivatives there; a backward pass goes through it.
fn function(t: &Jet, known: &[(f64, f64)]) -> Result<Jet> {
    let backend = Backend::new(t.value.device().clone(), t.value.dtype())?;
    let (value, rate): (Vec<f64>, Vec<f64>) = known.iter().copied().unzip();
    let n = known.len();
    let (value, rate) = (backend.tensor(value, &[n])?, backend.tensor(rate, &[n])?);
    let value = match t.value.track_op() {
        false => value,
        // Plus zero, with the derivative of the function.
        true => (value + ((&t.value - t.value.detach())? * &rate)?)?,
    };
    let curvature = || {
        let needs = "first derivatives alone in its time".into();
        Err(Error::Unsupported { what: "a preconditioned network", needs })
    };
    t.apply(value, || Ok(rate.clone()), curvature)
}
