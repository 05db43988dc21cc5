//! The trait of a numerical method: one step from a state at one time to the next.

use sde_core::Result;

use crate::Noise;

/// Evaluations kept from earlier steps, newest first: the first stage of the next step, or the
/// history of a multistep method. Empty at the start of a solve.
#[derive(Clone, Debug)]
pub struct Past<S> {
    entries: Vec<(f64, S)>,
    steps: u64,
}

impl<S> Default for Past<S> {
    fn default() -> Self {
        Self { entries: vec![], steps: 0 }
    }
}

impl<S> Past<S> {
    /// A history of evaluations with their times, newest first.
    pub fn new(entries: Vec<(f64, S)>) -> Self {
        Self { entries, steps: 0 }
    }

    /// The same history, after so many accepted steps.
    #[must_use]
    pub fn after(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Accepted steps before the present, as `solve` counts them: it tells apart the noise of steps
    /// that a solve takes more than once.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Evaluation number `back` before the present; 0 is the newest.
    pub fn get(&self, back: usize) -> Option<(f64, &S)> {
        self.entries.get(back).map(|(t, x)| (*t, x))
    }

    /// The number of evaluations kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What a step returns.
#[derive(Clone, Debug)]
pub struct Step<S> {
    /// The state at the end of the interval.
    pub x: S,
    /// An estimate of the local error, in the shape of the state.
    pub error: Option<S>,
    /// What the next step may reuse.
    pub past: Past<S>,
    /// Evaluations of the score.
    pub nfe: u64,
}

/// A numerical method as a pure function: the same arguments give the same step.
///
/// A method that needs more of a problem than [`sde_core::Dynamics`] says so by the bound on `P`. Your own
/// stepper goes to a sampler as [`crate::CustomStepper`]; the example there implements one.
pub trait Stepper<S, P: ?Sized>: Send + Sync {
    /// One step of `problem` from `x` at `t0` to `t1`.
    ///
    /// # Errors
    /// Whatever the problem, the noise or the state fails with.
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>>;

    /// The order `q` of the error estimate, which shrinks as `h^q`; `None` when there is none.
    fn error_order(&self) -> Option<f64> {
        None
    }

    /// Whether the method integrates noise; `solve` refuses the others where there is some.
    fn takes_noise(&self) -> bool {
        false
    }
}

impl<S, P: ?Sized, T: Stepper<S, P> + ?Sized> Stepper<S, P> for &T {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        (**self).step(problem, x, t0, t1, past, noise)
    }

    fn error_order(&self) -> Option<f64> {
        (**self).error_order()
    }

    fn takes_noise(&self) -> bool {
        (**self).takes_noise()
    }
}

impl<S, P: ?Sized, T: Stepper<S, P> + ?Sized> Stepper<S, P> for Box<T> {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        (**self).step(problem, x, t0, t1, past, noise)
    }

    fn error_order(&self) -> Option<f64> {
        (**self).error_order()
    }

    fn takes_noise(&self) -> bool {
        (**self).takes_noise()
    }
}
