//! Standard errors of optimal transport, from its dual potentials.

use ndarray::ArrayView1;

use super::influence::{standard_error, standard_error_over_cells};
use crate::error::Result;
use crate::histogram::{GridTransport, Histogram2d};
use crate::input::{FIRST, SECOND, cloud_weights};
use crate::transport::Transport;

impl Transport {
    /// Standard error of [`Transport::primal`], from the weights `a` and `b` it was solved with.
    ///
    /// $$\mathrm{se}^2 = \frac{\operatorname{Var} u(X)}{N} + \frac{\operatorname{Var} v(Y)}{M}$$
    ///
    /// with the optimal potentials u and v, for which no further problem has to be solved. It is by
    /// how much the value scatters about its *expectation* over samples of these sizes; that
    /// expectation itself lies above the distance of the laws, by a bias of order $n^{-2/D}$ for
    /// D > 4, of which a noise floor gives an idea and a standard error none. It holds where the laws
    /// differ; where they agree the potentials are noise, of about twice the variance of the value. Of
    /// [`Transport::distance`] under the squared cost the standard error is this over twice the
    /// distance.
    ///
    /// Weights are taken to belong to independent draws, as importance weights do.
    ///
    /// # Shapes
    /// `a: [N]`, `b: [M]`, as in [`crate::ExactTransport::solve`]; `None` is uniform.
    ///
    /// # Errors
    /// Weights of another shape, negative or not finite.
    ///
    /// # Reference
    /// E. del Barrio and J.-M. Loubes, *Central limit theorems for empirical transportation cost in
    /// general dimension*, Annals of Probability 47, 2019, arXiv:1705.01299, theorem 4.1; for other
    /// costs S. Hundrieser, M. Klatt, A. Munk, T. Staudt, *A unifying approach to distributional
    /// limits for empirical optimal transport*, Bernoulli 30, 2024, arXiv:2202.12790.
    ///
    /// ```
    /// use ndarray::array;
    /// // Every point moves by a distance of 3 or of 5.
    /// let (x, y) = (array![[0.0], [10.0], [20.0], [30.0]], array![[3.0], [15.0], [23.0], [35.0]]);
    /// let transport = metrics::w2(x.view(), y.view())?;
    /// assert!(transport.standard_error(None, None)? > 0.0);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn standard_error(
        &self,
        a: Option<ArrayView1<f64>>,
        b: Option<ArrayView1<f64>>,
    ) -> Result<f64> {
        let (u, v) = (self.source_potential.view(), self.target_potential.view());
        cloud_weights(FIRST, u.len(), a)?;
        cloud_weights(SECOND, v.len(), b)?;
        Ok(standard_error([(u, a), (v, b)]))
    }
}

impl GridTransport {
    /// Standard error of [`GridTransport::squared`] between these two histograms; `None` where nobody
    /// said how many samples they hold.
    ///
    /// As [`Transport::standard_error`]: the variance of the potentials over the multinomial counts.
    ///
    /// # Errors
    /// Histograms of another shape than the potentials.
    ///
    /// ```
    /// use metrics::Histogram2d;
    /// use ndarray::array;
    /// let a = Histogram2d::from_weights(1.0, array![[0.6, 0.4], [0.0, 0.0]])?.with_samples(100)?;
    /// let b = Histogram2d::from_weights(1.0, array![[0.2, 0.8], [0.0, 0.0]])?.with_samples(400)?;
    /// let transport = a.w2(&b)?;
    /// // A share of 0.4 moves by 2: the squared distance is 4 (0.6 - 0.2).
    /// let share = 0.6 * 0.4 / 99.0 + 0.2 * 0.8 / 399.0_f64;
    /// let error = transport.standard_error(&a, &b)?.expect("the sizes are known");
    /// assert!((error - 4.0 * share.sqrt()).abs() < 1e-12);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn standard_error(&self, a: &Histogram2d, b: &Histogram2d) -> Result<Option<f64>> {
        let shape = self.source_potential.shape();
        for (what, side) in [("first histogram", a), ("second histogram", b)] {
            if side.weights().shape() != shape {
                let (expected, found) = (shape.to_vec(), side.weights().shape().to_vec());
                return Err(crate::Error::ShapeMismatch { what, expected, found });
            }
        }
        let (u, v) = (self.source_potential.view(), self.target_potential.view());
        Ok(standard_error_over_cells([(a, u), (b, v)]))
    }
}
