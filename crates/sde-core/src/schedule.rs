//! Constants of published discrete and continuous schedules that are no [`crate::Sde`] of their own.

use std::f64::consts::{FRAC_PI_2, PI};

/// The preconditioning `D(x) = c_skip x + c_out F(c_in x, c_noise)` of a denoiser for data of
/// standard deviation `sigma_data`.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, table 1.
///
/// ```
/// let edm = sde_core::schedule::EdmPreconditioning { sigma_data: 0.5 };
/// assert!((edm.c_skip(0.5) - 0.5).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdmPreconditioning {
    /// The standard deviation of the data.
    pub sigma_data: f64,
}

impl EdmPreconditioning {
    fn total(&self, sigma: f64) -> f64 {
        sigma * sigma + self.sigma_data * self.sigma_data
    }

    /// `sigma_data^2 / (sigma^2 + sigma_data^2)`.
    pub fn c_skip(&self, sigma: f64) -> f64 {
        self.sigma_data * self.sigma_data / self.total(sigma)
    }

    /// `sigma sigma_data / sqrt(sigma^2 + sigma_data^2)`.
    pub fn c_out(&self, sigma: f64) -> f64 {
        sigma * self.sigma_data / self.total(sigma).sqrt()
    }

    /// `1 / sqrt(sigma^2 + sigma_data^2)`.
    pub fn c_in(&self, sigma: f64) -> f64 {
        self.total(sigma).sqrt().recip()
    }

    /// `log(sigma) / 4`.
    pub fn c_noise(&self, sigma: f64) -> f64 {
        0.25 * sigma.ln()
    }

    /// `(sigma^2 + sigma_data^2) / (sigma sigma_data)^2`.
    pub fn loss_weight(&self, sigma: f64) -> f64 {
        self.total(sigma) / (sigma * self.sigma_data).powi(2)
    }
}

/// The cosine schedule `alpha(t) = cos((t + s) / (1 + s) pi/2) / cos(s / (1 + s) pi/2)` on
/// `[0, 1)`, variance-preserving: `sigma^2 = 1 - alpha^2`.
///
/// # Reference
/// Nichol, Dhariwal 2021, arXiv 2102.09672, equation 17.
///
/// ```
/// let cosine = sde_core::schedule::Cosine { s: 0.008 };
/// assert_eq!((cosine.alpha(0.0), cosine.sigma2(0.0)), (1.0, 0.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    /// The offset; 0.008 in the paper.
    pub s: f64,
}

impl Cosine {
    /// The angle at `t = 0`, and what `t` adds to it.
    fn angles(&self, t: f64) -> (f64, f64) {
        (FRAC_PI_2 * self.s / (1.0 + self.s), FRAC_PI_2 * t / (1.0 + self.s))
    }

    /// The scale of the mean.
    pub fn alpha(&self, t: f64) -> f64 {
        let (start, more) = self.angles(t);
        (start + more).cos() / start.cos()
    }

    /// `log alpha`, accurate near `t = 0`.
    pub fn log_alpha(&self, t: f64) -> f64 {
        let sigma2 = self.sigma2(t);
        if sigma2 < 0.5 { 0.5 * (-sigma2).ln_1p() } else { self.alpha(t).ln() }
    }

    /// The variance of the noise, accurate near `t = 0`.
    pub fn sigma2(&self, t: f64) -> f64 {
        let (start, more) = self.angles(t);
        more.sin() * (2.0 * start + more).sin() / start.cos().powi(2)
    }

    /// The time in `[0, 1)` at which the noise level `sigma / alpha` has a value.
    pub fn time(&self, ratio: f64) -> f64 {
        let (start, _) = self.angles(0.0);
        // With alpha = 1 / sqrt(1 + ratio^2), tan of the angle is sqrt(ratio^2 + sin^2) / cos.
        let tangent = (ratio * ratio + start.sin().powi(2)).sqrt() / start.cos();
        // Their difference without cancellation: ratio^2 / cos^2 is that of the squares.
        let more = (ratio / start.cos()).powi(2) / (tangent + start.tan());
        (more / (1.0 + tangent * start.tan())).atan() * (1.0 + self.s) / FRAC_PI_2
    }

    /// `beta(t) = -2 d log alpha / dt`.
    pub fn beta(&self, t: f64) -> f64 {
        let (start, more) = self.angles(t);
        PI * (start + more).tan() / (1.0 + self.s)
    }
}

