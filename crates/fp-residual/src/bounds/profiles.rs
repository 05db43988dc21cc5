//! The bounds as integrals over time of what is known of a model at every time.

use super::rule::TimeRule;

/// $\frac12 \int_0^T g^2 e^{\Lambda(t)} \|\nabla r_t\| dt$ with $\Lambda(t) = \int_0^t L$: an upper bound of $W_2$ between the samples of the
/// SDE and those of the ODE.
///
/// Both flows start at the same point of the prior; they part by $\frac{g^2}{2} \nabla r$, $r = \log p^S_t - \varphi_t$, and what has parted grows
/// at most at the rate $L(t) = \sup_x \lambda_{\max}(-Df + \frac{g^2}{2} \nabla^2 \varphi)$ (Gronwall, Minkowski). It is an equality for
/// Gaussians on a line if $\nabla r$ never changes its sign, and useless where $\varphi$ is far from concave anywhere.
///
/// # Shapes
/// All at the times of the rule: `g_squared`; `rate` $L$; `grad_r` $(E_{p^S_t} |\nabla r|^2)^{1/2}$.
///
/// # Panics
/// Where there are not as many values as times; so do the others here.
///
/// # Reference
/// D. Kwon, Y. Fan, K. Lee, *Score-based generative modeling secretly minimizes the Wasserstein distance*, 2022, arXiv:2212.06359 (the
/// coupling of a learned flow with the true one).
///
/// ```
/// use fp_residual::bounds::{TimeRule, coupling};
/// let rule = TimeRule::gauss(1.0, 4)?;
/// let (one, rate) = (rule.sample(|_| 1.0), rule.sample(|_| 2.0));
/// let bound = coupling(&rule, &one, &rate, &one);
/// assert!((bound - 0.25 * 2.0_f64.exp_m1()).abs() < 1e-14);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn coupling(rule: &TimeRule, g_squared: &[f64], rate: &[f64], grad_r: &[f64]) -> f64 {
    let grown = rule.running(rate);
    let values: Vec<f64> =
        (0..rate.len()).map(|k| 0.5 * g_squared[k] * grown[k].exp() * grad_r[k]).collect();
    rule.integral(&values)
}

/// $\frac12 \int_0^T g^2 (E |D\Phi_{0 \leftarrow t} \nabla r|^2)^{1/2} dt$: as [`coupling`], with the growth along every path in place of its
/// supremum (Alekseev and Groebner).
///
/// `transported` are the roots of the means of $|D\Phi_{0 \leftarrow t} \nabla r|^2$ or, larger and still a bound, of
/// $\|D\Phi_{0 \leftarrow t}\|^2 |\nabla r|^2$, over the law of the SDE at every time of the rule.
///
/// ```
/// use fp_residual::bounds::{TimeRule, along_paths};
/// let rule = TimeRule::trapezoid(&[0.0, 1.0])?;
/// assert_eq!(along_paths(&rule, &[1.0, 1.0], &[0.5, 0.25]), 0.1875);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn along_paths(rule: &TimeRule, g_squared: &[f64], transported: &[f64]) -> f64 {
    0.5 * rule.integral(&times(g_squared, transported))
}

/// $\frac12 \int_0^T g^2 E_{p^S_t} |\nabla r|^2 dt$, the relative entropy of the paths of the SDE from those of the forward process
/// started from its samples.
///
/// `grad_r` as for [`coupling`].
///
/// ```
/// use fp_residual::bounds::{TimeRule, path_entropy};
/// let rule = TimeRule::trapezoid(&[0.0, 2.0])?;
/// assert_eq!(path_entropy(&rule, &[1.0, 1.0], &[0.5, 0.5]), 0.25);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn path_entropy(rule: &TimeRule, g_squared: &[f64], grad_r: &[f64]) -> f64 {
    0.5 * rule.integral(&times(g_squared, &times(grad_r, grad_r)))
}

