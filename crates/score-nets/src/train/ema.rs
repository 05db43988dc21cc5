//! Moving averages of the parameters: profiles, several at once, and averages made afterwards.

use candle_core::Tensor;
use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

use super::EmaConfig;
use crate::{Error, Result};

/// How a moving average forgets: its decay `d` at every update, `average <- d average + (1 - d)
/// parameter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum EmaProfile {
    /// The same decay at every update.
    Constant {
        /// The decay.
        decay: f64,
    },
    /// `min(decay, (1 + n) / (10 + n))` after `n` updates.
    Warmup {
        /// The decay in the end.
        decay: f64,
    },
    /// `2^(-1 / h)`, `h` the half-life, in the beginning no more than `ramp_up` times the updates done.
    ///
    /// # Reference
    /// Karras et al. 2022, arXiv 2206.00364, appendix F.2 (half a million images, 0.05).
    HalfLife {
        /// The half-life in updates.
        half_life: f64,
        /// Largest share of the updates done that it may be; 0 for no ramp.
        #[serde(default)]
        ramp_up: f64,
    },
    /// `(1 - 1/n)^(gamma + 1)` at update `n`: the average over the past weighted by `(k / n)^gamma`,
    /// whose standard deviation is `sigma_rel n`, however long the run.
    ///
    /// # Reference
    /// Karras et al. 2024, arXiv 2312.02696, section 3.1 (0.05 and 0.10).
    Power {
        /// Standard deviation of the profile over the length of the run, at most `1 / sqrt(12)`.
        sigma_rel: f64,
    },
}

impl From<EmaConfig> for EmaProfile {
    fn from(EmaConfig { decay, warmup }: EmaConfig) -> Self {
        if warmup { Self::Warmup { decay } } else { Self::Constant { decay } }
    }
}

impl EmaProfile {
    /// Checks every constant.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that does not work.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Constant { decay } | Self::Warmup { decay } => {
                if (0.0..1.0).contains(&decay) {
                    return Ok(());
                }
                Err(Error::setting("ema.decay", decay, "must be in [0, 1)"))
            }
            Self::HalfLife { half_life, ramp_up } => {
                if !(half_life.is_finite() && half_life > 0.0) {
                    let reason = "must be finite and positive";
                    return Err(Error::setting("ema.half-life", half_life, reason));
                }
                if !(ramp_up.is_finite() && ramp_up >= 0.0) {
                    let reason = "must be finite and not negative";
                    return Err(Error::setting("ema.ramp-up", ramp_up, reason));
                }
                Ok(())
            }
            Self::Power { sigma_rel } => power_gamma(sigma_rel).map(|_| ()),
        }
    }

    /// The decay at update `n`; the first is 0.
    ///
    /// ```
    /// use score_nets::EmaProfile;
    /// let half_life = EmaProfile::HalfLife { half_life: 100.0, ramp_up: 0.05 };
    /// assert_eq!(half_life.decay(0), 0.0);
    /// assert_eq!(half_life.decay(200), 2.0_f64.powf(-0.1));
    /// assert_eq!(half_life.decay(9000), 2.0_f64.powf(-0.01));
    /// ```
    pub fn decay(&self, n: u64) -> f64 {
        let steps = n as f64;
        match *self {
            Self::Constant { decay } => decay,
            Self::Warmup { decay } => decay.min((1.0 + steps) / (10.0 + steps)),
            Self::HalfLife { half_life, ramp_up } => {
                let ramped = if ramp_up > 0.0 { ramp_up * steps } else { f64::INFINITY };
                0.5_f64.powf(1.0 / half_life.min(ramped))
            }
            Self::Power { sigma_rel } => {
                let gamma = power_gamma(sigma_rel).unwrap_or(f64::NAN);
                (steps / (steps + 1.0)).powf(gamma + 1.0)
            }
        }
    }
}

/// The exponent of the power function of relative standard deviation `sigma_rel`: the root of
/// `sigma_rel^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))`.
///
/// # Errors
/// [`Error::Setting`] unless `0 < sigma_rel <= 1 / sqrt(12)`, where `gamma = 0`.
///
/// # Reference
/// Karras et al. 2024, arXiv 2312.02696, equation 18 and algorithm 2.
///
/// ```
/// let gamma = score_nets::power_gamma(0.05)?;
/// assert!((score_nets::power_sigma_rel(gamma) / 0.05 - 1.0).abs() < 1e-14);
/// assert!((score_nets::power_sigma_rel(6.94) - 0.1).abs() < 1e-4); // the paper's pair
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn power_gamma(sigma_rel: f64) -> Result<f64> {
    let most = 12.0_f64.sqrt().recip();
    if !(sigma_rel > 0.0 && sigma_rel <= most * (1.0 + 1e-12)) {
        let reason = "must be above 0 and at most 1 / sqrt(12)";
        return Err(Error::setting("ema.sigma-rel", format!("{sigma_rel:?}"), reason));
    }
    // It falls in gamma, and is below 1 / (gamma + 2).
    let (mut low, mut high) = (0.0, 1.0 / sigma_rel);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return Ok(low);
        }
        if power_sigma_rel(middle) > sigma_rel { low = middle } else { high = middle }
    }
}

