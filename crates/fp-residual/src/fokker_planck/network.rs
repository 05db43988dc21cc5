//! A network on tensors as a model of rows in double precision.

use candle_core::Tensor;
use ndarray::Array2;
use score_nets::ScoreNet;
use sde_core::{Derivatives, Error, Potential, Result, Score, ScoreJvp};

/// A network in the precision and on the device that it has, as a model of rows `[B, D]` of `f64`: what densities of its
/// samplers are computed of.
///
/// ```
/// use candle_core::{DType, Device};
/// use fp_residual::fokker_planck::{Model, OnRows};
/// use score_nets::{NetConfig, ScoreNet};
/// use sde_core::{Key, Score};
///
/// let net = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F32, &Device::Cpu)?;
/// let rows = OnRows(&net);
/// assert_eq!(rows.score(&ndarray::array![[0.1, 0.2]], 0.5)?.dim(), (1, 2));
/// let _model: Model<'_> = rows.model(); // its potential, for finite volumes
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct OnRows<'a>(
    /// The network.
    pub &'a ScoreNet,
);

impl<'a> OnRows<'a> {
    /// The potential of a network whose output is one, its score otherwise.
    pub fn model(&'a self) -> super::Model<'a> {
        if self.0.config().output == score_nets::Output::Potential {
            super::Model::of_values(|x, t| Ok(self.0.potential(&self.tensor(x)?, t)?))
        } else {
            super::Model::Score(self)
        }
    }

    fn tensor(&self, x: &Array2<f64>) -> Result<Tensor> {
        let flat: Vec<f64> = x.iter().copied().collect();
        let x = Tensor::from_vec(flat, x.dim(), &candle_core::Device::Cpu)?;
        Ok(x.to_dtype(self.0.dtype())?.to_device(self.0.device())?)
    }
}

fn rows(x: &Tensor) -> Result<Array2<f64>> {
    let shape = x.dims2()?;
    let flat = x.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1()?;
    let mismatch = |_| Error::Shape { expected: vec![shape.0, shape.1], found: vec![] };
    Array2::from_shape_vec(shape, flat).map_err(mismatch)
}

impl Score<Array2<f64>> for OnRows<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        rows(&self.0.score(&self.tensor(x)?, t)?)
    }
}

impl ScoreJvp<Array2<f64>> for OnRows<'_> {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        t: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        let (score, along) = self.0.score_jvp(&self.tensor(x)?, t, &self.tensor(v)?)?;
        Ok((rows(&score)?, rows(&along)?))
    }

    fn divergence(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        self.0.divergence(&self.tensor(x)?, t)
    }

    fn score_and_divergence(&self, x: &Array2<f64>, t: f64) -> Result<(Array2<f64>, Vec<f64>)> {
        if self.0.config().output == score_nets::Output::Potential {
            let found = self.derivatives(x, &vec![t; x.nrows()])?;
            return Ok((found.score, found.laplacian));
        }
        Ok((self.score(x, t)?, self.divergence(x, t)?))
    }
}

impl Potential<Array2<f64>> for OnRows<'_> {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        let Derivatives { potential, score, d_t, laplacian } =
            self.0.derivatives(&self.tensor(x)?, t)?;
        Ok(Derivatives { potential, score: rows(&score)?, d_t, laplacian })
    }
}
