//! Probabilities of cells under the flow, from where the flow takes their borders.

use std::collections::HashMap;

use ndarray::Array2;
use sde_core::Result;
use sde_core::normal::cdf;

use super::Grid;

/// Parts of a side that places along it are counted in.
const PARTS: usize = 1 << 32;

/// Times that a side is halved at most.
pub(super) const MOST_HALVINGS: usize = PARTS.ilog2() as usize - 1;

/// The share of the change by halving a piece that is believed to be left in both halves: a fifteenth by the order of the rule, and a
/// quarter where a flow has kinks.
const LEFT: f64 = 0.25;

/// The share of a chord by which the image of a middle may be off the chord's middle: halves of which one is three times as long.
const UNEVEN: f64 = 0.4;

/// Images a side from which on it is asked whether more of them help, and the share of the error that twice as many must take it below: a kink
/// halves it, and noise in the last digits of the flow leaves it as it is.
const ENOUGH: usize = 4;
const HELPS: f64 = 0.7;

/// What is believed of the area between a piece and its detours, in units of the chord times how far the middle is off.
const DETOUR: f64 = 0.25;

/// Where the flow takes rows, and where a coarser solve does.
pub(super) type Ends = [Array2<f64>; 2];

/// Probabilities of cells.
#[derive(Debug)]
pub(super) struct Masses {
    pub(super) cells: Vec<f64>,
    /// Their estimated errors.
    pub(super) errors: Vec<f64>,
    /// What the paths have in it, in total variation.
    by_paths: f64,
    /// Half the sum of the errors is at most what was asked for.
    converged: bool,
}

/// What the flow takes to the prior `N(0, std^2 I)` with a cell `C` has the mass of `C`. By the theorem of Stokes that is an integral
/// along the image of the border alone, in units of `std`:
///
/// `q(C) = int_{X_T(C)} n(x) n(y) dx dy = 1/2 int_{d X_T(C)} (N(x) - 1/2) n(y) dy - (N(y) - 1/2) n(x) dx`,
///
/// `n` and `N` the density and distribution function of `N(0, 1)`. Sides are taken as curves of second order through the images
/// of three points, and halved where that matters, until the estimated error in total variation is at most `tolerance` or they are halved
/// `most_halvings` times, or twice as many images do not help. Cells share their sides, so that nothing is lost between them. `carry` follows rows to the prior, twice.
pub(super) fn masses(
    grid: &Grid,
    std: f64,
    (tolerance, most_halvings): (f64, usize),
    carry: &dyn Fn(&Array2<f64>) -> Result<Ends>,
) -> Result<Masses> {
    let mut borders = Borders { grid, std, carry, images: HashMap::new() };
    if grid.dim() == 1 {
        return borders.line(tolerance);
    }
    let least = PARTS >> most_halvings.min(MOST_HALVINGS);
    let mut pieces = borders.sides()?;
    let mut progress = Progress { at: ENOUGH * pieces.len(), error: f64::INFINITY };
    loop {
        let found = borders.gathered(&pieces, tolerance);
        let allowed = (0.8 * (tolerance - found.by_paths)).max(0.2 * tolerance);
        let mut open = largest(&pieces, allowed);
        open.retain(|piece| pieces[*piece].to - pieces[*piece].from > least);
        let helps = progress.helps(borders.images.len(), found.error());
        if found.converged || open.is_empty() || !helps {
            return Ok(found);
        }
        borders.halve(&mut pieces, &open)?;
    }
}

impl Masses {
    /// The estimated error in total variation.
    fn error(&self) -> f64 {
        0.5 * self.errors.iter().sum::<f64>()
    }
}

/// The estimated error when there were so many images.
struct Progress {
    at: usize,
    error: f64,
}

impl Progress {
    /// Whether more images lessened the error when they were last twice as many.
    fn helps(&mut self, images: usize, error: f64) -> bool {
        if images < self.at {
            return true;
        }
        let helped = error <= HELPS * self.error;
        *self = Self { at: 2 * images, error };
        helped
    }
}

/// The pieces without which the errors of the others sum to at most `allowed`.
fn largest(pieces: &[Piece], allowed: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|a, b| pieces[*b].error.total_cmp(&pieces[*a].error).then(a.cmp(b)));
    let mut rest: f64 = pieces.iter().map(|p| p.error).sum();
    let needed = order.iter().take_while(|piece| {
        let open = rest > allowed;
        rest -= pieces[**piece].error;
        open
    });
    needed.copied().collect()
}

