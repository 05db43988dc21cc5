//! The denoised data made consistent with the measurement, and noised again.

use ndarray::Array2;
use sde_core::{Result, Semilinear};
use solvers::{Noise, Past, Step, Stepper, denoise};

use super::measured;
use crate::Measurement;
use crate::backward::Backward;

/// DDNM+: the step of the reverse process given data, `N(a D^ + b x, c^2 I)`, with
///
/// `D^ = D + V diag(l) (ybar - V^T D)`, `l_i = min(1, c / (a s_i))`, `s_i = s / d_i`,
///
/// and, along the singular vectors, noise of variance `c^2 - (a l_i s_i)^2`, so that with the noise of the measurement it is
/// `c^2` in all. Without noise (`s = 0`) it is DDNM, `D^ = A^+ y + (I - A^+ A) D`. [`super::TimeTravel`] around it is its time
/// travel.
///
/// The step is that of `eta = 1`; it draws its noise itself: give it to a sampler with `eta = 0`.
///
/// # Reference
/// Wang, Yu, Zhang 2023, arXiv 2212.00490, equations 13, 17 to 19.
///
/// ```
/// use control::{Groups, Measurement, steppers::{Ddnm, TimeTravel}};
/// use ndarray::{Array2, array};
/// use sde_core::{Key, Vp, analytic::DataSet};
/// use solvers::{CustomStepper, Sampler};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.0)?;
/// let ddnm = TimeTravel::new(CustomStepper(Ddnm::new(seen)), 5, 2)?;
/// let x = Sampler::builder(ddnm, 0.0, 50)
///     .stop(0.0)
///     .draw(&vp, &score, 10, &Array2::zeros((1, 2)), Key::root(1))?;
/// assert!(x.column(0).iter().all(|x| (x - 1.3).abs() < 1e-12));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ddnm {
    measurement: Measurement,
}

impl Ddnm {
    /// For a measurement.
    pub fn new(measurement: Measurement) -> Self {
        Self { measurement }
    }
}

impl<P: Semilinear<Array2<f64>> + ?Sized> Stepper<Array2<f64>, P> for Ddnm {
    fn step(
        &self,
        problem: &P,
        x: &Array2<f64>,
        t0: f64,
        t1: f64,
        _: &Past<Array2<f64>>,
        noise: &dyn Noise<Array2<f64>>,
    ) -> Result<Step<Array2<f64>>> {
        let seen = measured(&self.measurement, x, noise)?;
        let operator = seen.operator();
        let Backward { data: a, state: b, std: c } =
            Backward::new(problem.marginal(t0), problem.marginal(t1));
        let (data, z) = (denoise(problem, x, t0)?, noise.normals(x, t1, 0)?);
        let (known, stds) = seen.spectral(x.nrows())?;
        let mut change = known - operator.project(&data)?;
        let z_seen = operator.project(&z)?;
        for ((row, i), change) in change.indexed_iter_mut() {
            let spread = a * stds[i];
            let l = if spread <= c { 1.0 } else { c / spread };
            let left = (c * c - (l * spread).powi(2)).max(0.0).sqrt();
            // The noise along a singular vector is c z in what is added below.
            *change = a * l * *change + (left - c) * z_seen[[row, i]];
        }
        let next = data * a + x * b + z * c + operator.expand(&change)?;
        Ok(Step { x: next, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
