//! Variances of single rows under two laws of the times.

use std::sync::Arc;

use anyhow::Result;
use candle_core::DType;
use rayon::prelude::*;
use score_nets::{
    Backend, Denoising, Gradients, ModelConfig, Objective as _, Outcome, Schedule, ScoreModel,
    TimeDistribution, TrainConfig, Trainer, Weighting, importance_integral,
};
use sde_core::analytic::DataSet;
use sde_core::{Key, Sde};

use super::{Config, Process, Row};
use crate::named::Named;
use crate::runs::{Interrupted, Workspace};

/// Purposes of keys.
const DATA: u64 = 0;
const WEIGHTS: u64 = 1;
const TRAINING: u64 = 2;
const BEFORE: u64 = 3;
const AFTER: u64 = 4;

/// Two estimators of one integral: the likelihood loss of Song et al. 2021, arXiv 2101.09258, a row at a time.
struct Laws {
    losses: [Denoising; 2],
    /// What the second is multiplied by.
    scale: f64,
}

/// What was seen of one law under one seed: mean and variance of a row's loss, and of its gradient the variance, summed
/// over all parameters.
#[derive(Clone, Copy)]
struct Seen {
    mean: f64,
    loss: f64,
    gradient: f64,
}

/// A process with its network, before training and after it.
pub(super) fn process(
    config: &Config,
    sde: &Named<dyn Sde>,
    key: Key,
    workspace: &Workspace,
) -> Result<(Process, Vec<Row>)> {
    let (name, data) = (sde.given(), *config.data_set);
    let edm = ModelConfig::edm_for(config.architecture()?, &data, &sde.name(), key.fold(DATA))?;
    let sigma_data = edm.sigma_data.unwrap_or(f64::NAN);
    let model = ScoreModel::new(edm, key.fold(WEIGHTS), &Backend::cpu())?;
    let process = Process {
        sde: name.into(),
        sigma_data,
        parameters: model.parameters().n_scalars(),
        laws_apart: config.laws_apart(&**sde)?,
    };
    let laws = Laws::new(config, &**sde, data)?;
    let mut rows = rows(config, (name, false), &laws, &model, key.fold(BEFORE), workspace)?;
    let model = train(config, &**sde, data, model, key.fold(TRAINING), workspace)?;
    rows.extend(self::rows(config, (name, true), &laws, &model, key.fold(AFTER), workspace)?);
    Ok((process, rows))
}

/// The network trained on the unweighted error of its output, times from the importance law.
fn train(
    config: &Config,
    sde: &dyn Sde,
    data: DataSet,
    model: ScoreModel,
    key: Key,
    workspace: &Workspace,
) -> Result<ScoreModel> {
    let loss = Denoising::new(Arc::new(data), config.training.batch)
        .t_min(config.t_min(sde))
        .time(TimeDistribution::LogSnr);
    let (steps, lr) = (config.training.steps, config.training.lr);
    let settings = TrainConfig { seed: key, ..TrainConfig::new(steps, Schedule::Constant { lr }) };
    let mut trainer = Trainer::new(model, settings)?.term(1.0, Box::new(loss));
    match trainer.run(workspace.stop, &mut |_| Ok(()))? {
        Outcome::Finished => Ok(trainer.into_net()),
        Outcome::Interrupted => Err(Interrupted.into()),
    }
}

impl Laws {
    fn new(config: &Config, sde: &dyn Sde, data: DataSet) -> Result<Self> {
        let t_min = config.t_min(sde);
        let one = Denoising::new(Arc::new(data), 1).t_min(t_min);
        let uniform = one.clone().weighting("diffusion-squared".parse::<Weighting>()?);
        let importance =
            one.time(TimeDistribution::LogSnr).weighting("sigma-squared".parse::<Weighting>()?);
        let scale = importance_integral(sde, t_min)? / (sde.horizon() - t_min);
        Ok(Self { losses: [uniform, importance], scale })
    }

    /// Rows under one of the laws, one after the other.
    fn seen(&self, law: usize, model: &ScoreModel, rows: usize, key: Key) -> Result<Seen> {
        let scale = if law == 0 { 1.0 } else { self.scale };
        let mut losses = Spread::new(1);
        let mut gradients = Spread::new(model.parameters().n_scalars());
        let mut flat = Vec::new();
        for row in 0..rows as u64 {
            let (loss, gradient) = self.losses[law].of_batch(model, 0, key.fold(row))?;
            flatten(&gradient, &mut flat)?;
            losses.add(&[scale * loss]);
            flat.iter_mut().for_each(|g| *g *= scale);
            gradients.add(&flat);
        }
        Ok(Seen { mean: losses.mean[0], loss: losses.variance(), gradient: gradients.variance() })
    }
}

