//! A model of the score of particles with labels, behind the traits that solvers work with.

use candle_core::{Device, Tensor};
use sde_core::{Pullback, Score, ScoreJvp, ScoreVjp};

use super::{Quantity, ScoreModel};
use crate::{Condition, Error, Result, net::to_host};

/// Directions that one pass takes along.
const DIRECTIONS: usize = 8;

/// A [`ScoreModel`] and the classes of particles: row `b` of what it is evaluated on has the label of particle `b`,
/// or of the particle that [`Score::for_rows`] says.
pub struct LabelledModel<'a> {
    pub(super) model: &'a ScoreModel,
    /// `[N, K]`.
    labels: Option<Tensor>,
}

impl<'a> LabelledModel<'a> {
    pub(super) fn new(model: &'a ScoreModel, labels: Option<&Tensor>) -> Result<Self> {
        let Some(labels) = labels else { return Ok(Self { model, labels: None }) };
        if model.n_classes() == 0 {
            let needs = "a model with classes, which this is not".into();
            return Err(Error::Unsupported { what: "a batch with labels", needs });
        }
        let rows = labels.dims().first().copied().unwrap_or(0);
        let like = Tensor::zeros(1, model.dtype(), model.device())?;
        let condition = Condition::labels(labels.clone());
        Ok(Self { model, labels: condition.one_hot(rows, model.n_classes(), &like)? })
    }

    pub(super) fn condition(&self) -> Condition {
        Condition { labels: self.labels.clone(), training: None }
    }

