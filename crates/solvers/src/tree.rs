//! A Brownian path whose increments exist for every interval, without storing it.

use sde_core::{Error, Key, Result, State};

use crate::Noise;

/// A path between two times, refined by bisection: the value at a midpoint is a Brownian bridge
/// keyed by the midpoint's place in the tree. Below `2^-depth` of the interval it is a straight
/// line, so a solve should not take shorter steps.
///
/// # Reference
/// Li, Wong, Chen, Duvenaud 2020, arXiv 2001.01328, section 4 (virtual Brownian tree).
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

    /// `W(t)` with `W(t0) = 0`. The walk ends after `depth` halvings whatever the time.
    fn value<S: State>(&self, like: &S, t: f64) -> Result<S> {
        let u = (t - self.t0) / (self.t1 - self.t0);
        if !(-1e-12..=1.0 + 1e-12).contains(&u) {
            let reason = format!("is outside the path from {} to {}", self.t0, self.t1);
            return Err(Error::Parameter { name: "t".into(), value: t.to_string(), reason });
        }
        let mut rest = u.clamp(0.0, 1.0);
        let mut width = (self.t1 - self.t0).abs();
        let z = |node: u64| like.normals_like(self.key.fold(node), self.first_row);
        let mut left = S::lincomb(&[(0.0, like)])?;
        let mut right = S::lincomb(&[(width.sqrt(), &z(0)?)])?;
        let mut node = 1;
        for _ in 0..self.depth {
            if rest == 0.0 || rest == 1.0 {
                break;
            }
            let middle =
                S::lincomb(&[(0.5, &left), (0.5, &right), (0.5 * width.sqrt(), &z(node)?)])?;
            width *= 0.5;
            rest *= 2.0;
            if rest < 1.0 {
                (right, node) = (middle, 2 * node);
            } else {
                rest -= 1.0;
                (left, node) = (middle, 2 * node + 1);
            }
        }
        S::lincomb(&[(1.0 - rest, &left), (rest, &right)])
    }
}

impl<S: State> Noise<S> for BrownianTree {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        let (a, b) = (self.value(like, t0)?, self.value(like, t1)?);
        S::lincomb(&[(1.0, &b), (-1.0, &a)])
    }

    fn first_row(&self) -> u64 {
        self.first_row
    }

    fn is_path(&self) -> bool {
        true
    }
}
