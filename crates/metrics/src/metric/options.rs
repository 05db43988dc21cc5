//! Parameters of metrics.

use ndarray::ArrayView2;
use sde_core::Key;

use crate::entropic::Sinkhorn;
use crate::error::{Error, Result};
use crate::kernel::{BandwidthSource, Kernel, median_distance};

macro_rules! parameters {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal;)*) => {
        /// Something a metric can be told beside its samples.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Parameter {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Parameter {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, on the command line after two dashes.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is, in a line.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

parameters! {
    /// Keep the optimal plan.
    Plan "plan";
    /// Width s of the kernel exp(-|x-y|^2 / (2 s^2)); by default the median distance, of those above zero where most are zero.
    Bandwidth "bandwidth";
    /// Offset c of the kernel (c^2 + |x-y|^2)^(-1/2).
    Offset "offset";
    /// Degree of the kernel (x.y / D + 1)^degree.
    Degree "degree";
    /// Exponent a of |x-y|^a, between 0 and 2.
    Exponent "exponent";
    /// The U-statistic as the value, instead of the V-statistic.
    Unbiased "unbiased";
    /// Also the mean over that many random subsets, as papers quote it.
    Subsets "subsets";
    /// Rows of a random subset.
    SubsetSize "subset-size";
    /// The power p of the ground cost |x-y|^p.
    Power "p";
    /// Directions to project on.
    Projections "projections";
    /// Regularisation, in units of |x-y|^2; by default a twentieth of the squared median distance.
    Epsilon "epsilon";
    /// L1 error of the marginals to stop at.
    Tolerance "tolerance";
    /// Iterations to stop after, each two passes over all pairs.
    Iterations "iterations";
    /// Nearest neighbours; by default 5 for balls, the root of the number of points for classifiers.
    Neighbours "k";
    /// Dimension of the points whose log-densities these are.
    Dimension "dim";
    /// Seed of what is drawn at random.
    Seed "seed";
}

/// The parameters of all metrics; each looks at its own.
///
/// ```
/// use metrics::{Metric, Options, Sample};
/// use ndarray::array;
/// let x = Sample::cloud(array![[0.0, 0.0]]);
/// let y = Sample::cloud(array![[3.0, 4.0]]);
/// let options = Options { projections: 1000, ..Options::default() };
/// // The mean square of a random unit vector's coordinate is 1/2 in the plane.
/// let sliced = Metric::Sliced.evaluate(&x, &y, &options)?;
/// assert!((sliced.value - 12.5_f64.sqrt()).abs() < 0.2);
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// [`Parameter::Bandwidth`], in the units of x; `None`: the median distance of the pool.
    pub bandwidth: Option<f64>,
    /// [`Parameter::Offset`], in the units of x.
    pub offset: f64,
    /// [`Parameter::Unbiased`].
    pub unbiased: bool,
    /// [`Parameter::Degree`], at least 1.
    pub degree: u32,
    /// [`Parameter::Exponent`].
    pub exponent: f64,
    /// [`Parameter::Subsets`]; zero for none.
    pub subsets: usize,
    /// [`Parameter::SubsetSize`].
    pub subset_size: usize,
    /// [`Parameter::Epsilon`]; `None`: a twentieth of the squared median distance.
    pub epsilon: Option<f64>,
    /// [`Parameter::Tolerance`].
    pub tolerance: f64,
    /// [`Parameter::Iterations`], at least 1.
    pub iterations: usize,
    /// What the bandwidth or epsilon was taken from, where [`crate::Metric::settle`] took it.
    pub chosen: Option<BandwidthSource>,
    /// [`Parameter::Neighbours`].
    pub neighbours: Option<usize>,
    /// [`Parameter::Dimension`].
    pub dimension: usize,
    /// [`Parameter::Power`], at least 1.
    pub power: f64,
    /// [`Parameter::Projections`].
    pub projections: usize,
    /// Names what a metric draws at random: its directions, its splits.
    pub key: Key,
    /// Whether to compute standard errors, which may cost more than the value.
    pub errors: bool,
    /// [`Parameter::Plan`].
    pub keep_plan: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bandwidth: None,
            offset: 1.0,
            unbiased: false,
            degree: 3,
            exponent: 1.0,
            subsets: 0,
            subset_size: 1000,
            epsilon: None,
            tolerance: Sinkhorn::TOLERANCE,
            iterations: Sinkhorn::ITERATIONS,
            chosen: None,
            neighbours: None,
            dimension: 1,
            power: 2.0,
            projections: 128,
            key: Key::root(0),
            errors: true,
            keep_plan: false,
        }
    }
}

impl Options {
    /// The value alone: no standard error, no plan.
    pub(crate) fn value_only(self) -> Self {
        Self { errors: false, keep_plan: false, ..self }
    }

    /// The bandwidth, given or the median distance of the pool, and what it was taken from.
    pub(crate) fn width(
        &self,
        x: ArrayView2<f64>,
        y: ArrayView2<f64>,
    ) -> Result<(f64, Option<BandwidthSource>)> {
        if let Some(bandwidth) = self.bandwidth {
            Kernel::Rbf { bandwidth }.check()?;
            return Ok((bandwidth, self.chosen));
        }
        median_distance(x, y).map(|(width, of)| (width, Some(of)))
    }

    /// The regularisation, given or a twentieth of the squared median distance of the pool.
    pub(crate) fn regularisation(
        &self,
        x: ArrayView2<f64>,
        y: ArrayView2<f64>,
    ) -> Result<(f64, Option<BandwidthSource>)> {
        if let Some(epsilon) = self.epsilon {
            return Ok((epsilon, self.chosen));
        }
        let (median, of) = median_distance(x, y)?;
        let value = 0.05 * median.powi(2);
        if !value.is_normal() {
            let what = "epsilon, a twentieth of the squared median distance,";
            return Err(Error::OutOfRange { what, value });
        }
        Ok((value, Some(of)))
    }
}
