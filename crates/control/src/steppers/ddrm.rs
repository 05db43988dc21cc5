//! Restoration in the singular basis of the operator.

use ndarray::Array2;
use sde_core::{Error, Result, Semilinear};
use solvers::{Noise, Past, Step, Stepper, denoise};

use super::measured;
use crate::Measurement;

/// DDRM. In units of the noise level `rho = sigma / alpha`, with the denoised data `D`, a step to `rho'` is
///
/// `D + sqrt(1 - eta^2) rho'/rho (x - D) + eta rho' z`
///
/// in directions that were not measured, and along the singular vector of `d`, where the measurement says `ybar` with
/// standard deviation `s / d`,
///
/// `D + sqrt(1 - eta^2) rho' (ybar - D) / (s/d) + eta rho' z` for `rho' < s/d`,
/// `(1 - eta_b) D + eta_b ybar + sqrt(rho'^2 - eta_b^2 s^2/d^2) z` else.
///
/// It draws its noise itself: give it to a sampler with `eta = 0`. It is meant for some twenty steps: with noise that is fresh in
/// every step (`eta = 1`) half of the variance is lost as they become many.
///
/// # Reference
/// Kawar et al. 2022, arXiv 2201.11793, equations 7 and 8.
///
/// ```
/// use control::{Groups, Measurement, steppers::Ddrm};
/// use ndarray::{Array2, array};
/// use sde_core::{Key, Vp, analytic::DataSet};
/// use solvers::{CustomStepper, Sampler};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.0)?;
/// let x = Sampler::builder(CustomStepper(Ddrm::new(seen)), 0.0, 20)
///     .draw(&vp, &score, 10, &Array2::zeros((1, 2)), Key::root(1))?;
/// assert!(x.column(0).iter().all(|x| (x - 1.3).abs() < 0.1));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ddrm {
    measurement: Measurement,
    eta: f64,
    eta_b: f64,
}

impl Ddrm {
    /// With the constants of the paper, `eta = 0.85` and `eta_b = 1`.
    pub fn new(measurement: Measurement) -> Self {
        Self { measurement, eta: 0.85, eta_b: 1.0 }
    }

    /// With other constants.
    ///
    /// # Errors
    /// [`Error::Parameter`] for one outside `[0, 1]`.
    pub fn with(measurement: Measurement, eta: f64, eta_b: f64) -> Result<Self> {
        for (name, value) in [("eta", eta), ("eta_b", eta_b)] {
            if !(0.0..=1.0).contains(&value) {
                let (name, reason) = (name.into(), "must be in [0, 1]".into());
                return Err(Error::Parameter { name, value: value.to_string(), reason });
            }
        }
        Ok(Self { measurement, eta, eta_b })
    }

    /// One coordinate along a singular vector, from its data `d` to `rho`.
    fn coordinate(&self, d: f64, ybar: f64, std: f64, rho: f64, z: f64) -> f64 {
        if rho < std {
            let keep = (1.0 - self.eta * self.eta).sqrt();
            return d + keep * rho * (ybar - d) / std + self.eta * rho * z;
        }
        let var = (rho * rho - (self.eta_b * std).powi(2)).max(0.0);
        (1.0 - self.eta_b) * d + self.eta_b * ybar + var.sqrt() * z
    }
}

impl<P: Semilinear<Array2<f64>> + ?Sized> Stepper<Array2<f64>, P> for Ddrm {
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
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        let (data, z) = (denoise(problem, x, t0)?, noise.normals(x, t1, 0)?);
        // In the state's own scale: alpha' times the step in rho.
        let keep = (1.0 - self.eta * self.eta).sqrt();
        let back = if m0.sigma == 0.0 { 0.0 } else { keep * m1.sigma / m0.sigma };
        let mut next = &data * (m1.alpha - back * m0.alpha) + x * back;
        next.scaled_add(self.eta * m1.sigma, &z);
        let (known, stds) = seen.spectral(x.nrows())?;
        let rho = m1.sigma / m1.alpha;
        let mut change = operator.project(&next)?.mapv(|c| -c);
        let (data, z) = (operator.project(&data)?, operator.project(&z)?);
        for ((b, i), change) in change.indexed_iter_mut() {
            let to = self.coordinate(data[[b, i]], known[[b, i]], stds[i], rho, z[[b, i]]);
            *change += m1.alpha * to;
        }
        next += &operator.expand(&change)?;
        Ok(Step { x: next, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