    /// A quantity of rows at a common time.
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` does not fit.
    pub fn value(&self, quantity: Quantity, x: &Tensor, t: f64) -> Result<Tensor> {
        self.model.value(quantity, x, t, &self.condition())
    }

    /// The same model of the particles `rows`.
    pub(super) fn of(&self, rows: &[u64]) -> Result<Self> {
        let Some(labels) = &self.labels else {
            return Ok(Self { model: self.model, labels: None });
        };
        let known = labels.dim(0)? as u64;
        if let Some(row) = rows.iter().find(|row| **row >= known) {
            return Err(Error::setting("particle", row, format!("there are labels of {known}")));
        }
        let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        let rows =
            Tensor::from_vec(rows.clone(), rows.len(), &Device::Cpu)?.to_device(labels.device())?;
        Ok(Self { model: self.model, labels: Some(labels.index_select(&rows, 0)?) })
    }

    /// The score, and its derivative along each direction, in one pass.
    fn along(&self, x: &Tensor, t: f64, directions: &[Tensor]) -> Result<(Tensor, Vec<Tensor>)> {
        if let Some(v) = directions.iter().find(|v| v.dims() != x.dims()) {
            let (expected, found) = (x.dims().to_vec(), v.dims().to_vec());
            return Err(Error::Shape { what: "direction v".into(), expected, found });
        }
        let jet =
            self.model.along(Quantity::Score, x, t, directions.to_vec(), &self.condition())?;
        let along = (0..directions.len()).map(|a| jet.first_or_zero(a)).collect::<Result<_>>()?;
        Ok((jet.value, along))
    }

    fn exact_divergence(&self, x: &Tensor, t: f64) -> Result<Vec<f64>> {
        let (rows, d) = (x.dims().first().copied().unwrap_or(0), self.model.dim());
        if self.model.is_potential() {
            let condition = self.condition();
            return Ok(self.model.potential_derivatives(x, &vec![t; rows], &condition)?.laplacian);
        }
        let mut trace = vec![0.0; rows];
        for first in (0..d).step_by(DIRECTIONS) {
            let n = DIRECTIONS.min(d - first);
            let axes = self.model.axes(x, first, n)?;
            let jet = self.model.along(Quantity::Score, x, t, axes, &self.condition())?;
            for a in 0..n {
                let column = jet.first_or_zero(a)?.flatten_from(1)?.narrow(1, first + a, 1)?;
                trace.iter_mut().zip(to_host(&column)?).for_each(|(sum, v)| *sum += v);
            }
        }
        Ok(trace)
    }
}

impl Score<Tensor> for LabelledModel<'_> {
    fn score(&self, x: &Tensor, t: f64) -> sde_core::Result<Tensor> {
        Ok(self.value(Quantity::Score, x, t)?)
    }

    fn denoised(&self, x: &Tensor, t: f64) -> sde_core::Result<Option<Tensor>> {
        match self.model.knows_data(t) {
            true => Ok(Some(self.value(Quantity::Denoised, x, t)?)),
            false => Ok(None),
        }
    }

    fn for_rows(&self, rows: &[u64]) -> sde_core::Result<Box<dyn Score<Tensor> + '_>> {
        Ok(Box::new(self.of(rows)?))
    }
}

impl ScoreJvp<Tensor> for LabelledModel<'_> {
    fn score_jvp(&self, x: &Tensor, t: f64, v: &Tensor) -> sde_core::Result<(Tensor, Tensor)> {
        let (score, mut along) = self.along(x, t, std::slice::from_ref(v))?;
        Ok((score, along.swap_remove(0)))
    }

    fn score_jvps(
        &self,
        x: &Tensor,
        t: f64,
        directions: &[Tensor],
    ) -> sde_core::Result<(Tensor, Vec<Tensor>)> {
        let mut chunks = directions.chunks(DIRECTIONS);
        let Some(first) = chunks.next() else { return Ok((self.score(x, t)?, Vec::new())) };
        let (score, mut along) = self.along(x, t, first)?;
        for more in chunks {
            along.extend(self.along(x, t, more)?.1);
        }
        Ok((score, along))
    }

    fn divergence(&self, x: &Tensor, t: f64) -> sde_core::Result<Vec<f64>> {
        Ok(self.exact_divergence(x, t)?)
    }

    fn jvp_for_rows(&self, rows: &[u64]) -> sde_core::Result<Box<dyn ScoreJvp<Tensor> + '_>> {
        Ok(Box::new(self.of(rows)?))
    }
}

/// A pullback takes one pass forward and one backward.
impl ScoreVjp<Tensor> for LabelledModel<'_> {
    fn score_vjp(&self, x: &Tensor, t: f64) -> sde_core::Result<(Tensor, Pullback<'_, Tensor>)> {
        let score = self.value(Quantity::Score, x, t)?;
        let (x, times) = (x.detach(), vec![t; score.dims().first().copied().unwrap_or(0)]);
        let pull = move |v: &Tensor| -> sde_core::Result<Tensor> {
            Ok(self.model.vjp(Quantity::Score, &x, &times, &self.condition(), v)?.x)
        };
        Ok((score, Box::new(pull)))
    }

    fn vjp_for_rows(&self, rows: &[u64]) -> sde_core::Result<Box<dyn ScoreVjp<Tensor> + '_>> {
        Ok(Box::new(self.of(rows)?))
    }
}

impl Score<Tensor> for ScoreModel {
    fn score(&self, x: &Tensor, t: f64) -> sde_core::Result<Tensor> {
        self.with_labels(None)?.score(x, t)
    }

    fn denoised(&self, x: &Tensor, t: f64) -> sde_core::Result<Option<Tensor>> {
        self.with_labels(None)?.denoised(x, t)
    }
}

impl ScoreJvp<Tensor> for ScoreModel {
    fn score_jvp(&self, x: &Tensor, t: f64, v: &Tensor) -> sde_core::Result<(Tensor, Tensor)> {
        self.with_labels(None)?.score_jvp(x, t, v)
    }

    fn score_jvps(
        &self,
        x: &Tensor,
        t: f64,
        directions: &[Tensor],
    ) -> sde_core::Result<(Tensor, Vec<Tensor>)> {
        self.with_labels(None)?.score_jvps(x, t, directions)
    }

    fn divergence(&self, x: &Tensor, t: f64) -> sde_core::Result<Vec<f64>> {
        self.with_labels(None)?.divergence(x, t)
    }
}
