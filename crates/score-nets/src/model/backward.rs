//! Vector-Jacobian products of the quantities of a model.

use candle_core::Tensor;

use super::{Quantity, ScoreModel, evaluate::Column};
use crate::{Condition, Error, Result, Vjp, check_inputs, vjp};

impl ScoreModel {
    /// A quantity of rows `x`, row `b` at time `t[b]`, and the products of a cotangent `v` with its derivatives in `x`
    /// and in the times (`c` of what is returned), by one backward pass through the network; detached.
    ///
    /// For `q = a x + b F(u; c)`, `u = c_in x`, and `(g, h)` the products of `b v` with the derivatives of `F`:
    ///
    /// `x: a v + c_in g`, `t: <v, a' x + b' F> + <g, c_in' x> + h c'`.
    ///
    /// # Shapes
    /// `x` and `v` are `[B, ...]`, `t` is `[B]`.
    ///
    /// The derivative in time of a velocity, as a quantity or as the network's output, is not known: NaN.
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fit; whatever the network fails with.
    pub fn vjp(
        &self,
        quantity: Quantity,
        x: &Tensor,
        t: &[f64],
        condition: &Condition,
        v: &Tensor,
    ) -> Result<Vjp> {
        self.rows(x)?;
        if v.dims() != x.dims() {
            let (expected, found) = (x.dims().to_vec(), v.dims().to_vec());
            return Err(Error::Shape { what: "cotangent v".into(), expected, found });
        }
        let (a, b) = self.combination(quantity, t).unwrap_or_else(|| {
            let all = |value| vec![(value, 0.0); t.len()];
            (all(0.0), all(1.0))
        });
        let columns = |of: &Column| -> Result<[Tensor; 2]> {
            let jet = self.column(of, x.rank(), Some(0))?;
            let rate = jet.first_or_zero(0)?;
            Ok([jet.value, rate])
        };
        let ([a, a_rate], [b, b_rate]) = (columns(&a)?, columns(&b)?);
        let output = self.output_vjp(x, t, condition, &v.broadcast_mul(&b)?)?;
        let moving = (x.broadcast_mul(&a_rate)? + output.value.broadcast_mul(&b_rate)?)?;
        Ok(Vjp {
            value: (x.broadcast_mul(&a)? + output.value.broadcast_mul(&b)?)?,
            x: (v.broadcast_mul(&a)? + output.x)?,
            c: (dot(v, &moving)? + output.c)?,
        })
    }

    /// [`ScoreModel::vjp`] of the output; channels beyond those of the point have no part in it.
    fn output_vjp(&self, x: &Tensor, t: &[f64], condition: &Condition, v: &Tensor) -> Result<Vjp> {
        let inputs = self.inputs_at(t, Some(0))?;
        if self.is_potential() {
            return self.gradient_vjp(x, &inputs, condition, v);
        }
        let (c_in, c_noise) = self.columns(&inputs, x.rank())?;
        let net = self.detached();
        check_inputs(net, x, &c_noise.value, condition)?;
        let u = x.broadcast_mul(&c_in.value)?;
        let (channels, more) = (x.dim(1)?, net.out_shape()[0] - x.dim(1)?);
        let v = if more == 0 { v.clone() } else { v.pad_with_zeros(1, 0, more)? };
        let of = vjp(net, &u, &c_noise.value, condition, &v)?;
        let moving = dot(&of.x, &x.broadcast_mul(&c_in.first_or_zero(0)?)?)?;
        Ok(Vjp {
            value: of.value.narrow(1, 0, channels)?,
            x: of.x.broadcast_mul(&c_in.value)?,
            c: (moving + (of.c * c_noise.first_or_zero(0)?)?)?,
        })
    }
}

/// Row by row.
pub(super) fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.flatten_from(1)?.sum(1)?)
}
