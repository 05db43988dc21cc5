//! A builder of samplers, with usual values for whatever is not said.

use sde_core::{Key, Score, Sde, State, TimeGrid, Tolerance};

use crate::sample::refuse;
use crate::{Control, End, Method, Result, Rows, Sampler, Scheme, SolveError, sample};

/// Builds a [`Sampler`], or draws particles at once: method, stochasticity and steps are given, all else has a usual value.
///
/// It begins at the horizon `T`, where particles are drawn from the prior, and ends where samplers of the SDE
/// usually do ([`Sde::usual_end`]), the last step without noise. Steps lie as [`SamplerBuilder::grid`] says: evenly in
/// `sqrt(t)`, or, where noise is added to the data as they are (`alpha = 1`), as Karras et al. lay them. Each has a
/// method of its name that changes it. [`SamplerBuilder::build`] is the same for [`crate::sample`], which hands out blocks
/// as they come.
///
/// ```
/// use ndarray::Array2;
/// use sde_core::{Key, Vp, analytic::DataSet};
/// use solvers::{Method, Sampler};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// // A particle is a row of two numbers.
/// let like = Array2::zeros((1, 2));
/// let x = Sampler::builder(Method::DpmSolverPP2M, 0.0, 20).draw(&vp, &score, 1000, &like, Key::root(1))?;
/// assert_eq!(x.dim(), (1000, 2));
///
/// // Particle 700 is the same whoever is drawn with it.
/// let some = Sampler::builder(Method::DpmSolverPP2M, 0.0, 20).draw(&vp, &score, 700..710, &like, Key::root(1))?;
/// assert_eq!(some.row(0), x.row(700));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SamplerBuilder<M = Method> {
    method: M,
    eta: f64,
    steps: Steps,
    start: Option<f64>,
    stop: Option<f64>,
    grid: Option<TimeGrid>,
    end: End,
    block_rows: u64,
}

/// How many steps.
#[derive(Clone, Copy, Debug)]
enum Steps {
    Fixed(usize),
    Tolerance(Tolerance),
}

/// Particles in a block.
const BLOCK: u64 = 256;

impl<M> Sampler<M> {
    /// A sampler of `steps` steps of a method, with everything else at its usual value until it is changed: see
    /// [`SamplerBuilder`].
    pub fn builder(method: M, eta: f64, steps: usize) -> SamplerBuilder<M> {
        SamplerBuilder::new(method, eta, steps)
    }
}

impl<M> SamplerBuilder<M> {
    /// So many steps of a method (a [`Method`], a [`crate::ConfiguredMethod`] one, one's [`crate::CustomStepper`]), with stochasticity
    /// `eta`: 0 for the probability-flow ODE, 1 for the reverse SDE.
    pub fn new(method: M, eta: f64, steps: usize) -> Self {
        let (start, stop, grid) = (None, None, None);
        let steps = Steps::Fixed(steps);
        Self { method, eta, steps, start, stop, grid, end: End::default(), block_rows: BLOCK }
    }

    /// Steps as long as a tolerance allows, for every particle on its own, of a method that estimates its error.
    pub fn adaptive(method: M, eta: f64, tolerance: Tolerance) -> Self {
        Self { steps: Steps::Tolerance(tolerance), ..Self::new(method, eta, 0) }
    }

    /// Begins at this time; else at the horizon.
    #[must_use]
    pub fn start(mut self, t: f64) -> Self {
        self.start = Some(t);
        self
    }

    /// Stops at this time; else at [`Sde::usual_end`].
    #[must_use]
    pub fn stop(mut self, t: f64) -> Self {
        self.stop = Some(t);
        self
    }

    /// Lays the steps by this rule.
    #[must_use]
    pub fn grid(mut self, grid: TimeGrid) -> Self {
        self.grid = Some(grid);
        self
    }

    /// Ends like this; else with a last step without noise.
    #[must_use]
    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Solves so many particles together; else 256. It changes no sample.
    #[must_use]
    pub fn block_rows(mut self, rows: u64) -> Self {
        self.block_rows = rows;
        self
    }

    /// The plan for an SDE, as [`crate::sample`] takes it.
    ///
    /// # Errors
    /// [`crate::SolveError::Setup`] for a time outside `[0, T]`, or a grid that cannot be laid
    /// ([`TimeGrid::times`]).
    pub fn build(self, sde: &dyn Sde) -> Result<Sampler<M>> {
        let t_start = self.start.unwrap_or(sde.horizon());
        let t_end = self.stop.unwrap_or(sde.usual_end());
        let control = match self.steps {
            Steps::Fixed(steps) => {
                let exploding = sde.marginal(sde.horizon()).alpha == 1.0;
                let usual =
                    if exploding { TimeGrid::Karras { rho: 7.0 } } else { TimeGrid::Quadratic };
                let grid = self.grid.unwrap_or(usual);
                Control::Grid(grid.times(sde, steps, t_start, t_end)?)
            }
            Steps::Tolerance(tol) => Control::Adaptive { t_start, t_end, tol },
        };
        let Self { method, eta, end, block_rows, .. } = self;
        Ok(Sampler { method, eta, control, end, block_rows })
    }

    /// Draws particles, all of them at once: `n`, or a range of their numbers. Particle `i` is a function of `key`
    /// and `i` alone, see [`sample`].
    ///
    /// # Shapes
    /// `like` has at least one row, of the shape (and device) of a particle; its values are not used. The result
    /// has as many rows as were asked for.
    ///
    /// # Errors
    /// As [`SamplerBuilder::build`] and [`sample`]; [`crate::SolveError::Setup`] for no particles.
    pub fn draw<S: State>(
        self,
        sde: &dyn Sde,
        score: &dyn Score<S>,
        rows: impl Into<Rows>,
        like: &S,
        key: Key,
    ) -> Result<S>
    where
        M: Scheme<S>,
    {
        let (sampler, rows, mut parts) = (self.build(sde)?, rows.into(), vec![]);
        if rows.is_empty() {
            return refuse("rows", rows, "needs at least one");
        }
        let mut keep = |_: u64, x: S| {
            parts.push(x);
            Ok::<(), SolveError>(())
        };
        sample(&sampler, sde, score, rows, key, like, &mut keep)?;
        Ok(S::concat_rows(&parts)?)
    }
}
