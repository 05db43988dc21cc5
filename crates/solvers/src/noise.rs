//! Brownian increments as functions of a key, a particle and an interval.

use sde_core::{Error, Key, Result, State};

/// Brownian motion, one path a row.
pub trait Noise<S>: Send + Sync {
    /// The increments `W(t1) - W(t0)`, each `N(0, |t1 - t0|)`, in the shape of `like`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an interval the noise does not have; whatever the state fails with.
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S>;

    /// The global index of the first row.
    fn first_row(&self) -> u64;

    /// Whether increments over any intervals are those of one path, as adaptive steps need.
    fn is_path(&self) -> bool {
        false
    }
}

/// Independent increments, a function of the two ends of the interval: what fixed grids need.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    key: Key,
    first_row: u64,
}

impl Fresh {
    /// Increments under `key` for particles `first_row` onward.
    pub fn new(key: Key, first_row: u64) -> Self {
        Self { key, first_row }
    }
}

impl<S: State> Noise<S> for Fresh {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        let key = self.key.fold(t0.to_bits()).fold(t1.to_bits());
        let z = like.normals_like(key, self.first_row)?;
        S::lincomb(&[((t1 - t0).abs().sqrt(), &z)])
    }

    fn first_row(&self) -> u64 {
        self.first_row
    }
}

/// One fixed path on a grid of equal cells; an increment is the sum of its cells'. For strong
/// errors: every union of cells sees the same path.
#[derive(Clone, Copy, Debug)]
pub struct BrownianGrid {
    key: Key,
    first_row: u64,
    t0: f64,
    t1: f64,
    cells: u64,
}

impl BrownianGrid {
    /// A path over `cells` equal cells between `t0` and `t1`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless the times are finite and differ and there is a cell.
    pub fn new(key: Key, first_row: u64, t0: f64, t1: f64, cells: u64) -> Result<Self> {
        if !((t1 - t0).is_finite() && t1 != t0 && cells > 0) {
            return Err(Error::Parameter {
                name: "cells".into(),
                value: cells.to_string(),
                reason: format!("need at least one, between different times, not {t0} and {t1}"),
            });
        }
        Ok(Self { key, first_row, t0, t1, cells })
    }

    /// The node at time `t`.
    fn node(&self, t: f64) -> Result<u64> {
        let at = (t - self.t0) / (self.t1 - self.t0) * self.cells as f64;
        let node = at.round();
        if (at - node).abs() < 1e-6 && node >= 0.0 && node <= self.cells as f64 {
            return Ok(node as u64);
        }
        let reason =
            format!("is not one of the {} nodes from {} to {}", self.cells + 1, self.t0, self.t1);
        Err(Error::Parameter { name: "t".into(), value: t.to_string(), reason })
    }
}

impl<S: State> Noise<S> for BrownianGrid {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        let (a, b) = (self.node(t0)?, self.node(t1)?);
        let scale = ((self.t1 - self.t0) / self.cells as f64).abs().sqrt();
        let scale = if a <= b { scale } else { -scale };
        let mut sum = S::lincomb(&[(0.0, like)])?;
        for cell in a.min(b)..a.max(b) {
            let z = like.normals_like(self.key.fold(cell), self.first_row)?;
            sum = S::lincomb(&[(1.0, &sum), (scale, &z)])?;
        }
        Ok(sum)
    }

    fn first_row(&self) -> u64 {
        self.first_row
    }
}

/// The same noise, but none in steps that end at one time: the last step of a sampler without it.
pub struct QuietEnd<'a, S> {
    inner: &'a dyn Noise<S>,
    end: f64,
}

impl<'a, S> QuietEnd<'a, S> {
    /// `inner`, without noise in steps to `end`.
    pub fn new(inner: &'a dyn Noise<S>, end: f64) -> Self {
        Self { inner, end }
    }
}

impl<S: State> Noise<S> for QuietEnd<'_, S> {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        if t1 == self.end { S::lincomb(&[(0.0, like)]) } else { self.inner.increment(like, t0, t1) }
    }

    fn first_row(&self) -> u64 {
        self.inner.first_row()
    }

    fn is_path(&self) -> bool {
        self.inner.is_path()
    }
}
