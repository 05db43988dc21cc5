//! Drawing samples: from the prior through the reverse dynamics, block by block.

use sde_core::{Error, Key, Reverse, Score, Sde, State};

use crate::rows::solve_rows;
use crate::{
    BrownianTree, Control, End, IndependentIncrements, Method, Noise, NoiselessEnd, Request,
    Result, Rows, Scheme, Solution, SolveError, Summary, denoise, solve, solve_blocks,
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
/// # The error of the sink
/// `E` is the caller's own error type, or [`SolveError`]: whatever the sink fails with ends the run and comes back as it is.
/// A closure that cannot fail says which one it is, `Ok::<(), SolveError>(())`.
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
/// use solvers::{Control, End, Method, Sampler, SolveError, sample};
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
///     Ok::<(), SolveError>(())
/// })?;
/// assert_eq!((summary.rows, summary.nfe), (1000, 50));
/// assert!(inside > 980);
/// # Ok::<(), solvers::SolveError>(())
/// ```
pub fn sample<'a, S: State, M: Scheme<S> + 'a, E: From<SolveError> + Send>(
    sampler: impl Into<Request<'a, Sampler<M>>>,
    sde: &dyn Sde,
    score: &dyn Score<S>,
    rows: impl Into<Rows>,
    key: Key,
    like: &S,
    sink: &mut (dyn FnMut(u64, S) -> Result<(), E> + Send),
) -> Result<Summary, E> {
    let (request, rows) = (sampler.into(), rows.into());
    let block = empty_block(request.how, like, rows)?;
    let start = |first_row: u64, len: usize| {
        let z = block.slice_rows(0, len)?.normals_like(key.fold(0), first_row)?;
        S::lincomb(&[(sde.prior_std(), &z)])
    };
    sample_from(request, sde, score, rows, key, &start, sink)
}

/// As many copies of a particle as the largest block has rows: what their normals are drawn like.
fn empty_block<S: State, M>(sampler: &Sampler<M>, like: &S, rows: Rows) -> Result<S> {
    if like.rows() == 0 {
        return refuse("like", 0, "needs at least one row");
    }
    if sampler.block_rows == 0 {
        return refuse("block-rows", 0, "a block needs at least one row");
    }
    let most = sampler.rows_in_a_block().min(rows.len().max(1));
    Ok(S::concat_rows(&vec![like.slice_rows(0, 1)?; most as usize])?)
}

/// As [`sample`], from given states: `start(first_row, len)` is the block of those particles at the
/// first time.
///
/// # Errors
/// As [`sample`], or what `start` fails with.
pub fn sample_from<'a, S: State, M: Scheme<S> + 'a, E: From<SolveError> + Send>(
    sampler: impl Into<Request<'a, Sampler<M>>>,
    sde: &dyn Sde,
    score: &dyn Score<S>,
    rows: impl Into<Rows>,
    key: Key,
    start: &(dyn Fn(u64, usize) -> sde_core::Result<S> + Sync),
    sink: &mut (dyn FnMut(u64, S) -> Result<(), E> + Send),
) -> Result<Summary, E> {
    let Request { how: sampler, bad } = sampler.into();
    let block_rows = sampler.rows_in_a_block();
    if block_rows == 0 {
        return Ok(refuse("block-rows", 0, "a block needs at least one row")?);
    }
    let blocks = BlockSolver::new(sampler, sde, score, key)?;
    let solve_block = |first: u64, len: usize| blocks.solve(first, start(first, len)?);
    let nan = |row: u64| Ok(S::lincomb(&[(f64::NAN, &start(row, 1)?)])?);
    let solve_block =
        |first: u64, len: usize| Ok(solve_rows(bad, (first, len), &solve_block, &nan, &|row| row)?);
    solve_blocks(rows, block_rows, &solve_block, sink)
}

/// Takes blocks of particles through a whole solve.
struct BlockSolver<'a, S, M> {
    sampler: &'a Sampler<M>,
    sde: &'a dyn Sde,
    score: &'a dyn Score<S>,
    key: Key,
    /// The steps as they are taken.
    control: Control,
    /// Their first time and their last.
    ends: (f64, f64),
}

impl<'a, S: State, M: Scheme<S>> BlockSolver<'a, S, M> {
    fn new(
        sampler: &'a Sampler<M>,
        sde: &'a dyn Sde,
        score: &'a dyn Score<S>,
        key: Key,
    ) -> Result<Self> {
        Reverse::new(sde, score, sampler.eta)?;
        let control = sampler.method.control(sde, sampler.control.within(sde)?)?;
        let ends = control.ends()?;
        Ok(Self { sampler, sde, score, key, control, ends })
    }

    /// The block of particles `first_row` onward from their states `x` at the first time.
    fn solve(&self, first_row: u64, x: S) -> Result<Solution<S>> {
        let (sampler, (t_start, t_end)) = (self.sampler, self.ends);
        let numbers: Vec<u64> = (first_row..first_row + x.rows() as u64).collect();
        let score = self.score.for_rows(&numbers)?;
        let problem = Reverse::new(self.sde, &*score, sampler.eta)?;
        let times =
            if let Control::Grid(times) = &self.control { Some(times.as_slice()) } else { None };
        let stepper = sampler.method.make(times);
        let mut controller = self.control.controller()?;
        let noise = self.noise(first_row)?;
        let noiseless = NoiselessEnd::new(&*noise, t_end);
        let noise: &dyn Noise<S> = if self.ends_with_noise() { &*noise } else { &noiseless };
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
    }

    /// The noise of the particles `first_row` onward: of one path each where steps are chosen, else independent
    /// increments.
    fn noise(&self, first_row: u64) -> Result<Box<dyn Noise<S>>> {
        let (key, (t_start, t_end)) = (self.key.fold(1), self.ends);
        Ok(if self.sampler.control.per_row() {
            Box::new(BrownianTree::new(key, first_row, t_start, t_end, DEPTH)?)
        } else {
            Box::new(IndependentIncrements::new(key, first_row))
        })
    }

    /// Whether the last step has its noise. Noise that a method draws itself comes off again in the same step, the last
    /// one too; the published adaptive solver denoises what its last step has left.
    fn ends_with_noise(&self) -> bool {
        let published = matches!(self.sampler.control, Control::GottaGoFast { .. });
        match self.sampler.end {
            End::Plain => true,
            End::NoNoise => self.sampler.method.own_noise(),
            End::Denoise => self.sampler.method.own_noise() || published,
        }
    }
}

pub(crate) fn refuse<T>(name: &str, value: impl std::fmt::Display, reason: &str) -> Result<T> {
    let (name, value, reason) = (name.into(), value.to_string(), reason.into());
    Err(SolveError::Setup(Error::Parameter { name, value, reason }))
}