/// A place in the plane, in parts of the sides of cells.
type Place = [usize; 2];

/// A side of a cell: the coordinate that is constant along it, on which line, and between which of the others.
#[derive(Clone, Copy, Debug)]
struct Side {
    axis: usize,
    line: usize,
    run: usize,
}

impl Side {
    fn place(self, along: usize) -> Place {
        let (line, along) = (self.line * PARTS, self.run * PARTS + along);
        if self.axis == 0 { [line, along] } else { [along, line] }
    }

    /// The cells on both sides of it, `n` along an axis, and the sign that it counts with: counterclockwise is upward along the
    /// right side of a cell and its lower one, downward along the others.
    fn cells(self, n: usize) -> impl Iterator<Item = (usize, f64)> {
        let Self { axis, line, run } = self;
        let sign = if axis == 0 { 1.0 } else { -1.0 };
        let before = line.checked_sub(1).map(|line| (line, sign));
        let after = (line < n).then_some((line, -sign));
        let cell = move |line| if axis == 0 { line * n + run } else { run * n + line };
        before.into_iter().chain(after).map(move |(line, sign)| (cell(line), sign))
    }
}

/// A part of a side.
#[derive(Clone, Copy, Debug)]
struct Piece {
    side: Side,
    from: usize,
    to: usize,
    integral: f64,
    error: f64,
    /// By how much the other solve is off it.
    off: f64,
}

impl Piece {
    fn places(&self) -> [Place; 3] {
        [self.from, self.from.midpoint(self.to), self.to].map(|at| self.side.place(at))
    }
}

/// Images of places by two solves, in standard deviations of the prior.
struct Borders<'a> {
    grid: &'a Grid,
    std: f64,
    carry: &'a dyn Fn(&Array2<f64>) -> Result<Ends>,
    images: HashMap<Place, [[f64; 2]; 2]>,
}

