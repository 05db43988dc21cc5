//! Denoising: the loss that every parametrisation, weighting and law of times is trained with.

use std::{ops::Range, sync::Arc};

use candle_core::{DType, Device, Tensor};
use sde_core::{Key, Level};

use super::{Quantity, ScoreModel};
use crate::{
    Condition, Coupling, DataSource, Error, Gradients, Jet, NoisedRows, Noising, Objective,
    Proposal, Result, TimeDistribution, Training, Weighting,
};

/// Denoising score matching and flow matching of a [`ScoreModel`]: the mean over rows and coordinates of
///
/// `w(t) (F(c_in x_t; c_noise, label) - target)^2`, `x_t = alpha x_0 + sigma z`,
///
/// where `target` is the combination of data and noise that the output stands for
/// ([`Parametrisation::target`](sde_core::Parametrisation::target)), and `w` the weighting as it is on the
/// output's own error ([`Weighting::on`]). With a learned log-variance ([`ScoreModel::with_log_variance`]) the loss `L`
/// of a row is `e^-u L + u`.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, equation 7; Karras et al. 2022, arXiv 2206.00364; Lipman et al. 2023,
/// arXiv 2210.02747; Kingma, Gao 2023, arXiv 2303.00848 (one loss, many forms).
///
/// ```
/// use std::sync::Arc;
/// use score_nets::{Architecture, Backend, Denoising, ModelConfig, Objective, ScoreModel};
/// use sde_core::{Key, analytic::DataSet};
/// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 16, "blocks": 2}}"#;
/// let config = ModelConfig::edm(Architecture::parse(json)?, 0.5, "edm");
/// let model = ScoreModel::new(config, Key::root(1), &Backend::cpu())?;
/// let loss = Denoising::new(Arc::new(DataSet::Checker), 64);
/// let (value, gradients) = loss.of_batch(&model, 0, Key::root(2))?;
/// assert!(value > 0.0 && gradients.norm()? > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Denoising {
    noising: Noising,
    weighting: Weighting,
    label_dropout: f64,
}

/// A batch of [`Denoising`] on the host.
///
/// # Shapes
/// `x` and `target` are `[B, D]` row by row, `t` and `weight` `[B]`; `labels` is `[B]`, or empty without classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Noised points.
    pub x: Vec<f64>,
    /// Their times.
    pub t: Vec<f64>,
    /// What the output should be there.
    pub target: Vec<f64>,
    /// Weight of each row.
    pub weight: Vec<f64>,
    /// The class of each row; `None` where it is withheld.
    pub labels: Vec<Option<u32>>,
}

impl Denoising {
    /// The loss on `batch` rows of `source` a step: uniform times from 1e-4 on, each output's own square.
    pub fn new(source: Arc<dyn DataSource>, batch: usize) -> Self {
        let noising = Noising::new(source, batch);
        Self { noising, weighting: Weighting::Native, label_dropout: 0.0 }
    }

    /// With another law of the times.
    #[must_use]
    pub fn time(mut self, time: TimeDistribution) -> Self {
        self.noising.time = time;
        self
    }

    /// With a share of the times drawn from another law; the loss is the same in expectation.
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

    /// With another weighting.
    #[must_use]
    pub fn weighting(self, weighting: Weighting) -> Self {
        Self { weighting, ..self }
    }

    /// With data and noise of a batch paired by a rule.
    #[must_use]
    pub fn coupling(mut self, coupling: Arc<dyn Coupling>) -> Self {
        self.noising.coupling = coupling;
        self
    }

    /// With the labels of a share of the rows withheld, so that the model knows the data without labels as well
    /// (classifier-free guidance, Ho, Salimans 2022, arXiv 2207.12598).
    #[must_use]
    pub fn label_dropout(self, share: f64) -> Self {
        Self { label_dropout: share, ..self }
    }

    /// Rows `rows` of the batch under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty batch or a setting that does not work; [`Error::Shape`] when
    /// the data do not fit the model.
    pub fn samples(&self, model: &ScoreModel, key: Key, rows: Range<u64>) -> Result<Samples> {
        let (sde, d) = (model.sde(), model.dim());
        self.check(model)?;
        let NoisedRows { x0, z, x, t, time_weight: share, .. } =
            self.noising.rows(sde, key, rows.clone())?;
        let (output, mut target, mut weight) = (model.config().output, z, share);
        let rows_of = target.chunks_mut(d).zip(x0.chunks(d)).zip(&t).zip(&mut weight);
        for (((target, x0), t), weight) in rows_of {
            let level = Level::at(sde, *t);
            let of = output.target(&level);
            *weight *= self.weighting.on(output, &level);
            if !weight.is_finite() {
                let reason = format!("the weight at t = {t} is {weight}");
                return Err(Error::setting("weighting", self.weighting, reason));
            }
            // The target takes the place of the noise.
            for (z, x0) in target.iter_mut().zip(x0) {
                *z = of.x0 * x0 + of.eps * *z;
            }
        }
        Ok(Samples { x, t, target, weight, labels: self.labels(key, &rows)? })
    }

