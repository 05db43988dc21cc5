//! The only loop.

use sde_core::{Dynamics, State, Tolerance, Unit};

use crate::{
    Controller, ErrorRule, Event, Noise, Observer, Past, Result, SolveError, StepDecision, Stepper,
};

/// What a solve cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Evaluations of the score, each of all rows at once.
    pub nfe: u64,
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
}

/// Where a solve ended.
#[derive(Clone, Debug)]
pub struct Solution<S> {
    /// The time reached: the controller's end, unless the observer stopped earlier.
    pub t: f64,
    /// The state there.
    pub x: S,
    /// What it cost.
    pub stats: Stats,
}

/// Integrates `problem` from `x0` at `t0` to the end of `controller`.
///
/// # Shapes
/// Any [`State`]; rows are particles and share their steps.
///
/// # Errors
/// [`SolveError::NonFinite`] when the state stops being finite; [`SolveError::StepTooSmall`],
/// [`SolveError::StepBelowNoise`] and [`SolveError::TooManySteps`] from adaptive control; [`SolveError::NotAPath`],
/// [`SolveError::NotAnOde`] and [`SolveError::NoErrorEstimate`] for a method, noise and controller
/// that do not go together; [`SolveError::Model`] for whatever the problem fails with, such as a
/// time outside `[0, T]`.
pub fn solve<S: State, P: Dynamics<S> + ?Sized>(
    stepper: &dyn Stepper<S, P>,
    problem: &P,
    x0: S,
    t0: f64,
    controller: &mut dyn Controller,
    noise: &dyn Noise<S>,
    observer: &mut dyn Observer<S>,
) -> Result<Solution<S>> {
    let error_order = stepper.error_order();
    let tolerance = controller.adaptive(error_order);
    if tolerance.is_some() && error_order.is_none() {
        return Err(SolveError::NoErrorEstimate { t: t0 });
    }
    let rule = controller.error_rule();
    let (mut x, mut t, mut past, mut stats) = (x0, t0, Past::default(), Stats::default());
    // The lower-order solution at the last accepted step, for rules that ask for it.
    let mut lower_before: Option<S> = None;
    while let Some(t1) = controller.propose(t)? {
        let h = t1 - t;
        let amplitude = problem.diffusion(t);
        if amplitude != 0.0 && !stepper.takes_noise() {
            return Err(SolveError::NotAnOde { t, amplitude });
        }
        if amplitude != 0.0 && tolerance.is_some() && !noise.is_path() {
            return Err(SolveError::NotAPath { t });
        }
        if stats.accepted + stats.rejected >= controller.max_steps() {
            return Err(SolveError::TooManySteps { limit: controller.max_steps(), t, h });
        }
        let model = |source| SolveError::Model { t, h, source };
        let step = stepper.step(problem, &x, t, t1, &past, noise).map_err(model)?;
        stats.nfe += step.nfe;
        let finite = step.x.all_finite().map_err(model)?;
        let mut lower = None;
        let error = match (tolerance, &step.error) {
            (Some(tol), Some(e)) if finite => Some(match rule {
                ErrorRule::Ends => e.weighted_rms(&x, &step.x, tol).map_err(model)?,
                ErrorRule::Lower => {
                    let y = S::lincomb(&[(1.0, &step.x), (-1.0, e)]).map_err(model)?;
                    let before = lower_before.as_ref().unwrap_or(&x);
                    let norm = e.weighted_rms_in(&y, before, tol, Unit::Max).map_err(model)?;
                    lower = Some(y);
                    norm
                }
            }),
            // A method that estimates errors, but not of every step.
            (Some(_), None) if finite => return Err(SolveError::NoErrorEstimate { t }),
            (Some(_), _) => Some(f64::NAN),
            (None, _) if finite => None,
            (None, _) => return Err(SolveError::NonFinite { t, h }),
        };
        match controller.judge(error) {
            StepDecision::Accept => {
                stats.accepted += 1;
                let kept = step.past.after(stats.accepted);
                (x, t, past, lower_before) = (step.x, t1, kept, lower);
                let event = Event { index: stats.accepted, t, h, x: &x, nfe: stats.nfe };
                if observer.on_step(event).is_break() {
                    break;
                }
            }
            StepDecision::Reject => {
                stats.rejected += 1;
                let least = if amplitude == 0.0 { 0.0 } else { noise.least_interval(t) };
                if let (true, Some(tol), Some(e)) = (h.abs() <= least, tolerance, error)
                    && e.is_finite()
                {
                    let Tolerance { abs, rel } = tol;
                    return Err(SolveError::StepBelowNoise { t, h, least, abs, rel });
                }
            }
            StepDecision::TooSmall => {
                return Err(match (error, tolerance) {
                    (Some(e), Some(tol)) if e.is_finite() => {
                        SolveError::StepTooSmall { t, h, abs: tol.abs, rel: tol.rel }
                    }
                    _ => SolveError::NonFinite { t, h },
                });
            }
        }
    }
    Ok(Solution { t, x, stats })
}
