//! Divergences of laws known by the masses of cells, with what the cells leave out.

use ndarray::ArrayView2;

use super::cells::CellMasses;
use crate::error::Result;
use crate::histogram::HistogramDivergence;

/// Ratios of successive changes that those of a second-order error may have.
const SECOND_ORDER: std::ops::Range<f64> = 2.8..5.6;

/// A functional of densities on a grid, and on the grids that merging its cells in twos once and twice gives.
///
/// ```
/// // An error of h^2 at spacings 1/4, 1/2 and 1.
/// let found = metrics::OnCells::new(3.0 - 0.0625, [3.0 - 0.25, 2.0]);
/// assert_eq!((found.order(), found.extrapolated()), (Some(2.0), 3.0));
/// assert_eq!(found.error(), 0.0625);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OnCells {
    /// The value on the cells as given.
    pub value: f64,
    /// The values on cells merged once and twice.
    pub merged: [f64; 2],
}

impl OnCells {
    /// From the value and those on cells merged once and twice.
    #[must_use]
    pub fn new(value: f64, merged: [f64; 2]) -> Self {
        Self { value, merged }
    }

    /// How many times larger the last but one change is than the last.
    fn ratio(&self) -> f64 {
        (self.merged[0] - self.merged[1]) / (self.value - self.merged[0])
    }

    /// The order in the spacing that the three values show; none where they do not approach anything.
    #[must_use]
    pub fn order(&self) -> Option<f64> {
        let ratio = self.ratio();
        (ratio > 1.0 && ratio.is_finite()).then(|| ratio.log2())
    }

    /// The value without cells by Richardson's extrapolation, where the three values show an order near two; else
    /// the value as it is. For masses that are integrals over cells: where they are densities at the middles, the value needs none.
    #[must_use]
    pub fn extrapolated(&self) -> f64 {
        let second_order = SECOND_ORDER.contains(&self.ratio());
        self.value + if second_order { (self.value - self.merged[0]) / 3.0 } else { 0.0 }
    }

    /// An estimate of how far the value is from that without cells: what is left of a geometric series of changes with the ratio
    /// that is seen, at most 4 and at least 1.25. It is no bound. A law that is rough below the cells shows a ratio near one,
    /// and then this says little more than that the cells are too large.
    #[must_use]
    pub fn error(&self) -> f64 {
        let change = (self.value - self.merged[0]).abs();
        let ratio = self.ratio();
        let ratio = if ratio.is_nan() { 1.25 } else { ratio.clamp(1.25, 4.0) };
        if change == 0.0 { 0.0 } else { change / (ratio - 1.0) }
    }
}

/// Divergences between two laws on one grid, both conditioned on the box.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CellDivergences {
    /// $\frac12 \int |p - q|$.
    pub total_variation: OnCells,
    /// $\mathrm{KL}(p \Vert q)$ in nats; infinite where p has mass and q has none.
    pub kl: OnCells,
    /// $\mathrm{KL}(q \Vert p)$.
    pub reverse_kl: OnCells,
    /// $\mathrm{KL}(p \Vert q) + \mathrm{KL}(q \Vert p) = \int (p - q) \log(p / q)$.
    pub jeffreys: OnCells,
    /// $\int p |\nabla \log (p / q)|^2$, in one over the square of a length.
    pub fisher: OnCells,
    /// Total mass of either law as given: what is missing of one is not part of the values.
    pub mass: [f64; 2],
}

