//! Time grids: the times between which a fixed-step solver takes its steps.

use crate::schedule::{Cosine, iddpm_sigmas};
use crate::sde::{check_time, parse::known};
use crate::{Error, Result, Sde, Short, counts};

/// A rule that places `n` steps between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeGrid {
    /// Equal steps in `t`.
    Uniform,
    /// Equal steps in `sqrt(t)`.
    Quadratic,
    /// Equal steps in `(sigma / alpha)^(1 / rho)`.
    ///
    /// # Reference
    /// Karras et al. 2022, arXiv 2206.00364, equation 5.
    Karras {
        /// The exponent; 7 in the paper.
        rho: f64,
    },
    /// Equal steps in `log(alpha / sigma)`; needs `sigma > 0` at both ends.
    LogSnr,
    /// The grid of the ODE-SDE-gap experiments: `n - 100` equal steps, the last 100 a tenth as
    /// long. Their 800 "function evaluations" are `n = 890` here.
    ///
    /// # Reference
    /// Deveney et al. 2025, arXiv 2311.15996, public code.
    OdeSdeGap,
    /// `log(sigma / alpha)` at equal steps in the power `1 / rho` of what is left of it; `rho = 1`
    /// is [`TimeGrid::LogSnr`]. Needs `sigma > 0` at both ends.
    ///
    /// # Reference
    /// Katherine Crowson's `k-diffusion`, `get_sigmas_polyexponential`.
    PolyExponential {
        /// The exponent; 1 where none is given.
        rho: f64,
    },
    /// Equal steps in the time of the cosine schedule that has the noise levels `sigma / alpha` of
    /// the ends.
    ///
    /// # Reference
    /// Nichol, Dhariwal 2021, arXiv 2102.09672, equation 17.
    Cosine {
        /// The offset; 0.008 in the paper.
        s: f64,
    },
    /// The noise levels of improved DDPM between those of the ends, thinned out evenly; needs at
    /// least as many levels as steps.
    ///
    /// # Reference
    /// Karras et al. 2022, arXiv 2206.00364, table 1, column iDDPM (with its constants).
    Iddpm,
}

