//! What the cases on the flow ODE of a variance-preserving process share.

use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Reverse, Score, Sde, TimeGrid};
use serde_json::Value;
use solvers::{Grid, IndependentIncrements, Stepper, Trajectory, solve};

use super::super::case::{Deviation, mixed};
use super::super::constants::Common;
use super::super::json;
use super::TOLERANCE;
use crate::npy::Npz;

type Rows = Array2<f64>;

/// The problem of a case.
pub(super) struct Flow {
    pub(super) sde: Box<dyn Sde>,
    pub(super) mixture: GaussianMixture,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) x: Rows,
}

/// What a solve gave: the states, that at the start included, and its cost.
pub(super) struct Run {
    pub(super) states: Vec<Rows>,
    pub(super) nfe: u64,
}

impl Flow {
    /// The target of the case's name, from the start that its file holds; from 1 to 1e-3 where the
    /// case does not say.
    pub(super) fn of(common: &Common, npz: &mut Npz, name: &str, case: &Value) -> Result<Self> {
        let target = name.split('/').next().unwrap_or_default();
        let sde = common.sde("vp")?;
        let mixture = common.mixture(target)?;
        let time = |key: &str, usual: f64| {
            if case.get(key).is_some() { json::number(case, key) } else { Ok(usual) }
        };
        let (start, end) = (time("t_start", 1.0)?, time("t_end", 1e-3)?);
        Ok(Self { sde, mixture, start, end, x: npz.rows(&format!("{target}/xT"))? })
    }

    /// A solve over the grid `times`.
    pub(super) fn along<'a>(
        &self,
        stepper: &dyn Stepper<Rows, Reverse<'a, Rows>>,
        problem: &Reverse<'a, Rows>,
        times: &[f64],
    ) -> Result<Run> {
        let quiet = IndependentIncrements::new(Key::root(0), 0);
        let mut seen = Trajectory::default();
        let mut control = Grid::new(times.to_vec())?;
        let x = self.x.clone();
        let done = solve(stepper, problem, x, self.start, &mut control, &quiet, &mut seen)?;
        let states = std::iter::once(self.x.clone()).chain(seen.states).collect();
        Ok(Run { states, nfe: done.stats.nfe })
    }
}

impl Run {
    /// Evaluations, every state and the last one. Some files hold the start too.
    pub(super) fn against(&self, npz: &mut Npz, name: &str, case: &Value) -> Result<Deviation> {
        let expected = json::count(case, "nfe")? as u64;
        ensure!(self.nfe == expected, "nfe {}, expected {expected}", self.nfe);
        let flat = |x: &[Rows]| x.iter().flatten().copied().collect::<Vec<f64>>();
        let last = flat(&self.states[self.states.len() - 1..]);
        let end = mixed(&last, &npz.flat(&format!("{name}/x"))?, TOLERANCE)?;
        let trajectory = npz.flat(&format!("{name}/traj"))?;
        let without = usize::from(trajectory.len() == (self.states.len() - 1) * last.len());
        let all = mixed(&flat(&self.states[without..]), &trajectory, TOLERANCE)?;
        Ok(end.max(all))
    }
}

/// A score that remembers when it was asked.
pub(super) struct Recorded<'a> {
    score: &'a dyn Score<Rows>,
    times: Mutex<Vec<f64>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(score: &'a dyn Score<Rows>) -> Self {
        Self { score, times: Mutex::default() }
    }

    pub(super) fn times(&self) -> Vec<f64> {
        self.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Score<Rows> for Recorded<'_> {
    fn score(&self, x: &Rows, t: f64) -> sde_core::Result<Rows> {
        self.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(t);
        self.score.score(x, t)
    }
}

/// The rule of a `skip_type`.
pub(super) fn grid_rule(case: &Value) -> Result<TimeGrid> {
    match json::text(case, "skip_type")? {
        "time_uniform" => Ok(TimeGrid::Uniform),
        "logSNR" => Ok(TimeGrid::LogSnr),
        "time_quadratic" => Ok(TimeGrid::Quadratic),
        other => bail!("unknown skip_type `{other}`"),
    }
}

/// A truth value.
pub(super) fn flag(case: &Value, key: &str) -> Result<bool> {
    json::member(case, key)?.as_bool().with_context(|| format!("`{key}` is no truth value"))
}
