//! The training loop, its checkpoints and how it resumes from them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use candle_core::{DType, Device, Tensor};
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::{
    Averages, EmaConfig, EmaProfile, Model, Objective, Optimiser, Schedule, SoapConfig,
    optimiser::OptimiserState,
};
use crate::{
    Backend, Error, Gradients, Kernels, Result, ScoreNet,
    io::{self, Header, group},
};

/// Everything about a training run but its network and its loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of steps.
    pub steps: u64,
    /// The key of everything random; in a file, the seed it is the key of.
    #[serde(default = "zero", with = "seed")]
    pub seed: Key,
    /// Learning rates.
    pub schedule: Schedule,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: Optimiser,
    /// Largest norm of the gradient over all parameters; longer ones are shortened to it.
    #[serde(default)]
    pub clip: Option<f64>,
    /// Moving average of the parameters: the first of the averages, and what a checkpoint opens as.
    #[serde(default)]
    pub ema: Option<EmaConfig>,
    /// More of them, each with its profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub averages: Vec<EmaProfile>,
    /// Steps between calls of the observer; 0 for the last step only.
    #[serde(default)]
    pub log_every: u64,
    /// Steps between checkpoints; without it one is written at the end and on interruption.
    #[serde(default)]
    pub checkpoint_every: Option<u64>,
    /// Parts that a batch is cut into, one after the other, so that a step takes the memory of one: the
    /// gradient is the same to rounding.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parts: u64,
}

fn zero() -> Key {
    Key::root(0)
}

fn one() -> u64 {
    1
}

fn is_one(n: &u64) -> bool {
    *n == 1
}

/// A key as the seed it is the key of.
mod seed {
    use sde_core::Key;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Key, to: S) -> Result<S::Ok, S::Error> {
        key.seed().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Key, D::Error> {
        Ok(Key::root(u64::deserialize(from)?))
    }
}

impl TrainConfig {
    /// `steps` steps of a schedule under seed 0 with PyTorch's Adam.
    pub fn new(steps: u64, schedule: Schedule) -> Self {
        Self {
            steps,
            seed: Key::root(0),
            schedule,
            optimiser: Optimiser::default(),
            clip: None,
            ema: None,
            averages: Vec::new(),
            log_every: 0,
            checkpoint_every: None,
            parts: 1,
        }
    }

    /// `steps` steps of SOAP under seed 0, the learning rate a cosine from 0.01 down to 1e-5 after a short warm-up, gradients
    /// no longer than 10: a recipe for networks of a few layers on tables of numbers.
    ///
    /// # Reference
    /// Vyas et al. 2024, arXiv 2409.11321 (SOAP); Loshchilov, Hutter 2017, arXiv 1608.03983 (the cosine).
    pub fn soap_cosine(steps: u64) -> Self {
        let warmup = (steps / 10).min(100);
        let schedule = Schedule::Cosine { lr: 1e-2, lr_end: 1e-5, warmup, steps };
        let optimiser = Optimiser::Soap(SoapConfig::default());
        Self { optimiser, clip: Some(10.0), ..Self::new(steps, schedule) }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that does not work.
    pub fn validate(&self) -> Result<()> {
        self.schedule.validate()?;
        self.optimiser.validate()?;
        if let Some(clip) = self.clip
            && (clip <= 0.0 || clip.is_nan())
        {
            return Err(Error::setting("clip", clip, "must be positive"));
        }
        if self.parts == 0 {
            return Err(Error::setting("parts", 0, "must be at least 1"));
        }
        self.profiles().iter().try_for_each(EmaProfile::validate)
    }

    /// The profiles of all averages, in order.
    fn profiles(&self) -> Vec<EmaProfile> {
        self.ema.map(EmaProfile::from).into_iter().chain(self.averages.iter().copied()).collect()
    }

    /// The settings that decide what a step does.
    fn decisive(&self) -> Self {
        Self { steps: 0, log_every: 0, checkpoint_every: None, ..self.clone() }
    }
}

/// What a checkpoint says beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TrainState {
    step: u64,
    config: TrainConfig,
}

