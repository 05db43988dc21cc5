//! The learned uncertainty of EDM2.

/// [`log_variance`] and its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogVariance {
    /// `e^-u L + u`.
    pub value: f64,
    /// Its derivative in `L`: what the loss's own gradient is multiplied by.
    pub by_loss: f64,
    /// Its derivative in `u`.
    pub by_u: f64,
}

/// The loss `e^-u L + u` of a weighted loss `L` at one noise level and a number `u` that is trained
/// with it, a function of the noise level alone. Its minimum over `u` is at `u = log L`, so that every
/// noise level ends with a gradient of the same size.
///
/// # Reference
/// Kendall, Gal, Cipolla 2018, arXiv 1705.07115; Karras et al. 2024, arXiv 2312.02696, equation 14.
///
/// ```
/// use score_nets::log_variance;
/// let at_best = log_variance(3.0, 3.0_f64.ln());
/// assert!(at_best.by_u.abs() < 1e-15 && (at_best.by_loss * 3.0 - 1.0).abs() < 1e-15);
/// ```
pub fn log_variance(loss: f64, u: f64) -> LogVariance {
    let by_loss = (-u).exp();
    LogVariance { value: by_loss * loss + u, by_loss, by_u: 1.0 - by_loss * loss }
}
