//! From noise to samples.

use sde_core::{Error, Key, Reverse, Score, Sde, State};

use crate::rows::solve_rows;
use crate::{
    Adaptive, BrownianTree, Control, Controller, End, GottaGoFast, Grid, IndependentIncrements,
    Method, Noise, NoiselessEnd, Request, Result, Rows, Scheme, SolveError, Summary, denoise,
    solve, solve_blocks,
};

/// A sampler: a method, its steps and its end.
#[derive(Clone, Debug)]
pub struct Sampler<M = Method> {
    /// The method: a [`Method`], a [`crate::ConfiguredMethod`] one, or a stepper of one's own ([`crate::CustomStepper`]).
    pub method: M,
    /// Stochasticity: 0 for the flow ODE, 1 for the reverse SDE.
    pub eta: f64,
    /// The steps.
    pub control: Control,
    /// What happens at the end.
    pub end: End,
    /// Particles in a block: a few hundred, so that a block stays in the cache. Adaptive control
    /// uses blocks of one.
    pub block_rows: u64,
}

impl<M> Sampler<M> {
    fn rows_in_a_block(&self) -> u64 {
        if self.control.per_row() { self.block_rows.min(1) } else { self.block_rows }
    }
}

/// Levels of the Brownian tree behind adaptive steps with noise.
const DEPTH: u32 = 40;

/// Draws particles from the prior and takes them through the reverse dynamics of `sde` under `score`; every
/// finished block goes to `sink(first_row, x)`, in the order of rows. [`crate::SamplerBuilder`] is the short way here.
///
/// `rows` is their number `n`, for particles `0 .. n`, or a range of their numbers. Particle `i` is a function of
/// `key` and `i` alone: the range it is drawn in, `block_rows` and the number of threads change
/// nothing, bit for bit, if the score computes its rows independently. The prior is
/// `N(0, prior_std^2 I)`, drawn from `key.fold(0)`; the noise comes from `key.fold(1)`. The score is that
/// of the particles of a block, [`Score::for_rows`].
///
/// # Shapes
/// `like` has at least one row, of the shape (and device) of a particle; its values are not used.
///
/// With `(&sampler, BadRows::Nan(..))` for `&sampler` a particle that cannot be solved is NaN, and the others go
/// on ([`crate::BadRows`]).
///
/// # Errors
/// [`SolveError::Setup`] for a sampler that makes no sense (a time outside `[0, T]`, blocks of zero
/// rows, `like` without rows); [`SolveError::InRow`] with an error of [`solve`] and the first row it is due to;
/// otherwise as [`solve`], or what `sink` fails with.
///
/// ```
/// use ndarray::Array2;
/// use sde_core::{Key, TimeGrid, Vp, analytic::DataSet};
/// use solvers::{Control, End, Method, Sampler, sample};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let times = TimeGrid::Uniform.times(&vp, 50, 1.0, 1e-3)?;
/// let sampler = Sampler {
///     method: Method::EulerMaruyama,
///     eta: 1.0,
///     control: Control::Grid(times),
///     end: End::NoNoise,
///     block_rows: 256,
/// };
/// let mut inside = 0;
/// let summary = sample(&sampler, &vp, &score, 1000, Key::root(1), &Array2::zeros((1, 2)), &mut |_, x| {
///     inside += x.rows().into_iter().filter(|x| x.iter().all(|x| x.abs() < 4.0)).count();
///     Ok(())
/// })?;
/// assert_eq!((summary.rows, summary.nfe), (1000, 50));
/// assert!(inside > 980);
/// # Ok::<(), solvers::SolveError>(())
/// ```
pub fn sample<'a, S: State, M: Scheme<S> + 'a>(
    sampler: impl Into<Request<'a, Sampler<M>>>,
    sde: &dyn Sde,
    score: &dyn Score<S>,
    rows: impl Into<Rows>,
    key: Key,
    like: &S,
    sink: &mut (dyn FnMut(u64, S) -> Result<()> + Send),
) -> Result<Summary> {
    let request = sampler.into();
    let sampler = request.how;
    if like.rows() == 0 {
        return refuse("like", 0, "needs at least one row");
    }
    if sampler.block_rows == 0 {
        return refuse("block-rows", 0, "a block needs at least one row");
    }
    let (row, rows) = (like.slice_rows(0, 1)?, rows.into());
    let most = sampler.rows_in_a_block().min(rows.len().max(1));
    let block = S::concat_rows(&vec![row; most as usize])?;
    let start = |first_row: u64, len: usize| {
        let z = block.slice_rows(0, len)?.normals_like(key.fold(0), first_row)?;
        S::lincomb(&[(sde.prior_std(), &z)])
    };
    sample_from(request, sde, score, rows, key, &start, sink)
}

