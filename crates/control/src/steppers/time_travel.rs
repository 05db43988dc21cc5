//! Resampling: back up in time with noise, and down again.

use ndarray::Array2;
use sde_core::{Error, Result, Reverse, Sde, Semilinear};
use solvers::{Control, Noise, Past, RestartInterval, Scheme, Step, Stepper};

use super::Replacement;
use crate::Measurement;

/// Time travel: after every `jump` steps the state goes back up over them by the forward process, and takes them again, so
/// often that each is taken `passes` times. A conditional step then meets states that have seen the measurement before.
///
/// Every pass has noise of its own. Around [`Replacement`] it is RePaint, around [`super::Ddnm`] the time travel of DDNM. As a
/// [`Scheme`] it lays the steps itself, over a plain time grid.
///
/// # Reference
/// Lugmayr et al. 2022, arXiv 2201.09865, algorithm 1 (with `r = 10`, `j = 10`); Wang, Yu, Zhang 2023, arXiv 2212.00490,
/// algorithm 2.
///
/// ```
/// use control::{Groups, Measurement, steppers::TimeTravel};
/// use ndarray::{Array2, array};
/// use sde_core::{Key, Vp, analytic::DataSet};
/// use solvers::{Method, Sampler};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.0)?;
/// let repaint = TimeTravel::repaint(Method::ExponentialEulerMaruyama, seen, 5, 3)?;
/// let x = Sampler::builder(repaint, 1.0, 50)
///     .stop(0.0)
///     .draw(&vp, &score, 10, &Array2::zeros((1, 2)), Key::root(1))?;
/// assert!(x.column(0).iter().all(|x| (x - 1.3).abs() < 1e-12));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeTravel<T> {
    inner: T,
    jump: usize,
    passes: usize,
}

impl<T> TimeTravel<T> {
    /// `passes` passes over every `jump` steps of `inner`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless both are at least 1.
    pub fn new(inner: T, jump: usize, passes: usize) -> Result<Self> {
        for (name, n) in [("jump", jump), ("passes", passes)] {
            if n == 0 {
                let (name, reason) = (name.into(), "must be at least 1".into());
                return Err(Error::Parameter { name, value: "0".into(), reason });
            }
        }
        Ok(Self { inner, jump, passes })
    }
}

impl<M> TimeTravel<Replacement<M>> {
    /// RePaint: replacement after the steps of `inner`, with time travel.
    ///
    /// # Errors
    /// As [`TimeTravel::new`].
    pub fn repaint(inner: M, measurement: Measurement, jump: usize, passes: usize) -> Result<Self> {
        Self::new(Replacement::new(inner, measurement), jump, passes)
    }
}

impl<P, T> Stepper<Array2<f64>, P> for TimeTravel<T>
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
        let noise = EachStep { inner: noise, step: past.steps() };
        if t1 < t0 {
            return self.inner.step(problem, x, t0, t1, past, &noise);
        }
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        // Up from no signal everything is new.
        let scale = if m0.alpha == 0.0 { 0.0 } else { m1.alpha / m0.alpha };
        let var = (m1.sigma * m1.sigma - (scale * m0.sigma).powi(2)).max(0.0);
        let z = noise.normals(x, t1, 0)?;
        Ok(Step { x: x * scale + z * var.sqrt(), error: None, past: Past::default(), nfe: 0 })
    }

    fn takes_noise(&self) -> bool {
        self.inner.takes_noise()
    }
}

/// Noise that differs from step to step also where these have the same times.
struct EachStep<'a> {
    inner: &'a dyn Noise<Array2<f64>>,
    step: u64,
}

/// Normals that a step may draw by number.
const A_STEP: u64 = 1 << 24;

impl Noise<Array2<f64>> for EachStep<'_> {
    fn increment(&self, like: &Array2<f64>, t0: f64, t1: f64) -> Result<Array2<f64>> {
        let z = self.inner.normals(like, t1, (self.step + 1) * A_STEP - 1)?;
        Ok(z * (t1 - t0).abs().sqrt())
    }

    fn normals(&self, like: &Array2<f64>, t: f64, index: u64) -> Result<Array2<f64>> {
        self.inner.normals(like, t, self.step * A_STEP + index)
    }

    fn first_row(&self) -> u64 {
        self.inner.first_row()
    }
}

impl<M: Scheme<Array2<f64>>> Scheme<Array2<f64>> for TimeTravel<M> {
    fn make<'a, 'p: 'a>(
        &'a self,
        times: Option<&[f64]>,
    ) -> Box<dyn Stepper<Array2<f64>, Reverse<'p, Array2<f64>>> + 'a>
    where
        Array2<f64>: 'p,
    {
        Box::new(TimeTravel { inner: self.inner.make(times), jump: self.jump, passes: self.passes })
    }

    fn own_noise(&self) -> bool {
        self.inner.own_noise()
    }

    fn control(&self, _: &dyn Sde, control: Control) -> Result<Control> {
        let Control::Grid(times) = control else {
            let (name, value) = ("steps".into(), "adaptive, or with restarts".into());
            let reason = "time travel lays its own over a plain time grid".into();
            return Err(Error::Parameter { name, value, reason });
        };
        let interval = |end: usize| RestartInterval {
            times: times[end - self.jump..=end].to_vec(),
            repeats: self.passes - 1,
        };
        let ends = (self.jump..times.len()).step_by(self.jump);
        let restarts = ends.map(interval).collect();
        Ok(Control::Restarts(times, restarts))
    }
}