impl Borders<'_> {
    /// Cells of a line: what lies between the images of their ends.
    fn line(&mut self, tolerance: f64) -> Result<Masses> {
        let n = self.grid.n_along();
        let faces = Array2::from_shape_fn((n + 1, 1), |(i, _)| self.face(i));
        let [fine, coarse] = (self.carry)(&faces)?.map(|ends| ends.mapv(|x| cdf(x / self.std)));
        let cells: Vec<f64> = (0..n).map(|i| fine[[i + 1, 0]] - fine[[i, 0]]).collect();
        let off = |i: usize| (fine[[i, 0]] - coarse[[i, 0]]).abs();
        let errors: Vec<f64> = (0..n).map(|i| off(i) + off(i + 1)).collect();
        let by_paths = 0.5 * errors.iter().sum::<f64>();
        Ok(Masses { cells, errors, converged: by_paths <= tolerance, by_paths })
    }

    /// Every side as one piece, whose error is what straight lines are from it.
    fn sides(&mut self) -> Result<Vec<Piece>> {
        let n = self.grid.n_along();
        let lines =
            |axis| (0..=n).flat_map(move |line| (0..n).map(move |run| Side { axis, line, run }));
        let piece = |side| Piece { side, from: 0, to: PARTS, integral: 0.0, error: 0.0, off: 0.0 };
        let mut pieces: Vec<Piece> = [0, 1].into_iter().flat_map(lines).map(piece).collect();
        self.follow(&pieces)?;
        for piece in &mut pieces {
            let straight = self.straight(piece);
            self.measure(piece);
            piece.error = self.unseen(piece).max((piece.integral - straight).abs());
        }
        Ok(pieces)
    }

    /// Halves in the place of pieces.
    fn halve(&mut self, pieces: &mut Vec<Piece>, open: &[usize]) -> Result<()> {
        let halves = |piece: &Piece| {
            let middle = piece.from.midpoint(piece.to);
            [Piece { to: middle, ..*piece }, Piece { from: middle, ..*piece }]
        };
        let mut new: Vec<[Piece; 2]> = open.iter().map(|p| halves(&pieces[*p])).collect();
        self.follow(new.as_flattened())?;
        for (pair, before) in new.iter_mut().zip(open) {
            pair.iter_mut().for_each(|half| self.measure(half));
            let sum: f64 = pair.iter().map(|half| half.integral).sum();
            let left = LEFT * (sum - pieces[*before].integral).abs();
            pair.iter_mut().for_each(|half| half.error = self.unseen(half).max(0.5 * left));
            pieces[*before] = pair[0];
        }
        pieces.extend(new.iter().map(|pair| pair[1]));
        Ok(())
    }

    /// Carries the places of pieces that have not been yet.
    fn follow(&mut self, pieces: &[Piece]) -> Result<()> {
        let mut places: Vec<Place> = pieces.iter().flat_map(Piece::places).collect();
        places.retain(|place| !self.images.contains_key(place));
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Ok(());
        }
        let at = |(row, axis): (usize, usize)| self.coordinate(places[row][axis]);
        let [fine, coarse] = (self.carry)(&Array2::from_shape_fn((places.len(), 2), at))?;
        for (row, place) in places.into_iter().enumerate() {
            let image =
                [&fine, &coarse].map(|ends| [0, 1].map(|axis| ends[[row, axis]] / self.std));
            self.images.insert(place, image);
        }
        Ok(())
    }

    /// The beginning of a cell along an axis, and the end of the last.
    fn face(&self, i: usize) -> f64 {
        let last = self.grid.n_along() - 1;
        if i > last { self.grid.ends(last)[1] } else { self.grid.ends(i)[0] }
    }

    fn coordinate(&self, place: usize) -> f64 {
        let (cell, share) = (place / PARTS, (place % PARTS) as f64 / PARTS as f64);
        if share == 0.0 {
            return self.face(cell);
        }
        (1.0 - share) * self.face(cell) + share * self.face(cell + 1)
    }

    fn measure(&self, piece: &mut Piece) {
        let [a, m, b] = piece.places().map(|place| self.images[&place]);
        piece.integral = along(a[0], m[0], b[0]);
        piece.off = along(a[1], m[1], b[1]) - piece.integral;
    }

    /// What lies between a piece and a detour of its image: nothing where the middle is carried to the middle. Where it is carried to
    /// one end, most of the way is gone between two places close to each other, and halving finds nothing until it parts them.
    fn unseen(&self, piece: &Piece) -> f64 {
        let [a, m, b] = piece.places().map(|place| self.images[&place][0]);
        let along = [b[0] - a[0], b[1] - a[1]];
        let chord = along[0].hypot(along[1]);
        let away = (m[0] - 0.5 * (a[0] + b[0])).hypot(m[1] - 0.5 * (a[1] + b[1]));
        if away <= UNEVEN * chord {
            return 0.0;
        }
        let nearest = (-(a[0] * along[0] + a[1] * along[1]) / (chord * chord)).clamp(0.0, 1.0);
        let [x, y] = [0, 1].map(|i| a[i] + nearest * along[i]);
        let density = (-0.5 * (x * x + y * y)).exp() / std::f64::consts::TAU;
        DETOUR * density * chord * away
    }

    /// The integral along the two straight lines through the places of a piece.
    fn straight(&self, piece: &Piece) -> f64 {
        let [a, m, b] = piece.places().map(|place| self.images[&place][0]);
        let middle = |a: [f64; 2], b: [f64; 2]| [0, 1].map(|axis| 0.5 * (a[axis] + b[axis]));
        along(a, middle(a, m), m) + along(m, middle(m, b), b)
    }

    /// Sides around each cell, counterclockwise.
    fn gathered(&self, pieces: &[Piece], tolerance: f64) -> Masses {
        let n = self.grid.n_along();
        let [mut cells, mut errors, mut off] = [0, 1, 2].map(|_| vec![0.0; n * n]);
        for piece in pieces {
            for (cell, sign) in piece.side.cells(n) {
                cells[cell] += sign * piece.integral;
                off[cell] += sign * piece.off;
                errors[cell] += piece.error;
            }
        }
        let by_paths = 0.5 * off.iter().map(|off| off.abs()).sum::<f64>();
        errors.iter_mut().zip(&off).for_each(|(error, off)| *error += off.abs());
        let mut found = Masses { cells, errors, by_paths, converged: false };
        found.converged = found.error() <= tolerance;
        found
    }
}

/// The nodes of the Gauss-Legendre rule of four points and their weights.
const GAUSS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
    (-0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
];

