//! What completes or certifies the value of a metric, by family.

use crate::classifier::TwoSampleTest;
use crate::kernel::{Mmd2, SubsetMmd2};
use crate::log_likelihood::LogLikelihood;
use crate::neighbours::Manifolds;
use crate::scale::Unit;

/// What a metric found beside its value: one variant a family of metrics.
///
/// ```
/// use metrics::{Details, Metric, Options, Sample};
/// use ndarray::array;
/// let (x, y) = (Sample::cloud(array![[0.0], [1.0]]), Sample::cloud(array![[2.0], [3.0]]));
/// let found = Metric::W2.evaluate(&x, &y, &Options::default())?;
/// let Details::Transport(proof) = found.details else { unreachable!() };
/// assert_eq!((proof.primal, proof.gap), (4.0, 0.0));
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Details {
    /// Nothing: Frechet distance, max-sliced distance, divergences of histograms.
    #[default]
    None,
    /// The certificate of exact transport.
    Transport(Certificate),
    /// How the entropic transport went.
    Sinkhorn(SinkhornDetails),
    /// Of the sliced distance, where errors were asked for: by how much it scatters over random directions.
    Sliced {
        /// Standard error over the directions; it falls with their number and says nothing of the samples.
        directions_error: f64,
    },
    /// Both estimates of the squared maximum mean discrepancy.
    Mmd {
        /// The estimates.
        estimates: Mmd2,
        /// The bandwidth of a Gaussian kernel.
        bandwidth: Option<f64>,
    },
    /// Of the squared maximum mean discrepancy in linear time.
    LinearMmd {
        /// The bandwidth of the kernel.
        bandwidth: f64,
    },
    /// The kernel inception distance on random subsets, as papers report it.
    Kid(SubsetMmd2),
    /// Both estimates of the energy distance; [`Mmd2::distance`] is its square-root form.
    Energy(Mmd2),
    /// Precision, recall, density and coverage, which are found together.
    Manifolds {
        /// All four.
        overlap: Manifolds,
        /// The neighbour that a ball reaches to.
        k: usize,
    },
    /// Of a classifier two-sample test.
    Classifier(TwoSampleTest),
    /// Quantiles, bits a dimension and counts of log-densities.
    LogLikelihood(LogLikelihood),
}

/// The certificate of exact transport: no plan costs less than `dual`, the plan found costs `primal`.
///
/// For lengths beyond `1e-120 .. 1e120` the distance may be a double where its square is none: a field that no double
/// holds is NaN then.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Certificate {
    /// $W_2^2$; `None` for $W_1$.
    pub squared: Option<f64>,
    /// Cost of the plan that was found.
    pub primal: f64,
    /// Value of feasible potentials of the dual problem.
    pub dual: f64,
    /// `primal - dual`: the plan costs at most this much more than the best one.
    pub gap: f64,
}

impl Certificate {
    /// The same in other units of length, in which the cost has this degree.
    pub(super) fn back(self, unit: Unit, degree: f64) -> Self {
        let back = |value: f64| {
            let value = unit.back(value, degree);
            if value == 0.0 || value.is_normal() { value } else { f64::NAN }
        };
        let Self { squared, primal, dual, gap } = self;
        Self { squared: squared.map(back), primal: back(primal), dual: back(dual), gap: back(gap) }
    }
}

/// How the entropic transport behind a Sinkhorn divergence went.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SinkhornDetails {
    /// The divergence of the transport costs alone, closer to $W_2^2$ ([`crate::SinkhornDivergence::sharp`]).
    pub sharp: f64,
    /// The regularisation that was used.
    pub epsilon: f64,
    /// The dual value of the transport between the two samples.
    pub dual: f64,
    /// The largest L1 error of the marginals.
    pub marginal_error: f64,
    /// Whether all transports came within the tolerance, or as close as doubles allow.
    pub converged: bool,
}

impl Details {
    /// All numbers with a name, in the order in which they are printed; what no double holds is left out.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::None => vec![],
            Self::Transport(Certificate { squared, primal, dual, gap }) => {
                let rest = [("primal", *primal), ("dual", *dual), ("gap", *gap)];
                let all = squared.map(|squared| ("squared", squared)).into_iter().chain(rest);
                all.filter(|(_, value)| !value.is_nan()).collect()
            }
            Self::Sinkhorn(found) => vec![
                ("sharp", found.sharp),
                ("epsilon", found.epsilon),
                ("dual", found.dual),
                ("marginal-error", found.marginal_error),
                ("converged", f64::from(u8::from(found.converged))),
            ],
            Self::Sliced { directions_error } => vec![("directions-error", *directions_error)],
            Self::Mmd { estimates, bandwidth } => {
                let bandwidth = bandwidth.map(|bandwidth| ("bandwidth", bandwidth));
                both(estimates).into_iter().chain(bandwidth).collect()
            }
            Self::LinearMmd { bandwidth } => vec![("bandwidth", *bandwidth)],
            Self::Kid(found) => {
                vec![("subset-mean", found.mean), ("subset-deviation", found.standard_deviation)]
            }
            Self::Energy(found) => {
                both(found).into_iter().chain([("root", found.distance())]).collect()
            }
            Self::Manifolds { overlap, k } => vec![
                ("precision", overlap.precision.value),
                ("recall", overlap.recall.value),
                ("density", overlap.density.value),
                ("coverage", overlap.coverage.value),
                ("k", *k as f64),
            ],
            Self::Classifier(found) => {
                vec![("p-value", found.p_value), ("held-out", found.n_test as f64)]
            }
            Self::LogLikelihood(found) => log_likelihood(found),
        }
    }
}

fn both(found: &Mmd2) -> [(&'static str, f64); 2] {
    [("biased", found.biased), ("unbiased", found.unbiased)]
}

fn log_likelihood(found: &LogLikelihood) -> Vec<(&'static str, f64)> {
    let [low, quarter, three_quarters, high] = found.quantiles;
    vec![
        ("bits-per-dim", found.bits_per_dim.value),
        ("median", found.median),
        ("quantile-0.05", low),
        ("quantile-0.25", quarter),
        ("quantile-0.75", three_quarters),
        ("quantile-0.95", high),
        ("finite", found.n_finite as f64),
        ("minus-infinity", found.n_minus_infinity as f64),
        ("plus-infinity", found.n_plus_infinity as f64),
        ("nan", found.n_nan as f64),
    ]
}
