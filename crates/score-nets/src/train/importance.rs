//! Importance sampling of the training times, and what it saves.

use sde_core::{Key, Sde};

use super::TimeDistribution;
use super::time_distribution::lambda_ends;
use crate::{Error, Result};

/// `Z`, the integral of `g^2 / sigma^2` over `[t_min, T]`: the log signal-to-noise ratio
/// `log(alpha^2 / sigma^2)` that is lost there, in closed form for every linear SDE. The loss under the
/// weighting `g^2` and uniform times is `Z / (T - t_min)` times that under the weighting `sigma^2` and
/// [`TimeDistribution::LogSnr`].
///
/// # Errors
/// [`Error::Setting`] when it is infinite.
///
/// # Reference
/// Song, Durkan, Murray, Ermon 2021, arXiv 2101.09258, section 4.4.
///
/// ```
/// use sde_core::Ve;
/// let z = score_nets::importance_integral(&Ve::default(), 0.0)?;
/// assert!((z - 2.0 * 5000.0_f64.ln()).abs() < 1e-13);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn importance_integral(sde: &dyn Sde, t_min: f64) -> Result<f64> {
    let (start, end) = lambda_ends(sde, t_min)?;
    Ok(2.0 * (start - end))
}

/// What [`variance_factor`] measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VarianceFactor {
    /// The variance under the first law over that under the second.
    pub factor: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The estimate of the integral under each law; they agree within their standard errors.
    pub means: [f64; 2],
    /// Standard error of each.
    pub mean_errors: [f64; 2],
    /// Variance of a single term under each law.
    pub variances: [f64; 2],
}

/// By what factor the second of two laws of the times cuts the variance of an estimate of the
/// integral of `integrand` over `[t_min, T]`, the mean of `integrand(t, key) / density(t)` over `n`
/// times. The integrand may be random, by its key: a weight times the squared error of one row, say.
///
/// # Errors
/// [`Error::Setting`] for fewer than two times, laws without a density or whose terms vary not at all
/// under the second; whatever laws and integrand fail with.
///
/// ```
/// use score_nets::{TimeDistribution, variance_factor};
/// use sde_core::{Key, Sde, Vp};
/// // The likelihood weighting of an error that is a square of a normal number at every time.
/// let sde = Vp::default();
/// let error = |t: f64, key: Key| {
///     let mut z = [0.0];
///     key.fill_normals(0, &mut z);
///     Ok(sde.diffusion_squared(t) / sde.marginal(t).sigma.powi(2) * z[0] * z[0])
/// };
/// let laws = [TimeDistribution::Uniform, TimeDistribution::LogSnr];
/// let measured = variance_factor(&sde, 1e-3, laws, &error, 4000, Key::root(1))?;
/// assert!(measured.factor > 5.0);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn variance_factor(
    sde: &dyn Sde,
    t_min: f64,
    laws: [TimeDistribution; 2],
    integrand: &dyn Fn(f64, Key) -> Result<f64>,
    n: usize,
    key: Key,
) -> Result<VarianceFactor> {
    if n < 2 {
        return Err(Error::setting("n", n, "must be at least 2"));
    }
    let (mut means, mut variances) = ([0.0; 2], [0.0; 2]);
    // Relative variance of each measured variance.
    let mut spread = [0.0; 2];
    for (i, law) in laws.iter().enumerate() {
        let key = key.fold(i as u64);
        let (times, noise) = (key.fold(0), key.fold(1));
        let mut terms = vec![0.0; n];
        times.fill_uniforms(0, &mut terms);
        for (row, term) in terms.iter_mut().enumerate() {
            let t = law.time(sde, t_min, *term)?;
            *term = integrand(t, noise.fold(row as u64))? / law.density(sde, t_min, t)?;
        }
        let count = n as f64;
        means[i] = terms.iter().sum::<f64>() / count;
        let moment = |p: i32| terms.iter().map(|x| (x - means[i]).powi(p)).sum::<f64>() / count;
        let (second, fourth) = (moment(2), moment(4));
        variances[i] = second * count / (count - 1.0);
        spread[i] = (fourth / (second * second) - 1.0) / count;
    }
    // What is left of equal terms is rounding.
    if variances[1] <= (1e-12 * means[1]).powi(2) {
        let reason = "has no variance at all under the second law";
        return Err(Error::setting("integrand", means[1], reason));
    }
    let factor = variances[0] / variances[1];
    Ok(VarianceFactor {
        factor,
        standard_error: factor * (spread[0] + spread[1]).sqrt(),
        means,
        mean_errors: variances.map(|v| (v / n as f64).sqrt()),
        variances,
    })
}
