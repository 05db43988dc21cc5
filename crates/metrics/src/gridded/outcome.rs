//! What a bracket of $W_2^2$ may cost, and what it is.

/// How much [`CellMasses::w2_bracket`](crate::CellMasses::w2_bracket) may spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BracketOptions {
    /// Nodes on which potentials that are not smooth are looked at, at least 4 a cell: the lower bound loses
    /// $\frac13 (\epsilon_x^2 + \epsilon_y^2)$ where these are $\epsilon$ apart. Time and memory are proportional to it.
    pub nodes: usize,
    /// Segments at most of the path that gives the upper bound.
    pub segments: usize,
    /// Width, relative to the upper bound, below which nothing more is tried.
    pub width: f64,
}

impl Default for BracketOptions {
    fn default() -> Self {
        Self { nodes: 1 << 20, segments: 8, width: 5e-3 }
    }
}

/// $W_2^2$ between two laws from below and from above.
///
/// ```
/// use metrics::{BracketOptions, CellMasses};
/// use ndarray::array;
/// // On a line both are the distance of the quantile functions: here one half, of the same shape.
/// let p = CellMasses::line(0.0, 0.5, array![0.2, 0.8, 0.0].view())?;
/// let q = CellMasses::line(0.0, 0.5, array![0.0, 0.2, 0.8].view())?;
/// let found = p.w2_bracket(&q, BracketOptions::default())?;
/// assert!((found.lower - 0.25).abs() < 1e-15 && found.lower == found.upper);
/// assert_eq!(found.width(), 0.0);
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct W2Bracket {
    /// $W_2^2$ is at least this.
    pub lower: f64,
    /// $W_2^2$ is at most this.
    pub upper: f64,
    /// Total mass of either law as given: what is missing of one is not part of the values.
    pub mass: [f64; 2],
    /// Segments of the path whose length squared is the upper bound; 0 where it is not one.
    pub segments: usize,
    /// What the lower bound lost to the distance of nodes; 0 for a smooth potential.
    pub loss: f64,
}

impl W2Bracket {
    /// $1 - \text{lower} / \text{upper}$; 0 where both are.
    #[must_use]
    pub fn width(&self) -> f64 {
        if self.upper == 0.0 { 0.0 } else { 1.0 - self.lower / self.upper }
    }
}
