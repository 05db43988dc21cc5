//! Whether two estimates differ by more than chance.

use statrs::function::erf::erfc;

use crate::estimate::Estimate;

/// How a value changed, by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It became smaller.
    Falls,
    /// It became larger.
    Rises,
    /// No change that the level allows to call one.
    Holds,
}

/// The difference of two estimates, and how likely one as large is by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The second minus the first.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The probability of a difference at least as large, in either direction, where the expectations
    /// of the two estimates agree.
    pub p_value: f64,
}

impl Difference {
    /// Of two estimates from independent samples: a two-sided z-test.
    ///
    /// $$z = \frac{b - a}{\sqrt{s_a^2 + s_b^2}}, \qquad p = 2 \Phi(-|z|)$$
    ///
    /// It compares the *expectations* of the estimates: those of distances lie above the distances of the
    /// laws by a bias that shrinks as samples grow, so compare estimates of samples of equal sizes.
    #[must_use]
    pub fn independent(from: Estimate, to: Estimate) -> Self {
        Self::new(from, to, from.standard_error.hypot(to.standard_error))
    }

    /// Of two estimates that may share samples, such as a truth that both are held against, or random
    /// numbers: as [`Difference::independent`] with the largest standard error that a correlation can give
    /// the difference, $s_a + s_b$. The test then has at most its level, whatever the estimates share.
    ///
    /// ```
    /// use metrics::{Change, Difference, Estimate};
    /// let (from, to) = (
    ///     Estimate { value: 0.0400, standard_error: 0.0004 },
    ///     Estimate { value: 0.0380, standard_error: 0.0004 },
    /// );
    /// let difference = Difference::dependent(from, to);
    /// assert!((difference.p_value - 0.0124).abs() < 1e-4);
    /// assert_eq!(difference.at(0.05), Change::Falls);
    /// assert_eq!(difference.at(0.01), Change::Holds);
    /// ```
    #[must_use]
    pub fn dependent(from: Estimate, to: Estimate) -> Self {
        Self::new(from, to, from.standard_error + to.standard_error)
    }

    fn new(from: Estimate, to: Estimate, standard_error: f64) -> Self {
        let value = to.value - from.value;
        // No difference is one by chance for certain, whatever the errors.
        let z = if value == 0.0 { 0.0 } else { (value / standard_error).abs() };
        Self { value, standard_error, p_value: erfc(z * std::f64::consts::FRAC_1_SQRT_2) }
    }

    /// What the test says at a level: where the expectations agree, it says anything but
    /// [`Change::Holds`] with this probability. For one level over k comparisons pass the k-th part of it
    /// (Bonferroni).
    #[must_use]
    pub fn at(&self, level: f64) -> Change {
        match (self.p_value < level, self.value < 0.0) {
            (false, _) => Change::Holds,
            (true, true) => Change::Falls,
            (true, false) => Change::Rises,
        }
    }
}
