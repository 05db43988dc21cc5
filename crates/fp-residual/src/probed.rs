//! The residual of a model of the score in many dimensions: forward derivatives along random probes.

use std::{ops::Range, sync::Arc};

use candle_core::{DType, Tensor};
use score_nets::{
    Condition, DataSource, Error, Gradients, Jet, NoisedRows, Noising, Objective, Proposal,
    Quantity, Result, ScoreModel, TimeDistribution,
};
use sde_core::Key;

use crate::time_weight::TimeWeight;

/// The Fokker-Planck residual `r` of a score along a direction `v`, once for every probe `w`:
///
/// `<v, d_t s> - (g^2/2) (w . D^2 s[v, w] + 2 <s, J v>) + a (<v, s> + <x, J v>)`.
///
/// With probes of independent entries of mean 0 and variance 1 its expectation is `<v, r>`,
/// `r = d_t s - grad[(g^2/2) (div s + |s|^2) - f . s - div f]`, `f = a x`. All of it is one pass of a jet,
/// differentiable in the parameters.
///
/// # Shapes
/// `x`, `v` and every `w` are `[B, ...]`, `t` is `[B]`, every result `[B]`.
///
/// # Errors
/// [`Error::Shape`] when they do not fit; [`Error::Unsupported`] for a model whose output is a velocity.
///
/// # Reference
/// Lai et al. 2023, arXiv 2210.04296, equation 8; Hutchinson 1990.
pub fn residual_along(
    model: &ScoreModel,
    x: &Tensor,
    t: &[f64],
    v: &Tensor,
    probes: &[Tensor],
    condition: &Condition,
) -> Result<Vec<Tensor>> {
    for direction in [v].into_iter().chain(probes) {
        if direction.dims() != x.dims() {
            let (expected, found) = (x.dims().to_vec(), direction.dims().to_vec());
            return Err(Error::Shape { what: "direction of the residual".into(), expected, found });
        }
    }
    let time = 1 + probes.len();
    let mut directions: Vec<_> = [v].into_iter().chain(probes).cloned().map(Some).collect();
    directions.push(None);
    let terms = (1..time).map(|w| vec![(0, w, 1.0)]).collect();
    let input = Jet::partial(x.clone(), directions, terms);
    let s = model.jet(Quantity::Score, &input, t, Some(time), condition)?;

    let sde = model.sde();
    let backend = model.parameters().backend();
    let of_times =
        |f: &dyn Fn(f64) -> f64| backend.tensor(t.iter().map(|&t| f(t)).collect(), &[t.len()]);
    let a = of_times(&|t| sde.drift_coef(t))?;
    let half_g2 = of_times(&|t| 0.5 * sde.diffusion_squared(t))?;
    let along = s.first_or_zero(0)?;
    let moving = dot(v, &s.first_or_zero(time)?)?;
    let advection = (dot(v, &s.value)? + dot(x, &along)?)?;
    let plain = (moving + (advection * a)?)?;
    let square = (dot(&s.value, &along)? * 2.0)?;
    let residual = |(i, w): (usize, &Tensor)| -> Result<Tensor> {
        let bent = dot(w, &s.second_or_zero(i)?)?;
        Ok((&plain - ((bent + &square)? * &half_g2)?)?)
    };
    probes.iter().enumerate().map(residual).collect()
}

/// An estimate of `|r|^2` of every row, `r` the Fokker-Planck residual of the score, without bias and at the cost of a few
/// forward passes whatever the dimension: random signs `v`, and two independent probes `w`, so that the product of the two
/// values of [`residual_along`] has the expectation `<v, r>^2`, and that of `v` is `|r|^2`. It may be negative. Row `b` is a
/// function of `key` and `first_row + b`; the result leads back to the parameters.
///
/// # Shapes
/// `x` is `[B, ...]`, `t` and the result are `[B]`.
///
/// # Errors
/// As [`residual_along`].
pub fn squared_residual(
    model: &ScoreModel,
    x: &Tensor,
    t: &[f64],
    (key, first_row): (Key, u64),
    condition: &Condition,
) -> Result<Tensor> {
    let d = model.dim();
    let signs = |purpose: u64| {
        let mut signs = vec![0.0; t.len() * d];
        key.fold(purpose).fill_signs(first_row * d as u64, &mut signs);
        model.parameters().backend().tensor(signs, x.dims())
    };
    let (v, probes) = (signs(5)?, [signs(6)?, signs(7)?]);
    let along = residual_along(model, x, t, &v, &probes, condition)?;
    Ok((&along[0] * &along[1])?)
}

/// Row by row.
fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.flatten_from(1)?.sum(1)?)
}

