//! Training on the user's data: losses on withheld rows on the way, the best model kept, an end when it gets no better.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use score_nets::{DataSource, EmaProfile, Outcome, TrainConfig, Trainer};
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::config::Training;
use super::course::Course;
use super::curve::{AVERAGES, Point, best};
use super::sheets;
use super::trainable::Trainable;
use crate::runs::{Interrupted, Line, Workspace, read_json};
use crate::{atomic, signals};

/// Time between two checkpoints.
const CHECKPOINT: Duration = Duration::from_secs(120);

/// Seconds of trial steps that a number of steps is computed from.
const TRIAL: f64 = 6.0;

/// What is trained, and on what.
pub(super) struct Job<'a, M: Trainable> {
    pub(super) training: &'a Training,
    pub(super) model: M::Config,
    /// Steps; without it as many as fit into the seconds.
    pub(super) steps: Option<u64>,
    pub(super) seconds: f64,
    pub(super) key: Key,
    pub(super) train: Arc<dyn DataSource>,
    /// Withheld rows in their order, over and over.
    pub(super) validation: Arc<dyn DataSource>,
    /// Rows of a validation.
    pub(super) n_validation: usize,
    /// Of images: draws sheets of samples on the way.
    pub(super) sheets: Option<Sheet<'a, M>>,
}

/// Draws a sheet of so many samples after a step, and hands back its file.
pub(super) type Sheet<'a, M> = Box<dyn Fn(&M, (usize, u64)) -> Result<PathBuf> + 'a>;

/// What a training came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Trained {
    /// Steps that were planned, and done.
    pub(super) planned: u64,
    pub(super) steps: u64,
    /// Why it ended before the last step, where it did.
    pub(super) stopped: Option<Stop>,
    #[serde(with = "crate::number")]
    pub(super) seconds: f64,
    /// The step whose weights were kept, and which of them: 0 as they were, `k` average `k`.
    pub(super) best_step: u64,
    pub(super) best_average: usize,
    pub(super) parameters: usize,
    pub(super) curve: Vec<Point>,
}

/// What ended a training early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stop {
    /// The loss on withheld rows fell no more.
    Validation,
    /// The time was up.
    Time,
}

impl Trained {
    /// The loss of the weights that were kept.
    pub(super) fn best(&self) -> Option<f64> {
        let point = self.curve.iter().find(|p| p.step == self.best_step)?;
        point.validation.get(self.best_average).copied()
    }
}

impl<M: Trainable> Job<'_, M> {
    fn config(&self, steps: u64) -> TrainConfig {
        let averages = AVERAGES.map(|sigma_rel| EmaProfile::Power { sigma_rel }).to_vec();
        TrainConfig { seed: self.key(0), averages, log_every: 1, ..self.training.recipe(steps) }
    }

    fn key(&self, purpose: u64) -> Key {
        self.key.fold(purpose)
    }

    fn loss(&self) -> M::Loss {
        M::loss(self.training, self.train.clone(), self.training.batch)
    }

    fn start(&self, steps: u64) -> Result<Trainer<M>> {
        let model = M::begin(self.model.clone(), self.key(1))?;
        Ok(Trainer::new(model, self.config(steps))?.term(1.0, Box::new(self.loss())))
    }

    /// The number of steps: as configured, or what fits into the time, measured once and kept.
    fn steps(&self, workspace: &Workspace) -> Result<u64> {
        if let Some(steps) = self.steps {
            return Ok(steps);
        }
        workspace.part(&named::<M>("steps"), || {
            let mut trial = self.start(u64::MAX / 2)?;
            let stop = workspace.stop;
            // The first step pays for what is made once.
            trial.run_to(2, stop, &mut |_| Ok(()))?;
            let start = Instant::now();
            while start.elapsed().as_secs_f64() < TRIAL.min(self.seconds / 20.0) {
                workspace.go_on()?;
                trial.run_to(trial.step() + 2, stop, &mut |_| Ok(()))?;
            }
            let each = start.elapsed().as_secs_f64() / (trial.step() - 2).max(1) as f64;
            Ok(((self.seconds / each) as u64).max(20))
        })
    }

    /// The trained model: trained before, or now, or the rest of it.
    ///
    /// # Errors
    /// A loss that is not finite, with the step; a full device; [`Interrupted`] after ctrl-c, with a checkpoint to go on
    /// from.
    pub(super) fn run(&self, workspace: &Workspace) -> Result<Trained> {
        workspace.part(&named::<M>("training"), || self.train(workspace))
    }

    fn train(&self, workspace: &Workspace) -> Result<Trained> {
        let planned = self.steps(workspace)?;
        let mut session = Session::open(self, workspace, planned)?;
        let every = self.training.validate_every(planned);
        let mut stopped = None;
        while stopped.is_none() && session.trainer.step() < planned {
            let next = (session.trainer.step() / every + 1) * every;
            session.advance(next.min(planned))?;
            session.validate()?;
            stopped = session.verdict(planned, every);
        }
        let (best_step, best_average, _) =
            best(&session.curve).context("every loss on the withheld rows was not finite")?;
        let parameters =
            session.trainer.net().parameters().iter().map(|(_, p)| p.elem_count()).sum();
        Ok(Trained {
            planned,
            steps: session.trainer.step(),
            stopped,
            seconds: session.seconds(),
            best_step,
            best_average,
            parameters,
            curve: session.curve,
        })
    }
}

