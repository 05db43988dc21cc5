//! SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner.

use candle_core::{DType, Tensor};
use faer::{Mat, Side};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adam::zeros;
use crate::{Error, Gradients, Parameters, Result};

/// Constants of SOAP.
///
/// For a weight `W` of shape `[r, c]` with gradient `G` it keeps `L = E[G G^T]`, `R = E[G^T G]` and
/// their eigenvectors `Q_L`, `Q_R`, and takes Adam's step in the coordinates `Q_L^T G Q_R`, in which
/// the curvature of the loss is nearly diagonal. Vectors get Adam itself. The losses here are least
/// squares in few parameters, and the Fokker-Planck term makes them stiff: that is where it pays.
///
/// # Reference
/// Vyas et al. 2024, arXiv 2409.11321, algorithm 3 (without weight decay; the first gradient
/// already sets the bases and is used).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SoapConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment and of the two preconditioners.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Steps between two corrections of the eigenbases.
    pub refresh: u64,
}

impl Default for SoapConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99, eps: 1e-8, refresh: 10 }
    }
}

impl SoapConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        for (name, b) in [("soap.beta1", self.beta1), ("soap.beta2", self.beta2)] {
            if !(0.0..1.0).contains(&b) {
                return Err(Error::setting(name, b, "must be in [0, 1)"));
            }
        }
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return Err(Error::setting("soap.eps", self.eps, "must be finite and not negative"));
        }
        if self.refresh == 0 {
            return Err(Error::setting("soap.refresh", self.refresh, "must be at least 1"));
        }
        Ok(())
    }
}

/// Kronecker factors of one weight matrix's second moments, and their eigenvectors.
#[derive(Clone, Debug)]
pub(crate) struct Eigenbases {
    /// `L`, `R`.
    pub(crate) factors: [Tensor; 2],
    /// `Q_L`, `Q_R`.
    pub(crate) bases: [Tensor; 2],
}

impl Eigenbases {
    fn new(gradient: &Tensor) -> Result<Self> {
        let factors = outer(gradient)?;
        let bases = [eigenvectors(&factors[0])?, eigenvectors(&factors[1])?];
        Ok(Self { factors, bases })
    }

    /// `Q_L^T X Q_R`.
    fn rotated(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.bases[0].t()?.contiguous()?.matmul(x)?.matmul(&self.bases[1])?)
    }

    /// `Q_L X Q_R^T`.
    fn out_of_basis(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.bases[0].matmul(x)?.matmul(&self.bases[1].t()?.contiguous()?)?)
    }

    fn absorb(&mut self, gradient: &Tensor, beta: f64) -> Result<()> {
        for (factor, new) in self.factors.iter_mut().zip(outer(gradient)?) {
            *factor = ((&*factor * beta)? + (new * (1.0 - beta))?)?.detach();
        }
        Ok(())
    }

    /// One orthogonal iteration of each basis.
    fn refresh(&mut self) -> Result<()> {
        for (basis, factor) in self.bases.iter_mut().zip(&self.factors) {
            *basis = orthonormal(&factor.matmul(basis)?)?;
        }
        Ok(())
    }
}

/// Moments of every parameter, in the order of their names, and the coordinates of
/// those that are matrices (none before the first gradient).
#[derive(Clone, Debug)]
pub(crate) struct Soap {
    config: SoapConfig,
    pub(crate) first: Vec<Tensor>,
    pub(crate) second: Vec<Tensor>,
    pub(crate) eigenbases: Vec<Option<Eigenbases>>,
}

impl Soap {
    pub(crate) fn new(config: SoapConfig, parameters: &Parameters) -> Result<Self> {
        let eigenbases = vec![None; parameters.len()];
        Ok(Self { config, first: zeros(parameters)?, second: zeros(parameters)?, eigenbases })
    }

    /// Update number `n` (the first is 1) of the parameters; those without a gradient stay.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        grads: &Gradients,
        lr: f64,
        n: u64,
    ) -> Result<()> {
        let SoapConfig { beta1, beta2, eps, refresh } = self.config;
        let (m_correction, v_correction) = (1.0 - beta1.powf(n as f64), 1.0 - beta2.powf(n as f64));
        let moments = self.first.par_iter_mut().zip(&mut self.second).zip(&mut self.eigenbases);
        // Small products, one after the other, would leave the other threads idle.
        let values: Vec<&Tensor> = parameters.iter().map(|(_, p)| p).collect();
        moments.zip(&grads.0).zip(&values).enumerate().try_for_each(
            |(i, ((state, g), value))| -> Result<()> {
                let (((first, second), eigenbases), Some(g)) = (state, g) else { return Ok(()) };
                let m = ((&*first * beta1)? + (g * (1.0 - beta1))?)?.detach();
                if eigenbases.is_none() && g.rank() == 2 {
                    *eigenbases = Some(Eigenbases::new(g)?);
                }
                let (g_in, m_in) = match eigenbases {
                    Some(basis) => (basis.rotated(g)?, basis.rotated(&m)?),
                    None => (g.clone(), m.clone()),
                };
                let v = ((&*second * beta2)? + (g_in.sqr()? * (1.0 - beta2))?)?.detach();
                let scale = ((&v / v_correction)?.sqrt()? + eps)?;
                let step = ((m_in / m_correction)? / scale)?;
                let step = match eigenbases {
                    Some(basis) => basis.out_of_basis(&step)?,
                    None => step,
                };
                parameters.set_at(i, &(*value - (step * lr)?)?)?;
                if let Some(basis) = eigenbases {
                    // The first gradient is already in the factors.
                    if n > 1 {
                        basis.absorb(g, beta2)?;
                    }
                    if n.is_multiple_of(refresh) {
                        basis.refresh()?;
                    }
                }
                (*first, *second) = (m, v);
                Ok(())
            },
        )
    }
}

/// `G G^T` and `G^T G`.
fn outer(g: &Tensor) -> Result<[Tensor; 2]> {
    let t = g.t()?.contiguous()?;
    Ok([g.matmul(&t)?.detach(), t.matmul(g)?.detach()])
}

fn to_faer(x: &Tensor) -> Result<Mat<f64>> {
    let rows = x.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    Ok(Mat::from_fn(rows.len(), rows.first().map_or(0, Vec::len), |i, j| rows[i][j]))
}

fn from_faer(m: faer::MatRef<'_, f64>, like: &Tensor) -> Result<Tensor> {
    let (r, c) = (m.nrows(), m.ncols());
    let values: Vec<f64> = (0..r * c).map(|k| m[(k / c, k % c)]).collect();
    Ok(Tensor::from_vec(values, (r, c), like.device())?.to_dtype(like.dtype())?)
}

/// Eigenvectors of a symmetric matrix, as columns.
fn eigenvectors(x: &Tensor) -> Result<Tensor> {
    let eigen = to_faer(x)?.self_adjoint_eigen(Side::Lower).map_err(|e| {
        Error::setting("soap", format!("{e:?}"), "no eigenbasis of the first gradient")
    })?;
    from_faer(eigen.U(), x)
}

/// The orthonormal factor of a QR decomposition.
fn orthonormal(x: &Tensor) -> Result<Tensor> {
    from_faer(to_faer(x)?.qr().compute_thin_Q().as_ref(), x)
}
