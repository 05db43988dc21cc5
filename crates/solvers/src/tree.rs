//! A Brownian path whose increments exist for every interval, without storing it.

use sde_core::{Error, Key, Result, State};

use crate::Noise;
use crate::noise::apart;

/// A path between two times, refined by bisection: increment and area of a half are normal given
/// those of the whole, and keyed by the half's place in the tree. Below `2^-depth` of the interval it is a straight
/// line, so a solve should not take shorter steps.
///
/// # Reference
/// Li, Wong, Chen, Duvenaud 2020, arXiv 2001.01328, section 4 (virtual Brownian tree); with areas:
/// Jelincic, Tao, Turner, Cass, Foster, Li 2024, arXiv 2405.06464.
#[derive(Clone, Copy, Debug)]
pub struct BrownianTree {
    key: Key,
    first_row: u64,
    t0: f64,
    t1: f64,
    depth: u32,
}

impl BrownianTree {
    /// A path from `t0` to `t1` under `key` for particles `first_row` onward.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless the times are finite and differ and `depth` is 1 to 60.
    pub fn new(key: Key, first_row: u64, t0: f64, t1: f64, depth: u32) -> Result<Self> {
        if !((t1 - t0).is_finite() && t1 != t0 && (1..=60).contains(&depth)) {
            return Err(Error::Parameter {
                name: "depth".into(),
                value: depth.to_string(),
                reason: format!("must be 1 to 60, between different times, not {t0} and {t1}"),
            });
        }
        Ok(Self { key, first_row, t0, t1, depth })
    }

    /// The share of the interval before `t`.
    fn share(&self, t: f64) -> Result<f64> {
        let u = (t - self.t0) / (self.t1 - self.t0);
        if (-1e-12..=1.0 + 1e-12).contains(&u) {
            return Ok(u.clamp(0.0, 1.0));
        }
        let reason = format!("is outside the path from {} to {}", self.t0, self.t1);
        Err(Error::Parameter { name: "t".into(), value: t.to_string(), reason })
    }

    /// `W(t)` and the integral of `W` up to `t`, with `W(t0) = 0`. The walk ends after `depth`
    /// halvings whatever the time.
    fn value<S: State>(&self, like: &S, t: f64) -> Result<(S, S)> {
        let mut rest = self.share(t)?;
        let mut h = (self.t1 - self.t0).abs();
        let z = |node: u64, which: u64| {
            like.normals_like(self.key.fold(node).fold(which), self.first_row)
        };
        let zero = S::lincomb(&[(0.0, like)])?;
        let (mut left, mut integral) = (zero.clone(), zero);
        let mut w = S::lincomb(&[(h.sqrt(), &z(0, 0)?)])?;
        let mut area = S::lincomb(&[((h / 12.0).sqrt(), &z(0, 1)?)])?;
        let mut node = 1;
        for _ in 0..self.depth {
            if rest == 0.0 || rest == 1.0 {
                break;
            }
            // The halves of a path of known increment and area.
            let (z1, z2) = (z(node, 0)?, z(node, 1)?);
            let (a, b) = (0.25 * h.sqrt(), (h / 48.0).sqrt());
            let first = [(0.5, &w), (1.5, &area), (a, &z1)];
            let area_of =
                |sign: f64| S::lincomb(&[(0.25, &area), (-0.5 * a, &z1), (sign * b, &z2)]);
            rest *= 2.0;
            h *= 0.5;
            if rest < 1.0 {
                (w, area) = (S::lincomb(&first)?, area_of(1.0)?);
                node *= 2;
            } else {
                let (w1, area1) = (S::lincomb(&first)?, area_of(1.0)?);
                let second = S::lincomb(&[(0.5, &w), (-1.5, &area), (-a, &z1)])?;
                integral =
                    S::lincomb(&[(1.0, &integral), (h, &left), (0.5 * h, &w1), (h, &area1)])?;
                left = S::lincomb(&[(1.0, &left), (1.0, &w1)])?;
                (w, area) = (second, area_of(-1.0)?);
                rest -= 1.0;
                node = 2 * node + 1;
            }
        }
        // What is left of the last cell: all of it, nothing, or a straight line.
        let end = S::lincomb(&[(1.0, &left), (rest, &w)])?;
        let h = rest * h;
        let all = [(1.0, &integral), (h, &left), (0.5 * h, &w), (h, &area)];
        let integral = S::lincomb(if rest == 1.0 { &all } else { &all[..3] })?;
        Ok((end, integral))
    }
}

impl<S: State> Noise<S> for BrownianTree {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        let (a, b) = (self.value(like, t0)?.0, self.value(like, t1)?.0);
        S::lincomb(&[(1.0, &b), (-1.0, &a)])
    }

    fn increment_and_area(&self, like: &S, t0: f64, t1: f64) -> Result<(S, S)> {
        let ((a, before), (b, after)) = (self.value(like, t0)?, self.value(like, t1)?);
        // Backward, the path and its integral both change their sign.
        let h = (self.share(t1)? - self.share(t0)?) * (self.t1 - self.t0).abs();
        let w = S::lincomb(&[(1.0, &b), (-1.0, &a)])?;
        if h == 0.0 {
            return Ok((w.clone(), w));
        }
        let terms = [(1.0 / h, &after), (-1.0 / h, &before), (-0.5, &a), (-0.5, &b)];
        Ok((w, S::lincomb(&terms)?))
    }

    fn normals(&self, like: &S, t: f64, index: u64) -> Result<S> {
        apart(self.key, self.first_row, like, t, index)
    }

    fn first_row(&self) -> u64 {
        self.first_row
    }

    fn is_path(&self) -> bool {
        true
    }
}
