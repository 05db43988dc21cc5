//! Everything about Gaussian models in closed form: linear scores, whose samplers have covariances that solve linear equations.

use ndarray::Array2;
use sde_core::{Error, Result, Sde};

use super::matrix::{identity, inner, inverse, largest_eigenvalue, symmetric};
use super::profiles::Coupled;
use super::rule::TimeRule;

/// Sweeps over a panel at most; each gains a factor of the panel's length times the rates.
const SWEEPS: usize = 200;

/// A model with the score $s(x, t) = -A(t) x$, $A$ symmetric: $\varphi = -\frac12 x^T A x$.
///
/// The sampler of noise $\eta$ starts from $N(0, \sigma_T^2 I)$ and stays Gaussian, with
/// $V' = M V + V M - \eta^2 g^2 I$, $M = a I + \frac{1 + \eta^2}{2} g^2 A$, solved from $T$ to 0 by collocation at the nodes of a rule.
///
/// ```
/// use fp_residual::bounds::{GaussianModel, TimeRule, coupling};
/// use ndarray::array;
/// use sde_core::Ou;
/// // A variance of 0.8 at all times, where that of the process would go to 1/2.
/// let sde = Ou::new(1.0)?;
/// let model = GaussianModel::new(&sde, |_| (array![[1.25]], array![[0.0]]));
/// let rule = TimeRule::gauss(1.0, 8)?;
/// let [ode, sde_law] = [0.0, 1.0].map(|eta| model.covariances(eta, &rule).map(|v| v.start[[0, 0]]));
/// let (ode, sde_law) = (ode?, sde_law?);
/// assert!((ode - 1.0585000083).abs() < 1e-10 && (sde_law - 1.0902040104).abs() < 1e-10);
/// let found = model.profiles(&rule)?;
/// let bound = coupling(&rule, &found.g_squared, &found.rate_ode, &found.grad_r);
/// assert!(sde_law.sqrt() - ode.sqrt() < bound);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub struct GaussianModel<'a, F> {
    sde: &'a dyn Sde,
    slope: F,
}

/// Symmetric matrices at the times of a rule and at its ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Matrices {
    /// At the times.
    pub at: Vec<Array2<f64>>,
    /// At time 0.
    pub start: Array2<f64>,
    /// At time T.
    pub end: Array2<f64>,
}

/// What the bounds of this module ask of a model, at the times of a rule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GaussianProfiles {
    /// $g^2$.
    pub g_squared: Vec<f64>,
    /// $a$.
    pub drift: Vec<f64>,
    /// $L = \lambda_{\max}(-Df + \frac12 g^2 \nabla^2 \varphi)$, and the same with $g^2$ for the noise of the SDE.
    pub rate_ode: Vec<f64>,
    /// See `rate_ode`.
    pub rate_sde: Vec<f64>,
    /// $\|\nabla r\|_{L^2(p^S)}$.
    pub grad_r: Vec<f64>,
    /// $\|\nabla \rho^0\|_{L^2(p^O)}$.
    pub grad_rho: Vec<f64>,
    /// $\|\nabla R\|_{L^2(p^S)}$.
    pub grad_residual: Vec<f64>,
    /// $\|\nabla h\|$ under the prior.
    pub grad_h: f64,
    /// $(E_{p^S} |D\Phi_{0 \leftarrow t} \nabla r|^2)^{1/2}$.
    pub transported: Vec<f64>,
    /// $E \langle \nabla \rho^0, \nabla r \rangle$ and $E |\nabla r|^2$ under the law of the ODE, for
    /// [`relative_entropy`](super::relative_entropy).
    pub under_ode: [Vec<f64>; 2],
    /// The same under the law of the SDE.
    pub under_sde: [Vec<f64>; 2],
    /// $(E |X^S_0 - X^O_0|^2)^{1/2}$ of both flows from the same points of the prior: at least $W_2$, and equal where all commutes.
    pub flow_coupling: f64,
}

