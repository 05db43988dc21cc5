//! Rows that cannot be solved: they end the run, or become NaN while the others go on.

use sde_core::State;

use crate::{Result, Solution, SolveError, Stats};

/// What happens to a row that cannot be solved.
#[derive(Clone, Copy, Default)]
pub enum BadRows<'a> {
    /// The run ends with an error that names the row.
    #[default]
    Refuse,
    /// The row becomes NaN, and the function is called with its number and its error. All other rows are what they would be
    /// without it, bit for bit.
    Nan(&'a (dyn Fn(u64, SolveError) + Sync)),
}

/// Settings of a solve together with what happens to rows that cannot be solved: `&settings` alone ends the run at the
/// first such row, `(&settings, BadRows::Nan(..))` goes on.
///
/// ```
/// use std::sync::Mutex;
/// use ndarray::array;
/// use sde_core::{TimeGrid, Vp, analytic::DataSet};
/// use solvers::{BadRows, Control, Method, flow};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let mut times = TimeGrid::Quadratic.times(&vp, 20, 1.0, 1e-3)?;
/// times.reverse();
/// let (up, x) = (Control::Grid(times), array![[0.3, 1.0], [f64::NAN, 0.0], [0.5, 0.5]]);
/// let error = flow(Method::Heun, &up, &vp, &score, &x, 0, 64).unwrap_err().to_string();
/// assert!(error.starts_with("row 1: the state is not finite"));
///
/// let lost = Mutex::new(vec![]);
/// let told = |row, _| lost.lock().unwrap().push(row);
/// let (found, _) = flow(Method::Heun, (&up, BadRows::Nan(&told)), &vp, &score, &x, 0, 64)?;
/// assert!(found[[0, 0]].is_finite() && found[[1, 0]].is_nan() && found[[2, 0]].is_finite());
/// assert_eq!(*lost.lock().unwrap(), [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Request<'a, T> {
    pub(crate) how: &'a T,
    pub(crate) bad: BadRows<'a>,
}

impl<'a, T> From<&'a T> for Request<'a, T> {
    fn from(how: &'a T) -> Self {
        Self { how, bad: BadRows::Refuse }
    }
}

impl<'a, T> From<(&'a T, BadRows<'a>)> for Request<'a, T> {
    fn from((how, bad): (&'a T, BadRows<'a>)) -> Self {
        Self { how, bad }
    }
}

impl SolveError {
    /// Whether the error comes from the values of a row, while other rows may be solvable, and not from the settings.
    pub fn of_a_row(&self) -> bool {
        matches!(
            self,
            Self::InRow { .. }
                | Self::NonFinite { .. }
                | Self::StepTooSmall { .. }
                | Self::StepBelowNoise { .. }
                | Self::TooManySteps { .. }
        )
    }
}

/// One block by `solve_block(first_row, len)`. Where a row makes that fail, in halves, down to the row: rows are
/// computed independently, so the others come out as they would have. `nan(row)` is a row of NaN,
/// `name` the number that a row is told by.
pub(crate) fn solve_rows<S: State>(
    bad: BadRows<'_>,
    (first, len): (u64, usize),
    solve_block: &dyn Fn(u64, usize) -> Result<Solution<S>>,
    nan: &dyn Fn(u64) -> Result<S>,
    name: &dyn Fn(u64) -> u64,
) -> Result<Solution<S>> {
    let error = match solve_block(first, len) {
        Err(error) if error.of_a_row() => error,
        other => return other,
    };
    if len > 1 {
        let half = len / 2;
        let a = solve_rows(bad, (first, half), solve_block, nan, name)?;
        let rest = (first + half as u64, len - half);
        let b = solve_rows(bad, rest, solve_block, nan, name)?;
        let stats = Stats {
            nfe: a.stats.nfe.max(b.stats.nfe),
            accepted: a.stats.accepted.max(b.stats.accepted),
            rejected: a.stats.rejected.max(b.stats.rejected),
        };
        return Ok(Solution { t: a.t, x: S::concat_rows(&[a.x, b.x])?, stats });
    }
    match bad {
        BadRows::Refuse => Err(SolveError::InRow { row: name(first), source: Box::new(error) }),
        BadRows::Nan(told) => {
            told(name(first), error);
            Ok(Solution { t: f64::NAN, x: nan(first)?, stats: Stats::default() })
        }
    }
}