/// $\frac12 (\int_0^T g^2 e^{2 \Lambda})^{1/2} (2 K)^{1/2}$, at least [`coupling`], of an upper bound $K$ of [`path_entropy`] (Cauchy and
/// Schwarz): a bound of $W_2$ by what [`residual_excess`](super::residual_excess) finds of the residual alone.
///
/// ```
/// use fp_residual::bounds::{TimeRule, coupling, coupling_from_entropy, path_entropy};
/// let rule = TimeRule::gauss(1.0, 4)?;
/// let (one, rate, grad_r) = (rule.sample(|_| 1.0), rule.sample(|_| 0.5), rule.sample(|t| 1.0 - t));
/// let entropy = path_entropy(&rule, &one, &grad_r);
/// assert!(coupling(&rule, &one, &rate, &grad_r) < coupling_from_entropy(&rule, &one, &rate, entropy));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn coupling_from_entropy(
    rule: &TimeRule,
    g_squared: &[f64],
    rate: &[f64],
    entropy: f64,
) -> f64 {
    let grown: Vec<f64> = rule.running(rate).iter().map(|grown| (2.0 * grown).exp()).collect();
    0.5 * (rule.integral(&times(g_squared, &grown)) * 2.0 * entropy.max(0.0)).sqrt()
}

/// $\frac18 \int_0^T g^2 E_{p^O_t} |\nabla \rho^0|^2 dt$ with $\rho^0 = \log p^O_t - \varphi_t$ of the ODE: an upper bound of
/// $\mathrm{KL}(p^O \Vert p^S)$ in nats (Girsanov); the total variation is at most the root of half of it (Pinsker).
///
/// `grad_rho` is $(E_{p^O_t} |\nabla \rho^0|^2)^{1/2}$.
///
/// ```
/// use fp_residual::bounds::{TimeRule, relative_entropy_bound};
/// let rule = TimeRule::trapezoid(&[0.0, 2.0])?;
/// assert_eq!(relative_entropy_bound(&rule, &[1.0, 1.0], &[2.0, 2.0]), 1.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn relative_entropy_bound(rule: &TimeRule, g_squared: &[f64], grad_rho: &[f64]) -> f64 {
    0.125 * rule.integral(&times(g_squared, &times(grad_rho, grad_rho)))
}

/// $\frac12 \int_0^T g^2 E [\langle \nabla \rho^0, \nabla r \rangle - |\nabla r|^2] dt$, exactly a relative entropy: under the law of the ODE
/// $\mathrm{KL}(p^O \Vert p^S)$, under that of the SDE $\mathrm{KL}(p^S \Vert p^O)$.
///
/// `products` is $E \langle \nabla \rho^0, \nabla r \rangle$ and `squares` $E |\nabla r|^2$, both under the one law.
///
/// ```
/// use fp_residual::bounds::{TimeRule, relative_entropy};
/// let rule = TimeRule::trapezoid(&[0.0, 2.0])?;
/// assert_eq!(relative_entropy(&rule, &[1.0, 1.0], &[0.5, 0.5], &[0.25, 0.25]), 0.25);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn relative_entropy(
    rule: &TimeRule,
    g_squared: &[f64],
    products: &[f64],
    squares: &[f64],
) -> f64 {
    let difference: Vec<f64> = products.iter().zip(squares).map(|(p, s)| p - s).collect();
    0.5 * rule.integral(&times(g_squared, &difference))
}

/// An upper bound of $\|\nabla r_t\|_{L^2(p^S_t)}$ at every time, of the residual alone.
///
/// For a linear drift $f = a(t) x$ the gradient of $r$ is an expectation over the paths of the SDE, from which by Jensen
///
/// $$\|\nabla r_t\| \le e^{\int_t^T a} \|\nabla h\| + \int_t^T e^{\int_t^u a} \|\nabla R_u\| du,$$
///
/// with $h = \log \text{prior} - \varphi_T$. In [`coupling`] it bounds $W_2$ by the residual: $\|\nabla R_u\|$ counts with the
/// weight $\frac12 \int_0^u g^2 e^{\Lambda(t)} e^{\int_t^u a} dt$.
///
/// # Shapes
/// `drift` $a$ and `grad_residual` $\|\nabla R\|_{L^2(p^S_t)}$ at the times of the rule; `grad_h` $\|\nabla h\|_{L^2(\text{prior})}$.
///
/// ```
/// use fp_residual::bounds::{TimeRule, grad_r_from_residual};
/// // dX = -X dt + dW, a residual with a gradient of one: 1 - e^-(T - t).
/// let rule = TimeRule::gauss(1.0, 4)?;
/// let bound = grad_r_from_residual(&rule, &rule.sample(|_| -1.0), &rule.sample(|_| 1.0), 0.0);
/// assert!(rule.times().iter().zip(&bound).all(|(t, b)| (b + (t - 1.0).exp_m1()).abs() < 1e-14));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn grad_r_from_residual(
    rule: &TimeRule,
    drift: &[f64],
    grad_residual: &[f64],
    grad_h: f64,
) -> Vec<f64> {
    let scale = rule.running(drift);
    let whole = rule.integral(drift);
    // Relative to the end, so that nothing is lost where the scale there is tiny.
    let weighted: Vec<f64> =
        grad_residual.iter().zip(&scale).map(|(r, scale)| r * (scale - whole).exp()).collect();
    let (sum, total) = (rule.running(&weighted), rule.integral(&weighted));
    (0..scale.len())
        .map(|k| (whole - scale[k]).exp() * (grad_h + (total - sum[k]).max(0.0)))
        .collect()
}

