//! A model of tensors as one of rows in double precision: what conditioning is computed in.

use candle_core::Tensor;
use ndarray::Array2;
use score_nets::ScoreModel;
use sde_core::{Error, Pullback, Result, Score, ScoreVjp};

use crate::model::{to_batch, to_rows};

/// A score of tensors in the shape and the precision of a model, as a score of rows `[B, D]`.
pub(crate) struct OnRows<'a, M> {
    pub(crate) inner: M,
    pub(crate) model: &'a ScoreModel,
}

fn ours(error: anyhow::Error) -> Error {
    Error::Model(error.into())
}

impl<M> OnRows<'_, M> {
    fn tensor(&self, x: &Array2<f64>) -> Result<Tensor> {
        to_batch(x, self.model).map_err(ours)
    }
}

fn rows(x: &Tensor) -> Result<Array2<f64>> {
    to_rows(x).map_err(ours)
}

impl<M: Score<Tensor>> Score<Array2<f64>> for OnRows<'_, M> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        rows(&self.inner.score(&self.tensor(x)?, t)?)
    }

    fn denoised(&self, x: &Array2<f64>, t: f64) -> Result<Option<Array2<f64>>> {
        self.inner.denoised(&self.tensor(x)?, t)?.map(|d| rows(&d)).transpose()
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<Array2<f64>> + '_>> {
        Ok(Box::new(OnRows { inner: self.inner.for_rows(rows)?, model: self.model }))
    }
}

impl<M: ScoreVjp<Tensor>> ScoreVjp<Array2<f64>> for OnRows<'_, M> {
    fn score_vjp(
        &self,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<(Array2<f64>, Pullback<'_, Array2<f64>>)> {
        let (score, pull) = self.inner.score_vjp(&self.tensor(x)?, t)?;
        let pull = move |v: &Array2<f64>| rows(&pull(&self.tensor(v)?)?);
        Ok((rows(&score)?, Box::new(pull)))
    }

    fn vjp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreVjp<Array2<f64>> + '_>> {
        Ok(Box::new(OnRows { inner: self.inner.vjp_for_rows(rows)?, model: self.model }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use score_nets::{Architecture, Backend, ModelConfig};
    use sde_core::{Key, State};

    /// The product with a cotangent is the derivative of the score along directions, by differences, in both shapes of row and
    /// with a class for each row.
    #[test]
    fn products_are_those_of_differences() {
        let json = r#"{"architecture": "residual-mlp", "args": {"dim": 3, "width": 16, "blocks": 2, "classes": 2}}"#;
        let config = ModelConfig::edm(Architecture::parse(json).expect("known"), 0.5, "edm");
        let model = ScoreModel::new(config, Key::root(1), &Backend::cpu_f64()).expect("a model");
        let labels = candle_core::Tensor::new(&[0u32, 1, 1, 0, 1], &candle_core::Device::Cpu);
        let labels = labels.expect("labels");
        let all =
            OnRows { inner: model.with_labels(Some(&labels)).expect("labels"), model: &model };
        let normals = |seed| Array2::zeros((3, 3)).normals_like(Key::root(seed), 0).expect("rows");
        let (x, v, u) = (normals(2), normals(3), normals(4));
        let some = all.vjp_for_rows(&[1, 3, 4]).expect("particles");
        let (score, pull) = some.score_vjp(&x, 0.7).expect("a score");
        assert_eq!(score, some.score(&x, 0.7).expect("a score"));
        let (found, h) = (pull(&v).expect("a product"), 1e-5);
        let at = |h: f64| some.score(&(&x + &(&u * h)), 0.7).expect("a score");
        let slope = (at(h) - at(-h)) / (2.0 * h);
        let (a, b) = (found.row_dot(&u).expect("rows"), v.row_dot(&slope).expect("rows"));
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{a} {b}");
        }
    }
}
