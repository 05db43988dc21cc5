//! The traits of a model of the score: its value, its derivatives, its potential.

use crate::Result;

/// A score `s(x, t) = grad_x log p_t(x)`, or a model of it.
///
/// A closure is one by [`FnScore`]. A model whose rows differ (labels, masks, measurements) is made for the
/// particles it is to be evaluated on by [`Score::for_rows`], which samplers call for every block:
///
/// ```
/// use ndarray::Array2;
/// use sde_core::{Error, Result, Score};
///
/// /// Unit Gaussians, one about the mean of each particle's label, under `dX = sqrt(2 t) dW` (`Edm`).
/// struct Labelled<'a> {
///     means: &'a [f64],
///     /// The label of every particle there is.
///     labels: &'a [usize],
/// }
///
/// impl Score<Array2<f64>> for Labelled<'_> {
///     fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
///         if x.nrows() != self.labels.len() {
///             return Err(Error::Shape { expected: vec![self.labels.len()], found: vec![x.nrows()] });
///         }
///         let v = 1.0 + t * t;
///         Ok(Array2::from_shape_fn(x.dim(), |(b, j)| (self.means[self.labels[b]] - x[[b, j]]) / v))
///     }
///
///     fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<Array2<f64>> + '_>> {
///         let labels: Vec<usize> = rows.iter().map(|row| self.labels[*row as usize]).collect();
///         let means = self.means;
///         Ok(Box::new(sde_core::FnScore::new(move |x: &Array2<f64>, t| {
///             Labelled { means, labels: &labels }.score(x, t)
///         })))
///     }
/// }
///
/// let all = Labelled { means: &[-3.0, 3.0], labels: &[0, 1, 1, 0] };
/// let some = all.for_rows(&[2, 3])?;
/// assert_eq!(some.score(&Array2::zeros((2, 1)), 0.0)?, ndarray::array![[3.0], [-3.0]]);
/// # Ok::<(), Error>(())
/// ```
pub trait Score<S>: Send + Sync {
    /// The score of every row of `x` at the common time `t`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when `x` does not fit the model; whatever the model fails with.
    fn score(&self, x: &S, t: f64) -> Result<S>;

    /// The expected data `E[x_0 | x_t = x] = (x + sigma^2 s(x, t)) / alpha` of every row, as the model
    /// knows it apart from its score: that formula has no digit left where `alpha` is small beside the
    /// rounding of `sigma`. Closed forms and models of `x_0`, of `v = alpha eps - sigma x_0` and of
    /// Karras et al. have it; `None` from a model that knows its score alone.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        let _ = (x, t);
        Ok(None)
    }

    /// The score of a block of particles: row `b` of what it is evaluated on is particle number `rows[b]`. Samplers
    /// ask for it once a block, with the numbers that their noise has too; a number may occur more than once.
    /// A score that treats all rows alike is its own.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] for a particle the model does not know.
    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        let _ = rows;
        Ok(Box::new(self))
    }
}

/// A closure as a score, with what it knows of the data if it does.
///
/// ```
/// use ndarray::{Array2, array};
/// use sde_core::{FnScore, Score};
///
/// // Unit Gaussian data under `alpha = 1`, `sigma = t`.
/// let score = FnScore::new(|x: &Array2<f64>, t| Ok(x / -(1.0 + t * t)));
/// assert_eq!(score.score(&array![[2.0, 4.0]], 1.0)?, array![[-1.0, -2.0]]);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FnScore<F>(F);

impl<F> FnScore<F> {
    /// The score `f(x, t)`, the one of every row of `x`.
    pub fn new<S>(f: F) -> Self
    where
        F: Fn(&S, f64) -> Result<S> + Send + Sync,
    {
        Self(f)
    }
}

impl<S, F: Fn(&S, f64) -> Result<S> + Send + Sync> Score<S> for FnScore<F> {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        (self.0)(x, t)
    }
}

impl<S, T: Score<S> + ?Sized> Score<S> for &T {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        (**self).score(x, t)
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        (**self).denoised(x, t)
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        (**self).for_rows(rows)
    }
}

impl<S, T: Score<S> + ?Sized> Score<S> for std::sync::Arc<T> {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        (**self).score(x, t)
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        (**self).denoised(x, t)
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        (**self).for_rows(rows)
    }
}

impl<S, T: Score<S> + ?Sized> Score<S> for Box<T> {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        (**self).score(x, t)
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        (**self).denoised(x, t)
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        (**self).for_rows(rows)
    }
}

/// A score with exact directional derivatives in `x`.
pub trait ScoreJvp<S>: Score<S> {
    /// Score and its directional derivative, `(s(x, t), ds/dx . v)`, row by row.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn score_jvp(&self, x: &S, t: f64, v: &S) -> Result<(S, S)>;

