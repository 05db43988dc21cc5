//! Exact transport between the centres of cells.

use ndarray::Array1;

use super::cells::CellMasses;
use crate::error::Result;
use crate::histogram::{GridTransport, histogram_w2};

impl CellMasses {
    /// Exact $W_2^2$ between the masses put at the centres of their cells, with its certificate.
    ///
    /// It is at most that of the piecewise constant laws plus what the cells leave open, and never below it (every cell can move
    /// as it is): an upper bound of theirs. Displacements $d$ below the spacing cost about $d h$ here instead of $d^2$, which
    /// [`CellMasses::w2_bracket`] tells apart.
    ///
    /// # Errors
    /// Another grid; see [`histogram_w2`].
    ///
    /// ```
    /// use metrics::CellMasses;
    /// use ndarray::array;
    /// let law = |masses: [f64; 3]| CellMasses::line(0.0, 0.5, array![masses[0], masses[1], masses[2]].view());
    /// let found = law([1.0, 0.0, 0.0])?.w2_nodes(&law([0.0, 0.0, 1.0])?)?;
    /// assert_eq!(found.squared, 1.0);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn w2_nodes(&self, other: &Self) -> Result<GridTransport> {
        self.check_same_grid(other)?;
        let centres = |axis: usize| {
            let (origin, h) = (self.origin()[axis], self.spacing()[axis]);
            Array1::from_shape_fn(self.shares().shape()[axis], |k| origin + (k as f64 + 0.5) * h)
        };
        let (x, y) = (centres(0), centres(1));
        let found = histogram_w2(self.shares(), other.shares(), y.view(), x.view())?;
        Ok(GridTransport { mass: [self.mass(), other.mass()], ..found })
    }
}