/// The file of the weights that were kept.
pub(super) fn kept_path<M: Trainable>(workspace: &Workspace) -> PathBuf {
    workspace.path(&format!("checkpoints/{}.safetensors", M::NAME))
}

/// The name of a part or a file of a training.
fn named<M: Trainable>(what: &str) -> String {
    format!("{}{what}", M::PREFIX)
}

/// A training under way.
struct Session<'a, M: Trainable> {
    job: &'a Job<'a, M>,
    workspace: &'a Workspace,
    trainer: Trainer<M>,
    planned: u64,
    state: PathBuf,
    points: PathBuf,
    curve: Vec<Point>,
    course: Course,
    /// Images of a sheet of samples; none where there are no sheets.
    images: Option<usize>,
    bar: crate::runs::Part,
    before: f64,
    begun: Instant,
    saved: Instant,
}

impl<'a, M: Trainable> Session<'a, M> {
    fn open(job: &'a Job<'a, M>, workspace: &'a Workspace, planned: u64) -> Result<Self> {
        let state = workspace.path(&format!("checkpoints/{}.training.safetensors", M::NAME));
        let trainer = if state.is_file() {
            let resumed =
                Trainer::resume_on(&state, job.config(planned), &candle_core::Device::Cpu)
                    .context("to train anew, delete the checkpoint")?;
            resumed.term(1.0, Box::new(job.loss()))
        } else {
            job.start(planned)?
        };
        let trainer = trainer.checkpoint_to(&state);
        let points = workspace.path(&named::<M>("validation.json"));
        let mut curve: Vec<Point> = if points.is_file() { read_json(&points)? } else { Vec::new() };
        curve.retain(|p| p.step <= trainer.step());
        let (course, before) = Course::open(workspace, (M::NAME, M::PREFIX), trainer.step())?;
        let images = job.sheets.as_ref().and_then(|_| sheets::images(job.training, planned));
        let (progress, each) = (&workspace.progress, job.training.step_cost());
        progress.plan(M::WORK, planned as f64 * each, 0.0);
        progress.resumed(M::WORK, trainer.step() as f64 * each);
        let bar = progress.part(M::WORK, M::WORK, (planned, trainer.step()), each);
        let now = Instant::now();
        Ok(Self {
            job,
            workspace,
            trainer,
            planned,
            state,
            points,
            curve,
            course,
            images,
            bar,
            before,
            begun: now,
            saved: now,
        })
    }

    fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Trains up to a step, with checkpoints on the way.
    fn advance(&mut self, until: u64) -> Result<()> {
        let every = self.job.training.log_every(self.trainer.step());
        while self.trainer.step() < until {
            let next = (self.trainer.step() / every + 1) * every;
            self.train_to(next.min(until))?;
            let due = self.saved.elapsed() >= CHECKPOINT;
            if due || signals::checkpoint_asked() {
                self.save()?;
            }
        }
        Ok(())
    }

