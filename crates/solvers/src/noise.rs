//! Brownian increments as functions of a key, a particle and an interval.

use sde_core::{Error, Key, Result, State};

/// What a key is folded with for areas, beside the increments' normals.
const AREA: u64 = 1;
/// What a key is folded with for normals that belong to no path.
const APART: u64 = 2;

/// Standard normals apart from every path under `key`: a function of a time and a number.
pub(crate) fn apart<S: State>(key: Key, first: u64, like: &S, t: f64, index: u64) -> Result<S> {
    like.normals_like(key.fold(APART).fold(APART).fold(t.to_bits()).fold(index), first)
}

/// The trait of Brownian increments: one path a row.
pub trait Noise<S>: Send + Sync {
    /// The increments `W(t1) - W(t0)`, each `N(0, |t1 - t0|)`, in the shape of `like`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an interval the noise does not have; whatever the state fails with.
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S>;

    /// The increment `W` with the space-time Levy area of the path over the interval,
    ///
    /// `H = 1/h int_0^h (W_u - u/h W_h) du`, `h = |t1 - t0|`,
    ///
    /// which is `N(0, h/12)` and independent of `W`. Backward the increment changes its sign and the
    /// area does not.
    ///
    /// # Errors
    /// As [`Noise::increment`]; [`Error::Parameter`] for noise that has no areas.
    ///
    /// # Reference
    /// Foster, Lyons, Oberhauser 2020, arXiv 1904.06998, definition 3.5.
    fn increment_and_area(&self, like: &S, t0: f64, t1: f64) -> Result<(S, S)> {
        let _ = (like, t1);
        let reason = "this noise has no space-time Levy areas".into();
        Err(Error::Parameter { name: "t".into(), value: t0.to_string(), reason })
    }

    /// Standard normals number `index` at time `t`, independent of the path and of each other: the
    /// noise of Langevin correctors and of restarts, which belongs to no interval.
    ///
    /// # Errors
    /// [`Error::Parameter`] for noise that has none; whatever the state fails with.
    fn normals(&self, like: &S, t: f64, index: u64) -> Result<S> {
        let _ = (like, index);
        let reason = "this noise has no normals apart from its path".into();
        Err(Error::Parameter { name: "t".into(), value: t.to_string(), reason })
    }

    /// The global index of the first row.
    fn first_row(&self) -> u64;

    /// Whether increments over any intervals are those of one path, as adaptive steps need.
    fn is_path(&self) -> bool {
        false
    }

    /// The shortest step from time `t` that sees the noise as it is: over shorter ones a path of finite
    /// resolution varies too little. Zero where there is no such limit.
    fn least_interval(&self, t: f64) -> f64 {
        let _ = t;
        0.0
    }
}

/// Independent increments, each a function of the key and the two ends of its interval: enough for fixed grids.
#[derive(Clone, Copy, Debug)]
pub struct IndependentIncrements {
    key: Key,
    first_row: u64,
}

impl IndependentIncrements {
    /// Increments under `key` for particles `first_row` onward.
    pub fn new(key: Key, first_row: u64) -> Self {
        Self { key, first_row }
    }
}

impl<S: State> Noise<S> for IndependentIncrements {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        let key = self.key.fold(t0.to_bits()).fold(t1.to_bits());
        let z = like.normals_like(key, self.first_row)?;
        S::lincomb(&[((t1 - t0).abs().sqrt(), &z)])
    }

    fn increment_and_area(&self, like: &S, t0: f64, t1: f64) -> Result<(S, S)> {
        let key = self.key.fold(t0.to_bits()).fold(t1.to_bits()).fold(AREA);
        let z = like.normals_like(key, self.first_row)?;
        let h = S::lincomb(&[(((t1 - t0).abs() / 12.0).sqrt(), &z)])?;
        Ok((self.increment(like, t0, t1)?, h))
    }

    fn normals(&self, like: &S, t: f64, index: u64) -> Result<S> {
        apart(self.key, self.first_row, like, t, index)
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

    fn increment_and_area(&self, like: &S, t0: f64, t1: f64) -> Result<(S, S)> {
        let (a, b) = (self.node(t0)?, self.node(t1)?);
        let scale = ((self.t1 - self.t0) / self.cells as f64).abs().sqrt();
        let cells = a.max(b) - a.min(b);
        let zero = S::lincomb(&[(0.0, like)])?;
        // The path so far, and the mean over the cells of its mean in each.
        let (mut w, mut mean) = (zero.clone(), zero);
        for cell in a.min(b)..a.max(b) {
            let key = self.key.fold(cell);
            let z = like.normals_like(key, self.first_row)?;
            let area = like.normals_like(key.fold(AREA), self.first_row)?;
            let share = 1.0 / cells as f64;
            let terms = [
                (1.0, &mean),
                (share, &w),
                (share * 0.5 * scale, &z),
                (share * scale / 12_f64.sqrt(), &area),
            ];
            mean = S::lincomb(&terms)?;
            w = S::lincomb(&[(1.0, &w), (scale, &z)])?;
        }
        let area = S::lincomb(&[(1.0, &mean), (-0.5, &w)])?;
        let w = if a <= b { w } else { S::lincomb(&[(-1.0, &w)])? };
        Ok((w, area))
    }

    fn normals(&self, like: &S, t: f64, index: u64) -> Result<S> {
        apart(self.key, self.first_row, like, t, index)
    }

    fn first_row(&self) -> u64 {
        self.first_row
    }
}

/// Noise that is zero in the steps that end at a given time, and at that time, and another noise elsewhere: the last step
/// of a sampler without noise.
pub struct NoiselessEnd<'a, S> {
    inner: &'a dyn Noise<S>,
    end: f64,
}

impl<'a, S> NoiselessEnd<'a, S> {
    /// `inner`, without noise in steps to `end`.
    pub fn new(inner: &'a dyn Noise<S>, end: f64) -> Self {
        Self { inner, end }
    }
}

impl<S: State> Noise<S> for NoiselessEnd<'_, S> {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        if t1 == self.end { S::lincomb(&[(0.0, like)]) } else { self.inner.increment(like, t0, t1) }
    }

    fn increment_and_area(&self, like: &S, t0: f64, t1: f64) -> Result<(S, S)> {
        if t1 == self.end {
            let zero = S::lincomb(&[(0.0, like)])?;
            return Ok((zero.clone(), zero));
        }
        self.inner.increment_and_area(like, t0, t1)
    }

    fn normals(&self, like: &S, t: f64, index: u64) -> Result<S> {
        if t == self.end {
            return S::lincomb(&[(0.0, like)]);
        }
        self.inner.normals(like, t, index)
    }

    fn first_row(&self) -> u64 {
        self.inner.first_row()
    }

    fn is_path(&self) -> bool {
        self.inner.is_path()
    }

    fn least_interval(&self, t: f64) -> f64 {
        self.inner.least_interval(t)
    }
}