/// Rates and distances of the couplings without noise and with that of the SDE, at the times of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Coupled<'a> {
    /// $\sup_x \lambda_{\max}(-Df + \frac{1 + \kappa^2}{2} g^2 \nabla^2 \varphi)$, of the ODE $\kappa = 0$, of the SDE $\kappa = 1$.
    pub rate: &'a [f64],
    /// Of the ODE $\|\nabla r\|_{L^2(p^S_t)}$, of the SDE $\|\nabla \rho^0\|_{L^2(p^O_t)}$.
    pub gradient: &'a [f64],
}

/// An upper bound of $W_2$ by whichever of two couplings parts more slowly at every time.
///
/// Both laws are also those of processes with the noise of the SDE; driven by the same noise they part by $\frac{g^2}{2} \nabla \rho^0$.
/// In reversed time
///
/// $$w' = \min \{L_0 w + \tfrac{g^2}{2} \|\nabla r\|_{p^S}, L_1 w + \tfrac{g^2}{2} \|\nabla \rho^0\|_{p^O}\}, \quad w = 0 \text{ at } T.$$
///
/// Solved by Runge and Kutta's method of order 4 with profiles that are linear between times: of second order in their distances.
///
/// ```
/// use fp_residual::bounds::{Coupled, TimeRule, mixed_coupling};
/// let rule = TimeRule::gauss(1.0, 20)?;
/// let (one, rates) = (rule.sample(|_| 1.0), [rule.sample(|_| 0.5), rule.sample(|_| -0.5)]);
/// let [ode, sde] = [0, 1].map(|k| Coupled { rate: &rates[k], gradient: &one });
/// // The noise contracts: w' = 1/2 - w / 2.
/// let bound = mixed_coupling(&rule, &one, ode, sde);
/// assert!((bound + (-0.5_f64).exp_m1()).abs() < 1e-9);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[must_use]
pub fn mixed_coupling(rule: &TimeRule, g_squared: &[f64], ode: Coupled, sde: Coupled) -> f64 {
    /// Steps between two times.
    const STEPS: usize = 4;
    let n = rule.times().len();
    // Values at a fraction of the way from time k down to time k - 1; beyond the ends those there.
    let between = |values: &[f64], k: usize, fraction: f64| {
        let (from, to) = (values[k.min(n - 1)], values[k.saturating_sub(1)]);
        from + fraction * (to - from)
    };
    let speed = |k: usize, fraction: f64, w: f64| {
        let half = 0.5 * between(g_squared, k, fraction);
        let of = |coupled: &Coupled| {
            between(coupled.rate, k, fraction) * w + half * between(coupled.gradient, k, fraction)
        };
        of(&ode).min(of(&sde))
    };
    let at = |k: usize| match k {
        0 => 0.0,
        k if k > n => rule.horizon(),
        k => rule.times()[k - 1],
    };
    let mut w: f64 = 0.0;
    for k in (0..=n).rev() {
        let step = (at(k + 1) - at(k)) / STEPS as f64;
        for part in 0..STEPS {
            let fraction = |ahead: f64| (part as f64 + ahead) / STEPS as f64;
            let a = speed(k, fraction(0.0), w);
            let b = speed(k, fraction(0.5), w + 0.5 * step * a);
            let c = speed(k, fraction(0.5), w + 0.5 * step * b);
            let d = speed(k, fraction(1.0), w + step * c);
            w += step * (a + 2.0 * (b + c) + d) / 6.0;
        }
    }
    w.max(0.0)
}

fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "values at the times of a rule");
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
