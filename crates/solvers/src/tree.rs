//! A Brownian path whose increments exist for every interval, without storing it.

use sde_core::{Error, Key, Result, State};

use crate::Noise;
use crate::noise::apart;

/// Levels of halving after which cells at the end nearer to time 0 are finer than elsewhere.
const EDGE: u32 = 20;
/// Levels whose numbers of nodes fit one key.
const LEVELS_OF_A_KEY: u32 = 60;
/// What a node is folded with for the key of the levels below it, beside its two normals.
const BELOW: u64 = 2;

/// A path between two times, refined by bisection: increment and area of a half are normal given
/// those of the whole, and keyed by the half's place in the tree. Below `2^-depth` of the interval it is a straight
/// line, so a solve should not take shorter steps; but at a distance `r` below `2^-20` of the interval from
/// the end that is nearer to time 0, where steps shrink with the time that is left, only below `2^(20-depth) r`
/// ([`Noise::least_interval`]).
///
/// Increment and area of an interval are put together from the cells inside it: they have all their digits
/// however short it is, and those of adjacent intervals compose (up to the area of a straight cell that is cut).
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

/// Where a time lies in a cell: the share of the cell before it, or the one after it where that is known to more
/// digits.
#[derive(Clone, Copy, Debug)]
struct Place {
    share: f64,
    from_end: bool,
}

impl Place {
    fn before(self) -> f64 {
        if self.from_end { 1.0 - self.share } else { self.share }
    }

    fn after(self) -> f64 {
        if self.from_end { self.share } else { 1.0 - self.share }
    }

    fn is_before(self, other: Self) -> bool {
        if self.from_end && other.from_end {
            return self.share > other.share;
        }
        self.before() < other.before()
    }

    /// In one half of the cell, where it lies.
    fn half(self, second: bool) -> Self {
        let skipped = if second == self.from_end { 0.0 } else { 1.0 };
        Self { share: 2.0 * self.share - skipped, ..self }
    }
}

/// A part of the path: its length, its increment and its space-time area.
struct Piece<S> {
    h: f64,
    w: S,
    area: S,
}

impl<S: State> Piece<S> {
    /// The share of a straight line.
    fn straight(&self, share: f64) -> Result<Self> {
        let (w, area) = (S::lincomb(&[(share, &self.w)])?, S::lincomb(&[(0.0, &self.area)])?);
        Ok(Self { h: share * self.h, w, area })
    }

    /// This part and the next as one. With the shares `s = h / (h1 + h2)` of their lengths
    ///
    /// `W = W1 + W2`, `H = s1 H1 + s2 H2 + (s2 W1 - s1 W2) / 2`.
    fn then(&self, next: &Self) -> Result<Self> {
        let h = self.h + next.h;
        let (s1, s2) = (self.h / h, next.h / h);
        let w = S::lincomb(&[(1.0, &self.w), (1.0, &next.w)])?;
        let terms = [(s1, &self.area), (s2, &next.area), (0.5 * s2, &self.w), (-0.5 * s1, &next.w)];
        Ok(Self { h, w, area: S::lincomb(&terms)? })
    }
}

/// A dyadic part of the path.
struct Cell<S> {
    key: Key,
    node: u64,
    level: u32,
    /// The level at which the path is straight here.
    last: u32,
    /// Whether it touches the end nearer to time 0.
    edge: bool,
    /// `W` where it begins.
    start: S,
    piece: Piece<S>,
}

impl<S: State> Cell<S> {
    /// `W` behind a share of it.
    fn value(&self, share: f64) -> Result<S> {
        S::lincomb(&[(1.0, &self.start), (share, &self.piece.w)])
    }
}

/// A cell, and the normals that its halves are made of.
struct Halves<S> {
    whole: Cell<S>,
    z1: S,
    z2: S,
}

impl<S: State> Halves<S> {
    fn increment(&self, second: bool) -> Result<S> {
        let Piece { h, w, area } = &self.whole.piece;
        let sign = if second { -1.0 } else { 1.0 };
        S::lincomb(&[(0.5, w), (sign * 1.5, area), (sign * 0.25 * h.sqrt(), &self.z1)])
    }

    /// A half of a path of known increment and area.
    fn piece(&self, second: bool) -> Result<Piece<S>> {
        let Piece { h, area, .. } = &self.whole.piece;
        let sign = if second { -1.0 } else { 1.0 };
        let (a, b) = (0.25 * h.sqrt(), (h / 48.0).sqrt());
        let area = S::lincomb(&[(0.25, area), (-0.5 * a, &self.z1), (sign * b, &self.z2)])?;
        Ok(Piece { h: 0.5 * h, w: self.increment(second)?, area })
    }
}

