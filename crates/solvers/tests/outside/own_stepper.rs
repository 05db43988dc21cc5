use ndarray::array;
use sde_core::analytic::GaussianMixture;
use sde_core::{Dynamics, Key, Result, State, Vp};
use solvers::{CustomStepper, Method, Noise, Past, Sampler, SolveError, Step, Stepper};

/// Ralston's method of order 2, `x + h (1/4 f(x) + 3/4 f(x + 2/3 h f(x)))`, for ODEs.
struct Ralston;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Ralston {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        _: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let h = t1 - t0;
        let f = problem.drift(x, t0)?;
        let y = S::lincomb(&[(1.0, x), (2.0 / 3.0 * h, &f)])?;
        let g = problem.drift(&y, t0 + 2.0 / 3.0 * h)?;
        let x = S::lincomb(&[(1.0, x), (0.25 * h, &f), (0.75 * h, &g)])?;
        Ok(Step { x, error: None, past: Past::default(), nfe: 2 })
    }
}

fn main() -> Result<(), SolveError> {
    let vp = Vp::default();
    let data =
        GaussianMixture::new(&[0.3, 0.7], &array![[-1.0], [1.0]], &[array![[0.1]], array![[0.2]]])?;
    let score = data.under(&vp);
    let like = array![[0.0]];

    // From the same key, the same points as a method of the registry with many steps.
    let ralston = |eta| Sampler::builder(CustomStepper(Ralston), eta, 100);
    let own = ralston(0.0).draw(&vp, &score, 50, &like, Key::root(1))?;
    let exact = Sampler::builder(Method::Rk4, 0.0, 400).draw(&vp, &score, 50, &like, Key::root(1))?;
    assert!((own - exact).iter().all(|e| e.abs() < 0.01));

    // It solves ODEs: noise is refused.
    assert!(ralston(1.0).draw(&vp, &score, 50, &like, Key::root(1)).is_err());
    Ok(())
}
