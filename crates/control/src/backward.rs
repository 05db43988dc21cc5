//! A step of the reverse process given the data.

use sde_core::Marginal;

/// The law of the state at `m1` given data `D` and the state at `m0`, `N(a D + b x, c^2 I)`.
pub(crate) struct Backward {
    pub(crate) data: f64,
    pub(crate) state: f64,
    pub(crate) std: f64,
}

impl Backward {
    pub(crate) fn new(m0: Marginal, m1: Marginal) -> Self {
        if m0.sigma == 0.0 || m1.sigma == 0.0 {
            return Self { data: m1.alpha, state: 0.0, std: 0.0 };
        }
        // The forward transition from m1 to m0, and the share of its variance in that of m0.
        let alpha = m0.alpha / m1.alpha;
        let share = 1.0 - (alpha * m1.sigma / m0.sigma).powi(2);
        let state = alpha * (m1.sigma / m0.sigma).powi(2);
        Self { data: m1.alpha * share, state, std: m1.sigma * share.max(0.0).sqrt() }
    }
}
