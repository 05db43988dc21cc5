//! Flows followed from rows at the horizon down to the data.

use ndarray::{Array2, Axis, concatenate, s};
use sde_core::{Dynamics, Error, Key, Result, Score, ScoreJvp, Sde};
use solvers::steppers::RungeKutta;
use solvers::tableau::RK4;
use solvers::{Grid, IndependentIncrements, SolveError, Trajectory, solve};

use super::rule::TimeRule;

/// The flow of the law of the SDE, whose score is known apart from the model's.
pub(super) struct LawFlow<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) score: &'a dyn Score<Array2<f64>>,
    pub(super) law: &'a dyn Score<Array2<f64>>,
}

impl Dynamics<Array2<f64>> for LawFlow<'_> {
    fn drift(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let (a, g_squared) = (self.sde.drift_coef(t), self.sde.diffusion_squared(t));
        let (score, law) = (self.score.score(x, t)?, self.law.score(x, t)?);
        Ok(a * x - g_squared * score + 0.5 * g_squared * law)
    }

    fn diffusion(&self, _: f64) -> f64 {
        0.0
    }
}

/// The ODE with its variational equation: the second half of the columns is a direction.
pub(super) struct Variation<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) score: &'a dyn ScoreJvp<Array2<f64>>,
}

impl Dynamics<Array2<f64>> for Variation<'_> {
    fn drift(&self, joined: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let d = joined.ncols() / 2;
        let [x, w] = [s![.., ..d], s![.., d..]].map(|part| joined.slice(part).to_owned());
        let (score, along) = self.score.score_jvp(&x, t, &w)?;
        let (a, half) = (self.sde.drift_coef(t), 0.5 * self.sde.diffusion_squared(t));
        let (x, w) = (a * x - half * score, a * w - half * along);
        concatenate(Axis(1), &[x.view(), w.view()]).map_err(joined_rows)
    }

    fn diffusion(&self, _: f64) -> f64 {
        0.0
    }
}

/// The times of a rule and both ends, from the horizon down to 0.
pub(super) fn downward(sde: &dyn Sde, start: &Array2<f64>, rule: &TimeRule) -> Result<Vec<f64>> {
    if start.is_empty() {
        return Err(no_rows());
    }
    let horizon = sde.horizon();
    if (rule.horizon() - horizon).abs() > 1e-12 * horizon {
        return Err(Error::Parameter {
            name: "rule".into(),
            value: rule.horizon().to_string(),
            reason: format!("must have the horizon {horizon} of the process"),
        });
    }
    let mut times = rule.times().to_vec();
    if times.first() != Some(&0.0) {
        times.insert(0, 0.0);
    }
    if times.last() != Some(&rule.horizon()) {
        times.push(rule.horizon());
    }
    times.reverse();
    Ok(times)
}

pub(super) fn no_rows() -> Error {
    Error::Parameter {
        name: "start".into(),
        value: "no rows".into(),
        reason: "asks for some".into(),
    }
}

/// States at all of the times, the first one included, with `steps` steps from each to the next.
pub(super) fn along(
    problem: &dyn Dynamics<Array2<f64>>,
    start: Array2<f64>,
    times: &[f64],
    steps: usize,
) -> Result<Vec<Array2<f64>>> {
    let mut path = Trajectory::default();
    path.states.push(start.clone());
    if let [first, _, ..] = times {
        let steps = steps.max(1);
        let between = |pair: &[f64]| {
            let (from, length) = (pair[0], (pair[1] - pair[0]) / steps as f64);
            let inner = (1..steps).map(move |k| from + k as f64 * length);
            inner.chain([pair[1]]).collect::<Vec<f64>>()
        };
        let all = std::iter::once(*first).chain(times.windows(2).flat_map(between)).collect();
        let mut grid = Grid::new(all).map_err(outer)?;
        let none = IndependentIncrements::new(Key::root(0), 0);
        solve(&RungeKutta(&RK4), problem, start, *first, &mut grid, &none, &mut path)
            .map_err(outer)?;
        return Ok(path.states.into_iter().step_by(steps).collect());
    }
    Ok(path.states)
}

pub(super) fn joined_rows(error: ndarray::ShapeError) -> Error {
    Error::Model(Box::new(error))
}

pub(super) fn outer(error: SolveError) -> Error {
    Error::Model(Box::new(error))
}