/// The relative standard deviation of the power function of exponent `gamma`.
pub fn power_sigma_rel(gamma: f64) -> f64 {
    ((gamma + 1.0) / (gamma + 3.0)).sqrt() / (gamma + 2.0)
}

/// An average by a power function, or one that is to be made: of the first `step` updates, with
/// relative standard deviation `sigma_rel`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// Updates done.
    pub step: f64,
    /// Relative standard deviation of the profile.
    pub sigma_rel: f64,
}

/// How stored averages make another.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconstruction {
    /// What each stored average is multiplied by.
    pub coefficients: Vec<f64>,
    /// Norm of the difference between the profile made and the one wanted, over that of the latter; not
    /// known below about 1e-8.
    pub error: f64,
}

/// The combination of stored averages whose profile over the past is nearest to that of `target`, in
/// the least-squares sense. Two profiles stored at intervals over a run make all others between and
/// beyond them after the run.
///
/// # Errors
/// [`Error::Setting`] without snapshots, for steps that are not positive, equal snapshots, and a target
/// after the last of them.
///
/// # Reference
/// Karras et al. 2024, arXiv 2312.02696, section 3.2 and algorithm 3.
///
/// ```
/// use score_nets::{Snapshot, reconstruction};
/// let stored: Vec<Snapshot> = (1..=16)
///     .flat_map(|k| [0.05, 0.10].map(|sigma_rel| Snapshot { step: 1000.0 * k as f64, sigma_rel }))
///     .collect();
/// let made = reconstruction(&stored, Snapshot { step: 16_000.0, sigma_rel: 0.07 })?;
/// assert!(made.error < 0.01);
/// assert!((made.coefficients.iter().sum::<f64>() - 1.0).abs() < 0.01);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn reconstruction(stored: &[Snapshot], target: Snapshot) -> Result<Reconstruction> {
    let profile = |s: &Snapshot| -> Result<(f64, f64)> {
        if s.step.is_finite() && s.step > 0.0 {
            return Ok((s.step, power_gamma(s.sigma_rel)?));
        }
        Err(Error::setting("snapshot.step", format!("{:?}", s.step), "must be finite and positive"))
    };
    if stored.is_empty() {
        return Err(Error::setting("snapshots", 0, "there must be at least one"));
    }
    for (i, s) in stored.iter().enumerate() {
        if stored[..i].contains(s) {
            let reason = format!("snapshot {i} is there twice, with sigma-rel {}", s.sigma_rel);
            return Err(Error::setting("snapshot.step", s.step, reason));
        }
    }
    let profiles = stored.iter().map(profile).collect::<Result<Vec<_>>>()?;
    let wanted = profile(&target)?;
    let last = profiles.iter().fold(0.0, |m: f64, p| m.max(p.0));
    if wanted.0 > last {
        let reason = format!("is after the last snapshot, at step {last}");
        return Err(Error::setting("target.step", wanted.0, reason));
    }
    // Profiles of unit norm keep the matrix as well conditioned as it can be.
    let norms: Vec<f64> = profiles.iter().map(|p| inner(*p, *p).sqrt()).collect();
    let n = profiles.len();
    let gram = Mat::from_fn(n, n, |i, j| inner(profiles[i], profiles[j]) / (norms[i] * norms[j]));
    let right = Mat::from_fn(n, 1, |i, _| inner(profiles[i], wanted) / norms[i]);
    let solved = least_squares(&gram, &right).ok_or_else(|| {
        Error::setting("snapshots", n, "no eigenvalues of their products are found")
    })?;
    let square = inner(wanted, wanted);
    let explained: f64 = (0..n).map(|i| solved[(i, 0)] * right[(i, 0)]).sum();
    let made =
        (&gram * &solved).col(0).iter().zip(solved.col(0).iter()).map(|(g, x)| g * x).sum::<f64>();
    let difference = square - 2.0 * explained + made;
    let coefficients: Vec<f64> = (0..n).map(|i| solved[(i, 0)] / norms[i]).collect();
    if let Some(c) = coefficients.iter().find(|c| !c.is_finite()) {
        return Err(Error::setting(
            "snapshots",
            n,
            format!("are too much alike: a coefficient is {c}"),
        ));
    }
    Ok(Reconstruction { coefficients, error: (difference.max(0.0) / square).sqrt() })
}

