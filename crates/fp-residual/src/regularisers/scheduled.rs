//! A term whose weight changes in the course of training.

use std::ops::Range;

use score_nets::{DataSource, Gradients, Objective, Result, ScoreNet};
use sde_core::Key;
use serde::{Deserialize, Serialize};

/// The factor of a weight by the step of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum WeightSchedule {
    /// 1 throughout.
    #[default]
    Constant,
    /// 1 up to step `from`, then along half a cosine down to `end` at step `to`.
    Decay {
        /// The step from which on it falls.
        from: u64,
        /// The step from which on it is `end`.
        to: u64,
        /// The last factor.
        end: f64,
    },
    /// Linearly from 0 to 1 over the first `steps`.
    Warmup {
        /// Steps until the whole weight.
        steps: u64,
    },
}

impl WeightSchedule {
    /// The factor at a step.
    ///
    /// ```
    /// use fp_residual::WeightSchedule;
    /// let decay = WeightSchedule::Decay { from: 100, to: 300, end: 0.1 };
    /// assert_eq!([0, 100, 300, 900].map(|step| decay.at(step)), [1.0, 1.0, 0.1, 0.1]);
    /// assert!((decay.at(200) - 0.55).abs() < 1e-12);
    /// ```
    pub fn at(self, step: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Decay { from, .. } if step <= from => 1.0,
            Self::Decay { to, end, .. } if step >= to => end,
            Self::Decay { from, to, end } => {
                let share = (step - from) as f64 / (to - from) as f64;
                end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
            }
            Self::Warmup { steps } => (step as f64 / steps.max(1) as f64).min(1.0),
        }
    }
}

/// A term with a weight by the step.
///
/// The residual early and the data late: what a penalty costs the fit of the data can be made up for while the learning rate falls.
pub struct Scheduled<O> {
    /// The term.
    pub term: O,
    /// Its factor by the step.
    pub schedule: WeightSchedule,
}

impl<O: Objective> Objective for Scheduled<O> {
    fn name(&self) -> &str {
        self.term.name()
    }

    fn rows(&self) -> u64 {
        self.term.rows()
    }

    fn data(&self) -> Option<&dyn DataSource> {
        self.term.data()
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        step: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let factor = self.schedule.at(step);
        let (loss, mut gradients) = self.term.loss_and_grad(net, step, key, rows)?;
        gradients.scale(factor)?;
        Ok((factor * loss, gradients))
    }
}
