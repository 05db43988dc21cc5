//! Vector-Jacobian products of a score, and likelihoods of noised data: what conditioning asks of models.

use std::sync::Arc;

use crate::{Result, Score};

/// The linear map `v -> (ds/dx)^T v` of every row, at the point where a score was evaluated.
pub type Pullback<'a, S> = Box<dyn Fn(&S) -> Result<S> + 'a>;

/// A score with vector-Jacobian products in `x`: what gradients through the denoised data are made of.
///
/// The Jacobian of an exact score is symmetric, that of a learned one need not be.
///
/// ```
/// use ndarray::array;
/// use sde_core::{ScoreVjp, Vp, analytic::GaussianMixture};
/// let vp = Vp::default();
/// let unit = GaussianMixture::isotropic(&[1.0], &array![[0.0, 0.0]], &[1.0])?;
/// let score = unit.under(&vp);
/// // Unit Gaussian data stay that under VP: s(x) = -x.
/// let (s, pull) = score.score_vjp(&array![[0.5, -1.0]], 0.3)?;
/// assert!((s - array![[-0.5, 1.0]]).iter().all(|e| e.abs() < 1e-12));
/// assert!((pull(&array![[2.0, 3.0]])? + array![[2.0, 3.0]]).iter().all(|e| e.abs() < 1e-12));
/// # Ok::<(), sde_core::Error>(())
/// ```
pub trait ScoreVjp<S>: Score<S> {
    /// The score `s(x, t)` of every row, and the [`Pullback`] there, which may be called any number of times.
    ///
    /// # Errors
    /// As [`Score::score`]; the pullback with [`crate::Error::Shape`] for a cotangent that does not fit.
    fn score_vjp(&self, x: &S, t: f64) -> Result<(S, Pullback<'_, S>)>;

    /// As [`Score::for_rows`], with the products.
    ///
    /// # Errors
    /// As [`Score::for_rows`].
    fn vjp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreVjp<S> + '_>> {
        let _ = rows;
        Ok(Box::new(self))
    }
}

/// A model of `log p(c | x_t)`: of a class, or of any other observation, given noised data.
///
/// ```
/// use ndarray::{Array2, array};
/// use sde_core::{LogLikelihood, Vp, analytic::GaussianMixture};
/// let vp = Vp::default();
/// let pair = GaussianMixture::isotropic(&[0.5, 0.5], &array![[-1.0], [1.0]], &[0.5, 0.5])?;
/// // Component 0 is class 0, component 1 class 1; the particles are of class 1.
/// let classes = pair.classes(&[0, 1])?;
/// let (log_p, gradient) = classes.under(&vp).of(vec![1]).log_likelihood(&array![[0.0]], 0.1)?;
/// assert!((log_p[0] - 0.5_f64.ln()).abs() < 1e-12 && gradient[[0, 0]] > 0.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub trait LogLikelihood<S>: Send + Sync {
    /// `log p(c | x_t = x)` of every row, and its gradient in `x`, in the shape of `x`. A term that depends on `t` alone may
    /// be missing.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when `x` does not fit the model; whatever the model fails with.
    fn log_likelihood(&self, x: &S, t: f64) -> Result<(Vec<f64>, S)>;

    /// The likelihood of a block of particles, see [`Score::for_rows`].
    ///
    /// # Errors
    /// As [`Score::for_rows`].
    fn likelihood_for_rows(&self, rows: &[u64]) -> Result<Box<dyn LogLikelihood<S> + '_>> {
        let _ = rows;
        Ok(Box::new(self))
    }
}

macro_rules! through_pointers {
    ($($pointer:ty),*) => {$(
        impl<S, T: ScoreVjp<S> + ?Sized> ScoreVjp<S> for $pointer {
            fn score_vjp(&self, x: &S, t: f64) -> Result<(S, Pullback<'_, S>)> {
                (**self).score_vjp(x, t)
            }

            fn vjp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreVjp<S> + '_>> {
                (**self).vjp_for_rows(rows)
            }
        }

        impl<S, T: LogLikelihood<S> + ?Sized> LogLikelihood<S> for $pointer {
            fn log_likelihood(&self, x: &S, t: f64) -> Result<(Vec<f64>, S)> {
                (**self).log_likelihood(x, t)
            }

            fn likelihood_for_rows(&self, rows: &[u64]) -> Result<Box<dyn LogLikelihood<S> + '_>> {
                (**self).likelihood_for_rows(rows)
            }
        }
    )*};
}

through_pointers!(&T, Box<T>, Arc<T>);