/// The solution of least norm of `gram x = right`, without the directions that rounding alone has made: along
/// one of eigenvalue `v` no more than `v` of a square can be gained, and a rounding of `right` is magnified by `1/v`.
fn least_squares(gram: &Mat<f64>, right: &Mat<f64>) -> Option<Mat<f64>> {
    let eigen = gram.self_adjoint_eigen(Side::Lower).ok()?;
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    let smallest = 1e-13 * values.iter().copied().fold(0.0, f64::max);
    let along = vectors.transpose() * right;
    let kept = Mat::from_fn(along.nrows(), 1, |i, _| {
        if values[i] > smallest { along[(i, 0)] / values[i] } else { 0.0 }
    });
    Some(vectors * kept)
}

/// The integral of the product of two profiles `(gamma + 1) / t (tau / t)^gamma` on `[0, t]`.
fn inner((ta, ga): (f64, f64), (tb, gb): (f64, f64)) -> f64 {
    let (shorter, longer, exponent) = if ta < tb { (ta, tb, gb) } else { (tb, ta, ga) };
    (ga + 1.0) * (gb + 1.0) / (ga + gb + 1.0) * (shorter / longer).powf(exponent) / longer
}

/// The same combination of tensors.
///
/// # Errors
/// [`Error::Shape`] when there are not as many averages as coefficients, or they differ in length.
pub fn combine(coefficients: &[f64], averages: &[Vec<Tensor>]) -> Result<Vec<Tensor>> {
    let (n, length) = (averages.len(), averages.first().map_or(0, Vec::len));
    if n != coefficients.len() || n == 0 || averages.iter().any(|a| a.len() != length) {
        let expected = vec![coefficients.len(), length];
        return Err(Error::Shape { what: "averages".into(), expected, found: vec![n] });
    }
    let sum = |j: usize| -> Result<Tensor> {
        let mut sum = (&averages[0][j] * coefficients[0])?;
        for (average, c) in averages.iter().zip(coefficients).skip(1) {
            sum = (sum + (&average[j] * *c)?)?;
        }
        Ok(sum)
    };
    (0..length).map(sum).collect()
}

/// Several moving averages of the same parameters, each with its own profile.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use score_nets::{Averages, EmaProfile};
/// let at = |v: f64| Tensor::full(v, 3, &Device::Cpu).map(|t| vec![t]);
/// let profiles = vec![EmaProfile::Power { sigma_rel: 0.1 }, EmaProfile::Constant { decay: 0.5 }];
/// let mut averages = Averages::new(profiles, &at(0.0)?)?;
/// averages.update(&at(1.0)?)?;
/// let value = |i: usize| averages.values()[i][0].to_vec1::<f64>();
/// assert_eq!((value(0)?, value(1)?), (vec![1.0; 3], vec![0.5; 3]));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Averages {
    profiles: Vec<EmaProfile>,
    values: Vec<Vec<Tensor>>,
    updates: u64,
}

impl Averages {
    /// Averages that begin at `start`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a profile that does not work.
    pub fn new(profiles: Vec<EmaProfile>, start: &[Tensor]) -> Result<Self> {
        profiles.iter().try_for_each(EmaProfile::validate)?;
        let copy =
            || -> Result<Vec<Tensor>> { start.iter().map(|t| Ok(t.detach().copy()?)).collect() };
        let values = profiles.iter().map(|_| copy()).collect::<Result<_>>()?;
        Ok(Self { profiles, values, updates: 0 })
    }

    /// Averages as they were after a number of updates.
    ///
    /// # Errors
    /// As [`Averages::new`]; [`Error::Shape`] unless there are values for every profile.
    pub fn restore(
        profiles: Vec<EmaProfile>,
        values: Vec<Vec<Tensor>>,
        updates: u64,
    ) -> Result<Self> {
        profiles.iter().try_for_each(EmaProfile::validate)?;
        if profiles.len() != values.len() {
            let (expected, found) = (vec![profiles.len()], vec![values.len()]);
            return Err(Error::Shape { what: "averages".into(), expected, found });
        }
        Ok(Self { profiles, values, updates })
    }

    /// Takes the parameters after one more step into every average.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of parameters; whatever candle fails with.
    pub fn update(&mut self, parameters: &[Tensor]) -> Result<()> {
        for (profile, values) in self.profiles.iter().zip(&mut self.values) {
            if values.len() != parameters.len() {
                let (expected, found) = (vec![values.len()], vec![parameters.len()]);
                return Err(Error::Shape { what: "averaged parameters".into(), expected, found });
            }
            let decay = profile.decay(self.updates);
            for (average, parameter) in values.iter_mut().zip(parameters) {
                let kept = (&*average * decay)?;
                *average = (kept + (parameter.detach() * (1.0 - decay))?)?;
            }
        }
        self.updates += 1;
        Ok(())
    }

    /// The profiles.
    pub fn profiles(&self) -> &[EmaProfile] {
        &self.profiles
    }

    /// The averaged parameters, profile by profile.
    pub fn values(&self) -> &[Vec<Tensor>] {
        &self.values
    }

    /// Updates done.
    pub fn updates(&self) -> u64 {
        self.updates
    }
}

#[cfg(test)]
mod tests;
