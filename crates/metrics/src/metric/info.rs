//! Properties of a metric: formula, parameters, cost, standard error, reference.

use ndarray::ArrayView1;

use super::{Cloud, Kind, Measured, Options, Parameter};
use crate::error::Result;
use crate::histogram::Histogram2d;

/// How a metric is computed between two of a kind.
type Between<T> = fn(&T, &T, &Options) -> Result<Measured>;

/// How log-densities are summarised, alone or against those of another model at the same points.
type Summary = fn(ArrayView1<f64>, Option<ArrayView1<f64>>, &Options) -> Result<Measured>;

/// The resampling scheme that suits a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// As many draws as there are, with replacement.
    Bootstrap,
    /// A quarter of them, without replacement: for what repeated rows would mislead.
    Subsample,
}

impl Scheme {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Subsample => "subsample",
        }
    }
}

/// An entry of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// Other names.
    pub aliases: &'static [&'static str],
    /// The formula, in plain text.
    pub formula: &'static str,
    /// What it can be told.
    pub parameters: &'static [Parameter],
    /// Time for n points in D dimensions a side.
    pub cost: &'static str,
    /// Where its standard error comes from; empty if it has none in closed form.
    pub error: &'static str,
    /// How to resample it.
    pub scheme: Scheme,
    /// Whether its clouds may have weights.
    pub weights: bool,
    /// Whether infinity is a value of it, and no overflow.
    pub may_be_infinite: bool,
    /// The power of the unit of length that its value goes with; `None` of one with a scale of its own.
    pub degree: Option<f64>,
    /// Where it comes from.
    pub reference: &'static str,
    pub(super) clouds: Option<Between<Cloud>>,
    pub(super) histograms: Option<Between<Histogram2d>>,
    pub(crate) log_densities: Option<Summary>,
}

impl Info {
    /// A metric of a formula.
    pub(super) const fn new(formula: &'static str, reference: &'static str) -> Self {
        Self {
            aliases: &[],
            formula,
            parameters: &[],
            cost: "",
            error: "",
            scheme: Scheme::Bootstrap,
            weights: false,
            may_be_infinite: false,
            degree: Some(0.0),
            reference,
            clouds: None,
            histograms: None,
            log_densities: None,
        }
    }

    /// With other names.
    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Between clouds of equal weights.
    pub(super) const fn clouds(mut self, between: Between<Cloud>) -> Self {
        self.clouds = Some(between);
        self
    }

    /// Between clouds that may have weights.
    pub(super) const fn weighted(mut self, between: Between<Cloud>) -> Self {
        self.weights = true;
        self.clouds(between)
    }

    /// Between histograms.
    pub(super) const fn histograms(mut self, between: Between<Histogram2d>) -> Self {
        self.histograms = Some(between);
        self
    }

    /// Of log-densities.
    pub(super) const fn log_densities(mut self, summary: Summary) -> Self {
        self.log_densities = Some(summary);
        self
    }

    /// With infinity among its values.
    pub(super) const fn unbounded(mut self) -> Self {
        self.may_be_infinite = true;
        self
    }

    /// With a power of the unit of length.
    pub(super) const fn degree(mut self, degree: f64) -> Self {
        self.degree = Some(degree);
        self
    }

    /// With a scale of its own.
    pub(super) const fn scaled(mut self) -> Self {
        self.degree = None;
        self
    }

    /// Resampled without replacement.
    pub(super) const fn subsampled(mut self) -> Self {
        self.scheme = Scheme::Subsample;
        self
    }

    /// With parameters.
    pub(super) const fn parameters(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// With a cost.
    pub(super) const fn cost(mut self, cost: &'static str) -> Self {
        self.cost = cost;
        self
    }

    /// With a standard error in closed form.
    pub(super) const fn error(mut self, error: &'static str) -> Self {
        self.error = error;
        self
    }

    /// What it takes.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let cloud = self.clouds.is_some().then_some(Kind::Cloud);
        let histogram = self.histograms.is_some().then_some(Kind::Histogram);
        let values = self.log_densities.is_some().then_some(Kind::LogDensities);
        [cloud, histogram, values].into_iter().flatten()
    }

    /// What it takes, in words.
    #[must_use]
    pub fn takes(&self) -> String {
        let weighted = |kind: Kind| kind == Kind::Cloud && self.weights;
        let words = self
            .kinds()
            .map(|kind| if weighted(kind) { "weighted clouds" } else { kind.name() })
            .collect::<Vec<_>>();
        words.join(", ")
    }
}
