//! Gradients by parameter.

use candle_core::{DType, Tensor, backprop::GradStore};

use crate::{Error, Parameters, Result};

/// The gradient of a number by every trained parameter, in the order of [`Parameters::iter`]; `None` where the
/// number does not depend on a parameter.
///
/// ```
/// use score_nets::{Backend, Gradients, Parameters};
/// use sde_core::Key;
/// let parameters = Parameters::initial(Key::root(1), &Backend::cpu_f64(), |vb| {
///     vb.get_with_hints(2, "w", candle_nn::Init::Const(3.0))?;
///     Ok(vec![])
/// })?;
/// let w = parameters.get("w").expect("was made above");
/// let gradients = Gradients::of(&w.sqr()?.sum_all()?, &parameters)?;
/// assert_eq!(gradients.get(&parameters, "w").expect("has one").to_vec1::<f64>()?, [6.0, 6.0]);
/// assert_eq!(gradients.norm()?, 72_f64.sqrt());
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gradients(pub(crate) Vec<Option<Tensor>>);

impl Gradients {
    /// No gradient of anything.
    pub fn none(parameters: &Parameters) -> Self {
        Self(vec![None; parameters.len()])
    }

    /// Given gradients, one a parameter.
    ///
    /// # Errors
    /// [`Error::Shape`] when their number or a shape does not fit.
    pub fn from_tensors(values: Vec<Option<Tensor>>, parameters: &Parameters) -> Result<Self> {
        if values.len() != parameters.len() {
            let (expected, found) = (vec![parameters.len()], vec![values.len()]);
            return Err(Error::Shape { what: "gradients".into(), expected, found });
        }
        for (value, (name, parameter)) in values.iter().zip(parameters.iter()) {
            if let Some(value) = value
                && value.dims() != parameter.dims()
            {
                let (expected, found) = (parameter.dims().to_vec(), value.dims().to_vec());
                return Err(Error::Shape {
                    what: format!("gradient of `{name}`"),
                    expected,
                    found,
                });
            }
        }
        Ok(Self(values))
    }

    /// The gradients of the scalar tensor `loss`.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn of(loss: &Tensor, parameters: &Parameters) -> Result<Self> {
        Ok(Self::from_store(&loss.backward()?, parameters))
    }

    /// The gradients that a backward pass of candle left.
    pub fn from_store(store: &GradStore, parameters: &Parameters) -> Self {
        Self(parameters.iter().map(|(_, p)| store.get(p).map(Tensor::detach)).collect())
    }

    /// The gradient by the parameter `name`.
    pub fn get(&self, parameters: &Parameters, name: &str) -> Option<&Tensor> {
        self.0[parameters.place(name)?].as_ref()
    }

    /// The gradients in the order of [`Parameters::iter`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&Tensor>> {
        self.0.iter().map(Option::as_ref)
    }

    /// Adds `weight` times `other`.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn add(&mut self, weight: f64, other: &Self) -> Result<()> {
        for (sum, g) in self.0.iter_mut().zip(&other.0) {
            let Some(g) = g else { continue };
            let g = if weight == 1.0 { g.clone() } else { (g * weight)? };
            *sum = Some(match sum.take() {
                None => g,
                Some(s) => (s + g)?,
            });
        }
        Ok(())
    }

    /// Multiplies every gradient by `factor`.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        for g in self.0.iter_mut().flatten() {
            *g = (&*g * factor)?;
        }
        Ok(())
    }

    /// The Euclidean norm over all parameters.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn norm(&self) -> Result<f64> {
        let square = |g: &Tensor| g.sqr()?.sum_all()?.to_dtype(DType::F64);
        let squares =
            self.0.iter().flatten().map(square).collect::<candle_core::Result<Vec<_>>>()?;
        if squares.is_empty() {
            return Ok(0.0);
        }
        // The host waits for the device once.
        let squares = Tensor::stack(&squares, 0)?.to_vec1::<f64>()?;
        Ok(squares.iter().sum::<f64>().sqrt())
    }
}
