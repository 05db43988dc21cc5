//! What stochastic exponential integrators share: exact kernels in `lambda = log(alpha / sigma)`.

use sde_core::{Marginal, Result, Semilinear, State};

use crate::Noise;

/// `log(alpha / sigma)`.
pub(super) fn half_log_snr(m: Marginal) -> f64 {
    (m.alpha / m.sigma).ln()
}

/// The predicted data `D = (x - sigma eps) / alpha`.
pub(super) fn data<S: State, P: Semilinear<S> + ?Sized>(problem: &P, x: &S, t: f64) -> Result<S> {
    let m = problem.marginal(t);
    let eps = problem.eps(x, t)?;
    S::lincomb(&[(1.0 / m.alpha, x), (-m.sigma / m.alpha, &eps)])
}

/// `phi_k(z)` for `z <= 0`: `phi_0 = e^z`, `phi_k = (phi_{k-1} - 1/(k-1)!) / z`. A series where the
/// recurrence cancels.
pub(super) fn phi(k: u32, z: f64) -> f64 {
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    if z.abs() < 1.0 {
        let (mut term, mut sum) = (1.0 / factorial(k), 0.0);
        for j in 1..=20 {
            sum += term;
            term *= z / f64::from(k + j);
        }
        return sum;
    }
    (1..=k).fold(z.exp(), |p, j| (p - 1.0 / factorial(j - 1)) / z)
}

/// A step of the linear part from one marginal to another: with the predicted data `D` held,
/// `x1 = decay x0 + alpha1 width phi_1(-width) D + noise z`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leap {
    /// The change of `lambda`; infinite for a step to `sigma = 0`.
    pub(super) h: f64,
    /// `(1 + eta^2) h`, the width of the kernel that weighs `D`.
    pub(super) width: f64,
    /// `sigma1/sigma0 e^{-eta^2 h}`.
    pub(super) decay: f64,
    /// `alpha1`.
    pub(super) alpha: f64,
    /// `sigma1 sqrt(1 - e^{-2 eta^2 h})`.
    pub(super) noise: f64,
}

impl Leap {
    /// From `m0` to `m1` with stochasticity `eta`. To `sigma = 0` everything is forgotten: what is
    /// left is `alpha1 D`.
    pub(super) fn new(m0: Marginal, m1: Marginal, eta: f64) -> Self {
        if m1.sigma == 0.0 {
            let h = f64::INFINITY;
            return Self { h, width: h, decay: 0.0, alpha: m1.alpha, noise: 0.0 };
        }
        let h = half_log_snr(m1) - half_log_snr(m0);
        let eta2 = eta * eta;
        Self {
            h,
            width: (1.0 + eta2) * h,
            decay: m1.sigma / m0.sigma * (-eta2 * h).exp(),
            alpha: m1.alpha,
            noise: m1.sigma * (-(-2.0 * eta2 * h).exp_m1()).sqrt(),
        }
    }

    /// What `normals` gives, where the step has noise.
    pub(super) fn draw<S>(&self, normals: impl FnOnce() -> Result<S>) -> Result<Option<S>> {
        if self.noise == 0.0 { Ok(None) } else { normals().map(Some) }
    }

    /// Whether the step ends at `sigma = 0`, where every method has order 1.
    pub(super) fn ends_in_data(&self) -> bool {
        self.h.is_infinite()
    }

    /// `alpha1 (1 - e^{-width})`, the weight of data that are held.
    pub(super) fn gain(&self) -> f64 {
        -self.alpha * (-self.width).exp_m1()
    }

    /// `alpha1 width phi_k(-width)`: what `D = theta^{k-1} / (k-1)!` gives, `theta` the share of the
    /// step in `lambda`.
    pub(super) fn moment(&self, k: u32) -> f64 {
        self.alpha * self.width * phi(k, -self.width)
    }

    /// The weights of data at the shares `nodes` of the step, from the polynomial through them.
    ///
    /// # Reference
    /// Xue et al. 2023, arXiv 2309.05019, equations 15 and 18, in the variable `theta`.
    pub(super) fn adams(&self, nodes: &[f64]) -> Vec<f64> {
        let weight = |i: usize| {
            // The Lagrange polynomial of node i in powers of theta.
            let mut powers = vec![1.0];
            for (j, node) in nodes.iter().enumerate().filter(|(j, _)| *j != i) {
                let scale = 1.0 / (nodes[i] - nodes[j]);
                let mut next = vec![0.0; powers.len() + 1];
                for (k, p) in powers.iter().enumerate() {
                    next[k] -= scale * node * p;
                    next[k + 1] += scale * p;
                }
                powers = next;
            }
            let mut factorial = 1.0;
            let term = |(k, p): (usize, &f64)| {
                factorial *= k.max(1) as f64;
                p * factorial * self.moment(k as u32 + 1)
            };
            powers.iter().enumerate().map(term).sum()
        };
        (0..nodes.len()).map(weight).collect()
    }
}

/// Noise of unit variance for the step from `t0` to `t1`: the increment over its own deviation. It
/// differs from the exact stochastic integral by `O(h)` relatively, hence strong order 1.
pub(super) fn unit<S: State>(noise: &dyn Noise<S>, like: &S, t0: f64, t1: f64) -> Result<S> {
    let w = noise.increment(like, t0, t1)?;
    S::lincomb(&[((t1 - t0).abs().sqrt().recip(), &w)])
}

/// `sum_i a_i x_i`, with noise where there is some.
pub(super) fn with_noise<S: State>(terms: &[(f64, &S)], c: f64, z: Option<&S>) -> Result<S> {
    match z {
        Some(z) if c != 0.0 => S::lincomb(&[terms, &[(c, z)]].concat()),
        _ => S::lincomb(terms),
    }
}