impl TimeGrid {
    /// One of each kind, with the usual constants.
    pub const ALL: &'static [Self] = &[
        Self::Uniform,
        Self::Quadratic,
        Self::Karras { rho: 7.0 },
        Self::LogSnr,
        Self::OdeSdeGap,
        Self::PolyExponential { rho: 1.0 },
        Self::Cosine { s: 0.008 },
        Self::Iddpm,
    ];

    /// The names [`TimeGrid::parse`] knows.
    pub const NAMES: &'static [&'static str] = &[
        "uniform",
        "quadratic",
        "karras",
        "log-snr",
        "ode-sde-gap",
        "polyexponential",
        "cosine",
        "iddpm",
    ];

    /// The name with its constants (`karras:rho=7`).
    pub fn name(&self) -> String {
        match self {
            Self::Uniform => "uniform".into(),
            Self::Quadratic => "quadratic".into(),
            Self::Karras { rho } => format!("karras:rho={rho}"),
            Self::LogSnr => "log-snr".into(),
            Self::OdeSdeGap => "ode-sde-gap".into(),
            Self::PolyExponential { rho } => format!("polyexponential:rho={rho}"),
            Self::Cosine { s } => format!("cosine:s={s}"),
            Self::Iddpm => "iddpm".into(),
        }
    }

    /// The grid of a name (`karras:rho=7`).
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name or constant that does not exist, [`Error::Parameter`] for a
    /// value that is not allowed.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let plain = |grid| known(rest, []).map(|[]| grid);
        match name.trim() {
            "uniform" => plain(Self::Uniform),
            "quadratic" => plain(Self::Quadratic),
            "karras" => {
                let [rho] = known(rest, [("rho", 7.0)])?;
                Ok(Self::Karras { rho: crate::sde::positive("rho", rho)? })
            }
            "log-snr" => plain(Self::LogSnr),
            "ode-sde-gap" => plain(Self::OdeSdeGap),
            "polyexponential" => {
                let [rho] = known(rest, [("rho", 1.0)])?;
                Ok(Self::PolyExponential { rho: crate::sde::positive("rho", rho)? })
            }
            "cosine" => {
                let [s] = known(rest, [("s", 0.008)])?;
                Ok(Self::Cosine { s: crate::sde::positive("s", s)? })
            }
            "iddpm" => plain(Self::Iddpm),
            other => Err(Error::Unknown {
                what: "time grid",
                name: other.into(),
                expected: Self::NAMES.iter().map(|n| (*n).into()).collect(),
            }),
        }
    }

    /// The `n_steps + 1` times from `t_start` down to `t_end`, both included exactly (but for rounding
    /// past `[0, T]`, see [`crate::sde::check_time`]).
    ///
    /// # Errors
    /// [`Error::Time`] for an end outside `[0, T]`; [`Error::Parameter`] when `t_end >= t_start`,
    /// when there are too few steps, or when the rule needs `sigma > 0` where it is zero;
    /// [`Error::Excess`] for more steps than memory holds.
    ///
    /// ```
    /// use sde_core::{Ou, TimeGrid};
    /// let t = TimeGrid::OdeSdeGap.times(&Ou::default(), 890, 10.0, 0.0)?;
    /// assert_eq!((t.len(), t[890]), (891, 0.0));
    /// assert!((t[0] - t[1] - 0.0125).abs() < 1e-12 && (t[889] - 0.00125).abs() < 1e-12);
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    pub fn times(
        &self,
        sde: &dyn Sde,
        n_steps: usize,
        t_start: f64,
        t_end: f64,
    ) -> Result<Vec<f64>> {
        let (t_start, t_end) = (check_time(sde, t_start)?, check_time(sde, t_end)?);
        if t_end >= t_start {
            return refuse("t_end", format!("{t_end:?}"), &format!("must be below {t_start:?}"));
        }
        let least = if *self == Self::OdeSdeGap { 100 } else { 1 };
        if n_steps < least {
            let reason = format!("the grid {} needs at least {least}", self.name());
            return refuse("n_steps", n_steps.to_string(), &reason);
        }
        // The grid, and two copies of it in a solve.
        counts::in_memory(&[("steps", n_steps as u64)], 24).map_err(Error::Excess)?;
        let place = self.rule(sde, n_steps, (t_start, t_end))?;
        let mut times = vec![t_start];
        for i in 1..n_steps {
            times.push(place(i)?);
        }
        times.push(t_end);
        if let Some(w) = times.windows(2).find(|w| w[1] >= w[0]) {
            let reason = format!("steps of {} vanish at t = {:?}", self.name(), w[0]);
            return refuse("n_steps", n_steps.to_string(), &reason);
        }
        Ok(times)
    }

    /// Where time number `i` of the steps from `a` down to `b` lies.
    fn rule<'a>(&self, sde: &'a dyn Sde, n_steps: usize, (a, b): (f64, f64)) -> Result<Place<'a>> {
        let by_level =
            !matches!(self, Self::Uniform | Self::Quadratic | Self::OdeSdeGap | Self::Iddpm);
        if by_level && sde.half_log_snr(a) == f64::NEG_INFINITY && sde.marginal(a).alpha == 0.0 {
            let reason =
                format!("{} needs alpha > 0 there: uniform and quadratic do not", self.kind());
            return refuse("t_start", Short(a).to_string(), &reason);
        }
        let at = move |i: usize| i as f64 / n_steps as f64;
        Ok(match *self {
            Self::Uniform => Box::new(move |i| Ok(a + (b - a) * at(i))),
            Self::Quadratic => {
                Box::new(move |i| Ok((a.sqrt() + (b.sqrt() - a.sqrt()) * at(i)).powi(2)))
            }
            Self::Karras { rho } => karras(sde, rho, (a, b), at),
            Self::LogSnr | Self::PolyExponential { .. } => {
                let (p, q) = (sde.half_log_snr(a), sde.half_log_snr(b));
                if q.is_infinite() {
                    let reason = format!("{} needs sigma > 0 there", self.kind());
                    return refuse("t_end", Short(b).to_string(), &reason);
                }
                let rho = if let Self::PolyExponential { rho } = *self { rho } else { 1.0 };
                let gone = move |i| if rho == 1.0 { at(i) } else { 1.0 - (1.0 - at(i)).powf(rho) };
                Box::new(move |i| sde.time_of_half_log_snr(p + (q - p) * gone(i)))
            }
            Self::Cosine { s } => {
                let cosine = Cosine { s };
                let (p, q) = (cosine.time(noise_level(sde, a)), cosine.time(noise_level(sde, b)));
                Box::new(move |i| {
                    let u = p + (q - p) * at(i);
                    let lambda = cosine.log_alpha(u) - 0.5 * cosine.sigma2(u).ln();
                    sde.time_of_half_log_snr(lambda)
                })
            }
            Self::Iddpm => {
                let (most, least) = (noise_level(sde, a), noise_level(sde, b));
                let mut levels = iddpm_sigmas(1000, 0.001, 0.008);
                levels.retain(|u| *u <= most && *u >= least);
                if levels.len() <= n_steps {
                    let reason = format!("iddpm has {} noise levels there", levels.len());
                    return refuse("n_steps", n_steps.to_string(), &reason);
                }
                Box::new(move |i| {
                    let k = ((levels.len() - 1) as f64 * at(i)).round_ties_even() as usize;
                    sde.time_of_half_log_snr(-levels[k].ln())
                })
            }
            Self::OdeSdeGap => {
                // n - 100 steps of span / (n - 90), then a hundred tenths of one.
                let (coarse, h) = (n_steps - 100, (a - b) / (n_steps - 90) as f64);
                Box::new(move |i| {
                    let left = if i <= coarse { 10 * (n_steps - 90 - i) } else { n_steps - i };
                    Ok(b + 0.1 * h * left as f64)
                })
            }
        })
    }

    /// The name without constants.
    fn kind(&self) -> String {
        self.name().split(':').next().unwrap_or_default().to_owned()
    }
}

/// The time number `i` of a grid.
type Place<'a> = Box<dyn Fn(usize) -> Result<f64> + 'a>;

fn refuse<T>(name: &str, value: String, reason: &str) -> Result<T> {
    Err(Error::Parameter { name: name.into(), value, reason: reason.into() })
}

/// `sigma / alpha`.
fn noise_level(sde: &dyn Sde, t: f64) -> f64 {
    let m = sde.marginal(t);
    m.sigma / m.alpha
}

fn karras<'a>(
    sde: &'a dyn Sde,
    rho: f64,
    (a, b): (f64, f64),
    at: impl Fn(usize) -> f64 + 'a,
) -> Place<'a> {
    // The level itself is beyond the numbers where alpha is below them.
    let root = |t: f64| match noise_level(sde, t) {
        level if level.is_finite() => level.powf(1.0 / rho),
        _ => (-sde.half_log_snr(t) / rho).exp(),
    };
    let (p, q) = (root(a), root(b));
    Box::new(move |i| sde.time_of_half_log_snr(-rho * (p + (q - p) * at(i)).ln()))
}