/// What the observer of a run is shown.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// The loss before the last step, all terms with their weights.
    pub loss: f64,
    /// Name and value of every term, without its weight.
    pub terms: &'a [(String, f64)],
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The flag was raised; the step under way was finished and a checkpoint written.
    Interrupted,
}

/// Name and value of every term of a loss.
type Terms = Vec<(String, f64)>;

/// Trains a model.
///
/// Everything random at step `k` is a function of the seed and `k`: a run that was interrupted and
/// resumed ends in the same bits as one that was not.
pub struct Trainer<M: Model = ScoreNet> {
    net: M,
    config: TrainConfig,
    terms: Vec<(f64, Box<dyn Objective<M>>)>,
    optimiser: OptimiserState,
    averages: Averages,
    step: u64,
    path: Option<PathBuf>,
}

impl Trainer {
    /// As [`Trainer::resume_on`], in the element type of the file, with given arithmetic.
    ///
    /// # Errors
    /// As [`Trainer::resume_on`]; [`Error::Unsupported`] when the kernels do not apply.
    pub fn resume(
        path: impl AsRef<Path>,
        config: TrainConfig,
        kernels: Kernels,
        device: &Device,
    ) -> Result<Self> {
        let mut trainer = Self::resume_on(path, config, device)?;
        trainer.net = trainer.net.with_kernels(kernels)?;
        Ok(trainer)
    }
}

impl<M: Model> Trainer<M> {
    /// A run from step 0 on.
    ///
    /// # Errors
    /// [`Error::Setting`] when the configuration does not work.
    pub fn new(net: M, config: TrainConfig) -> Result<Self> {
        config.validate()?;
        let optimiser = OptimiserState::new(config.optimiser, net.parameters())?;
        let start: Vec<Tensor> = net.parameters().iter().map(|(_, p)| p.detach()).collect();
        let averages = Averages::new(config.profiles(), &start)?;
        Ok(Self { net, config, terms: Vec::new(), optimiser, averages, step: 0, path: None })
    }

    /// A run from a checkpoint on, in the element type of the file.
    ///
    /// # Errors
    /// [`Error::File`] when the file is no checkpoint or was trained under other settings (the
    /// number of steps and the intervals may differ).
    pub fn resume_on(path: impl AsRef<Path>, config: TrainConfig, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        Self::at_checkpoint(path, config, |described, weights| {
            let dtype = weights.values().next().map_or(DType::F32, Tensor::dtype);
            let backend = Backend { device: device.clone(), dtype };
            M::from_tensors(described, weights, &backend, path)
        })
    }

    /// A run from a checkpoint on, of a model like `net`: the way for a model that is built by one's own code.
    ///
    /// # Errors
    /// As [`Trainer::resume_on`].
    pub fn resume_like(net: &M, path: impl AsRef<Path>, config: TrainConfig) -> Result<Self> {
        let path = path.as_ref();
        Self::at_checkpoint(path, config, |_, weights| net.with_values(weights, path))
    }

    fn at_checkpoint(
        path: &Path,
        config: TrainConfig,
        make: impl FnOnce(M::Config, &BTreeMap<String, Tensor>) -> Result<M>,
    ) -> Result<Self> {
        let (header, tensors) = io::read_own::<M::Config>(path)?;
        let Some(state) = header.train else {
            return Err(Error::file(path, "holds a network but no state of training"));
        };
        let state: TrainState = serde_json::from_value(state)
            .map_err(|e| Error::file(path, format!("bad state of training: {e}")))?;
        if state.config.decisive() != config.decisive() {
            let reason = "was trained with another seed, schedule, optimiser, clip or average";
            return Err(Error::file(path, reason));
        }
        let net = make(header.config, &io::strip(&tensors, group::NET))?;
        let mut trainer = Self::new(net, config)?;
        let moments = [
            trainer.restored(path, &tensors, group::FIRST)?,
            trainer.restored(path, &tensors, group::SECOND)?,
        ];
        trainer.optimiser.restore(trainer.net.parameters(), moments, &tensors)?;
        let profiles = trainer.config.profiles();
        let averages = (0..profiles.len())
            .map(|k| trainer.restored(path, &tensors, &group::average(k)))
            .collect::<Result<_>>()?;
        trainer.averages = Averages::restore(profiles, averages, state.step)?;
        trainer.step = state.step;
        Ok(trainer)
    }

