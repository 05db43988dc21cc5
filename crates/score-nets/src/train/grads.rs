//! Gradients by parameter, in the order of the network's variables.

use candle_core::{DType, Device, Tensor, backprop::GradStore};

use crate::{Error, Result, ScoreNet};

/// A sum of gradients, one slot a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Grads(pub(crate) Vec<Option<Tensor>>);

impl Grads {
    pub(crate) fn zero(net: &ScoreNet) -> Self {
        Self(vec![None; net.vars().len()])
    }

    /// Adds `weight` times the gradients of `store`.
    pub(crate) fn add(&mut self, net: &ScoreNet, weight: f64, store: &GradStore) -> Result<()> {
        for (sum, (_, var)) in self.0.iter_mut().zip(net.vars()) {
            let Some(g) = store.get(var.as_tensor()) else { continue };
            let g = if weight == 1.0 { g.clone() } else { (g * weight)? };
            *sum = Some(match sum.take() {
                None => g,
                Some(s) => (s + g)?,
            });
        }
        Ok(())
    }

    /// The gradients as candle's own store.
    pub(crate) fn into_store(self, net: &ScoreNet) -> Result<GradStore> {
        let mut store = empty_store()?;
        for (g, (_, var)) in self.0.into_iter().zip(net.vars()) {
            if let Some(g) = g {
                store.insert(var.as_tensor(), g);
            }
        }
        Ok(store)
    }

    /// The Euclidean norm over all parameters.
    pub(crate) fn norm(&self) -> Result<f64> {
        let mut sum = 0.0;
        for g in self.0.iter().flatten() {
            sum += g.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        }
        Ok(sum.sqrt())
    }

    /// Checks that nothing but the gauge constant went without a gradient.
    pub(crate) fn check_complete(&self, net: &ScoreNet) -> Result<()> {
        for (g, (name, _)) in self.0.iter().zip(net.vars()) {
            if g.is_none() && net.gauge_parameter() != Some(name) {
                return Err(Error::NoGradient { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// A store without gradients; candle has no public constructor for it.
pub(crate) fn empty_store() -> Result<GradStore> {
    let scalar = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let mut store = scalar.backward()?;
    store.remove(&scalar);
    Ok(store)
}
