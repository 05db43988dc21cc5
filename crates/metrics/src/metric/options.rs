//! Parameters of metrics.

use ndarray::ArrayView2;
use sde_core::Key;

use crate::error::Result;
use crate::kernel::Kernel;

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
    /// Width s of the kernel exp(-|x-y|^2 / (2 s^2)); by default the median distance.
    Bandwidth "bandwidth";
    /// Offset c of the kernel (c^2 + |x-y|^2)^(-1/2).
    Offset "offset";
    /// The U-statistic as the value, instead of the V-statistic.
    Unbiased "unbiased";
    /// The power p of the ground cost |x-y|^p.
    Power "p";
    /// Directions to project on.
    Projections "projections";
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

    /// The kernel of the bandwidth, given or median.
    pub(crate) fn rbf(&self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<(Kernel, f64)> {
        let kernel = match self.bandwidth {
            Some(bandwidth) => Kernel::Rbf { bandwidth },
            None => Kernel::rbf_median(x, y)?,
        };
        let Kernel::Rbf { bandwidth } = kernel else { return Ok((kernel, f64::NAN)) };
        Ok((kernel, bandwidth))
    }
}