    fn check(&self, model: &ScoreModel) -> Result<()> {
        if self.noising.batch == 0 {
            return Err(Error::setting("batch", 0, "must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.label_dropout) {
            let (share, reason) = (self.label_dropout, "must be from 0 to 1");
            return Err(Error::setting("label-dropout", share, reason));
        }
        if self.noising.source.dim() != model.dim() {
            let (expected, found) = (model.row_shape(), vec![self.noising.source.dim()]);
            return Err(Error::Shape { what: "training data".into(), expected, found });
        }
        let (data, net) = (self.noising.source.n_classes(), model.n_classes());
        if data != 0 && data != net {
            let reason = format!("the network has {net}");
            return Err(Error::setting("classes of the data", data, reason));
        }
        Ok(())
    }

    fn labels(&self, key: Key, rows: &Range<u64>) -> Result<Vec<Option<u32>>> {
        if self.noising.source.n_classes() == 0 {
            return Ok(Vec::new());
        }
        let n = rows.end.saturating_sub(rows.start) as usize;
        let (labels, mut u) = (self.noising.labels(key, rows.clone())?, vec![0.0; n]);
        key.fold(4).fill_uniforms(rows.start, &mut u);
        let kept = |(label, u): (u32, f64)| (u >= self.label_dropout).then_some(label);
        Ok(labels.into_iter().zip(u).map(kept).collect())
    }

    /// The loss of samples as a tensor, differentiable in the parameters; `all` is the number of rows of the batch.
    fn graph(
        &self,
        model: &ScoreModel,
        samples: &Samples,
        training: Option<Training>,
        all: usize,
    ) -> Result<Tensor> {
        let rows = samples.t.len();
        let shape: Vec<usize> = [rows].into_iter().chain(model.row_shape()).collect();
        let mut column = vec![1; shape.len()];
        column[0] = rows;
        let backend = model.parameters().backend();
        let labels = match samples.labels.is_empty() {
            true => None,
            false => Some(one_hot(&samples.labels, model.n_classes())?),
        };
        let condition = Condition { labels, training };
        let x = Jet::constant(backend.tensor(samples.x.clone(), &shape)?);
        let attached = training.is_some();
        let output =
            model.jet_of(attached, Quantity::Output, &x, &samples.t, None, &condition)?.value;
        let target = backend.tensor(samples.target.clone(), &shape)?;
        let weight = backend.tensor(samples.weight.clone(), &column)?;
        let squares = (output - target)?.sqr()?.broadcast_mul(&weight)?;
        let Some(u) = model.log_variances(&samples.t, training.is_some())? else {
            return Ok((squares.sum_all()? * (1.0 / (all * model.dim()) as f64))?);
        };
        // e^-u L + u of a row counts as often as its time does.
        let share: Result<Vec<f64>> = samples.t.iter().map(|t| self.share(model, *t)).collect();
        let losses = (squares.flatten_from(1)?.sum(1)? * (1.0 / model.dim() as f64))?;
        let losses = ((losses * u.neg()?.exp()?)? + (u * backend.tensor(share?, &[rows])?)?)?;
        Ok((losses.sum_all()? * (1.0 / all as f64))?)
    }

    /// The weight of a row for its time having been drawn from another law.
    fn share(&self, model: &ScoreModel, t: f64) -> Result<f64> {
        let Noising { proposal, time, t_min, .. } = &self.noising;
        proposal.weight(*time, model.sde(), *t_min, t)
    }

    /// The loss without gradients and without dropout, on the batch under `key`.
    ///
    /// # Errors
    /// As [`Denoising::samples`].
    pub fn loss(&self, model: &ScoreModel, key: Key) -> Result<f64> {
        let samples = self.samples(model, key, 0..self.noising.batch as u64)?;
        value(&self.graph(model, &samples, None, self.noising.batch)?)
    }
}

impl Objective<ScoreModel> for Denoising {
    fn name(&self) -> &str {
        "denoising"
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
        let samples = self.samples(model, key, rows.clone())?;
        let training = Training { key: key.fold(3), first_row: rows.start };
        let loss = self.graph(model, &samples, Some(training), self.noising.batch)?;
        Ok((value(&loss)?, Gradients::of(&loss, model.parameters())?))
    }
}

fn value(loss: &Tensor) -> Result<f64> {
    Ok(loss.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}

/// Rows of weights; a label that is withheld is a row of zeros.
fn one_hot(labels: &[Option<u32>], n_classes: usize) -> Result<Tensor> {
    let mut weights = vec![0.0; labels.len() * n_classes];
    for (label, row) in labels.iter().zip(weights.chunks_mut(n_classes.max(1))) {
        let Some(label) = label.map(|l| l as usize) else { continue };
        let Some(weight) = row.get_mut(label) else {
            let reason = format!("must be one of the classes 0 to {}", n_classes.max(1) - 1);
            return Err(Error::setting("label", label, reason));
        };
        *weight = 1.0;
    }
    Ok(Tensor::from_vec(weights, (labels.len(), n_classes), &Device::Cpu)?)
}