/// The mean over noised data of `w(t) |r|^2`, `r` the Fokker-Planck residual of the score, by [`squared_residual`]. A single
/// batch may come out negative. Of data with classes the residual is that of the score given the class, and of the score
/// without one where the class is withheld.
///
/// # Reference
/// Lai et al. 2023, arXiv 2210.04296, equation 13 (there with one probe, whose square is too large by its variance).
#[derive(Clone)]
pub struct ProbedPenalty {
    noising: Noising,
    time_weight: TimeWeight,
    label_dropout: f64,
}

impl ProbedPenalty {
    /// On `points` noised rows of `source` a step, at uniform times from 1e-4 on.
    pub fn new(source: Arc<dyn DataSource>, points: usize) -> Self {
        let noising = Noising::new(source, points);
        Self { noising, time_weight: TimeWeight::One, label_dropout: 0.0 }
    }

    /// With another law of the times.
    #[must_use]
    pub fn time(mut self, time: TimeDistribution) -> Self {
        self.noising.time = time;
        self
    }

    /// With a share of the times drawn from another law; the mean is the same in expectation.
    #[must_use]
    pub fn proposal(mut self, proposal: Proposal) -> Self {
        self.noising.proposal = proposal;
        self
    }

    /// With another smallest time.
    #[must_use]
    pub fn t_min(mut self, t_min: f64) -> Self {
        self.noising.t_min = t_min;
        self
    }

    /// With squares that count more at some times than at others.
    #[must_use]
    pub fn time_weight(self, time_weight: TimeWeight) -> Self {
        Self { time_weight, ..self }
    }

    /// With the classes of a share of the rows withheld.
    #[must_use]
    pub fn label_dropout(self, share: f64) -> Self {
        Self { label_dropout: share, ..self }
    }

    /// What the rows `rows` of the points under `key` add to the mean, as a tensor.
    ///
    /// # Errors
    /// [`Error::Setting`] for no points, or another number of classes than the model has; [`Error::Shape`] when the data do
    /// not fit the model.
    pub fn graph(&self, model: &ScoreModel, key: Key, rows: Range<u64>) -> Result<Tensor> {
        let (batch, source) = (self.noising.batch, &self.noising.source);
        let n = rows.end.saturating_sub(rows.start) as usize;
        if batch == 0 || n == 0 {
            let (value, reason) = ("0".into(), "must be at least 1".into());
            return Err(Error::Setting { name: "points".into(), value, reason });
        }
        if source.dim() != model.dim() {
            let (expected, found) = (model.row_shape(), vec![source.dim()]);
            return Err(Error::Shape { what: "collocation data".into(), expected, found });
        }
        let condition = self.condition(model, key, &rows)?;
        let NoisedRows { x, t, time_weight: mut share, .. } =
            self.noising.rows(model.sde(), key, rows.clone())?;
        let counts = self.time_weight.at(model.sde(), &t)?;
        share.iter_mut().zip(counts).for_each(|(share, count)| *share *= count / batch as f64);
        let shape: Vec<usize> = [n].into_iter().chain(model.row_shape()).collect();
        let backend = model.parameters().backend();
        let x = backend.tensor(x, &shape)?;
        let squares = squared_residual(model, &x, &t, (key, rows.start), &condition)?;
        Ok((squares * backend.tensor(share, &[n])?)?.sum_all()?)
    }

    /// The classes of the rows that are told theirs.
    fn condition(&self, model: &ScoreModel, key: Key, rows: &Range<u64>) -> Result<Condition> {
        let (data, own) = (self.noising.source.n_classes(), model.n_classes());
        if data == 0 {
            return Ok(Condition::default());
        }
        if data != own {
            let (name, value) = ("classes of the data".into(), data.to_string());
            return Err(Error::Setting { name, value, reason: format!("the network has {own}") });
        }
        let labels = self.noising.labels(key, rows.clone())?;
        let mut u = vec![0.0; labels.len()];
        key.fold(4).fill_uniforms(rows.start, &mut u);
        let mut weights = vec![0.0; labels.len() * own];
        for ((label, u), row) in labels.iter().zip(u).zip(weights.chunks_mut(own)) {
            if let (true, Some(weight)) = (u >= self.label_dropout, row.get_mut(*label as usize)) {
                *weight = 1.0;
            }
        }
        let backend = model.parameters().backend();
        Ok(Condition::labels(backend.tensor(weights, &[labels.len(), own])?))
    }
}

impl Objective<ScoreModel> for ProbedPenalty {
    fn name(&self) -> &str {
        "score-fokker-planck"
    }

    fn rows(&self) -> u64 {
        self.noising.batch as u64
    }

    fn data(&self) -> Option<&dyn DataSource> {
        Some(&*self.noising.source)
    }

    fn loss_and_grad(
        &self,
        model: &ScoreModel,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let loss = self.graph(model, key, rows)?;
        let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        Ok((value, Gradients::of(&loss, model.parameters())?))
    }
}
