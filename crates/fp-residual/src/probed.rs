//! The residual of a model of the score in many dimensions: forward derivatives along random probes.

use std::{ops::Range, sync::Arc};

use candle_core::{DType, Tensor};
use score_nets::{
    Condition, DataSource, Error, Gradients, Jet, NoisedRows, Noising, Objective, Proposal,
    Quantity, Result, ScoreModel, TimeDistribution,
};
use sde_core::Key;

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

/// Row by row.
fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.flatten_from(1)?.sum(1)?)
}

/// The mean over noised data of `|r|^2`, `r` the Fokker-Planck residual of the score, without bias and with the cost
/// of a few forward passes whatever the dimension: random signs `v`, and two independent probes `w`, so that the
/// product of the two values of [`residual_along`] has the expectation `<v, r>^2`, and that of `v` is `|r|^2`. A
/// single batch may come out negative.
///
/// # Reference
/// Lai et al. 2023, arXiv 2210.04296, equation 13 (there with one probe, whose square is too large by its variance).
#[derive(Clone)]
pub struct ProbedPenalty(Noising);

impl ProbedPenalty {
    /// On `points` noised rows of `source` a step, at uniform times from 1e-4 on.
    pub fn new(source: Arc<dyn DataSource>, points: usize) -> Self {
        Self(Noising::new(source, points))
    }

    /// With another law of the times.
    #[must_use]
    pub fn time(mut self, time: TimeDistribution) -> Self {
        self.0.time = time;
        self
    }

    /// With a share of the times drawn from another law; the mean is the same in expectation.
    #[must_use]
    pub fn proposal(mut self, proposal: Proposal) -> Self {
        self.0.proposal = proposal;
        self
    }

    /// With another smallest time.
    #[must_use]
    pub fn t_min(mut self, t_min: f64) -> Self {
        self.0.t_min = t_min;
        self
    }

    /// What the rows `rows` of the points under `key` add to the mean, as a tensor.
    ///
    /// # Errors
    /// [`Error::Setting`] for no points; [`Error::Shape`] when the data do not fit the model.
    pub fn graph(&self, model: &ScoreModel, key: Key, rows: Range<u64>) -> Result<Tensor> {
        let (d, n) = (model.dim(), rows.end.saturating_sub(rows.start) as usize);
        if self.0.batch == 0 || n == 0 {
            let (value, reason) = ("0".into(), "must be at least 1".into());
            return Err(Error::Setting { name: "points".into(), value, reason });
        }
        if self.0.source.dim() != d {
            let (expected, found) = (model.row_shape(), vec![self.0.source.dim()]);
            return Err(Error::Shape { what: "collocation data".into(), expected, found });
        }
        let NoisedRows { x, t, time_weight: mut share, .. } =
            self.0.rows(model.sde(), key, rows.clone())?;
        share.iter_mut().for_each(|share| *share /= self.0.batch as f64);
        let shape: Vec<usize> = [n].into_iter().chain(model.row_shape()).collect();
        let backend = model.parameters().backend();
        let signs = |purpose: u64| {
            let mut signs = vec![0.0; n * d];
            key.fold(purpose).fill_signs(rows.start * d as u64, &mut signs);
            backend.tensor(signs, &shape)
        };
        let (v, probes) = (signs(5)?, [signs(6)?, signs(7)?]);
        let x = backend.tensor(x, &shape)?;
        let along = residual_along(model, &x, &t, &v, &probes, &Condition::default())?;
        let squares = ((&along[0] * &along[1])? * backend.tensor(share, &[n])?)?;
        Ok(squares.sum_all()?)
    }
}

impl Objective<ScoreModel> for ProbedPenalty {
    fn name(&self) -> &str {
        "score-fokker-planck"
    }

    fn rows(&self) -> u64 {
        self.0.batch as u64
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
