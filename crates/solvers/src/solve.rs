//! The solver loop: steps, error control, observers. There is no other in the workspace.

use sde_core::{Dynamics, State, Tolerance, Unit};

use crate::{
    Controller, ErrorRule, Event, Noise, Observer, Past, Result, SolveError, StepDecision, Stepper,
};

/// The cost of a solve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Evaluations of the score, each of all rows at once.
    pub nfe: u64,
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
}

/// The result of a solve.
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
        check_noise(stepper, noise, tolerance, t, amplitude)?;
        if stats.accepted + stats.rejected >= controller.max_steps() {
            return Err(SolveError::TooManySteps { limit: controller.max_steps(), t, h });
        }
        let model = |source| SolveError::Model { t, h, source };
        let step = stepper.step(problem, &x, t, t1, &past, noise).map_err(model)?;
        stats.nfe += step.nfe;
        let finite = step.x.all_finite().map_err(model)?;
        let (error, lower) = match tolerance {
            // A state that is not finite is an error that is no number: adaptive control tries a shorter step.
            Some(_) if !finite => (Some(f64::NAN), None),
            Some(tol) => {
                // A method may estimate errors, but not of every step.
                let Some(e) = &step.error else { return Err(SolveError::NoErrorEstimate { t }) };
                let ends = (&x, &step.x);
                in_units(rule, e, ends, lower_before.as_ref(), tol).map_err(model)?
            }
            None if finite => (None, None),
            None => return Err(SolveError::NonFinite { t, h }),
        };
        let known = tolerance.zip(error.filter(|e| e.is_finite())).map(|(tol, _)| tol);
        let decision = controller.judge(error);
        if decision != StepDecision::Accept {
            stats.rejected += 1;
            let least = if amplitude == 0.0 { 0.0 } else { noise.least_interval(t) };
            check_retry(decision, (t, h), known, least)?;
            continue;
        }
        stats.accepted += 1;
        (x, t, past, lower_before) = (step.x, t1, step.past.after(stats.accepted), lower);
        let event = Event { index: stats.accepted, t, h, x: &x, nfe: stats.nfe };
        if observer.on_step(event).is_break() {
            break;
        }
    }
    Ok(Solution { t, x, stats })
}

/// Refuses noise of this amplitude where the method solves ODEs only, and noise that is no path under adaptive steps.
fn check_noise<S, P: ?Sized>(
    stepper: &dyn Stepper<S, P>,
    noise: &dyn Noise<S>,
    tolerance: Option<Tolerance>,
    t: f64,
    amplitude: f64,
) -> Result<()> {
    if amplitude != 0.0 && !stepper.takes_noise() {
        return Err(SolveError::NotAnOde { t, amplitude });
    }
    if amplitude != 0.0 && tolerance.is_some() && !noise.is_path() {
        return Err(SolveError::NotAPath { t });
    }
    Ok(())
}

/// Refuses another try of a step from `t` by `h`: where it is as short as it may be, or at or below the `least` interval
/// of the noise. `known` is the tolerance, where the error of the step is a number.
fn check_retry(
    decision: StepDecision,
    (t, h): (f64, f64),
    known: Option<Tolerance>,
    least: f64,
) -> Result<()> {
    match (decision, known) {
        (StepDecision::TooSmall, None) => Err(SolveError::NonFinite { t, h }),
        (StepDecision::TooSmall, Some(Tolerance { abs, rel })) => {
            Err(SolveError::StepTooSmall { t, h, abs, rel })
        }
        (_, Some(Tolerance { abs, rel })) if h.abs() <= least => {
            Err(SolveError::StepBelowNoise { t, h, least, abs, rel })
        }
        _ => Ok(()),
    }
}

/// An estimate `e` of the error of a step between the states `x0` and `x1` in units of the tolerance, and the solution of
/// lower order where the rule is of that.
fn in_units<S: State>(
    rule: ErrorRule,
    e: &S,
    (x0, x1): (&S, &S),
    lower_before: Option<&S>,
    tol: Tolerance,
) -> sde_core::Result<(Option<f64>, Option<S>)> {
    match rule {
        ErrorRule::Ends => Ok((Some(e.weighted_rms(x0, x1, tol)?), None)),
        ErrorRule::Lower => {
            let y = S::lincomb(&[(1.0, x1), (-1.0, e)])?;
            let norm = e.weighted_rms_in(&y, lower_before.unwrap_or(x0), tol, Unit::Max)?;
            Ok((Some(norm), Some(y)))
        }
    }
}
