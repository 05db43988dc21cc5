//! A classifier of noised rows beside the model: its training, what it says of withheld rows, samples that it guides.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use control::ClassifierGuidance;
use data::Dataset;
use metrics::{Estimate, Metric};
use ndarray::Array2;
use report::{Cell, Sheet, Table, digits, grouped, html};
use score_nets::{Classifier, ScoreModel};
use sde_core::Sde;
use serde::{Deserialize, Serialize};
use solvers::SolveError;

use super::config::{Classifying, Config};
use super::curve::AVERAGES;
use super::draw::{Equation, sampled_by};
use super::judge::Judge;
use super::measure::{Compared, Distance, Pair, Ruler, first, of_rows};
use super::parts::Parts;
use super::prepared::{Batches, Prepared};
use super::purpose;
use super::train::{Job, Trained, kept_path};
use crate::distance::{self, above, floor_cell};
use crate::runs::Workspace;

/// Noise levels, in units of the deviation of the data; before them comes that which samplers end with.
const NOISES: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// What a classifier came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Classified {
    pub(super) trained: Trained,
    pub(super) named: Named,
    pub(super) guided: Vec<Guided>,
}

/// Withheld rows with noise.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Named {
    rows: usize,
    levels: Vec<AtLevel>,
    /// Of the frequencies of the classes among the training rows alone.
    frequencies: AtLevel,
}

/// Figures at a noise level.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AtLevel {
    /// `sigma / alpha`.
    #[serde(with = "crate::number")]
    noise: f64,
    /// Share of the rows whose class has the highest probability.
    accuracy: Estimate,
    /// The mean of `-log p(c | x_t)`, in nats.
    cross_entropy: Estimate,
}

/// Samples of the model without classes, guided to a class each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Guided {
    pub(super) weight: f64,
    /// Share of them whose class another classifier, of the training rows, names.
    pub(super) accuracy: Estimate,
    /// Squared W2 to withheld rows.
    pub(super) distance: Distance,
}

impl Config {
    /// Refuses data without classes where there is to be a classifier.
    pub(super) fn check_classes(&self, data: &Dataset) -> Result<()> {
        let classes = data.labels().map_or(0, |l| l.classes.len());
        ensure!(
            self.classifier.is_none() || classes > 1,
            "{}: a classifier needs data with two classes or more, found {classes}: name a column or a file of them with --labels",
            data.source()
        );
        Ok(())
    }
}

/// What is needed for a classifier and its figures.
pub(super) struct Classification<'a> {
    pub(super) config: &'a Config,
    pub(super) parts: &'a Parts,
    pub(super) prepared: &'a Prepared,
    pub(super) sigma_data: f64,
    pub(super) workspace: &'a Workspace,
}

