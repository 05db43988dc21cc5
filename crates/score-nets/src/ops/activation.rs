//! Activations and their derivatives.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, is_row, setting, sum_of_rows};
use crate::fused::pointwise::Derivative;
use crate::{Activation, Result};
use candle_core::Tensor;

/// The highest derivative that has a gradient.
const HIGHEST: usize = 3;

/// `a^(order)(z)`, number by number: the activation (`order` 0) or one of its first three derivatives.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for a higher derivative,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use score_nets::{Activation, ops::activation};
///
/// let z = Tensor::new(&[0.5], &Device::Cpu)?;
/// let slope = activation(&z, Activation::Tanh, 1)?.to_vec1::<f64>()?[0];
/// assert!((slope - (1.0 - 0.5_f64.tanh().powi(2))).abs() < 1e-15);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn activation(z: &Tensor, activation: Activation, order: usize) -> Result<Tensor> {
    check_kind("activation", &[z])?;
    let of = Of::new(activation, order)?;
    let y = of.value(&z.detach())?;
    record(y, &[z], of)
}

/// `a^(order)(z) g`, number by number: what is carried through an activation, forward or backward.
///
/// # Shapes
/// `z` and `g` have one shape, or one that broadcasts to it.
///
/// # Errors
/// As [`activation`]; whatever candle fails with when the shapes do not fit.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use score_nets::{Activation, ops::activation_times};
///
/// let z = Tensor::new(&[[0.0], [1.0]], &Device::Cpu)?;
/// let g = Tensor::new(&[[2.0, 3.0]], &Device::Cpu)?; // a row for both
/// let y = activation_times(&z, &g, Activation::Sin, 1)?.to_vec2::<f64>()?;
/// assert_eq!(y, [[2.0, 3.0], [2.0 * 1_f64.cos(), 3.0 * 1_f64.cos()]]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn activation_times(
    z: &Tensor,
    g: &Tensor,
    activation: Activation,
    order: usize,
) -> Result<Tensor> {
    check_kind("activation_times", &[z, g])?;
    let of = Of::new(activation, order)?;
    let shape = z.shape().broadcast_shape_binary_op(g.shape(), "activation_times")?;
    let whole = |x: &Tensor| -> Result<Tensor> {
        Ok(if x.shape() == &shape { x.clone() } else { x.broadcast_as(&shape)?.contiguous()? })
    };
    let z = whole(z)?;
    let g = if is_row(g, shape.dims()) { g.clone() } else { whole(g)? };
    let y = of.times(&z.detach(), &g.detach())?;
    record(y, &[&z, &g], Times(of))
}

/// A derivative of an activation.
#[derive(Clone, Copy)]
struct Of {
    activation: Activation,
    order: usize,
}

impl Of {
    fn new(activation: Activation, order: usize) -> Result<Self> {
        if order > HIGHEST {
            let reason = format!("expected 0 to {HIGHEST}");
            return Err(setting("derivative of an activation", order, reason));
        }
        Ok(Self { activation, order })
    }

    /// The next derivative.
    fn next(self) -> Self {
        Self { order: self.order + 1, ..self }
    }

    fn kernel(self) -> Derivative {
        Derivative { activation: self.activation.fused(), order: self.order }
    }

    fn by_candle(self, z: &Tensor) -> Result<Tensor> {
        self.activation.at(z)?.derivative(self.order)
    }

    fn value(self, z: &Tensor) -> Result<Found> {
        let Some(isa) = host::kernels(z) else {
            return Ok(Found::Tensor(self.by_candle(z)?));
        };
        let z = z.contiguous()?;
        Ok(Found::host(self.kernel().of(isa, &Values::of(&z)?), z.dims()))
    }

    fn times(self, z: &Tensor, g: &Tensor) -> Result<Found> {
        let Some(isa) = host::kernels(z) else {
            return Ok(Found::Tensor(self.by_candle(z)?.broadcast_mul(g)?));
        };
        let (z, g) = (z.contiguous()?, g.contiguous()?);
        Ok(Found::host(self.kernel().times(isa, &Values::of(&z)?, &Values::of(&g)?), z.dims()))
    }

    /// The gradients of [`Of::times`] in `z` and, before any sum over rows, in `g`.
    fn gradients(self, z: &Tensor, g: &Tensor, dy: &Tensor) -> Result<[Tensor; 2]> {
        let Some(isa) = host::kernels(z) else {
            let dz = self.next().by_candle(z)?.broadcast_mul(g)?;
            return Ok([(dz * dy)?, (self.by_candle(z)? * dy)?]);
        };
        let (z, g, dy) = (z.contiguous()?, g.contiguous()?, dy.contiguous()?);
        let (dz, dg) =
            self.kernel().gradients(isa, &Values::of(&z)?, &Values::of(&g)?, &Values::of(&dy)?);
        Ok([host::tensor(dz, z.dims())?, host::tensor(dg, z.dims())?])
    }
}

impl Backward for Of {
    const NAME: &'static str = "activation";

    fn backward(&self, args: &[Tensor], _: &[bool], dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(self.next().times(&args[0], dy)?.tensor()?)])
    }
}

struct Times(Of);

impl Backward for Times {
    const NAME: &'static str = "activation_times";

    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (z, g) = (&args[0], &args[1]);
        let (dz, dg) = if wanted[0] {
            let [dz, dg] = self.0.gradients(z, g, dy)?;
            (Some(dz), dg)
        } else {
            (None, self.0.times(z, dy)?.tensor()?)
        };
        Ok(vec![dz, wanted[1].then(|| sum_of_rows(dg, g)).transpose()?])
    }
}
