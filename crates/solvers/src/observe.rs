//! Observers: called after every accepted step of a solve.

use std::ops::ControlFlow;

/// An accepted step, as an observer is shown it.
#[derive(Debug)]
pub struct Event<'a, S> {
    /// Accepted steps so far, this one included.
    pub index: u64,
    /// The time reached.
    pub t: f64,
    /// The length of the step, negative backward in time.
    pub h: f64,
    /// The state there.
    pub x: &'a S,
    /// Evaluations of the score so far.
    pub nfe: u64,
}

/// Called after every accepted step, and may end the solve. `()` does nothing; a closure is an observer.
///
/// ```
/// use std::ops::ControlFlow;
/// use ndarray::array;
/// use sde_core::{Key, Reverse, TimeGrid, Vp, analytic::DataSet};
/// use solvers::{Event, Grid, IndependentIncrements, Method, solve};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let mut grid = Grid::new(TimeGrid::Uniform.times(&vp, 100, 1.0, 0.01)?)?;
/// let noise = IndependentIncrements::new(Key::root(1), 0);
/// // Stops half way.
/// let mut observer = |event: Event<'_, ndarray::Array2<f64>>| match event.t < 0.5 {
///     true => ControlFlow::Break(()),
///     false => ControlFlow::Continue(()),
/// };
/// let problem = Reverse::ode(&vp, &score);
/// let stepper = Method::Heun.stepper();
/// let done = solve(&*stepper, &problem, array![[0.1, 0.2]], 1.0, &mut grid, &noise, &mut observer)?;
/// assert!(done.t < 0.5 && done.t > 0.45);
/// # Ok::<(), solvers::SolveError>(())
/// ```
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

/// An observer that keeps the time and the state after every step.
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