    /// As [`ScoreJvp::score_jvp`], along several directions at once: what they have in common is computed once where the
    /// model can. Without a direction the score alone.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn score_jvps(&self, x: &S, t: f64, directions: &[S]) -> Result<(S, Vec<S>)> {
        let Some((first, rest)) = directions.split_first() else {
            return Ok((self.score(x, t)?, Vec::new()));
        };
        let (score, along) = self.score_jvp(x, t, first)?;
        let rest = rest.iter().map(|v| Ok(self.score_jvp(x, t, v)?.1));
        let along = std::iter::once(Ok(along)).chain(rest).collect::<Result<_>>()?;
        Ok((score, along))
    }

    /// The divergence `sum_i ds_i/dx_i` of every row, exactly.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn divergence(&self, x: &S, t: f64) -> Result<Vec<f64>>;

    /// Score and divergence of every row, as [`Score::score`] and [`ScoreJvp::divergence`] say them: what they have in
    /// common is computed once where the model can.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn score_and_divergence(&self, x: &S, t: f64) -> Result<(S, Vec<f64>)> {
        Ok((self.score(x, t)?, self.divergence(x, t)?))
    }

    /// As [`Score::for_rows`], with the derivatives.
    ///
    /// # Errors
    /// As [`Score::for_rows`].
    fn jvp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreJvp<S> + '_>> {
        let _ = rows;
        Ok(Box::new(self))
    }
}

impl<S, T: ScoreJvp<S> + ?Sized> ScoreJvp<S> for &T {
    fn score_jvp(&self, x: &S, t: f64, v: &S) -> Result<(S, S)> {
        (**self).score_jvp(x, t, v)
    }

    fn score_jvps(&self, x: &S, t: f64, directions: &[S]) -> Result<(S, Vec<S>)> {
        (**self).score_jvps(x, t, directions)
    }

    fn divergence(&self, x: &S, t: f64) -> Result<Vec<f64>> {
        (**self).divergence(x, t)
    }

    fn score_and_divergence(&self, x: &S, t: f64) -> Result<(S, Vec<f64>)> {
        (**self).score_and_divergence(x, t)
    }

    fn jvp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreJvp<S> + '_>> {
        (**self).jvp_for_rows(rows)
    }
}

impl<S, T: ScoreJvp<S> + ?Sized> ScoreJvp<S> for Box<T> {
    fn score_jvp(&self, x: &S, t: f64, v: &S) -> Result<(S, S)> {
        (**self).score_jvp(x, t, v)
    }

    fn score_jvps(&self, x: &S, t: f64, directions: &[S]) -> Result<(S, Vec<S>)> {
        (**self).score_jvps(x, t, directions)
    }

    fn divergence(&self, x: &S, t: f64) -> Result<Vec<f64>> {
        (**self).divergence(x, t)
    }

    fn score_and_divergence(&self, x: &S, t: f64) -> Result<(S, Vec<f64>)> {
        (**self).score_and_divergence(x, t)
    }

    fn jvp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreJvp<S> + '_>> {
        (**self).jvp_for_rows(rows)
    }
}

/// A potential with everything the Fokker-Planck equation asks of it, one value (or row) a point.
#[derive(Clone, Debug)]
pub struct Derivatives<S> {
    /// `phi(x, t)`, an unnormalised log-density (normalised for analytic targets).
    pub potential: Vec<f64>,
    /// `grad_x phi`, in the shape of `x`.
    pub score: S,
    /// `d phi / d t`.
    pub d_t: Vec<f64>,
    /// `sum_i d^2 phi / d x_i^2`.
    pub laplacian: Vec<f64>,
}

/// A score that is the gradient of a known potential `phi(x, t)`.
pub trait Potential<S>: Score<S> {
    /// Potential, score, time derivative and Laplacian; row `b` of `x` at its own time `t[b]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when `x` or `t` does not fit; whatever the model fails with.
    fn derivatives(&self, x: &S, t: &[f64]) -> Result<Derivatives<S>>;

    /// As [`Score::for_rows`], with the potential.
    ///
    /// # Errors
    /// As [`Score::for_rows`].
    fn potential_for_rows(&self, rows: &[u64]) -> Result<Box<dyn Potential<S> + '_>> {
        let _ = rows;
        Ok(Box::new(self))
    }
}

impl<S, T: Potential<S> + ?Sized> Potential<S> for &T {
    fn derivatives(&self, x: &S, t: &[f64]) -> Result<Derivatives<S>> {
        (**self).derivatives(x, t)
    }

    fn potential_for_rows(&self, rows: &[u64]) -> Result<Box<dyn Potential<S> + '_>> {
        (**self).potential_for_rows(rows)
    }
}