/// Both ends of an interval, and the part of the path between them if it is wanted.
struct Between<S> {
    from: S,
    to: S,
    piece: Option<Piece<S>>,
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
                reason: format!("must be 1 to 60, between different times, not {t0:?} and {t1:?}"),
            });
        }
        Ok(Self { key, first_row, t0, t1, depth })
    }

    /// Whether the path ends nearer to time 0 than it begins.
    fn falls(&self) -> bool {
        self.t1.abs() < self.t0.abs()
    }

    /// Where `t` lies in the whole path.
    fn place(&self, t: f64) -> Result<Place> {
        let span = self.t1 - self.t0;
        let (before, after) = ((t - self.t0) / span, (self.t1 - t) / span);
        if !(-1e-12..=1.0 + 1e-12).contains(&before) {
            let reason = format!("is outside the path from {:?} to {:?}", self.t0, self.t1);
            return Err(Error::Parameter { name: "t".into(), value: format!("{t:?}"), reason });
        }
        let from_end = self.falls() && after < 0.5_f64.powi(EDGE as i32);
        let share = if from_end { after } else { before };
        Ok(Place { share: share.clamp(0.0, 1.0), from_end })
    }

    fn root<S: State>(&self, like: &S) -> Result<Cell<S>> {
        let h = (self.t1 - self.t0).abs();
        let z = |which: u64| like.normals_like(self.key.fold(0).fold(which), self.first_row);
        let w = S::lincomb(&[(h.sqrt(), &z(0)?)])?;
        let area = S::lincomb(&[((h / 12.0).sqrt(), &z(1)?)])?;
        let (start, piece) = (S::lincomb(&[(0.0, like)])?, Piece { h, w, area });
        let (key, last) = (self.key, self.depth);
        Ok(Cell { key, node: 1, level: 0, last, edge: true, start, piece })
    }

    fn halves<S: State>(&self, cell: Cell<S>) -> Result<Halves<S>> {
        let key = cell.key.fold(cell.node);
        let z1 = cell.start.normals_like(key.fold(0), self.first_row)?;
        let z2 = cell.start.normals_like(key.fold(1), self.first_row)?;
        Ok(Halves { whole: cell, z1, z2 })
    }

    /// One half as a cell of its own.
    fn half<S: State>(&self, halves: &Halves<S>, second: bool) -> Result<Cell<S>> {
        let piece = halves.piece(second)?;
        let Cell { key, node, level, last, edge, start, .. } = &halves.whole;
        let level = level + 1;
        let (mut key, mut node) = (*key, 2 * node + u64::from(second));
        if level.is_multiple_of(LEVELS_OF_A_KEY) {
            (key, node) = (key.fold(node).fold(BELOW), 1);
        }
        let edge = *edge && second == self.falls();
        let last = if edge { self.depth + level.saturating_sub(EDGE) } else { *last };
        let start = if second {
            S::lincomb(&[(1.0, start), (1.0, &halves.increment(false)?)])?
        } else {
            start.clone()
        };
        Ok(Cell { key, node, level, last, edge, start, piece })
    }

    /// `W` at one place and at a later one, and if `wanted` the path between them.
    fn between<S: State>(
        &self,
        like: &S,
        (mut from, mut to): (Place, Place),
        wanted: bool,
    ) -> Result<Between<S>> {
        let mut cell = self.root(like)?;
        let mut end = None;
        // Down to the smallest cell with both.
        loop {
            if to.after() == 0.0 && end.is_none() {
                end = Some(cell.value(1.0)?);
            }
            let whole = from.before() == 0.0 && to.after() == 0.0;
            if whole || cell.level == cell.last {
                let (start, share) = (cell.value(from.before())?, to.before() - from.before());
                let to = end.map_or_else(|| cell.value(to.before()), Ok)?;
                let piece = if whole { cell.piece } else { cell.piece.straight(share)? };
                return Ok(Between { from: start, to, piece: Some(piece) });
            }
            let halves = self.halves(cell)?;
            let second = from.before() >= 0.5;
            if !second && to.before() > 0.5 {
                let (first, second) = (self.half(&halves, false)?, self.half(&halves, true)?);
                let (from, before) = self.tail(first, from.half(false), wanted)?;
                let (last, after) = self.head(second, to.half(true), wanted)?;
                let piece = if wanted { Some(before.then(&after)?) } else { None };
                return Ok(Between { from, to: end.unwrap_or(last), piece });
            }
            cell = self.half(&halves, second)?;
            (from, to) = (from.half(second), to.half(second));
        }
    }

    /// `W` at a place in a cell, and if `wanted` the path from there to the end of the cell.
    fn tail<S: State>(
        &self,
        mut cell: Cell<S>,
        mut at: Place,
        wanted: bool,
    ) -> Result<(S, Piece<S>)> {
        let mut behind: Option<Piece<S>> = None;
        loop {
            let whole = at.before() == 0.0;
            if whole || cell.level == cell.last {
                let w = cell.value(at.before())?;
                let piece = if whole { cell.piece } else { cell.piece.straight(at.after())? };
                return Ok((w, behind.map(|b| piece.then(&b)).unwrap_or(Ok(piece))?));
            }
            let halves = self.halves(cell)?;
            let second = at.before() >= 0.5;
            if wanted && !second {
                let next = halves.piece(true)?;
                behind = Some(behind.map(|b| next.then(&b)).unwrap_or(Ok(next))?);
            }
            (cell, at) = (self.half(&halves, second)?, at.half(second));
        }
    }

    /// `W` at a place in a cell, and if `wanted` the path from the start of the cell to there.
    fn head<S: State>(
        &self,
        mut cell: Cell<S>,
        mut at: Place,
        wanted: bool,
    ) -> Result<(S, Piece<S>)> {
        let mut before: Option<Piece<S>> = None;
        loop {
            let whole = at.after() == 0.0;
            if whole || cell.level == cell.last {
                let w = cell.value(at.before())?;
                let piece = if whole { cell.piece } else { cell.piece.straight(at.before())? };
                return Ok((w, before.map(|b| b.then(&piece)).unwrap_or(Ok(piece))?));
            }
            let halves = self.halves(cell)?;
            let second = at.before() > 0.5;
            if wanted && second {
                let next = halves.piece(false)?;
                before = Some(before.map(|b| b.then(&next)).unwrap_or(Ok(next))?);
            }
            (cell, at) = (self.half(&halves, second)?, at.half(second));
        }
    }

    /// The increment, and if `wanted` the area.
    fn over<S: State>(&self, like: &S, t0: f64, t1: f64, wanted: bool) -> Result<(S, Option<S>)> {
        let (a, b) = (self.place(t0)?, self.place(t1)?);
        let forward = a.is_before(b);
        if !forward && !b.is_before(a) {
            let zero = S::lincomb(&[(0.0, like)])?;
            return Ok((zero.clone(), Some(zero)));
        }
        let ends = if forward { (a, b) } else { (b, a) };
        // A short interval would lose its digits in a difference of `W`; of a long one that is as good as a sum
        // over its cells, and cheaper.
        let long = (t1 - t0).abs() >= 0.5_f64.powi(EDGE as i32) * (self.t1 - self.t0).abs();
        let Between { from, to, piece } = self.between(like, ends, wanted || !long)?;
        // Backward the increment changes its sign and the area does not.
        let sign = if forward { 1.0 } else { -1.0 };
        let w = match &piece {
            Some(piece) if !long => S::lincomb(&[(sign, &piece.w)])?,
            _ => S::lincomb(&[(sign, &to), (-sign, &from)])?,
        };
        Ok((w, piece.map(|p| p.area)))
    }
}

impl<S: State> Noise<S> for BrownianTree {
    fn increment(&self, like: &S, t0: f64, t1: f64) -> Result<S> {
        Ok(self.over(like, t0, t1, false)?.0)
    }

    fn increment_and_area(&self, like: &S, t0: f64, t1: f64) -> Result<(S, S)> {
        let (w, area) = self.over(like, t0, t1, true)?;
        Ok((w, area.map_or_else(|| S::lincomb(&[(0.0, like)]), Ok)?))
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

    fn least_interval(&self, t: f64) -> f64 {
        // The straight parts at both ends are then a few hundredths of an interval.
        const CELLS: f64 = 32.0;
        let end = if self.falls() { self.t1 } else { self.t0 };
        let span = (self.t1 - self.t0).abs();
        let near = 2.0_f64.powi(EDGE as i32 + 1) * (t - end).abs();
        CELLS * 0.5_f64.powi(self.depth as i32) * span.min(near)
    }
}
