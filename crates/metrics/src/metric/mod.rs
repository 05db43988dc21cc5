//! The registry of metrics.

mod details;
mod info;
mod measured;
mod options;
mod page;
mod sample;
mod table;

pub use details::{Certificate, Details, SinkhornDetails};
pub use info::{Info, Scheme};
pub use measured::Measured;
pub use options::{Options, Parameter};
pub use sample::{Cloud, Kind, Sample};
pub use table::Metric;

use crate::error::{Error, Result};
use crate::input::{FIRST, SECOND, check_balance, check_pair};

impl Metric {
    /// The metric of a name or alias.
    ///
    /// # Errors
    /// [`Error::UnknownMetric`] for a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        let known = |m: &&Self| m.name() == name || m.info().aliases.contains(&name);
        Self::ALL.iter().find(known).copied().ok_or_else(|| Error::UnknownMetric {
            name: name.into(),
            known: Self::ALL.iter().map(|m| m.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The metric between two samples; summaries of log-densities also take one alone.
    ///
    /// A cloud without weights has as much mass as the other side, in equal parts.
    ///
    /// # Errors
    /// Samples of a kind the metric does not take or of different kinds, unequal masses, what the
    /// metric itself refuses, and a result that no double holds ([`Error::OutOfRange`]).
    ///
    /// ```
    /// use metrics::{Details, Metric, Options, Sample};
    /// use ndarray::array;
    /// let x = Sample::cloud(array![[0.0, 0.0], [1.0, 0.0]]);
    /// let y = Sample::cloud(array![[1.0, 2.0], [0.0, 2.0]]);
    /// let found = Metric::W2.evaluate(&x, &y, &Options::default())?;
    /// assert_eq!((found.value, found.mass), (2.0, [1.0, 1.0]));
    /// let Details::Transport(proof) = found.details else { unreachable!() };
    /// assert_eq!(proof.dual, 4.0);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn evaluate<'a>(
        self,
        x: &Sample,
        y: impl Into<Option<&'a Sample>>,
        options: &Options,
    ) -> Result<Measured> {
        self.between(x, y.into(), options)?.checked(self.name(), self.info().may_be_infinite)
    }

    fn between(self, x: &Sample, y: Option<&Sample>, options: &Options) -> Result<Measured> {
        let info = self.info();
        let refuse = |found: &'static str| {
            Err(Error::NotTaken { metric: self.name(), takes: info.takes(), found })
        };
        match (x, y) {
            (Sample::LogDensities(x), y) => {
                let Some(summary) = info.log_densities else {
                    return refuse(Kind::LogDensities.name());
                };
                match y {
                    None => summary(x.view(), None, options),
                    Some(Sample::LogDensities(y)) => summary(x.view(), Some(y.view()), options),
                    Some(_) => refuse("samples of two kinds"),
                }
            }
            (_, None) => refuse("one sample"),
            (Sample::Cloud(x), Some(Sample::Cloud(y))) => {
                let Some(between) = info.clouds else { return refuse(Kind::Cloud.name()) };
                if !info.weights && (x.weights.is_some() || y.weights.is_some()) {
                    return refuse("weights");
                }
                x.check(FIRST)?;
                y.check(SECOND)?;
                check_pair(x.view(), y.view(), 1)?;
                let mass = masses(x, y)?;
                Ok(Measured { mass, ..between(x, y, options)? })
            }
            (Sample::Histogram(x), Some(Sample::Histogram(y))) => {
                let Some(between) = info.histograms else { return refuse(Kind::Histogram.name()) };
                check_balance(x.mass(), y.mass())?;
                let discarded = Some([x.discarded_share(), y.discarded_share()]);
                let mass = [x.mass(), y.mass()];
                Ok(Measured { mass, discarded, ..between(x, y, options)? })
            }
            _ => refuse("samples of two kinds"),
        }
    }

    /// Options with whatever this metric would choose by the samples chosen: replicates and noise
    /// floors are then of the same metric.
    ///
    /// # Errors
    /// As [`Metric::evaluate`].
    pub fn settle(self, x: &Sample, y: Option<&Sample>, options: &Options) -> Result<Options> {
        let mut settled = *options;
        let (Sample::Cloud(x), Some(Sample::Cloud(y))) = (x, y) else { return Ok(settled) };
        let chooses = |parameter| self.info().parameters.contains(&parameter);
        if chooses(Parameter::Bandwidth) {
            let (bandwidth, of) = options.width(x.view(), y.view())?;
            (settled.bandwidth, settled.chosen) = (Some(bandwidth), of);
        }
        if chooses(Parameter::Epsilon) {
            let (epsilon, of) = options.regularisation(x.view(), y.view())?;
            (settled.epsilon, settled.chosen) = (Some(epsilon), of);
        }
        Ok(settled)
    }
}

/// The masses of two clouds, which must agree; a cloud without weights takes that of the other.
fn masses(x: &Cloud, y: &Cloud) -> Result<[f64; 2]> {
    let given = |cloud: &Cloud| cloud.weights.as_ref().map(|w| w.sum());
    let (left, right) = (given(x), given(y));
    let (left, right) = (left.or(right).unwrap_or(1.0), right.or(left).unwrap_or(1.0));
    check_balance(left, right)?;
    Ok([left, right])
}
