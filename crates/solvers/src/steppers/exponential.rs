//! What stochastic exponential integrators share: exact kernels in `lambda = log(alpha / sigma)`.

use sde_core::{Error, Marginal, Result, State};

use crate::Noise;

/// `log(alpha / sigma)`.
pub(super) fn half_log_snr(m: Marginal) -> f64 {
    (m.alpha / m.sigma).ln()
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
/// `x1 = decay x0 + gain D + noise z`, `gain = alpha1 width phi_1(-width)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leap {
    /// The change of `lambda`; infinite, or not a number, at a limit.
    pub(super) h: f64,
    /// `(1 + eta^2) h`, the width of the kernel that weighs `D`.
    pub(super) width: f64,
    /// `sigma1/sigma0 e^{-eta^2 h}`.
    pub(super) decay: f64,
    /// `alpha1 (1 - e^{-width})`, the weight of data that are held.
    pub(super) gain: f64,
    /// `alpha1`.
    pub(super) alpha: f64,
    /// `sigma1 sqrt(1 - e^{-2 eta^2 h})`.
    pub(super) noise: f64,
}

/// The longest step in `lambda` whose exponential is a number, with room for what it is multiplied by.
pub(super) const LONGEST: f64 = 500.0;

impl Leap {
    /// From `m0` to `m1` with stochasticity `eta`. At `sigma = 0`, at either end, what is left is
    /// `alpha1 D`; where `alpha` vanishes the flow stretches what is not data,
    /// `x1 = sigma1/sigma0 (x0 - alpha0 D) + alpha1 D`, and with noise down from there nothing is left
    /// of `x0`.
    pub(super) fn new(m0: Marginal, m1: Marginal, eta: f64) -> Self {
        let (h, alpha, eta2) = (half_log_snr(m1) - half_log_snr(m0), m1.alpha, eta * eta);
        let width = (1.0 + eta2) * h;
        if m0.sigma == 0.0 || m1.sigma == 0.0 {
            return Self { h, width, decay: 0.0, gain: alpha, alpha, noise: 0.0 };
        }
        let stretch = m1.sigma / m0.sigma;
        let forgets = if eta == 0.0 || h.is_nan() { 0.0 } else { eta2 * h };
        Self {
            h,
            width,
            decay: stretch * (-forgets).exp(),
            gain: if width > -LONGEST {
                -alpha * (-width).exp_m1()
            } else {
                alpha - stretch * m0.alpha
            },
            alpha,
            noise: m1.sigma * (-(-2.0 * forgets).exp_m1()).sqrt(),
        }
    }

    /// What `normals` gives, where the step has noise.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a step up in time with noise, which is that of the way down.
    pub(super) fn draw<S>(&self, normals: impl FnOnce() -> Result<S>) -> Result<Option<S>> {
        if self.noise.is_nan() {
            let reason = "noise comes in on the way down in time: up goes the flow, eta = 0".into();
            let value = format!("{}", self.h);
            return Err(Error::Parameter { name: "change of lambda".into(), value, reason });
        }
        if self.noise == 0.0 { Ok(None) } else { normals().map(Some) }
    }

    /// Whether the step begins or ends where `sigma` or `alpha` is zero (or as good as that), where
    /// every method takes that of [`super::ExponentialEulerMaruyama`].
    pub(super) fn at_limit(&self) -> bool {
        // Not a number between two times without signal.
        self.h.is_nan() || self.h.abs() >= LONGEST
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
