//! Sources of steppers: a method of the registry, one with other constants, or your own stepper.

use sde_core::{Result, Reverse, Sde, State};

use crate::{Control, Stepper};

/// What makes the steppers of a [`crate::Sampler`]: a [`crate::Method`], a [`crate::ConfiguredMethod`] one, your own stepper
/// ([`CustomStepper`]), or any of them behind an `Arc<dyn Scheme<S>>`.
pub trait Scheme<S>: Send + Sync {
    /// The stepper, for the steps between these times where they are known beforehand.
    fn make<'a, 'p: 'a>(
        &'a self,
        times: Option<&[f64]>,
    ) -> Box<dyn Stepper<S, Reverse<'p, S>> + 'a>
    where
        S: 'p;

    /// Whether it draws noise of its own over the flow ODE (`eta = 0`), see [`crate::Method::own_noise`].
    fn own_noise(&self) -> bool {
        false
    }

    /// The steps as they are taken, where the scheme adds some of its own (the restart intervals of Restart).
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for steps it has nothing to add to.
    fn control(&self, sde: &dyn Sde, control: Control) -> Result<Control> {
        let _ = sde;
        Ok(control)
    }
}

/// Your own stepper, for a sampler.
///
/// ```
/// use ndarray::Array2;
/// use sde_core::{Dynamics, Key, Result, State, Vp, analytic::DataSet};
/// use solvers::{Noise, CustomStepper, Past, Sampler, Step, Stepper};
///
/// /// The midpoint method, for ODEs.
/// struct Midpoint;
///
/// impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Midpoint {
///     fn step(&self, problem: &P, x: &S, t0: f64, t1: f64, _: &Past<S>, _: &dyn Noise<S>) -> Result<Step<S>> {
///         let h = t1 - t0;
///         let y = S::lincomb(&[(1.0, x), (0.5 * h, &problem.drift(x, t0)?)])?;
///         let x = S::lincomb(&[(1.0, x), (h, &problem.drift(&y, t0 + 0.5 * h)?)])?;
///         Ok(Step { x, error: None, past: Past::default(), nfe: 2 })
///     }
/// }
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let x = Sampler::builder(CustomStepper(Midpoint), 0.0, 40).draw(&vp, &score, 100, &Array2::zeros((1, 2)), Key::root(1))?;
/// assert_eq!(x.dim(), (100, 2));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CustomStepper<T>(pub T);

impl<S: State, T> Scheme<S> for CustomStepper<T>
where
    T: for<'p> Stepper<S, Reverse<'p, S>>,
{
    fn make<'a, 'p: 'a>(&'a self, _: Option<&[f64]>) -> Box<dyn Stepper<S, Reverse<'p, S>> + 'a>
    where
        S: 'p,
    {
        Box::new(&self.0)
    }
}

impl<S, T: Scheme<S> + ?Sized> Scheme<S> for std::sync::Arc<T> {
    fn make<'a, 'p: 'a>(&'a self, times: Option<&[f64]>) -> Box<dyn Stepper<S, Reverse<'p, S>> + 'a>
    where
        S: 'p,
    {
        (**self).make(times)
    }

    fn own_noise(&self) -> bool {
        (**self).own_noise()
    }

    fn control(&self, sde: &dyn Sde, control: Control) -> Result<Control> {
        (**self).control(sde, control)
    }
}