/// The `n` noise levels of the rule of Karras et al., from `sigma_max` down to `sigma_min`; their
/// sampler appends a zero. One level is `sigma_max`.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, equation 5.
///
/// ```
/// let sigmas = sde_core::schedule::karras_sigmas(18, 0.002, 80.0, 7.0);
/// assert!((sigmas[17] / 0.002 - 1.0).abs() < 1e-12);
/// ```
pub fn karras_sigmas(n: usize, sigma_min: f64, sigma_max: f64, rho: f64) -> Vec<f64> {
    let (a, b) = (sigma_max.powf(1.0 / rho), sigma_min.powf(1.0 / rho));
    let at = |i: usize| i as f64 / (n.max(2) - 1) as f64;
    (0..n).map(|i| (a + at(i) * (b - a)).powf(rho)).collect()
}

/// The `n` discrete `beta_i` of DDPM, equally spaced from `beta0 / n` to `beta1 / n`.
///
/// # Reference
/// Ho et al. 2020, arXiv 2006.11239, section 4; in these terms Song et al. 2021, appendix C.
pub fn ddpm_betas(n: usize, beta0: f64, beta1: f64) -> Vec<f64> {
    let at = |i: usize| i as f64 / (n.max(2) - 1) as f64;
    (0..n).map(|i| (beta0 + at(i) * (beta1 - beta0)) / n as f64).collect()
}

/// The cumulative products of `1 - beta_i`.
pub fn alphas_cumprod(betas: &[f64]) -> Vec<f64> {
    let next = |product: &mut f64, beta: &f64| {
        *product *= 1.0 - beta;
        Some(*product)
    };
    betas.iter().scan(1.0, next).collect()
}

/// Betas rescaled so that no signal is left at the last step (zero terminal signal-to-noise): `sqrt(abar_i)` is shifted
/// by its last value and stretched to keep its first. The last beta is 1.
///
/// # Reference
/// Lin et al. 2024, arXiv 2305.08891, algorithm 1.
///
/// ```
/// use sde_core::{Discrete, Sde, schedule::{ddpm_betas, zero_terminal_snr}};
/// let betas = zero_terminal_snr(&ddpm_betas(1000, 0.1, 20.0));
/// assert_eq!(Discrete::new(&betas)?.marginal(1000.0).alpha, 0.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn zero_terminal_snr(betas: &[f64]) -> Vec<f64> {
    let roots: Vec<f64> = alphas_cumprod(betas).into_iter().map(f64::sqrt).collect();
    let (Some(&first), Some(&last)) = (roots.first(), roots.last()) else { return vec![] };
    let shifted = |r: &f64| (r - last) * first / (first - last);
    let mut before = 1.0;
    let mut beta = |r: &f64| {
        let product = shifted(r).powi(2);
        1.0 - product / std::mem::replace(&mut before, product)
    };
    roots.iter().map(&mut beta).collect()
}

/// The `n` noise levels of score matching with Langevin dynamics, geometric from `sigma_min` up to
/// `sigma_max`.
///
/// # Reference
/// Song, Ermon 2019, arXiv 1907.05600, section 4.
pub fn smld_sigmas(n: usize, sigma_min: f64, sigma_max: f64) -> Vec<f64> {
    let at = |i: usize| i as f64 / (n.max(2) - 1) as f64;
    (0..n).map(|i| sigma_min * (at(i) * (sigma_max / sigma_min).ln()).exp()).collect()
}

/// The noise levels of improved DDPM with `m` training steps, from the largest (at step 0) down to
/// the smallest: with `a_j = sin^2(pi/2 j / (m (1 + c2)))`, `u_m = 0` and
/// `u_{j-1}^2 = (u_j^2 + 1) / max(a_{j-1} / a_j, c1) - 1`. The zero at the end is left out.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, table 1, column iDDPM (there `m = 1000`, `c1 = 0.001`,
/// `c2 = 0.008`).
///
/// ```
/// let sigmas = sde_core::schedule::iddpm_sigmas(1000, 0.001, 0.008);
/// assert!(sigmas.len() == 1000 && sigmas[999] < 0.01 && sigmas[0] > 1e4);
/// ```
pub fn iddpm_sigmas(m: usize, c1: f64, c2: f64) -> Vec<f64> {
    let a = |j: usize| (FRAC_PI_2 * j as f64 / m as f64 / (c2 + 1.0)).sin().powi(2);
    let next = |u: &mut f64, j: usize| {
        *u = ((*u * *u + 1.0) / (a(j - 1) / a(j)).max(c1) - 1.0).sqrt();
        Some(*u)
    };
    let mut sigmas: Vec<f64> = (1..=m).rev().scan(0.0, next).collect();
    sigmas.reverse();
    sigmas
}