fn flatten(gradients: &Gradients, flat: &mut Vec<f64>) -> Result<()> {
    flat.clear();
    for gradient in gradients.iter().flatten() {
        flat.extend(gradient.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?);
    }
    Ok(())
}

/// Mean and scatter of vectors, one after the other (Welford).
struct Spread {
    n: f64,
    mean: Vec<f64>,
    /// Sum of the squared distances from the mean.
    squares: f64,
}

impl Spread {
    fn new(len: usize) -> Self {
        Self { n: 0.0, mean: vec![0.0; len], squares: 0.0 }
    }

    fn add(&mut self, values: &[f64]) {
        self.n += 1.0;
        for (mean, value) in self.mean.iter_mut().zip(values) {
            let off = value - *mean;
            *mean += off / self.n;
            self.squares += off * (value - *mean);
        }
    }

    /// Without bias, summed over the coordinates.
    fn variance(&self) -> f64 {
        self.squares / (self.n - 1.0)
    }
}

/// The rows of a model: loss and gradient.
fn rows(
    config: &Config,
    (sde, trained): (&str, bool),
    laws: &Laws,
    model: &ScoreModel,
    key: Key,
    workspace: &Workspace,
) -> Result<Vec<Row>> {
    let all: Vec<Seen> = (0..2 * config.seeds)
        .into_par_iter()
        .map(|k| {
            workspace.go_on()?;
            laws.seen(k % 2, model, config.rows, key.fold(k as u64))
        })
        .collect::<Result<_>>()?;
    let of = |quantity: fn(&Seen) -> f64| -> [Vec<f64>; 2] {
        [0, 1].map(|law| all[law..].iter().step_by(2).map(quantity).collect())
    };
    let row = |quantity: &str, variances: [Vec<f64>; 2]| {
        let (factor, standard_error) = ratio(&variances);
        Row {
            sde: sde.into(),
            trained,
            quantity: quantity.into(),
            variances: variances.map(|v| mean(&v)),
            factor,
            standard_error,
            ..Row::default()
        }
    };
    let means = of(|s| s.mean);
    let loss = Row {
        means: Some([mean(&means[0]), mean(&means[1])]),
        mean_errors: Some([standard_error(&means[0]), standard_error(&means[1])]),
        ..row("loss", of(|s| s.loss))
    };
    Ok(vec![loss, row("gradient", of(|s| s.gradient))])
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the mean.
fn standard_error(values: &[f64]) -> f64 {
    let (mean, n) = (mean(values), values.len() as f64);
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

/// The ratio of the means of two columns and its standard error, by leaving out a row at a time (jackknife).
fn ratio([above, below]: &[Vec<f64>; 2]) -> (f64, f64) {
    let n = above.len() as f64;
    let whole = mean(above) / mean(below);
    let (sum_above, sum_below) = (mean(above) * n, mean(below) * n);
    let without = above.iter().zip(below).map(|(a, b)| (sum_above - a) / (sum_below - b));
    let without: Vec<f64> = without.collect();
    let centre = mean(&without);
    let squares: f64 = without.iter().map(|r| (r - centre).powi(2)).sum();
    (whole, ((n - 1.0) / n * squares).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of vectors by hand; of a ratio whose error is known to first order.
    #[test]
    fn spreads_and_ratios() {
        let mut spread = Spread::new(2);
        for values in [[1.0, 0.0], [2.0, 4.0], [6.0, 2.0]] {
            spread.add(&values);
        }
        assert_eq!(spread.mean, [3.0, 2.0]);
        assert_eq!(spread.variance(), (4.0 + 1.0 + 9.0 + 4.0 + 4.0 + 0.0) / 2.0);
        // Columns with relative errors of the mean of 0.01 each, apart from each other.
        let n = 4000;
        let mut z = vec![0.0; 2 * n];
        Key::root(1).fill_normals(0, &mut z);
        let scale = 0.01 * (n as f64).sqrt();
        let column = |from: usize, mean: f64| -> Vec<f64> {
            z[from..from + n].iter().map(|z| mean * (1.0 + scale * z)).collect()
        };
        let (value, error) = ratio(&[column(0, 6.0), column(n, 2.0)]);
        let expected = 3.0 * 2.0_f64.sqrt() * 0.01;
        // The scatter of a standard error from n values: 1 / sqrt(2 n) each.
        assert!((error / expected - 1.0).abs() < 0.1, "{error} {expected}");
        assert!((value - 3.0).abs() < 4.9 * expected, "{value}");
    }
}