    fn train_to(&mut self, until: u64) -> Result<()> {
        let (bar, mut last) = (&mut self.bar, None);
        let outcome = self.trainer.run_to(until, self.workspace.stop, &mut |p| {
            bar.advance(1);
            last = Some((p.step, p.loss, p.lr, p.grad_norm));
            Ok(())
        });
        let outcome = outcome.with_context(|| self.kept())?;
        if let Some((step, loss, lr, grad_norm)) = last {
            let seconds = self.seconds();
            let network = M::NAME.into();
            let line =
                Line { network, step, loss, dsm: loss, residual: None, lr, grad_norm, seconds };
            self.course.line(&line)?;
            let rows = step * self.job.training.batch as u64;
            let speed = rows as f64 / seconds.max(1e-9);
            self.bar.note(format!("loss {loss:.4}  {} rows/s", report::digits(speed)));
        }
        match outcome {
            Outcome::Interrupted => Err(Interrupted.into()),
            Outcome::Finished => Ok(()),
        }
    }

    /// What an error of the training leaves behind.
    fn kept(&self) -> String {
        match best(&self.curve) {
            Some((step, ..)) => format!(
                "training (the weights of step {step} are in {})",
                kept_path::<M>(self.workspace).display()
            ),
            None => "training (no weights had been kept yet)".into(),
        }
    }

    fn save(&mut self) -> Result<()> {
        self.trainer.save_checkpoint(&self.state)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Measures the loss on withheld rows under the weights and their averages, and keeps the best of them.
    fn validate(&mut self) -> Result<()> {
        let job = self.job;
        let every = job.training.validate_every(self.planned);
        let rows = job.n_validation.min(job.training.validation_rows(every, AVERAGES.len() + 1));
        let loss = M::loss(job.training, job.validation.clone(), rows);
        // The same noise every time: differences are of the weights alone.
        let key = job.key(2);
        let mut validation = vec![self.trainer.net().value(&loss, key)?];
        for k in 0..AVERAGES.len() {
            let average = self.trainer.average_net(k)?.context("an average is missing")?;
            validation.push(average.value(&loss, key)?);
        }
        let before = best(&self.curve);
        let step = self.trainer.step();
        self.curve.push(Point { step, validation, seconds: self.seconds() });
        let now = best(&self.curve);
        if let Some((at, place, loss)) = now
            && now != before
        {
            debug_assert_eq!(at, step);
            // First the weights, then what says that they are kept: a process killed in between writes them again.
            match place.checked_sub(1) {
                None => self.trainer.net().keep(&kept_path::<M>(self.workspace))?,
                Some(k) => {
                    let average = self.trainer.average_net(k)?.context("an average is missing")?;
                    average.keep(&kept_path::<M>(self.workspace))?;
                }
            }
            let of = M::PREFIX.replace('-', ", ");
            self.workspace.say(&format!("{of}step {step}: validation loss {loss:.4}"));
        }
        atomic::write(&self.points, &serde_json::to_vec(&self.curve)?)?;
        self.course.withheld(&self.curve)?;
        self.sheet()?;
        self.save()
    }

    /// Draws a sheet of samples, where one is due, from the average of the weights with the smallest loss now.
    fn sheet(&mut self) -> Result<()> {
        let (Some(draw), Some(images)) = (&self.job.sheets, self.images) else { return Ok(()) };
        let Some(point) = self.curve.last() else { return Ok(()) };
        if !sheets::due_at(&self.curve, self.planned) {
            return Ok(());
        }
        let averages = point.validation.iter().skip(1).enumerate();
        let (k, _) = averages.min_by(|a, b| a.1.total_cmp(b.1)).context("no average is kept")?;
        let average = self.trainer.average_net(k)?.context("an average is missing")?;
        let step = point.step;
        // A model that has learned too little to be sampled goes on learning.
        match draw(&average, (images, step)) {
            Ok(path) => {
                let png = std::fs::read(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                self.course.sheet(step, &png)
            }
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                self.workspace.say(&format!("step {step}: no sheet of samples: {error:#}"));
                Ok(())
            }
        }
    }

    /// Whether the training ends here, before its last step.
    fn verdict(&self, planned: u64, every: u64) -> Option<Stop> {
        let step = self.trainer.step();
        if step >= planned {
            return None;
        }
        let patience = (self.job.training.patience * planned as f64) as u64;
        let since = best(&self.curve).map_or(step, |(at, ..)| step - at);
        if since > patience.max(3 * every) {
            return Some(Stop::Validation);
        }
        // Where the steps were measured to fit, a little more lets the learning rate fall to its end.
        let late = self.seconds() > 1.1 * self.job.seconds;
        late.then_some(Stop::Time)
    }
}
