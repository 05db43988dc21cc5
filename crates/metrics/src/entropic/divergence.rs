//! The debiased Sinkhorn divergence.

use ndarray::{ArrayView1, ArrayView2};

use super::options::{EntropicTransport, Sinkhorn};
use super::transport::Pair;
use crate::error::Result;
use crate::transport::to_one;

/// The Sinkhorn divergence of two clouds, with the three transports it is made of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SinkhornDivergence {
    /// $S_\varepsilon = \mathrm{OT}_\varepsilon(a, b) - \frac12 \mathrm{OT}_\varepsilon(a, a) -
    /// \frac12 \mathrm{OT}_\varepsilon(b, b)$, never negative but for rounding.
    pub value: f64,
    /// The same of the transport costs $\langle P, C \rangle$ alone, which is closer to $W_2^2$ but
    /// may be negative.
    pub sharp: f64,
    /// Standard error of `value` for independent samples, to first order; `None` where both clouds
    /// are a single point.
    pub standard_error: Option<f64>,
    /// Transport between the clouds.
    pub xy: EntropicTransport,
    /// Transport of the first cloud to itself.
    pub xx: EntropicTransport,
    /// Transport of the second cloud to itself.
    pub yy: EntropicTransport,
}

impl SinkhornDivergence {
    /// The largest L1 error of the marginals of the three transports.
    #[must_use]
    pub fn marginal_error(&self) -> f64 {
        self.xy.marginal_error.max(self.xx.marginal_error).max(self.yy.marginal_error)
    }

    /// Whether all three came within the tolerance, or as close as doubles allow.
    #[must_use]
    pub fn converged(&self) -> bool {
        self.xy.converged && self.xx.converged && self.yy.converged
    }
}

/// Debiased Sinkhorn divergence under the squared Euclidean cost.
///
/// $$S_\varepsilon(a, b) = \mathrm{OT}_\varepsilon(a, b) - \tfrac12 \mathrm{OT}_\varepsilon(a, a) -
/// \tfrac12 \mathrm{OT}_\varepsilon(b, b)$$
///
/// between $W_2^2$ (epsilon to zero) and the squared distance of the means (epsilon to infinity).
/// [`entropic_transport`](crate::entropic_transport) says how each is solved; a cloud to itself by
/// the averaged iteration of its one potential.
///
/// The standard error is that of the first variation, $f_{xy} - f_{xx}$ over the first sample and
/// $g_{xy} - g_{yy}$ over the second. It vanishes where the two laws agree; what fluctuations of
/// second order remain there is what a [noise floor](crate::Metric::noise_floor) shows.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`; `None` weights are uniform.
///
/// # Errors
/// As [`entropic_transport`](crate::entropic_transport).
///
/// # Reference
/// J. Feydy et al., *Interpolating between optimal transport and MMD using Sinkhorn divergences*,
/// 2019, arXiv:1810.08278; standard error: A. Gonzalez-Sanz, J.-M. Loubes, J. Niles-Weed, *Weak limits
/// of entropy regularized optimal transport*, 2022, arXiv:2207.07427.
///
/// ```
/// use metrics::{Sinkhorn, sinkhorn_divergence};
/// use ndarray::array;
/// let x = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
/// let y = &x + 2.0;
/// // A translation costs |shift|^2 at every epsilon.
/// let found = sinkhorn_divergence(x.view(), None, y.view(), None, &Sinkhorn::new(0.5))?;
/// assert!((found.value - 8.0).abs() < 1e-8);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn sinkhorn_divergence(
    x: ArrayView2<f64>,
    a: Option<ArrayView1<f64>>,
    y: ArrayView2<f64>,
    b: Option<ArrayView1<f64>>,
    options: &Sinkhorn,
) -> Result<SinkhornDivergence> {
    let pair = Pair::new(x, a, y, b, options)?;
    let xy = pair.between()?;
    let [xx, yy] = pair.within()?;
    let [a, b] = pair.shares();
    let difference =
        |p: &[f64], q: &[f64]| -> Vec<f64> { p.iter().zip(q).map(|(p, q)| p - q).collect() };
    let potentials = [difference(&xy.f, &xx.f), difference(&xy.g, &yy.g)];
    // Squares of potentials are fourth powers of lengths.
    let unit = to_one(potentials.iter().flatten().fold(0.0, |most, p| most.max(p.abs())));
    let shares = [&a, &b];
    let errors = [0, 1].map(|side| mean_variance(&potentials[side], shares[side], unit));
    let known = errors.iter().any(Option::is_some);
    let variance: f64 = errors.iter().flatten().sum();
    Ok(SinkhornDivergence {
        value: xy.value - 0.5 * (xx.value + yy.value),
        sharp: xy.transport_cost - 0.5 * (xx.transport_cost + yy.transport_cost),
        standard_error: known.then(|| variance.sqrt() / unit),
        xy,
        xx,
        yy,
    })
}

/// Variance of the weighted mean of values times `unit`; `None` of a single one.
fn mean_variance(values: &[f64], shares: &[f64], unit: f64) -> Option<f64> {
    let concentration: f64 = shares.iter().map(|w| w * w).sum();
    let mean: f64 = values.iter().zip(shares).map(|(v, w)| v * w).sum();
    let square: f64 =
        values.iter().zip(shares).map(|(v, w)| (w * ((v - mean) * unit)).powi(2)).sum();
    // Uniform shares: s^2 / n with the unbiased s^2.
    (concentration < 1.0).then(|| square / (1.0 - concentration))
}
