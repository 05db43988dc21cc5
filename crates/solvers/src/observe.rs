//! Who looks on while a solve runs.

use std::ops::ControlFlow;

/// An accepted step.
#[derive(Debug)]
pub struct Event<'a, S> {
    /// Accepted steps so far, this one included.
    pub index: u64,
    /// The time reached.
    pub t: f64,
    /// The length of the step.
    pub h: f64,
    /// The state there.
    pub x: &'a S,
    /// Evaluations of the score so far.
    pub nfe: u64,
}

/// Sees every accepted step and may end the solve. `()` does nothing; closures observe too.
pub trait Observer<S> {
    /// Called after each accepted step; `Break` ends the solve there.
    fn on_step(&mut self, event: Event<'_, S>) -> ControlFlow<()>;
}

impl<S> Observer<S> for () {
    fn on_step(&mut self, _: Event<'_, S>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<S, F: FnMut(Event<'_, S>) -> ControlFlow<()>> Observer<S> for F {
    fn on_step(&mut self, event: Event<'_, S>) -> ControlFlow<()> {
        self(event)
    }
}

/// Keeps the time and the state after every step.
#[derive(Clone, Debug)]
pub struct Trajectory<S> {
    /// The times reached.
    pub times: Vec<f64>,
    /// The states there.
    pub states: Vec<S>,
}

impl<S> Default for Trajectory<S> {
    fn default() -> Self {
        Self { times: vec![], states: vec![] }
    }
}

impl<S: Clone> Observer<S> for Trajectory<S> {
    fn on_step(&mut self, event: Event<'_, S>) -> ControlFlow<()> {
        self.times.push(event.t);
        self.states.push(event.x.clone());
        ControlFlow::Continue(())
    }
}
