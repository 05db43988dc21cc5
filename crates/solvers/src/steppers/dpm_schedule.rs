//! Grids of singlestep DPM-Solvers with a given number of evaluations.

use sde_core::{Error, Result, Sde, Semilinear, State, TimeGrid};

use super::dpm_singlestep::DpmSinglestep;
use super::expansion::{Expansion, Prediction};
use crate::{Noise, Past, Step, Stepper};

/// One step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    order: usize,
    r1: f64,
    r2: f64,
}

/// Times and orders of singlestep DPM-Solvers. Within a step of order `k` the points follow the
/// rule of the grid too: they cut it into `k` steps of that rule.
///
/// # Reference
/// Lu et al. 2022, arXiv 2206.00927, appendix D.4 (DPM-Solver-fast), and their public code.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmSchedule {
    times: Vec<f64>,
    entries: Vec<Entry>,
}

impl DpmSchedule {
    /// As many steps of `order` as `nfe` evaluations pay for.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an order that is not 1, 2 or 3; otherwise as [`TimeGrid::times`].
    pub fn fixed(
        sde: &dyn Sde,
        grid: TimeGrid,
        nfe: usize,
        order: usize,
        t_start: f64,
        t_end: f64,
    ) -> Result<Self> {
        check_order(order)?;
        let steps = nfe / order;
        let times = grid.times(sde, steps, t_start, t_end)?;
        Self::with(sde, grid, times, &vec![order; steps])
    }

    /// Exactly `nfe` evaluations: steps of `order`, and lower orders at the end for what is left.
    /// Order 3 ends with a step of order 1 or 2, or one of each.
    ///
    /// # Errors
    /// As [`DpmSchedule::fixed`].
    pub fn fast(
        sde: &dyn Sde,
        grid: TimeGrid,
        nfe: usize,
        order: usize,
        t_start: f64,
        t_end: f64,
    ) -> Result<Self> {
        check_order(order)?;
        let mut orders = vec![order; nfe / order];
        match (order, nfe % order) {
            (3, 0) => {
                orders.pop();
                orders.extend([2, 1]);
            }
            (_, 0) => {}
            (_, left) => orders.push(left),
        }
        let times = if grid == TimeGrid::LogSnr {
            grid.times(sde, orders.len(), t_start, t_end)?
        } else {
            let fine = grid.times(sde, nfe, t_start, t_end)?;
            let ends = orders.iter().scan(0, |at, order| {
                *at += order;
                Some(fine[*at])
            });
            std::iter::once(t_start).chain(ends).collect()
        };
        Self::with(sde, grid, times, &orders)
    }

    fn with(sde: &dyn Sde, grid: TimeGrid, times: Vec<f64>, orders: &[usize]) -> Result<Self> {
        let mut entries = vec![];
        for (ends, &order) in times.windows(2).zip(orders) {
            let mut entry = Entry { order, r1: 0.5, r2: 2.0 / 3.0 };
            if order > 1 {
                let inner = grid.times(sde, order, ends[0], ends[1])?;
                let lambda = |i: usize| sde.half_log_snr(inner[i]);
                let part = |i| (lambda(i) - lambda(0)) / (lambda(order) - lambda(0));
                (entry.r1, entry.r2) = (part(1), if order > 2 { part(2) } else { entry.r2 });
            }
            entries.push(entry);
        }
        Ok(Self { times, entries })
    }

    /// The times between the steps, both ends included.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The order of each step.
    pub fn orders(&self) -> Vec<usize> {
        self.entries.iter().map(|e| e.order).collect()
    }
}

fn check_order(order: usize) -> Result<()> {
    if (1..=3).contains(&order) {
        return Ok(());
    }
    let reason = "expected 1, 2 or 3".into();
    Err(Error::Parameter { name: "order".into(), value: order.to_string(), reason })
}

/// [`DpmSinglestep`] with the orders of a schedule, on its times.
#[derive(Clone, Debug)]
pub struct DpmScheduled {
    /// What is expanded.
    pub prediction: Prediction,
    /// The weights of slope and curvature.
    pub expansion: Expansion,
    /// Times and orders.
    pub schedule: DpmSchedule,
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmScheduled {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let times = &self.schedule.times;
        let Some(i) = times.windows(2).position(|ends| ends == [t0, t1]) else {
            let (name, value) = ("t".into(), t0.to_string());
            let reason = format!("the schedule has no step from there to {t1}");
            return Err(Error::Parameter { name, value, reason });
        };
        let Entry { order, r1, r2 } = self.schedule.entries[i];
        let (prediction, expansion) = (self.prediction, self.expansion);
        let step = DpmSinglestep { prediction, expansion, r1, r2, ..DpmSinglestep::data(order) };
        step.step(problem, x, t0, t1, past, noise)
    }
}
