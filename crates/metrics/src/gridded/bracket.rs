//! A bracket of $W_2^2$ between laws whose densities are constant on cells.

use sde_core::counts::in_memory;

use super::cells::CellMasses;
use super::line;
use super::outcome::{BracketOptions, W2Bracket};
use super::search::Search;
use crate::error::{Error, Result};

/// Cells between whose centres transport is solved for an upper bound, where that of paths is far from the lower one.
const MOST_NODES: usize = 1 << 13;

impl CellMasses {
    /// $W_2^2$ between this law and another on the same grid, both with a constant density on every cell: from below and from above.
    ///
    /// On a line (and in a plane of one row of cells) both are $\int_0^1 (Q_p - Q_q)^2$, exactly. In the plane:
    ///
    /// - *From above.* For densities $p_a$ and a flow $F$ with $\partial_a p_a + \mathrm{div} F = 0$,
    ///   $W_2 \le \int_0^1 (\int |F|^2 / p_a)^{1/2} da$ (Benamou and Brenier). Here $p_a = (1 - a) p + a q$ and $F$ is linear between opposite
    ///   faces of a cell, so that its divergence is exact; a weighted Poisson equation gives the shortest one but for $O(h^2)$. To a
    ///   translation by $d$ of a Gaussian of deviation $\sigma$ this adds $d^2 / (12 \sigma^2)$ of itself; so where it
    ///   helps the path is cut in segments that pass through displaced laws, the sum of whose lengths is as much a bound. Where there is
    ///   little mass between the laws, [`CellMasses::w2_nodes`] may be less: every cell can move as it is.
    /// - *From below.* $W_2^2 = 2 \max \int \varphi dp + \int \psi dq$ over $\varphi(x) + \psi(y) \le \frac12 |x - y|^2$. Potentials of two kinds are
    ///   improved by steps along solutions of the Poisson equation. Quadratic splines $\varphi$ with second derivatives below one,
    ///   certified from their coefficients: their transforms $\psi$ are found by Newton's method, and integrated from below by their
    ///   concavity. And any potential on the nodes of a finer grid, with exact transforms: for densities that are constant on pieces of sides
    ///   $\epsilon$, the bound of the masses at corners less $\frac13 (\epsilon_x^2 + \epsilon_y^2)$ is one, as $\frac12 |x|^2 - \varphi$ is convex
    ///   and so at most the multilinear function through its values. No assumption enters.
    ///
    /// Both hold for the piecewise constant laws, but for rounding and for the quadrature along the path (24 nodes). A smooth law with
    /// the same masses is $O(h^2 |\nabla \log p|)$ in $W_2$ from its piecewise constant one: compare with merged cells.
    ///
    /// # Errors
    /// Another grid; a width that is not finite or is negative; more nodes than memory holds.
    ///
    /// # Reference
    /// J.-D. Benamou and Y. Brenier, *A computational fluid mechanics solution to the Monge-Kantorovich mass transfer problem*,
    /// Numer. Math. 84, 2000; R. Peyre, *Comparison between W2 distance and H^-1 norm*, ESAIM: COCV 24, 2018,
    /// arXiv:1104.4631; J. Dolbeault, B. Nazaret and G. Savare, *A new class of transport distances between measures*, Calc.
    /// Var. 34, 2009, arXiv:0803.1235; M. Jacobs and F. Leger, *A fast approach to optimal transport: the back-and-forth method*,
    /// Numer. Math. 146, 2020, arXiv:1905.12154; P. F. Felzenszwalb and D. P. Huttenlocher, *Distance transforms of sampled
    /// functions*, Theory of Computing 8, 2012.
    ///
    /// ```
    /// use metrics::{BracketOptions, CellMasses};
    /// use ndarray::Array2;
    /// // Gaussians with deviations 1 and 0.9 on [-5, 5]^2: W2^2 = 2 * 0.1^2.
    /// let law = |deviation: f64| {
    ///     let at = |i: usize| (-0.5 * ((-5.0 + (i as f64 + 0.5) * 0.2) / deviation).powi(2)).exp();
    ///     let masses = Array2::from_shape_fn((50, 50), |(i, j)| at(i) * at(j));
    ///     CellMasses::plane([-5.0, -5.0], [0.2, 0.2], masses.view())
    /// };
    /// let found = law(1.0)?.w2_bracket(&law(0.9)?, BracketOptions { nodes: 1 << 16, ..Default::default() })?;
    /// assert!(found.lower < 0.02 && 0.02 < found.upper && found.width() < 0.1);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn w2_bracket(&self, other: &Self, options: BracketOptions) -> Result<W2Bracket> {
        self.check_same_grid(other)?;
        if !(options.width >= 0.0 && options.width.is_finite()) {
            let (name, expected) = ("width", "finite and at least 0");
            return Err(Error::InvalidParameter { name, expected, value: options.width });
        }
        let shape = [self.shares().nrows(), self.shares().ncols()];
        let nodes = options.nodes.max(4 * shape[0] * shape[1]);
        in_memory(&[("nodes", nodes as u64)], 120).map_err(Error::Excess)?;
        let mass = [self.mass(), other.mass()];
        let (p, q) = (self.flat(), other.flat());
        if let Some(axis) = (0..2).find(|&axis| shape[1 - axis] == 1) {
            let squared = self.spacing()[axis].powi(2) * line::squared(&p, &q);
            return Ok(W2Bracket { lower: squared, upper: squared, mass, segments: 0, loss: 0.0 });
        }
        let search = Search { shape, spacing: self.spacing(), p: &p, q: &q, options };
        let mut found = W2Bracket { mass, ..search.bracket() };
        // Every cell can move as it is, which no path of mixtures does where there is little mass between the laws.
        if found.upper.is_infinite() || (found.width() > 0.1 && p.len() <= MOST_NODES) {
            let squared = self.w2_nodes(other)?.squared;
            if squared < found.upper {
                (found.upper, found.segments) = (squared, 0);
            }
        }
        Ok(W2Bracket { lower: found.lower.clamp(0.0, found.upper), ..found })
    }
}
