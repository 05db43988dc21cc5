//! Activations with their first four derivatives, as ordinary tensor operations.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Result, fused};

/// A smooth activation `h = a(z)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Activation {
    /// `log(1 + exp(beta z)) / beta`, and `z` where `beta z > 20`.
    Softplus {
        /// Sharpness: the larger, the closer to `max(z, 0)`.
        beta: f64,
    },
    /// `z / (1 + exp(-z))`.
    Silu,
    /// `tanh(z)`.
    Tanh,
    /// `sin(z)`.
    Sin,
}

/// Above this argument softplus is linear and its derivatives are those of the identity.
const SOFTPLUS_LINEAR_ABOVE: f64 = 20.0;

/// What value and derivatives of an activation at a tensor of arguments are made of.
pub(crate) struct At {
    z: Tensor,
    parts: Parts,
}

enum Parts {
    /// `beta`, `exp(-|beta z|)` without its negligible and linear parts, the sigmoid of `beta z`.
    Softplus(f64, Tensor, Tensor),
    /// The sigmoid of `z`.
    Silu(Tensor),
    Tanh(Tensor),
    Sin(Tensor, Tensor),
}

impl Activation {
    /// What [`crate::ops::activation`] and its gradient are made of where there are no kernels.
    pub(crate) fn at(&self, z: &Tensor) -> Result<At> {
        let parts = match *self {
            Self::Softplus { beta } => {
                let y = (z * beta)?;
                let (e, s) = exp_and_sigmoid(&y, SOFTPLUS_LINEAR_ABOVE)?;
                Parts::Softplus(beta, e, s)
            }
            Self::Silu => Parts::Silu(exp_and_sigmoid(z, f64::INFINITY)?.1),
            Self::Tanh => Parts::Tanh(z.tanh()?),
            Self::Sin => Parts::Sin(z.sin()?, z.cos()?),
        };
        Ok(At { z: z.clone(), parts })
    }

    /// Upper bounds of `|a'|` and `|a''|` over all arguments.
    pub(crate) fn largest_derivatives(&self) -> [f64; 2] {
        match self {
            Self::Softplus { beta } => [1.0, 0.25 * beta],
            // a' = s (1 + z (1 - s)) is largest at z = 2.3994, a'' at 0.
            Self::Silu => [1.099_839_4, 0.5],
            // 4 / 3^(3/2), where tanh^2 = 1/3.
            Self::Tanh => [1.0, 0.769_800_4],
            Self::Sin => [1.0, 1.0],
        }
    }

    /// As the kernels take it.
    pub(crate) fn fused(&self) -> fused::Activation {
        match *self {
            Self::Softplus { beta } => fused::Activation::Softplus { beta: beta as f32 },
            Self::Silu => fused::Activation::Silu,
            Self::Tanh => fused::Activation::Tanh,
            Self::Sin => fused::Activation::Sin,
        }
    }
}

/// `e = exp(-|y|)` and the sigmoid of `y`, both exact where `y` is on the linear side.
///
/// `e` is cut to zero where it is below rounding, so that no denormal numbers arise from it.
fn exp_and_sigmoid(y: &Tensor, linear_above: f64) -> Result<(Tensor, Tensor)> {
    let negligible = if y.dtype() == DType::F64 { 300.0 } else { 40.0 };
    let upper = linear_above.min(negligible);
    let keep = (y.le(upper)? * y.ge(-negligible)?)?.to_dtype(y.dtype())?;
    let e = (y.abs()?.neg()?.exp()? * keep)?;
    let ones = e.ones_like()?;
    let s = (y.ge(0.0)?.where_cond(&ones, &e)? / (&e + 1.0)?)?;
    Ok((e, s))
}

impl At {
    /// The derivative of an order from 0, the value, to 4.
    pub(crate) fn derivative(&self, order: usize) -> Result<Tensor> {
        match order {
            0 => self.value(),
            1 => self.d1(),
            2 => self.d2(),
            3 => self.d3(),
            _ => self.d4(),
        }
    }

    /// `a(z)`.
    fn value(&self) -> Result<Tensor> {
        Ok(match &self.parts {
            Parts::Softplus(beta, e, _) => (self.z.relu()? + ((e + 1.0)?.log()? * (1.0 / beta))?)?,
            Parts::Silu(s) => (&self.z * s)?,
            Parts::Tanh(t) => t.clone(),
            Parts::Sin(sin, _) => sin.clone(),
        })
    }

    /// `a'(z)`.
    fn d1(&self) -> Result<Tensor> {
        Ok(match &self.parts {
            Parts::Softplus(_, _, s) => s.clone(),
            // s + z s (1 - s)
            Parts::Silu(s) => (s + (&self.z * slope(s)?)?)?,
            Parts::Tanh(t) => t.sqr()?.affine(-1.0, 1.0)?,
            Parts::Sin(_, cos) => cos.clone(),
        })
    }

    /// `a''(z)`.
    fn d2(&self) -> Result<Tensor> {
        Ok(match &self.parts {
            Parts::Softplus(beta, _, s) => (slope(s)? * *beta)?,
            // s (1 - s) (2 + z (1 - 2 s))
            Parts::Silu(s) => (slope(s)? * ((&self.z * s.affine(-2.0, 1.0)?)? + 2.0)?)?,
            Parts::Tanh(t) => (t.sqr()?.affine(2.0, -2.0)? * t)?,
            Parts::Sin(sin, _) => sin.neg()?,
        })
    }

    /// `a'''(z)`.
    fn d3(&self) -> Result<Tensor> {
        Ok(match &self.parts {
            Parts::Softplus(beta, _, s) => {
                (slope(s)? * s.affine(-2.0 * beta * beta, beta * beta)?)?
            }
            // s (1 - s) [3 (1 - 2 s) + z ((1 - 2 s)^2 - 2 s (1 - s))]
            Parts::Silu(s) => {
                let (p, q) = (slope(s)?, s.affine(-2.0, 1.0)?);
                let inner = (&self.z * (q.sqr()? - (&p * 2.0)?)?)?;
                (p * ((q * 3.0)? + inner)?)?
            }
            // (1 - t^2) (6 t^2 - 2)
            Parts::Tanh(t) => {
                let t2 = t.sqr()?;
                (t2.affine(-1.0, 1.0)? * t2.affine(6.0, -2.0)?)?
            }
            Parts::Sin(_, cos) => cos.neg()?,
        })
    }

    /// `a''''(z)`.
    fn d4(&self) -> Result<Tensor> {
        Ok(match &self.parts {
            // beta^3 p (1 - 6 p), p = s (1 - s)
            Parts::Softplus(beta, _, s) => {
                let p = slope(s)?;
                ((p.affine(-6.0, 1.0)? * p)? * beta.powi(3))?
            }
            // p (4 (1 - 6 p) + z (1 - 2 s) (1 - 12 p))
            Parts::Silu(s) => {
                let p = slope(s)?;
                let odd = ((&self.z * s.affine(-2.0, 1.0)?)? * p.affine(-12.0, 1.0)?)?;
                ((p.affine(-24.0, 4.0)? + odd)? * p)?
            }
            // 8 t (1 - t^2) (2 - 3 t^2)
            Parts::Tanh(t) => {
                let t2 = t.sqr()?;
                ((t2.affine(-8.0, 8.0)? * t2.affine(-3.0, 2.0)?)? * t)?
            }
            Parts::Sin(sin, _) => sin.clone(),
        })
    }
}

/// `s (1 - s)`.
fn slope(s: &Tensor) -> Result<Tensor> {
    Ok((s * s.affine(-1.0, 1.0)?)?)
}
