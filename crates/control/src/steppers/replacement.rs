//! The replacement method: what is known of the data is put in, noised as the state is.

use ndarray::Array2;
use sde_core::{Result, Reverse, Sde, Semilinear};
use solvers::{Control, Noise, Past, Scheme, Step, Stepper};

use super::measured;
use crate::Measurement;

/// After every step to `(alpha, sigma)`, the part of the state that was measured is replaced: with `V` of the singular value
/// decomposition of `A`,
///
/// `V^T x <- alpha ybar + sqrt(max(sigma^2 - alpha^2 s^2 / d^2, 0)) z`, `ybar = diag(1/d) U^T y`,
///
/// so that without noise (`s = 0`) it is a draw of the measured coordinates given `y`, and with noise one whose total variance
/// is that of the state. Of masks it is inpainting, of grey values colourisation.
///
/// It is biased, however many steps there are: the rest of the state is moved by the score of a state whose measured part is
/// noised anew, and not by the conditional one. [`super::TimeTravel`] lessens that, [`crate::TwistedSmc`] removes it.
///
/// As a [`Scheme`] it wraps a method of the registry, as a [`Stepper`] any stepper. In a sampler whose last step is without
/// noise the measured part ends at `alpha ybar`.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, appendix I.2 and I.3.
///
/// ```
/// use control::{Groups, Measurement, steppers::Replacement};
/// use ndarray::{Array2, array};
/// use sde_core::{Key, Vp, analytic::DataSet};
/// use solvers::{Method, Sampler};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.0)?;
/// let inpainted = Replacement::new(Method::EulerMaruyama, seen);
/// let x = Sampler::builder(inpainted, 1.0, 100)
///     .stop(0.0)
///     .draw(&vp, &score, 10, &Array2::zeros((1, 2)), Key::root(1))?;
/// assert!(x.column(0).iter().all(|x| (x - 1.3).abs() < 1e-12));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Replacement<T> {
    inner: T,
    measurement: Measurement,
}

impl<T> Replacement<T> {
    /// Replacement after the steps of `inner`.
    pub fn new(inner: T, measurement: Measurement) -> Self {
        Self { inner, measurement }
    }
}

/// The number of the normals, beside those that an inner stepper draws at the same time.
const OWN: u64 = 1 << 20;

impl<P, T> Stepper<Array2<f64>, P> for Replacement<T>
where
    P: Semilinear<Array2<f64>> + ?Sized,
    T: Stepper<Array2<f64>, P>,
{
    fn step(
        &self,
        problem: &P,
        x: &Array2<f64>,
        t0: f64,
        t1: f64,
        past: &Past<Array2<f64>>,
        noise: &dyn Noise<Array2<f64>>,
    ) -> Result<Step<Array2<f64>>> {
        let mut step = self.inner.step(problem, x, t0, t1, past, noise)?;
        let seen = measured(&self.measurement, x, noise)?;
        let m = problem.marginal(t1);
        let (known, stds) = seen.spectral(x.nrows())?;
        let z = seen.operator().project(&noise.normals(x, t1, OWN)?)?;
        let mut change = known * m.alpha - seen.operator().project(&step.x)?;
        for (mut change, z) in change.rows_mut().into_iter().zip(z.rows()) {
            for ((c, z), s) in change.iter_mut().zip(z).zip(&stds) {
                *c += (m.sigma * m.sigma - (m.alpha * s).powi(2)).max(0.0).sqrt() * z;
            }
        }
        step.x += &seen.operator().expand(&change)?;
        Ok(step)
    }

    fn error_order(&self) -> Option<f64> {
        self.inner.error_order()
    }

    fn takes_noise(&self) -> bool {
        self.inner.takes_noise()
    }
}

impl<M: Scheme<Array2<f64>>> Scheme<Array2<f64>> for Replacement<M> {
    fn make<'a, 'p: 'a>(
        &'a self,
        times: Option<&[f64]>,
    ) -> Box<dyn Stepper<Array2<f64>, Reverse<'p, Array2<f64>>> + 'a>
    where
        Array2<f64>: 'p,
    {
        Box::new(Replacement {
            inner: self.inner.make(times),
            measurement: self.measurement.clone(),
        })
    }

    fn own_noise(&self) -> bool {
        self.inner.own_noise()
    }

    fn control(&self, sde: &dyn Sde, control: Control) -> Result<Control> {
        self.inner.control(sde, control)
    }
}