impl Classification<'_> {
    /// The trained classifier, and how its training went.
    pub(super) fn train(&self) -> Result<Option<(Trained, Classifier)>> {
        let Self { config, parts, prepared, sigma_data, workspace } = self;
        let Some(own) = &config.classifier else { return Ok(None) };
        let batches = |data: &Dataset, in_order| {
            Ok::<_, anyhow::Error>(Arc::new(Batches::new(data.clone(), prepared, in_order, true)?))
        };
        let trained = Job::<Classifier> {
            training: &config.training,
            model: config.classifier(&own.network, prepared, *sigma_data)?,
            steps: own.steps.or(config.training.steps),
            seconds: config.seconds()[1],
            key: config.key(purpose::CLASSIFIER),
            train: batches(&parts.training, false)?,
            n_validation: parts.validation.len().clamp(1024, 4096),
            validation: batches(&parts.validation, true)?,
            sheets: None,
        };
        let trained = trained.run(workspace)?;
        let path = kept_path::<Classifier>(workspace);
        let classifier = Classifier::open(&path).with_context(|| {
            format!("{}: delete samples/classifier-training.json to train again", path.display())
        })?;
        Ok(Some((trained, classifier)))
    }

    /// What the classifier says of withheld rows, and what it makes of the model.
    pub(super) fn measure(
        &self,
        found: Option<(Trained, Classifier)>,
        model: &ScoreModel,
        compared: &Compared,
        judge: Option<&Judge>,
    ) -> Result<Option<Classified>> {
        let (Some((trained, classifier)), Some(own)) = (found, &self.config.classifier) else {
            return Ok(None);
        };
        let named = self.workspace.part("classified", || self.named(&classifier))?;
        let guided = match judge {
            None => Vec::new(),
            Some(judge) => self
                .workspace
                .part("guided", || self.guided(own, (model, &classifier), compared, judge))?,
        };
        Ok(Some(Classified { trained, named, guided }))
    }

    /// Withheld rows at every noise level.
    fn named(&self, classifier: &Classifier) -> Result<Named> {
        let (test, sde) = (&self.parts.test, classifier.sde());
        let labels = test.labels().context("the withheld rows have no classes")?;
        let key = self.config.key(purpose::CLASSIFIER).fold(10);
        let order = super::order(test.len(), key.fold(0));
        let order = &order[..order.len().min(self.config.measuring.rows)];
        let labels: Vec<u32> = order.iter().map(|i| labels.of[*i]).collect();
        let rows = test.select(order)?.to_array()?;
        let z = self.prepared.to_model(rows.view(), key.fold(1), 0)?;
        let mut levels = Vec::new();
        for (k, t) in self.times(sde).into_iter().enumerate() {
            self.workspace.go_on()?;
            let m = sde.marginal(t);
            let mut noise = Array2::zeros(z.dim());
            let flat = noise.as_slice_mut().context("rows of a new array are in one piece")?;
            key.fold(2).fold(k as u64).fill_normals(0, flat);
            let x = &z * m.alpha + noise * m.sigma;
            let log = classifier.log_probabilities(&x, t)?;
            levels.push(AtLevel::of(&log, &labels, m.sigma / m.alpha));
        }
        let frequencies = self.frequencies(labels.len(), classifier.n_classes())?;
        let frequencies = AtLevel::of(&frequencies, &labels, f64::INFINITY);
        Ok(Named { rows: labels.len(), levels, frequencies })
    }

    /// The times of the noise levels that the process has.
    fn times(&self, sde: &dyn Sde) -> Vec<f64> {
        let end = self.config.sampling.t_end;
        let time = |noise: &f64| sde.time_of_half_log_snr(-(noise * self.sigma_data).ln()).ok();
        let between = |t: &f64| *t > end && *t < sde.horizon();
        std::iter::once(end).chain(NOISES.iter().filter_map(time).filter(between)).collect()
    }

    /// The logarithms of the frequencies of the classes among the training rows, for every one of `n` rows.
    fn frequencies(&self, n: usize, classes: usize) -> Result<Array2<f64>> {
        let labels = self.parts.training.labels().context("the training rows have no classes")?;
        // One more of each: a class may have no training row.
        let mut counts = vec![1.0; classes];
        labels.of.iter().for_each(|label| counts[*label as usize] += 1.0);
        let all: f64 = counts.iter().sum();
        Ok(Array2::from_shape_fn((n, classes), |(_, k)| (counts[k] / all).ln()))
    }

    /// Samples of the model without classes at every weight, from the same noise.
    fn guided(
        &self,
        own: &Classifying,
        (model, classifier): (&ScoreModel, &Classifier),
        compared: &Compared,
        judge: &Judge,
    ) -> Result<Vec<Guided>> {
        let Self { config, parts, prepared, workspace, .. } = self;
        let Some(mut labels) = super::sampled_labels(config, parts) else { return Ok(Vec::new()) };
        labels.truncate(config.measuring.rows.min(compared.test.nrows()));
        let (n, ruler) = (labels.len(), Ruler::new(&parts.training)?);
        let [key, floors] = [0, 1].map(|k| config.key(purpose::GUIDED).fold(k));
        let mut guided = Vec::new();
        for weight in own.weights.iter().copied() {
            let likelihood = classifier.with_labels(labels.clone())?;
            let plain = model.with_labels(None)?;
            let score = ClassifierGuidance::new(model.sde(), plain, likelihood, weight);
            let (of, go_on) = ((model, *prepared), &mut |_| workspace.go_on());
            let drawn = sampled_by(&score, of, &config.sampling, Equation::Ode, (n, key), go_on);
            let rows = match drawn {
                Ok((rows, _)) => ruler.put(rows.view())?,
                // A weight that is too much for a sampler is no reason to have no report.
                Err(error) if left_the_numbers(&error) => {
                    workspace.say(&format!("no samples guided with weight {weight}: {error:#}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let accuracy = judge.accuracy(rows.view(), &labels);
            let sides = [rows.view(), first(&compared.test, n)];
            let floors = (config.measuring.floors, floors);
            let found = of_rows(&[Metric::W2], sides, Pair::OdeTest, floors)?;
            guided.extend(found.into_iter().map(|distance| Guided { weight, accuracy, distance }));
        }
        Ok(guided)
    }
}

/// Whether an error is that samples are not finite, on the way or as rows of data.
fn left_the_numbers(error: &anyhow::Error) -> bool {
    let on_the_way = |e: &(dyn std::error::Error + 'static)| {
        matches!(e.downcast_ref(), Some(SolveError::NonFinite { .. }))
    };
    error.chain().any(on_the_way) || error.is::<data::Error>()
}

impl AtLevel {
    /// From the logarithms of the probabilities, `[n, K]`.
    fn of(log: &Array2<f64>, labels: &[u32], noise: f64) -> Self {
        let rows = || log.rows().into_iter().zip(labels.iter().map(|label| *label as usize));
        let right = rows().map(|(row, label)| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            f64::from(best.is_some_and(|best| best.0 == label))
        });
        let surprise = rows().map(|(row, label)| -row[label]);
        Self {
            noise,
            accuracy: Estimate::of_mean(&right.collect::<Vec<_>>()),
            cross_entropy: Estimate::of_mean(&surprise.collect::<Vec<_>>()),
        }
    }
}

/// The section on it.
pub(super) fn section(sheet: &mut Sheet, own: &Classifying, found: &Classified) {
    let (t, named) = (&found.trained, &found.named);
    let kept = match t.best_average {
        0 => "the weights as they were".to_owned(),
        k => format!("their average of relative width {}", AVERAGES[k - 1]),
    };
    sheet.section("Classifier of noised rows", html! {
        "log p(c | x_t), trained by cross-entropy on the same rows at the same times: " (grouped(t.parameters as u64)) " parameters, "
        (grouped(t.steps)) " of " (grouped(t.planned)) " steps in " (report::duration(t.seconds)) ". Kept: " (kept) " at step "
        (grouped(t.best_step)) ", with a validation loss of " (report::maybe(t.best())) " nats. The table is of " (grouped(named.rows as u64))
        " withheld rows with noise; a classifier that sees nothing but how frequent the classes are has the last line."
    });
    let row = |name: Cell, at: &AtLevel| {
        vec![name, distance::cell(at.accuracy), distance::cell(at.cross_entropy)]
    };
    let levels = named.levels.iter().map(|at| row(digits(at.noise).into(), at));
    let last = row("frequencies alone".into(), &named.frequencies);
    let head = ["noise \u{3c3} / \u{3b1}", "accuracy", "cross-entropy, nats"];
    sheet.table(Table::new("classifier", 1, &head).rows(levels.chain([last])));
    if own.weights.is_empty() {
        return;
    }
    sheet.push(html! { p {
        "Samples by the ODE of the model without classes, its score plus w times the gradient of log p(c | x_t), with the classes of the withheld rows. Accuracy is by another classifier, of the training rows as they are."
        @for w in own.weights.iter().filter(|w| found.guided.iter().all(|g| g.weight != **w)) {
            " With w = " (digits(*w)) " the sampler found no finite samples."
        }
    } });
    let rows = found.guided.iter().map(|g| {
        let d = &g.distance;
        vec![
            digits(g.weight).into(),
            distance::cell(g.accuracy),
            distance::cell(d.found),
            floor_cell(&d.floor),
            (if above(d.found, &d.floor) { "above" } else { "within" }).into(),
        ]
    });
    let head = ["w", "accuracy", "W_{2}^{2} to test", "floor", ""];
    sheet.table(Table::new("guided", 1, &head).rows(rows));
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// What is wrong with a model is not taken for a weight that is too large.
    #[test]
    fn other_errors_are_errors() {
        let far = anyhow::Error::new(SolveError::NonFinite { t: 1.0, h: -0.5 });
        assert!(left_the_numbers(&far.context("sampling by the ODE")));
        let shape = sde_core::Error::Shape { expected: vec![2], found: vec![3] };
        assert!(!left_the_numbers(&anyhow::Error::new(SolveError::Setup(shape))));
    }

    #[test]
    fn figures_are_of_the_class_that_a_row_has() {
        let log = array![[0.5_f64, 0.5], [0.9, 0.1], [0.2, 0.8]].mapv(f64::ln);
        let at = AtLevel::of(&log, &[1, 0, 0], 1.0);
        assert!((at.accuracy.value - 2.0 / 3.0).abs() < 1e-15);
        let mean = -(0.5_f64.ln() + 0.9_f64.ln() + 0.2_f64.ln()) / 3.0;
        assert!((at.cross_entropy.value - mean).abs() < 1e-15);
    }
}
