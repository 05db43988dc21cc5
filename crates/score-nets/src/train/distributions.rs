//! Distribution functions behind the laws of the training times.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, PI};

use sde_core::normal;

use crate::{Error, Result};

/// A normal law of a function of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normal {
    pub(super) mean: f64,
    pub(super) std: f64,
}

impl Normal {
    pub(super) fn validate(self) -> Result<()> {
        if !self.mean.is_finite() {
            return Err(Error::setting("mean", format!("{:?}", self.mean), "must be finite"));
        }
        if !(self.std.is_finite() && self.std > 0.0) {
            let reason = "must be finite and positive";
            return Err(Error::setting("std", format!("{:?}", self.std), reason));
        }
        Ok(())
    }

    /// The same cut to an interval, which may be infinite.
    pub(super) fn between(self, ends: [f64; 2]) -> Result<Cut> {
        self.validate()?;
        let z = ends.map(|y| (y - self.mean) / self.std);
        // In the upper tail shares are counted from above.
        let mirror = if z[0] > 0.0 { -1.0 } else { 1.0 };
        let [first, last] = z.map(|z| normal::cdf(mirror * z));
        if (last - first).abs() > 0.0 {
            return Ok(Cut { normal: self, mirror, first, last });
        }
        let reason = format!("leaves nothing of the law between {} and {}", ends[0], ends[1]);
        Err(Error::setting("mean", format!("{:?}", self.mean), reason))
    }
}

/// A normal law cut to an interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    normal: Normal,
    /// -1 where shares are those above.
    mirror: f64,
    first: f64,
    last: f64,
}

impl Cut {
    pub(super) fn quantile(&self, u: f64) -> f64 {
        let below = self.first + u * (self.last - self.first);
        self.normal.mean + self.normal.std * self.mirror * normal::quantile(below)
    }

    pub(super) fn cdf(&self, y: f64) -> f64 {
        let z = (y - self.normal.mean) / self.normal.std;
        (normal::cdf(self.mirror * z) - self.first) / (self.last - self.first)
    }

    pub(super) fn density(&self, y: f64) -> f64 {
        let z = (y - self.normal.mean) / self.normal.std;
        let mass = (self.last - self.first).abs();
        unit_density(z) / (self.normal.std * mass)
    }
}

/// The density of a standard normal.
fn unit_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// `log(t / (T - t))`.
pub(super) fn logit(t: f64, horizon: f64) -> f64 {
    (t / (horizon - t)).ln()
}

pub(super) fn validate_mode(scale: f64) -> Result<()> {
    if (-1.0..=2.0 / (PI - 2.0)).contains(&scale) {
        return Ok(());
    }
    let reason = "must be from -1 to 2 / (pi - 2) = 1.75";
    Err(Error::setting("scale", format!("{scale:?}"), reason))
}

/// `u + scale (u - sin^2(pi u / 2))`.
pub(super) fn mode(scale: f64, u: f64) -> f64 {
    u + scale * (u - (FRAC_PI_2 * u).sin().powi(2))
}

/// Its derivative.
pub(super) fn mode_slope(scale: f64, u: f64) -> f64 {
    1.0 + scale * (1.0 - FRAC_PI_2 * (PI * u).sin())
}

/// Its inverse, by bisection to the last bit.
pub(super) fn mode_inverse(scale: f64, t: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..1100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if mode(scale, middle) < t { low = middle } else { high = middle }
    }
    if t <= 0.0 { 0.0 } else { high }
}

/// `tan(pi u / 2) / (1 + tan(pi u / 2))`.
pub(super) fn cos_map(u: f64) -> f64 {
    let (s, c) = (FRAC_PI_2 * u).sin_cos();
    s / (s + c)
}

pub(super) fn cos_map_cdf(t: f64) -> f64 {
    FRAC_2_PI * t.atan2(1.0 - t)
}

pub(super) fn cos_map_density(t: f64) -> f64 {
    FRAC_2_PI / ((1.0 - t).powi(2) + t * t)
}

/// Equidistant times `horizon (i + offset) / (n - 1 + offset)`, `i` from `first` to `n - 1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    n: u32,
    offset: u32,
    first: u32,
    horizon: f64,
}

/// Those of `n` that are not below `t_min`.
pub(super) fn steps(n: u32, offset: u32, t_min: f64, horizon: f64) -> Result<Steps> {
    if n.saturating_add(offset) < 2 {
        return Err(Error::setting("n", n, format!("must be at least {}", 2 - offset)));
    }
    let all = Steps { n, offset, first: 0, horizon };
    // Rounding may have taken t_min past its own step.
    let place = t_min / horizon * f64::from(n - 1 + offset) - f64::from(offset);
    let first = (place - 1e-9).ceil().max(0.0) as u32;
    if first < n {
        return Ok(Steps { first, ..all });
    }
    Err(Error::setting("t-min", format!("{t_min:?}"), format!("leaves none of {n} steps")))
}

impl Steps {
    fn step(&self, i: u32) -> f64 {
        self.horizon * f64::from(i + self.offset) / f64::from(self.n - 1 + self.offset)
    }

    /// The time at the quantile `u`.
    pub(super) fn at(&self, u: f64) -> f64 {
        let i = (u * f64::from(self.n - self.first)) as u32;
        self.step((self.first + i).min(self.n - 1))
    }

    /// The share of the steps that are not above `t`.
    pub(super) fn below(&self, t: f64) -> f64 {
        let place = t / self.horizon * f64::from(self.n - 1 + self.offset) - f64::from(self.offset);
        let count = (place + 1e-9).floor() + 1.0 - f64::from(self.first);
        count.clamp(0.0, f64::from(self.n - self.first)) / f64::from(self.n - self.first)
    }
}