/// As [`sample`], from given states: `start(first_row, len)` is the block of those particles at the
/// first time.
///
/// # Errors
/// As [`sample`], or what `start` fails with.
pub fn sample_from<'a, S: State, M: Scheme<S> + 'a>(
    sampler: impl Into<Request<'a, Sampler<M>>>,
    sde: &dyn Sde,
    score: &dyn Score<S>,
    rows: impl Into<Rows>,
    key: Key,
    start: &(dyn Fn(u64, usize) -> sde_core::Result<S> + Sync),
    sink: &mut (dyn FnMut(u64, S) -> Result<()> + Send),
) -> Result<Summary> {
    let Request { how: sampler, bad } = sampler.into();
    let block_rows = sampler.rows_in_a_block();
    if block_rows == 0 {
        return refuse("block-rows", 0, "a block needs at least one row");
    }
    Reverse::new(sde, score, sampler.eta)?;
    let control = sampler.method.control(sde, sampler.control.within(sde)?)?;
    let (t_start, t_end) = match &control {
        Control::Grid(times) => (times[0], times[times.len() - 1]),
        Control::Restarts(times, restarts) => {
            (times[0], Grid::with_restarts(times.clone(), restarts)?.end())
        }
        Control::Adaptive { t_start, t_end, .. } | Control::GottaGoFast { t_start, t_end, .. } => {
            (*t_start, *t_end)
        }
    };
    let solve_block = |first_row: u64, len: usize| {
        let x = start(first_row, len)?;
        let numbers: Vec<u64> = (first_row..first_row + len as u64).collect();
        let score = score.for_rows(&numbers)?;
        let problem = Reverse::new(sde, &*score, sampler.eta)?;
        let times = if let Control::Grid(times) = &control { Some(times.as_slice()) } else { None };
        let stepper = sampler.method.make(times);
        let mut controller: Box<dyn Controller> = match &control {
            Control::Grid(times) => Box::new(Grid::new(times.clone())?),
            Control::Restarts(times, restarts) => {
                Box::new(Grid::with_restarts(times.clone(), restarts)?)
            }
            Control::Adaptive { tol, .. } => Box::new(Adaptive::new(t_start, t_end, *tol)?),
            Control::GottaGoFast { tol, .. } => Box::new(GottaGoFast::new(t_start, t_end, *tol)?),
        };
        let noise: Box<dyn Noise<S>> = if sampler.control.per_row() {
            Box::new(BrownianTree::new(key.fold(1), first_row, t_start, t_end, DEPTH)?)
        } else {
            Box::new(IndependentIncrements::new(key.fold(1), first_row))
        };
        let noiseless = NoiselessEnd::new(&*noise, t_end);
        // Noise that a method draws itself comes off again in the same step, the last one too.
        let published = matches!(sampler.control, Control::GottaGoFast { .. });
        let plain = match sampler.end {
            End::Plain => true,
            End::NoNoise => sampler.method.own_noise(),
            End::Denoise => sampler.method.own_noise() || published,
        };
        let noise: &dyn Noise<S> = if plain { &*noise } else { &noiseless };
        let mut done = solve(&*stepper, &problem, x, t_start, &mut *controller, noise, &mut ())?;
        if sampler.end == End::Denoise {
            let model = |source| SolveError::Model { t: t_end, h: 0.0, source };
            done.x = denoise(&problem, &done.x, t_end).map_err(model)?;
            if !done.x.all_finite().map_err(model)? {
                return Err(SolveError::NonFinite { t: t_end, h: 0.0 });
            }
            done.stats.nfe += 1;
        }
        Ok(done)
    };
    let nan = |row: u64| Ok(S::lincomb(&[(f64::NAN, &start(row, 1)?)])?);
    let solve_block =
        |first: u64, len: usize| solve_rows(bad, (first, len), &solve_block, &nan, &|row| row);
    solve_blocks(rows, block_rows, &solve_block, sink)
}

pub(crate) fn refuse<T>(name: &str, value: impl std::fmt::Display, reason: &str) -> Result<T> {
    let (name, value, reason) = (name.into(), value.to_string(), reason.into());
    Err(SolveError::Setup(Error::Parameter { name, value, reason }))
}