impl CellMasses {
    /// Total variation, relative entropies and the Fisher divergence of this law from another on the same grid.
    ///
    /// Of masses $p_i$, $q_i$ of cells: $\frac12 \sum_i |p_i - q_i|$ and $\sum_i p_i \log (p_i / q_i)$, which are at most those of any
    /// densities with these masses (data processing) and approach them with $h^2$; and for the Fisher divergence, over
    /// faces between cells $i$ and $j$ along axis $k$ with $l = \log(p / q)$,
    ///
    /// $$\sum_k \sum_{ij} \tfrac12 (p_i + p_j) \left(\frac{l_j - l_i}{h_k}\right)^2.$$
    ///
    /// Every value comes with the same on merged cells, from which [`OnCells::error`] says what the cells leave out.
    ///
    /// # Errors
    /// Another grid.
    ///
    /// # Reference
    /// T. M. Cover and J. A. Thomas, *Elements of Information Theory*, 2006, section 2.8 (data processing); A. Hyvärinen,
    /// *Estimation of non-normalized statistical models by score matching*, JMLR 6, 2005 (Fisher divergence).
    ///
    /// ```
    /// use metrics::CellMasses;
    /// use ndarray::Array1;
    /// // N(0, 1) and N(0.3, 1) on [-6, 6]: integrals over cells by 32 points each.
    /// let law = |mean: f64| {
    ///     let (h, n) = (12.0 / 256.0, 32);
    ///     let density = |k: usize| (-0.5 * (-6.0 + (k as f64 + 0.5) * h / n as f64 - mean).powi(2)).exp();
    ///     let mass = |i: usize| (n * i..n * (i + 1)).map(density).sum::<f64>() / n as f64;
    ///     let masses = Array1::from_shape_fn(256, |i| h * mass(i) / std::f64::consts::TAU.sqrt());
    ///     CellMasses::line(-6.0, h, masses.view())
    /// };
    /// let found = law(0.0)?.divergences(&law(0.3)?)?;
    /// assert!((found.kl.value - 0.045).abs() < 1e-4);
    /// assert!((found.kl.extrapolated() - 0.045).abs() < 1e-6);
    /// assert!((found.fisher.extrapolated() - 0.09).abs() < 1e-6);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn divergences(&self, other: &Self) -> Result<CellDivergences> {
        self.check_same_grid(other)?;
        let (first, second) = (self.merged(), other.merged());
        let levels = [(self, other), (&first, &second), (&first.merged(), &second.merged())];
        let of = |value: &dyn Fn(&Self, &Self) -> Result<f64>| -> Result<OnCells> {
            let [value, once, twice] = levels.map(|(p, q)| value(p, q));
            Ok(OnCells::new(value?, [once?, twice?]))
        };
        let histograms = |which: HistogramDivergence| {
            move |p: &Self, q: &Self| which.between(p.shares(), q.shares())
        };
        let kl = of(&histograms(HistogramDivergence::Kl))?;
        let reverse_kl = of(&|p, q| HistogramDivergence::Kl.between(q.shares(), p.shares()))?;
        let [a, b] = [0, 1].map(|level| kl.merged[level] + reverse_kl.merged[level]);
        Ok(CellDivergences {
            total_variation: of(&histograms(HistogramDivergence::TotalVariation))?,
            jeffreys: OnCells::new(kl.value + reverse_kl.value, [a, b]),
            kl,
            reverse_kl,
            fisher: of(&|p, q| Ok(fisher(p.shares(), q.shares(), p.spacing())))?,
            mass: [self.mass(), other.mass()],
        })
    }
}

fn fisher(p: ArrayView2<f64>, q: ArrayView2<f64>, spacing: [f64; 2]) -> f64 {
    let (n, m) = p.dim();
    let face = |a: (usize, usize), b: (usize, usize), h: f64| {
        let weight = 0.5 * (p[a] + p[b]);
        // Nothing is there, or nothing on one side, where the density ends.
        if weight == 0.0 || p[a] + q[a] == 0.0 || p[b] + q[b] == 0.0 {
            return 0.0;
        }
        let slope = ((p[b] / q[b]).ln() - (p[a] / q[a]).ln()) / h;
        if slope.is_nan() { f64::INFINITY } else { weight * slope * slope }
    };
    let mut sum = 0.0;
    for i in 0..n {
        for j in 0..m {
            if i + 1 < n {
                sum += face((i, j), (i + 1, j), spacing[0]);
            }
            if j + 1 < m {
                sum += face((i, j), (i, j + 1), spacing[1]);
            }
        }
    }
    sum
}