/// The integral of the form of [`masses`] along the curve of second order through three points.
fn along(a: [f64; 2], m: [f64; 2], b: [f64; 2]) -> f64 {
    let density = |z: f64| (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    let term = |&(s, weight): &(f64, f64)| {
        let slope = |i: usize| 0.5 * (b[i] - a[i]) + s * (a[i] + b[i] - 2.0 * m[i]);
        let at = |i: usize| m[i] + 0.5 * s * (b[i] - a[i] + s * (a[i] + b[i] - 2.0 * m[i]));
        let (x, y) = (at(0), at(1));
        let form = (cdf(x) - 0.5) * density(y) * slope(1) - (cdf(y) - 0.5) * density(x) * slope(0);
        0.5 * weight * form
    };
    GAUSS.iter().map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line stretched, and planes stretched, shifted and bent: `y + 0.2 sin(9 x)`, and `y + 0.2 tanh((x - 0.13) / w)`, a jump
    /// between places that no first look has.
    #[test]
    fn closed_forms_to_the_estimated_error() -> Result<()> {
        let straight = |_: f64| 0.0;
        let bent = |x: f64| 0.2 * (9.0 * x).sin();
        let jump = |x: f64| 0.2 * ((x - 0.13) / 1e-4).tanh();
        agrees(1, 1e-12, straight)?;
        agrees(2, 1e-8, straight)?;
        agrees(2, 1e-3, bent)?;
        agrees(2, 1e-6, bent)?;
        agrees(2, 1e-4, jump)
    }

    /// A flow that parts any two places: halving ends where it does not help, and the error says so.
    #[test]
    fn noise_ends_in_an_error_above_the_tolerance() -> Result<()> {
        let (grid, rows) = (Grid::new(2, -1.0, 1.5, 13)?, std::cell::Cell::new(0));
        let carry = |x: &Array2<f64>| {
            rows.set(rows.get() + x.nrows());
            let mut ends = x.clone();
            for mut x in ends.rows_mut() {
                let noise = |a: f64, b: f64| 0.05 * (1e7 * (a * x[0] + b * x[1]).sin()).sin();
                let by = [noise(1.3, 7.8), noise(9.1, -2.3)];
                x[0] += by[0];
                x[1] += by[1];
            }
            Ok([ends.clone(), ends])
        };
        let found = masses(&grid, 0.7, (1e-4, MOST_HALVINGS), &carry)?;
        assert!(!found.converged && found.error() > 1e-4, "{:e}", found.error());
        assert!(rows.get() < 40 * 2 * 13 * 14, "{} places", rows.get());
        Ok(())
    }

    fn agrees(dim: usize, tolerance: f64, bend: impl Fn(f64) -> f64) -> Result<()> {
        let (std, grid) = (0.7_f64, Grid::new(dim, -1.0, 1.5, 13)?);
        let carry = |x: &Array2<f64>| {
            let mut ends = 1.7 * x;
            if dim == 1 {
                ends += 0.3;
            } else {
                let shifted = x.rows().into_iter().map(|x| x[1] / 1.1 + bend(x[0]) - 0.1).collect();
                ends.column_mut(1).assign(&ndarray::Array1::from_vec(shifted));
            }
            Ok([ends.clone(), ends])
        };
        let found = masses(&grid, std, (tolerance, MOST_HALVINGS), &carry)?;
        let error = found.error();
        assert!(found.converged && error <= tolerance, "{error:e}");
        let between = |[a, b]: [f64; 2]| cdf(b / std) - cdf(a / std);
        let exact = |cell: usize| {
            let [i, j] = grid.place(cell);
            if dim == 1 {
                return between(grid.ends(j).map(|x| 0.3 + 1.7 * x));
            }
            // The first coordinate is integrated by a fine midpoint rule.
            let ([a, b], n) = (grid.ends(i), 2000);
            let slice = |k: usize| {
                let x = a + (k as f64 + 0.5) * (b - a) / f64::from(n);
                let density = (-0.5 * (1.7 * x / std).powi(2)).exp() * 1.7 / std;
                density * between(grid.ends(j).map(|y| y / 1.1 + bend(x) - 0.1))
            };
            let scale = (b - a) / f64::from(n) / std::f64::consts::TAU.sqrt();
            scale * (0..n as usize).map(slice).sum::<f64>()
        };
        let off = (0..grid.n_nodes()).map(|cell| (found.cells[cell] - exact(cell)).abs());
        let off = 0.5 * off.sum::<f64>();
        assert!(off <= error + 1e-6, "{dim} {tolerance}: {off:e} {error:e}");
        Ok(())
    }
}
