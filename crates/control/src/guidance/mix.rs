//! Two models of one score, extrapolated from the weaker through the stronger.

use sde_core::{Pullback, Result, Score, ScoreJvp, ScoreVjp, Sde, State};

use super::Strength;

/// Guidance by a second model: `s = s_weak + w (s_strong - s_weak)`, and the same mixture of the denoised data and the
/// predicted noise.
///
/// | strong | weak | `w` | |
/// |---|---|---|---|
/// | conditional | unconditional | constant | classifier-free guidance |
/// | conditional | unconditional | [`Strength::Interval`] | limited to some noise levels |
/// | conditional | unconditional | [`Strength::PlusPlus`] | CFG++ |
/// | well trained | smaller, or less trained | constant | autoguidance |
///
/// At `w = 1` it is the strong model alone, at `w = 0` the weak one. No density in between is sampled at other weights:
/// `p_strong^w p_weak^{1-w}` is not kept by the diffusion.
///
/// # Reference
/// Ho, Salimans 2022, arXiv 2207.12598, equation 6 (with `1 + w` for `w`); Karras et al. 2024, arXiv 2406.02507, equation 3.
///
/// ```
/// use control::{Guidance, Strength};
/// use ndarray::{Array2, array};
/// use sde_core::{Key, Vp, analytic::GaussianMixture};
/// use solvers::{Method, Sampler};
///
/// let vp = Vp::default();
/// let both = GaussianMixture::isotropic(&[0.5, 0.5], &array![[-1.0], [1.0]], &[0.3, 0.3])?;
/// let (one, all) = (both.classes(&[0, 1])?.class(1).under(&vp), both.under(&vp));
/// let guided = Guidance::new(&vp, &one, &all, Strength::Constant(1.0));
/// let x = Sampler::builder(Method::DpmSolverPP2M, 0.0, 20)
///     .draw(&vp, &guided, 200, &Array2::zeros((1, 1)), Key::root(1))?;
/// assert!((x.mean().expect("samples") - 1.0).abs() < 0.1);
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone)]
pub struct Guidance<'a, C, U> {
    sde: &'a dyn Sde,
    strong: C,
    weak: U,
    strength: Strength,
}

impl<'a, C, U> Guidance<'a, C, U> {
    /// Guidance from `weak` through `strong`.
    pub fn new(sde: &'a dyn Sde, strong: C, weak: U, strength: impl Into<Strength>) -> Self {
        Self { sde, strong, weak, strength: strength.into() }
    }

    /// `w` times the one value and `1 - w` times the other, where a weight of zero asks for nothing.
    fn mix<T>(
        &self,
        t: f64,
        strong: impl FnOnce() -> Result<T>,
        weak: impl FnOnce() -> Result<T>,
        mix: impl FnOnce(f64, T, T) -> Result<T>,
    ) -> Result<T> {
        let w = self.strength.at(self.sde, t)?;
        if w == 1.0 {
            strong()
        } else if w == 0.0 {
            weak()
        } else {
            mix(w, strong()?, weak()?)
        }
    }
}

fn lincomb<S: State>(w: f64, a: &S, b: &S) -> Result<S> {
    S::lincomb(&[(w, a), (1.0 - w, b)])
}

impl<S: State + 'static, C: Score<S>, U: Score<S>> Score<S> for Guidance<'_, C, U> {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        let (a, b) = (|| self.strong.score(x, t), || self.weak.score(x, t));
        self.mix(t, a, b, |w, a, b| lincomb(w, &a, &b))
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        let (a, b) = (|| self.strong.denoised(x, t), || self.weak.denoised(x, t));
        self.mix(t, a, b, |w, a, b| a.zip(b).map(|(a, b)| lincomb(w, &a, &b)).transpose())
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        let (strong, weak) = (self.strong.for_rows(rows)?, self.weak.for_rows(rows)?);
        Ok(Box::new(Guidance { sde: self.sde, strong, weak, strength: self.strength.clone() }))
    }
}

impl<S: State + 'static, C: ScoreJvp<S>, U: ScoreJvp<S>> ScoreJvp<S> for Guidance<'_, C, U> {
    fn score_jvp(&self, x: &S, t: f64, v: &S) -> Result<(S, S)> {
        let (a, b) = (|| self.strong.score_jvp(x, t, v), || self.weak.score_jvp(x, t, v));
        self.mix(t, a, b, |w, a, b| Ok((lincomb(w, &a.0, &b.0)?, lincomb(w, &a.1, &b.1)?)))
    }

    fn score_jvps(&self, x: &S, t: f64, directions: &[S]) -> Result<(S, Vec<S>)> {
        let a = || self.strong.score_jvps(x, t, directions);
        let b = || self.weak.score_jvps(x, t, directions);
        self.mix(t, a, b, |w, a, b| {
            let along =
                a.1.iter().zip(&b.1).map(|(a, b)| lincomb(w, a, b)).collect::<Result<_>>()?;
            Ok((lincomb(w, &a.0, &b.0)?, along))
        })
    }

    fn divergence(&self, x: &S, t: f64) -> Result<Vec<f64>> {
        let (a, b) = (|| self.strong.divergence(x, t), || self.weak.divergence(x, t));
        self.mix(t, a, b, |w, a, b| {
            Ok(a.into_iter().zip(b).map(|(a, b)| w * a + (1.0 - w) * b).collect())
        })
    }

    fn jvp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreJvp<S> + '_>> {
        let (strong, weak) = (self.strong.jvp_for_rows(rows)?, self.weak.jvp_for_rows(rows)?);
        Ok(Box::new(Guidance { sde: self.sde, strong, weak, strength: self.strength.clone() }))
    }
}

impl<S: State + 'static, C: ScoreVjp<S>, U: ScoreVjp<S>> ScoreVjp<S> for Guidance<'_, C, U> {
    fn score_vjp(&self, x: &S, t: f64) -> Result<(S, Pullback<'_, S>)> {
        let (a, b) = (|| self.strong.score_vjp(x, t), || self.weak.score_vjp(x, t));
        self.mix(t, a, b, |w, (a, pull_a), (b, pull_b)| {
            let pull = move |v: &S| lincomb(w, &pull_a(v)?, &pull_b(v)?);
            Ok((lincomb(w, &a, &b)?, Box::new(pull) as Pullback<'_, S>))
        })
    }

    fn vjp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreVjp<S> + '_>> {
        let (strong, weak) = (self.strong.vjp_for_rows(rows)?, self.weak.vjp_for_rows(rows)?);
        Ok(Box::new(Guidance { sde: self.sde, strong, weak, strength: self.strength.clone() }))
    }
}