impl GaussianProfiles {
    /// The coupling of the ODE's noise, for [`mixed_coupling`](super::mixed_coupling).
    #[must_use]
    pub fn coupled_ode(&self) -> Coupled<'_> {
        Coupled { rate: &self.rate_ode, gradient: &self.grad_r }
    }

    /// The coupling of the SDE's noise.
    #[must_use]
    pub fn coupled_sde(&self) -> Coupled<'_> {
        Coupled { rate: &self.rate_sde, gradient: &self.grad_rho }
    }
}

impl<'a, F: Fn(f64) -> (Array2<f64>, Array2<f64>)> GaussianModel<'a, F> {
    /// From $A(t)$ and its derivative in time.
    pub fn new(sde: &'a dyn Sde, slope: F) -> Self {
        Self { sde, slope }
    }

    /// $A(t)$.
    pub fn slope_at(&self, t: f64) -> Array2<f64> {
        (self.slope)(t).0
    }

    /// Covariances of the sampler of noise `eta` at the times of a rule, to rounding where its panels are short enough.
    ///
    /// # Errors
    /// A rule that is no Gauss rule or has another horizon, a slope that is not square or symmetric, and panels so long that
    /// collocation does not converge.
    pub fn covariances(&self, eta: f64, rule: &TimeRule) -> Result<Matrices> {
        let slopes = self.slopes(rule)?;
        let d = slopes.end.0.nrows();
        let speed = |k: usize, v: &Array2<f64>| {
            let moved = self.velocity(rule.times()[k], &slopes.at[k].0, eta).dot(v);
            let noise = eta * eta * self.sde.diffusion_squared(rule.times()[k]);
            &moved + &moved.t() - noise * identity(d)
        };
        let prior = self.sde.prior_std().powi(2) * identity(d);
        backward(rule, prior, speed)
    }

    /// All the bounds need, of which none is an estimate.
    ///
    /// # Errors
    /// As [`GaussianModel::covariances`]; covariances that are singular.
    pub fn profiles(&self, rule: &TimeRule) -> Result<GaussianProfiles> {
        let slopes = self.slopes(rule)?;
        let (ode, sde) = (self.covariances(0.0, rule)?, self.covariances(1.0, rule)?);
        let gradients = |law: &Matrices| -> Result<Vec<Array2<f64>>> {
            law.at.iter().zip(&slopes.at).map(|(v, slope)| Ok(&slope.0 - &inverse(v)?)).collect()
        };
        let (r, rho) = (gradients(&sde)?, gradients(&ode)?);
        let n = rule.times().len();
        let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..n).map(f).collect() };
        let g_squared = rule.diffusion_squared(self.sde);
        let drift = rule.sample(|t| self.sde.drift_coef(t));
        // Both flows from T down to every time, as matrices that take the prior's points along.
        let flow = |k: usize| self.velocity(rule.times()[k], &slopes.at[k].0, 0.0);
        let other = |k: usize| flow(k) + 0.5 * g_squared[k] * &r[k];
        let start = identity(slopes.end.0.nrows());
        let by_ode = backward(rule, start.clone(), |k, x| flow(k).dot(x))?;
        let by_sde = backward(rule, start, |k, x| other(k).dot(x))?;
        let apart = &by_sde.start - &by_ode.start;
        let transported = (0..n)
            .map(|k| {
                let moved = by_ode.start.dot(&inverse(&by_ode.at[k])?).dot(&r[k]);
                Ok(inner(&moved.dot(&sde.at[k]), &moved).sqrt())
            })
            .collect::<Result<Vec<f64>>>()?;
        let norm = |m: &Array2<f64>, v: &Array2<f64>| inner(&m.dot(v), m).sqrt();
        let rate = |times: f64| {
            each(&|k| -drift[k] + largest_eigenvalue(&(-times * g_squared[k] * &slopes.at[k].0)))
        };
        let residual = |k: usize| {
            let (slope, change) = &slopes.at[k];
            change + 2.0 * drift[k] * slope + g_squared[k] * slope.dot(slope)
        };
        let variance = self.sde.prior_std().powi(2);
        let h = &slopes.end.0 - identity(slopes.end.0.nrows()) / variance;
        let under = |law: &Matrices| {
            [
                each(&|k| inner(&rho[k].dot(&law.at[k]), &r[k])),
                each(&|k| inner(&r[k].dot(&law.at[k]), &r[k])),
            ]
        };
        Ok(GaussianProfiles {
            rate_ode: rate(0.5),
            rate_sde: rate(1.0),
            grad_r: each(&|k| norm(&r[k], &sde.at[k])),
            grad_rho: each(&|k| norm(&rho[k], &ode.at[k])),
            grad_residual: each(&|k| norm(&residual(k), &sde.at[k])),
            grad_h: (variance * inner(&h, &h)).sqrt(),
            transported,
            under_ode: under(&ode),
            under_sde: under(&sde),
            flow_coupling: (variance * inner(&apart, &apart)).sqrt(),
            g_squared,
            drift,
        })
    }

    /// $M$, with $-M x$ the sampler's drift in reversed time.
    fn velocity(&self, t: f64, slope: &Array2<f64>, eta: f64) -> Array2<f64> {
        let weight = 0.5 * (1.0 + eta * eta) * self.sde.diffusion_squared(t);
        self.sde.drift_coef(t) * identity(slope.nrows()) + weight * slope
    }

    fn slopes(&self, rule: &TimeRule) -> Result<Slopes> {
        let horizon = self.sde.horizon();
        if rule.panels().is_empty() || (rule.horizon() - horizon).abs() > 1e-12 * horizon {
            return Err(Error::Parameter {
                name: "rule".into(),
                value: format!("{} times up to {}", rule.times().len(), rule.horizon()),
                reason: format!("must be a Gauss rule up to {horizon}"),
            });
        }
        let at = |t: f64| {
            let (slope, change) = (self.slope)(t);
            let shape = slope.shape().to_vec();
            if symmetric(&slope) && symmetric(&change) && change.shape() == shape {
                return Ok((slope, change));
            }
            Err(Error::Parameter {
                name: "slope".into(),
                value: format!("{slope} with derivative {change} at time {t}").replace('\n', ""),
                reason: "must be symmetric matrices of finite numbers, of one shape".into(),
            })
        };
        let all = rule.times().iter().map(|&t| at(t)).collect::<Result<Vec<_>>>()?;
        Ok(Slopes { at: all, end: at(horizon)? })
    }
}

