//! Derivatives with respect to inputs, carried forward through a network.

use candle_core::Tensor;

use crate::{Result, activation::At, mlp::Linear};

/// A tensor together with derivatives along directions of the network's input.
///
/// candle has no second derivatives by design, so they travel forward: `first[a]` is the derivative
/// along direction `a`, and `second[c]` the combination
/// `sum w D^2[v_a, v_b]` over the terms `(a, b, w)` of `terms[c]`: a Laplacian, a mixed
/// derivative, `v^T H v`. All of it is made of ordinary operations, so one `backward()` gives the
/// gradient of anything built from a jet with respect to the parameters.
///
/// # Shapes
/// `value` is `[B, K]`; the others are `[B, K]` or, where they are the same for every sample,
/// `[1, K]`.
#[derive(Clone, Debug)]
pub struct Jet {
    /// The value.
    pub value: Tensor,
    /// First derivatives, one a direction.
    pub first: Vec<Tensor>,
    /// Second derivatives, one a combination; `None` while they vanish identically.
    pub second: Vec<Option<Tensor>>,
    terms: Vec<Vec<(usize, usize, f64)>>,
}

impl Jet {
    /// The jet of the network's input itself.
    ///
    /// # Panics
    /// When a term names a direction that is not there.
    pub fn input(
        value: Tensor,
        directions: Vec<Tensor>,
        terms: Vec<Vec<(usize, usize, f64)>>,
    ) -> Self {
        let n = directions.len();
        assert!(terms.iter().flatten().all(|&(a, b, _)| a < n && b < n), "term without direction");
        Self { value, first: directions, second: vec![None; terms.len()], terms }
    }

    /// Through an affine layer.
    pub(crate) fn linear(&self, layer: &Linear) -> Result<Self> {
        let second = |s: &Option<Tensor>| s.as_ref().map(|s| layer.apply(s)).transpose();
        Ok(Self {
            value: layer.forward(&self.value)?,
            first: self.first.iter().map(|d| layer.apply(d)).collect::<Result<_>>()?,
            second: self.second.iter().map(second).collect::<Result<_>>()?,
            terms: self.terms.clone(),
        })
    }

    /// Through an activation prepared at this jet's value.
    ///
    /// `h_a = a' z_a` and `h_c = a' z_c + a'' sum w z_a z_b`.
    pub(crate) fn activate(&self, at: &At) -> Result<Self> {
        let d1 = at.d1()?;
        let d2 = if self.terms.is_empty() { None } else { Some(at.d2()?) };
        let first = self.first.iter().map(|z| Ok(z.broadcast_mul(&d1)?)).collect::<Result<_>>()?;
        let mut second = Vec::with_capacity(self.terms.len());
        for (terms, s) in self.terms.iter().zip(&self.second) {
            let mut h = s.as_ref().map(|s| s.broadcast_mul(&d1)).transpose()?;
            let mut curvature: Option<Tensor> = None;
            for &(a, b, w) in terms {
                let (za, zb) = (&self.first[a], &self.first[b]);
                let product = if a == b { za.sqr()? } else { za.broadcast_mul(zb)? };
                let product = if w == 1.0 { product } else { (product * w)? };
                curvature = Some(match curvature {
                    None => product,
                    Some(c) => c.broadcast_add(&product)?,
                });
            }
            if let (Some(c), Some(d2)) = (curvature, &d2) {
                let c = c.broadcast_mul(d2)?;
                h = Some(match h {
                    None => c,
                    Some(h) => (h + c)?,
                });
            }
            second.push(h);
        }
        Ok(Self { value: at.value()?, first, second, terms: self.terms.clone() })
    }
}
