//! A sampler run on recorded starts and recorded noise.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{ArrayD, Ix3};
use sde_core::{Error, Tolerance};
use solvers::{Grid, LambdaAdaptive, NoiselessEnd, Trajectory, denoise, solve};

use crate::prelude::*;

/// A method on the reverse process.
pub(crate) type Method = Box<dyn for<'a> Stepper<Rows, Reverse<'a, Rows>>>;

/// A step by the problem, the state, both times and the noise.
type OwnStep = Box<
    dyn Fn(&Reverse<'_, Rows>, &Rows, f64, f64, &dyn Noise<Rows>) -> sde_core::Result<Step<Rows>>
        + Send
        + Sync,
>;

/// A method that is given by its step, and keeps no past.
struct Own(OwnStep);

impl<'a> Stepper<Rows, Reverse<'a, Rows>> for Own {
    fn step(
        &self,
        problem: &Reverse<'a, Rows>,
        x: &Rows,
        t0: f64,
        t1: f64,
        _: &Past<Rows>,
        noise: &dyn Noise<Rows>,
    ) -> sde_core::Result<Step<Rows>> {
        (self.0)(problem, x, t0, t1, noise)
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// A method that is given by its step.
pub(crate) fn own(step: OwnStep) -> Method {
    Box::new(Own(step))
}

/// A step that ends at `x`.
pub(crate) fn arrived(x: Rows, nfe: u64) -> Step<Rows> {
    Step { x, error: None, past: Past::default(), nfe }
}

/// Everything that makes a sampler.
pub(crate) struct Sampler {
    pub(crate) sde: Box<dyn Sde>,
    pub(crate) times: Vec<f64>,
    pub(crate) stepper: Method,
    pub(crate) eta: f64,
    /// What the recorded start is multiplied by.
    pub(crate) scale: f64,
    /// Whether the noise of a step is the next recorded array, rather than that of the step's number.
    pub(crate) in_order: bool,
    /// The orders of its steps, where they are chosen by a rule.
    pub(crate) orders: Option<Vec<usize>>,
    /// Adaptive steps between the first and the last time.
    pub(crate) adaptive: Option<Tolerance>,
    /// Whether the predicted data at the end are a further state.
    pub(crate) denoise: bool,
    /// Whether the last step is without noise.
    pub(crate) quiet_end: bool,
    /// Whether trajectories hold the states before the steps, as callbacks see them.
    pub(crate) callback: bool,
    /// Whether a model is asked at `x / alpha`.
    pub(crate) unscaled: bool,
    pub(crate) tolerance: f64,
}

impl Sampler {
    /// On the flow ODE, from the recorded start.
    pub(crate) fn ode(sde: Box<dyn Sde>, times: Vec<f64>, stepper: Method) -> Self {
        Self {
            sde,
            times,
            stepper,
            eta: 0.0,
            scale: 1.0,
            in_order: false,
            orders: None,
            adaptive: None,
            denoise: false,
            quiet_end: false,
            callback: false,
            unscaled: false,
            tolerance: super::TOLERANCE,
        }
    }

    /// A solve from `x` with the score of a model and recorded normals.
    pub(crate) fn run(&self, score: &dyn Score<Rows>, x: Rows, normals: Vec<Rows>) -> Result<Run> {
        let (sde, times) = (self.sde.as_ref(), &self.times);
        let (start, end) = (times[0], times[times.len() - 1]);
        let score = Watched { score, evaluated: Mutex::default() };
        let problem = Reverse::new(sde, &score, self.eta)?;
        let drawn = AtomicUsize::new(0);
        let recorded = Recorded { arrays: normals, in_order: self.in_order, times, drawn };
        let quiet = NoiselessEnd::new(&recorded, end);
        let noise: &dyn Noise<Rows> = if self.quiet_end { &quiet } else { &recorded };
        let (mut seen, first) = (Trajectory::default(), x.clone());
        let done = match self.adaptive {
            Some(tolerance) => {
                let mut control = LambdaAdaptive::new(sde, start, end, tolerance)?;
                solve(&*self.stepper, &problem, x, start, &mut control, noise, &mut seen)?
            }
            None => {
                let mut grid = Grid::new(times.clone())?;
                solve(&*self.stepper, &problem, x, start, &mut grid, noise, &mut seen)?
            }
        };
        let (mut states, mut nfe) = ([vec![first], seen.states].concat(), done.stats.nfe);
        if self.denoise {
            states.push(denoise(&problem, &states[states.len() - 1], end)?);
            nfe += 1;
        }
        let mut evaluated = score.evaluated.into_inner().unwrap_or_default();
        if self.unscaled {
            evaluated.iter_mut().for_each(|(t, x)| *x /= sde.marginal(*t).alpha);
        }
        Ok(Run { states, evaluated, nfe })
    }
}

/// What a solve gave.
pub(crate) struct Run {
    /// The states, that at the start included.
    pub(crate) states: Vec<Rows>,
    /// When and where the score was asked for.
    pub(crate) evaluated: Vec<(f64, Rows)>,
    pub(crate) nfe: u64,
}

impl Run {
    /// The last state.
    pub(crate) fn end(&self) -> &Rows {
        &self.states[self.states.len() - 1]
    }
}

/// A score that keeps what it was asked.
struct Watched<'a> {
    score: &'a dyn Score<Rows>,
    evaluated: Mutex<Vec<(f64, Rows)>>,
}

impl Score<Rows> for Watched<'_> {
    fn score(&self, x: &Rows, t: f64) -> sde_core::Result<Rows> {
        if let Ok(mut evaluated) = self.evaluated.lock() {
            evaluated.push((t, x.clone()));
        }
        self.score.score(x, t)
    }

    fn denoised(&self, x: &Rows, t: f64) -> sde_core::Result<Option<Rows>> {
        self.score.denoised(x, t)
    }
}

/// Normals that were recorded one after the other, as they stand in an archive.
pub(crate) fn normals(array: ArrayD<f64>) -> Result<Vec<Rows>> {
    let array = array.into_dimensionality::<Ix3>().context("noise: expected three dimensions")?;
    Ok(array.outer_iter().map(|z| z.to_owned()).collect())
}

/// Recorded normals as the noise of a solve over `times`.
struct Recorded<'a> {
    arrays: Vec<Rows>,
    in_order: bool,
    times: &'a [f64],
    drawn: AtomicUsize,
}

impl Noise<Rows> for Recorded<'_> {
    fn increment(&self, like: &Rows, t0: f64, t1: f64) -> sde_core::Result<Rows> {
        State::lincomb(&[((t1 - t0).abs().sqrt(), &self.normals(like, t0, 0)?)])
    }

    fn normals(&self, _: &Rows, t: f64, _: u64) -> sde_core::Result<Rows> {
        let next = if self.in_order {
            Some(self.drawn.fetch_add(1, Ordering::Relaxed))
        } else {
            self.times.iter().position(|time| *time == t)
        };
        let array = next.and_then(|i| self.arrays.get(i)).cloned();
        array.ok_or_else(|| Error::Parameter {
            name: "t".into(),
            value: t.to_string(),
            reason: format!("no noise was recorded for this step: {} arrays", self.arrays.len()),
        })
    }

    fn first_row(&self) -> u64 {
        0
    }
}
