//! The result of a metric.

use super::{Details, Options};
use crate::error::Result;
use crate::estimate::Estimate;
use crate::kernel::BandwidthSource;
use crate::scale::finite;
use crate::transport::TransportPlan;

/// The value of a metric, with its error bar and whatever certifies or completes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// The metric itself.
    pub value: f64,
    /// Standard error of `value`, in closed form: by how much it scatters over samples of these
    /// sizes. It says nothing of the bias. `None` where theory gives none, where the sample size is
    /// unknown, where the value is at the edge of its range, or when it was not asked for.
    pub standard_error: Option<f64>,
    /// What certifies or completes the value: primal and dual value, other estimates, parameters that were chosen.
    pub details: Details,
    /// What a width that nobody gave was taken from.
    pub chosen: Option<BandwidthSource>,
    /// Total masses of the two sides as they were given.
    pub mass: [f64; 2],
    /// Shares of the two samples that lay outside the grid, of histograms.
    pub discarded: Option<[f64; 2]>,
    /// The optimal plan, where one was asked for.
    pub plan: Option<TransportPlan>,
}

impl Measured {
    pub(crate) fn new(value: f64) -> Self {
        Self {
            value,
            standard_error: None,
            details: Details::None,
            chosen: None,
            mass: [1.0; 2],
            discarded: None,
            plan: None,
        }
    }

    /// With a standard error; one that is no number (of a single draw) is left out, and that of an
    /// infinite value.
    pub(crate) fn error(mut self, standard_error: Option<f64>) -> Self {
        let known = |error: &f64| !error.is_nan() && self.value.is_finite();
        self.standard_error = standard_error.filter(known);
        self
    }

    /// With what a width was taken from.
    pub(crate) fn chosen(mut self, of: Option<BandwidthSource>) -> Self {
        self.chosen = of;
        self
    }

    /// The last look at every result: all of it is finite, but for a value that may be infinite.
    pub(super) fn checked(self, name: &'static str, may_be_infinite: bool) -> Result<Self> {
        if !(may_be_infinite && self.value == f64::INFINITY) {
            finite(name, self.value)?;
        }
        self.standard_error.map(|error| finite("its standard error", error)).transpose()?;
        for (name, value) in self.details.named() {
            finite(name, value)?;
        }
        Ok(self)
    }

    /// A value that comes with its standard error, which is kept where it was asked for.
    pub(crate) fn estimate(found: Estimate, options: &Options) -> Self {
        Self::new(found.value).error(options.errors.then_some(found.standard_error))
    }

    pub(super) fn with(self, details: Details) -> Self {
        Self { details, ..self }
    }

    /// The positive root $x^{1/p}$ of a value and, by the delta method, its standard error; that of
    /// zero has none.
    pub(crate) fn root(power: f64, error: Option<f64>, p: f64) -> Self {
        let value = power.max(0.0).powf(p.recip());
        let slope = value / (p * power);
        Self::new(value).error(error.map(|error| error * slope))
    }
}