    /// With one more term of the loss.
    #[must_use]
    pub fn term(mut self, weight: f64, objective: Box<dyn Objective<M>>) -> Self {
        self.terms.push((weight, objective));
        self
    }

    /// Writing checkpoints to `path`.
    #[must_use]
    pub fn checkpoint_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The model as it is.
    pub fn net(&self) -> &M {
        &self.net
    }

    /// The model as it is, ending the run.
    pub fn into_net(self) -> M {
        self.net
    }

    /// The model with averaged parameters, where an average is kept.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn ema_net(&self) -> Result<Option<M>> {
        self.average_net(0)
    }

    /// The model with the parameters of average `k`, counted from [`TrainConfig::ema`] on; `None` past the last.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn average_net(&self, k: usize) -> Result<Option<M>> {
        let Some(average) = self.averages.values().get(k) else { return Ok(None) };
        let net = self.net.duplicate()?;
        for (place, average) in average.iter().enumerate() {
            net.parameters().set_at(place, average)?;
        }
        Ok(Some(net))
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Runs to the last step, or until `stop` is raised.
    ///
    /// # Errors
    /// [`Error::NonFinite`] when a loss or the gradient is not finite (the parameters are then those
    /// before the step), [`Error::NoGradient`] when a parameter is not reached by the loss; whatever
    /// objectives, files and the observer fail with.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        observer: &mut dyn FnMut(&Progress<'_>) -> Result<()>,
    ) -> Result<Outcome> {
        self.run_to(self.config.steps, stop, observer)
    }

    /// As [`Trainer::run`], no further than step `until`: the averages can be looked at there, and the run goes on with the
    /// next call. Cut anywhere, a run ends in the same bits.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn run_to(
        &mut self,
        until: u64,
        stop: &AtomicBool,
        observer: &mut dyn FnMut(&Progress<'_>) -> Result<()>,
    ) -> Result<Outcome> {
        if self.terms.is_empty() {
            return Err(Error::setting("terms", 0, "training needs at least one objective"));
        }
        self.note_data()?;
        while self.step < until.min(self.config.steps) {
            let (terms, loss, grad_norm) = self.advance()?;
            let (done, last) = (self.step, self.step == self.config.steps);
            let due = |every: u64| every > 0 && done.is_multiple_of(every);
            if last || due(self.config.log_every) {
                let lr = self.config.schedule.lr(done - 1);
                let total = self.config.steps;
                observer(&Progress { step: done, total, lr, loss, terms: &terms, grad_norm })?;
            }
            let stopped = !last && stop.load(Ordering::Relaxed);
            if (last || stopped || due(self.config.checkpoint_every.unwrap_or(0)))
                && let Some(path) = &self.path
            {
                self.save_checkpoint(path)?;
            }
            if stopped {
                return Ok(Outcome::Interrupted);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Shows the model the data of the first term that has some.
    fn note_data(&mut self) -> Result<()> {
        // Past the keys of all terms.
        let key = self.config.seed.fold(u64::MAX);
        match self.terms.iter().find_map(|(_, term)| term.data()) {
            Some(source) => self.net.note_data(source, key),
            None => Ok(()),
        }
    }

    /// Terms of the loss, their weighted sum and its gradient, without a step.
    fn evaluate(&self) -> Result<(Terms, f64, Gradients)> {
        let (net, step) = (&self.net, self.step);
        let (mut values, mut loss) = (Vec::with_capacity(self.terms.len()), 0.0);
        let mut grads = Gradients::none(net.parameters());
        for (i, (weight, term)) in self.terms.iter().enumerate() {
            let key = self.config.seed.fold(i as u64).fold(step);
            let mut value = 0.0;
            for rows in parts(term.rows(), self.config.parts) {
                let (part, gradients) = term.loss_and_grad(net, step, key, rows)?;
                value += part;
                grads.add(*weight, &gradients)?;
            }
            if !value.is_finite() {
                let what = format!("loss `{}`", term.name());
                return Err(Error::NonFinite { what, value, step });
            }
            loss += weight * value;
            values.push((term.name().to_string(), value));
        }
        Ok((values, loss, grads))
    }

    /// One step: terms before it, their weighted sum, the norm of its gradient.
    fn advance(&mut self) -> Result<(Terms, f64, f64)> {
        let (values, loss, mut grads) = self.evaluate()?;
        let (net, step) = (&self.net, self.step);
        let parameters = net.parameters();
        if step == 0 {
            let lost = grads
                .iter()
                .zip(parameters.names())
                .find(|(g, name)| g.is_none() && !net.is_without_gradient(name));
            if let Some((_, name)) = lost {
                return Err(Error::NoGradient { name: name.into() });
            }
        }
        let norm = grads.norm()?;
        if !norm.is_finite() {
            let what = "norm of the gradient".into();
            return Err(Error::NonFinite { what, value: norm, step });
        }
        if let Some(clip) = self.config.clip
            && norm > clip
        {
            grads.scale(clip / norm)?;
        }
        let created = self.config.schedule.created_at(step);
        if step == created && step > 0 {
            self.optimiser = OptimiserState::new(self.config.optimiser, parameters)?;
        }
        self.optimiser.step(
            parameters,
            &grads,
            self.config.schedule.lr(step),
            step - created + 1,
        )?;
        if !self.averages.values().is_empty() {
            let values: Vec<Tensor> = parameters.iter().map(|(_, p)| p.detach()).collect();
            self.averages.update(&values)?;
        }
        self.step += 1;
        Ok((values, loss, norm))
    }

    /// Writes network, moments, average, step and settings, through a temporary name.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written.
    pub fn save_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        let parameters = self.net.parameters();
        let prefixed = |(name, tensor): (String, Tensor)| (format!("{}{name}", group::NET), tensor);
        let mut tensors: Vec<_> = parameters.state().into_iter().map(prefixed).collect();
        for (k, average) in self.averages.values().iter().enumerate() {
            let named = average.iter().zip(parameters.names());
            tensors
                .extend(named.map(|(t, name)| (format!("{}{name}", group::average(k)), t.clone())));
        }
        tensors.extend(self.optimiser.tensors(parameters));
        let state = TrainState { step: self.step, config: self.config.clone() };
        let header = Header::of_training(&self.net.config(), state);
        io::write(path.as_ref(), &tensors, &header)
    }

    fn restored(
        &self,
        path: &Path,
        tensors: &BTreeMap<String, Tensor>,
        prefix: &str,
    ) -> Result<Vec<Tensor>> {
        let mut restored = Vec::new();
        for (name, var) in self.net.parameters().iter() {
            let name = format!("{prefix}{name}");
            let Some(tensor) = tensors.get(&name) else {
                return Err(Error::file(path, format!("tensor `{name}` is missing")));
            };
            if tensor.dims() != var.dims() {
                let (e, f) = (var.dims(), tensor.dims());
                let reason = format!("tensor `{name}`: expected shape {e:?}, found {f:?}");
                return Err(Error::file(path, reason));
            }
            restored.push(tensor.to_device(var.device())?);
        }
        Ok(restored)
    }
}

/// The rows of a batch of `n` in at most `parts` pieces of nearly equal length, cut at even numbers.
fn parts(n: u64, parts: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let length = n.div_ceil(parts.clamp(1, n.max(1))).next_multiple_of(2);
    let length = if parts <= 1 { n.max(1) } else { length };
    (0..n.div_ceil(length)).map(move |i| i * length..((i + 1) * length).min(n))
}