/// Slopes with their derivatives.
struct Slopes {
    at: Vec<(Array2<f64>, Array2<f64>)>,
    end: (Array2<f64>, Array2<f64>),
}

/// The linear equation $X' = F(X)$ from the end of a rule to its start: panel by panel, the polynomial through the nodes of a panel
/// that solves it there, by sweeps of substitution.
fn backward(
    rule: &TimeRule,
    end: Array2<f64>,
    speed: impl Fn(usize, &Array2<f64>) -> Array2<f64>,
) -> Result<Matrices> {
    let mut at = vec![end.clone(); rule.times().len()];
    let mut behind = end.clone();
    for (panel, nodes) in rule.panels().into_iter().enumerate().rev() {
        let here = &mut at[nodes.clone()];
        here.fill(behind.clone());
        let (mut change, mut done, mut before) = (f64::INFINITY, false, behind.clone());
        for _ in 0..SWEEPS {
            let speeds: Vec<_> = nodes.clone().zip(here.iter()).map(|(k, x)| speed(k, x)).collect();
            let (mut now, mut largest) = (0.0_f64, 0.0_f64);
            for (index, value) in behind.indexed_iter() {
                let component: Vec<f64> = speeds.iter().map(|speed| speed[index]).collect();
                let whole = rule.over(panel, &component);
                for (matrix, part) in here.iter_mut().zip(rule.within(panel, &component)) {
                    let next = value - (whole - part);
                    now = now.max((next - matrix[index]).abs());
                    largest = largest.max(next.abs());
                    matrix[index] = next;
                }
                before[index] = value - whole;
            }
            // Rounding is reached where sweeps no longer get closer.
            done = now <= 1e-15 * largest || (now >= change && now <= 1e-12 * largest);
            if done || !now.is_finite() {
                break;
            }
            change = now;
        }
        if !done {
            return Err(Error::Parameter {
                name: "panels".into(),
                value: rule.panels().len().to_string(),
                reason: "are too few: collocation does not converge".into(),
            });
        }
        behind = before;
    }
    Ok(Matrices { at, start: behind, end })
}
