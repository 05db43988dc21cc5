//! Whether two estimates differ by more than chance.

use statrs::distribution::{ContinuousCDF, StudentsT};
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
        let found = Self { value: to.value - from.value, standard_error, p_value: 1.0 };
        Self { p_value: erfc(found.z() * std::f64::consts::FRAC_1_SQRT_2), ..found }
    }

    /// The difference in its standard errors.
    fn z(&self) -> f64 {
        // No difference is one by chance for certain, whatever the errors.
        if self.value == 0.0 { 0.0 } else { (self.value / self.standard_error).abs() }
    }

    /// The same with a standard error that is itself an estimate from few values: a t-test with so many
    /// degrees of freedom, one less than the values.
    ///
    /// ```
    /// use metrics::{Difference, Estimate};
    /// let (from, to) = (Estimate::default(), Estimate { value: 3.0, standard_error: 1.0 });
    /// let difference = Difference::independent(from, to);
    /// assert!(difference.p_value < 0.003);
    /// assert!((difference.with_freedom(2.0).p_value - 0.0955).abs() < 1e-4);
    /// ```
    #[must_use]
    pub fn with_freedom(self, degrees: f64) -> Self {
        let law = StudentsT::new(0.0, 1.0, degrees);
        let p_value = law.map_or(1.0, |law| 2.0 * law.sf(self.z()));
        Self { p_value, ..self }
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
