//! Points on paths of the reverse SDE with what a correction should be there.

use sde_core::Key;

/// The paths at one time, on the host.
///
/// # Shapes
/// `x` and `target` are `[N, D]` row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathLevel {
    /// The time.
    pub t: f64,
    /// Where the paths are.
    pub x: Vec<f64>,
    /// The integral `A_t` along each so far ([`super::GapGradient`]).
    pub target: Vec<f64>,
}

/// Paths of the reverse SDE at the times of a grid, from the horizon down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorrectionData {
    dim: usize,
    levels: Vec<PathLevel>,
}

impl CorrectionData {
    /// No paths yet, in `dim` dimensions.
    pub fn new(dim: usize) -> Self {
        Self { dim, levels: Vec::new() }
    }

    /// Adds the paths at one more time.
    ///
    /// # Panics
    /// When `x` and `target` are not rows of the dimension, as many of the one as of the other.
    pub fn push(&mut self, level: PathLevel) {
        assert_eq!(level.x.len(), level.target.len(), "points and targets");
        assert_eq!(level.x.len() % self.dim.max(1), 0, "rows of {} numbers", self.dim);
        self.levels.push(level);
    }

    /// Adds more paths at the same times.
    ///
    /// # Panics
    /// When they were recorded at other times or in another dimension.
    pub fn append(&mut self, other: Self) {
        if self.levels.is_empty() {
            *self = other;
            return;
        }
        let times = |data: &Self| data.levels.iter().map(|l| l.t).collect::<Vec<_>>();
        assert_eq!((self.dim, times(self)), (other.dim, times(&other)), "paths at other times");
        for (own, more) in self.levels.iter_mut().zip(other.levels) {
            own.x.extend(more.x);
            own.target.extend(more.target);
        }
    }

    /// Dimension of the points.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The paths, time by time.
    pub fn levels(&self) -> &[PathLevel] {
        &self.levels
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.levels.iter().map(|l| l.x.len() / self.dim.max(1)).sum()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the points with a coordinate beyond `half_width`, and any that is not finite; hands back the share of points
    /// that went. A few paths of a learned score run away, and a square of theirs outweighs all others.
    pub fn keep_within(&mut self, half_width: f64) -> f64 {
        let (before, d) = (self.len(), self.dim.max(1));
        for level in &mut self.levels {
            let rows = level.x.chunks(d).zip(level.target.chunks(d));
            let kept = rows.filter(|(x, target)| {
                x.iter().all(|x| x.abs() <= half_width) && target.iter().all(|a| a.is_finite())
            });
            let (x, target): (Vec<_>, Vec<_>) = kept.map(|(x, a)| (x.to_vec(), a.to_vec())).unzip();
            (level.x, level.target) = (x.concat(), target.concat());
        }
        self.levels.retain(|level| !level.x.is_empty());
        1.0 - self.len() as f64 / before.max(1) as f64
    }

    /// Adds, for every so many points of a time, one that is uniform in `[-half_width, half_width]^D` and has no correction: where hardly a
    /// path comes, `grad psi` goes to 0 instead of anywhere. With `n` paths there and one in `every`, the correction loses
    /// a share `1 / (1 + every (2 half_width)^D p)` where the density is `p`.
    ///
    /// An unanchored correction can be steep where it has seen nothing, and the flow of it take a corner of the box over the
    /// middle of the prior.
    ///
    /// ```
    /// use fp_residual::{CorrectionData, PathLevel};
    /// use sde_core::Key;
    /// let mut data = CorrectionData::new(2);
    /// data.push(PathLevel { t: 0.5, x: vec![0.1; 200], target: vec![1.0; 200] });
    /// data.anchor(50, 3.0, Key::root(1)); // 2 for the 100 points
    /// assert_eq!(data.len(), 102);
    /// assert!(data.levels()[0].x.iter().all(|x| x.abs() <= 3.0));
    /// assert_eq!(data.levels()[0].target[200..], [0.0; 4]);
    /// ```
    pub fn anchor(&mut self, every: usize, half_width: f64, key: Key) {
        for (level, purpose) in self.levels.iter_mut().zip(0..) {
            let more = level.x.len() / every.max(1) / self.dim.max(1) * self.dim;
            let mut x = vec![0.0; more];
            key.fold(purpose).fill_uniforms(0, &mut x);
            level.x.extend(x.iter().map(|u| half_width * (2.0 * u - 1.0)));
            level.target.extend(std::iter::repeat_n(0.0, more));
        }
    }
}
