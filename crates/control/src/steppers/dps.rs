//! The published step of diffusion posterior sampling.

use ndarray::{Array2, Axis};
use sde_core::{Result, ScoreVjp, Sde, Semilinear};
use solvers::{Noise, Past, Step, Stepper};

use super::measured;
use crate::Measurement;
use crate::denoised::Denoiser;

/// DPS: a step of `inner`, and then one along the gradient of the distance of the measurement from what the denoised data say,
///
/// `x1 = step(x0) - zeta grad ||y - A D(x0)|| = step(x0) + zeta J^T A^T (y - A D) / ||y - A D||`.
///
/// The second step is as long however short the first is, so the law depends on the number of steps;
/// [`crate::ReconstructionGuidance::dps`] is the likelihood that it stands for. `zeta` is that of the published code; in the
/// paper the gradient is of the squared distance over the distance, twice as long.
///
/// Give it to a sampler by [`solvers::CustomStepper`].
///
/// # Reference
/// Chung et al. 2023, arXiv 2209.14687, algorithm 1 and section 3.2.
///
/// ```
/// use control::{Groups, Measurement, steppers::DpsStep};
/// use ndarray::{Array2, array};
/// use sde_core::{Key, Vp, analytic::DataSet};
/// use solvers::{CustomStepper, Sampler, steppers::ExponentialEulerMaruyama};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.05)?;
/// let dps = DpsStep::new(ExponentialEulerMaruyama, &vp, &score, seen, 0.3);
/// let x = Sampler::builder(CustomStepper(dps), 1.0, 100)
///     .draw(&vp, &score, 10, &Array2::zeros((1, 2)), Key::root(1))?;
/// assert!(x.column(0).iter().all(|x| (x - 1.3).abs() < 0.5));
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Clone)]
pub struct DpsStep<'a, T, V> {
    inner: T,
    sde: &'a dyn Sde,
    score: V,
    measurement: Measurement,
    zeta: f64,
}

impl<'a, T, V> DpsStep<'a, T, V> {
    /// Steps of `inner`, followed by `zeta` times the gradient; `score` is the one that `inner` moves by.
    pub fn new(inner: T, sde: &'a dyn Sde, score: V, measurement: Measurement, zeta: f64) -> Self {
        Self { inner, sde, score, measurement, zeta }
    }
}

impl<P, T, V> Stepper<Array2<f64>, P> for DpsStep<'_, T, V>
where
    P: Semilinear<Array2<f64>> + ?Sized,
    T: Stepper<Array2<f64>, P>,
    V: ScoreVjp<Array2<f64>>,
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
        step.nfe += 1;
        let seen = measured(&self.measurement, x, noise)?;
        let first = noise.first_row();
        let rows: Vec<u64> = (first..first + x.nrows() as u64).collect();
        let score = self.score.vjp_for_rows(&rows)?;
        let Some(at) = Denoiser::at(self.sde, &*score, x, t0)? else { return Ok(step) };
        let mut residual = seen.residual(&at.data)?;
        for mut row in residual.axis_iter_mut(Axis(0)) {
            let norm = row.dot(&row).sqrt();
            // At the minimum there is nowhere to go.
            if norm > 0.0 {
                row /= norm;
            }
        }
        let pull = at.pull(&seen.operator().apply_adjoint(&residual)?)?;
        step.x.scaled_add(self.zeta, &pull);
        Ok(step)
    }

    fn takes_noise(&self) -> bool {
        self.inner.takes_noise()
    }
}
