//! Learning rates over the steps of a run.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A stretch of steps at one learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Phase {
    /// Learning rate.
    pub lr: f64,
    /// Number of steps.
    pub steps: u64,
}

/// The learning rate as a function of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// Learning rate.
        lr: f64,
    },
    /// One rate after the other, the optimiser created anew (moments zero) at each change. The
    /// last rate stays.
    Phases {
        /// The stretches, in order.
        phases: Vec<Phase>,
    },
    /// Linear warm-up from zero over `warmup` steps, then half a cosine from `lr` to `lr-end` until
    /// step `steps`.
    Cosine {
        /// The highest learning rate.
        lr: f64,
        /// The last one.
        #[serde(default)]
        lr_end: f64,
        /// Steps of warm-up.
        #[serde(default)]
        warmup: u64,
        /// Steps in all.
        steps: u64,
    },
}

impl Schedule {
    /// `1e-3` for 25 000, `1e-4` for 65 000, `1e-5` for 10 000 steps (arXiv 2311.15996).
    pub fn official() -> Self {
        let phase = |(lr, steps)| Phase { lr, steps };
        let phases = [(1e-3, 25_000), (1e-4, 65_000), (1e-5, 10_000)];
        Self::Phases { phases: phases.into_iter().map(phase).collect() }
    }

    /// The number of steps it is made for, where it is made for one.
    pub fn steps(&self) -> Option<u64> {
        match self {
            Self::Constant { .. } => None,
            Self::Phases { phases } => {
                Some(phases.iter().fold(0, |sum, p| sum.saturating_add(p.steps)))
            }
            Self::Cosine { steps, .. } => Some(*steps),
        }
    }

    /// The same shape over `total` steps.
    #[must_use]
    pub fn scaled(&self, total: u64) -> Self {
        let old = self.steps().unwrap_or(total).max(1) as f64;
        let scale = |at: u64| (at as f64 / old * total as f64).round() as u64;
        match self {
            Self::Constant { lr } => Self::Constant { lr: *lr },
            Self::Phases { phases } => {
                let (mut at, mut scaled) = (0, Vec::new());
                for p in phases {
                    let end = at + p.steps;
                    scaled.push(Phase { lr: p.lr, steps: scale(end) - scale(at) });
                    at = end;
                }
                Self::Phases { phases: scaled }
            }
            Self::Cosine { lr, lr_end, warmup, .. } => {
                Self::Cosine { lr: *lr, lr_end: *lr_end, warmup: scale(*warmup), steps: total }
            }
        }
    }

    /// The learning rate of step `step` (the first is 0).
    pub fn lr(&self, step: u64) -> f64 {
        match self {
            Self::Constant { lr } => *lr,
            Self::Phases { .. } => self.phase(step).0,
            Self::Cosine { lr, lr_end, warmup, steps } => {
                if step < *warmup {
                    return lr * (step + 1) as f64 / *warmup as f64;
                }
                let span = steps.saturating_sub(*warmup).max(1) as f64;
                let share = ((step - warmup) as f64 / span).min(1.0);
                lr_end + 0.5 * (lr - lr_end) * (1.0 + (std::f64::consts::PI * share).cos())
            }
        }
    }

    /// The step at which the optimiser that serves `step` was created.
    pub fn created_at(&self, step: u64) -> u64 {
        match self {
            Self::Phases { .. } => self.phase(step).1,
            _ => 0,
        }
    }

    /// Rate and first step of the phase that `step` is in.
    fn phase(&self, step: u64) -> (f64, u64) {
        let Self::Phases { phases } = self else { return (0.0, 0) };
        let (mut start, mut current) = (0, (0.0, 0));
        for p in phases.iter().filter(|p| p.steps > 0) {
            if step < start {
                break;
            }
            current = (p.lr, start);
            start = start.saturating_add(p.steps);
        }
        current
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate that is negative or not finite, and for no phases at all.
    pub fn validate(&self) -> Result<()> {
        let rates = match self {
            Self::Constant { lr } => vec![*lr],
            Self::Phases { phases } => phases.iter().map(|p| p.lr).collect(),
            Self::Cosine { lr, lr_end, .. } => vec![*lr, *lr_end],
        };
        if self.steps() == Some(0) {
            return Err(Error::setting("schedule.steps", 0, "must be at least 1"));
        }
        match rates.into_iter().find(|r| !(r.is_finite() && *r >= 0.0)) {
            None => Ok(()),
            Some(r) => Err(Error::setting("schedule.lr", r, "must be finite and not negative")),
        }
    }
}
