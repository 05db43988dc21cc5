//! The exact distance of piecewise constant laws on a line.

/// $W_2^2 = \int_0^1 (Q_p - Q_q)^2 du$ of piecewise constant densities with cells of length one.
///
/// Both quantile functions are linear between the levels at which either distribution function passes a
/// border of cells, so the integral is a finite sum.
pub(super) fn squared(p: &[f64], q: &[f64]) -> f64 {
    let (mut first, mut second) = (Quantile::new(p), Quantile::new(q));
    let mut sum = 0.0;
    while let (Some(a), Some(b)) = (first.left(), second.left()) {
        let step = a.min(b);
        let (from, to) = (first.position() - second.position(), {
            first.advance(step);
            second.advance(step);
            first.end - second.end
        });
        sum += step * (from * from + from * to + to * to) / 3.0;
    }
    sum
}

/// A walk along a quantile function.
struct Quantile<'a> {
    masses: &'a [f64],
    cell: usize,
    /// Mass of the cell that is passed.
    passed: f64,
    /// Where the last step ended, within the cell that it was in.
    end: f64,
}

impl<'a> Quantile<'a> {
    fn new(masses: &'a [f64]) -> Self {
        let mut walk = Self { masses, cell: 0, passed: 0.0, end: 0.0 };
        walk.skip();
        walk
    }

    /// Goes on to the next cell with mass.
    fn skip(&mut self) {
        while self.masses.get(self.cell).is_some_and(|&mass| mass <= 0.0) {
            self.cell += 1;
        }
    }

    /// Mass left in the cell; none at the end.
    fn left(&self) -> Option<f64> {
        self.masses.get(self.cell).map(|mass| mass - self.passed)
    }

    fn position(&self) -> f64 {
        self.cell as f64 + self.passed / self.masses[self.cell]
    }

    fn advance(&mut self, step: f64) {
        let mass = self.masses[self.cell];
        self.passed += step;
        if self.passed >= mass {
            self.end = self.cell as f64 + 1.0;
            (self.cell, self.passed) = (self.cell + 1, 0.0);
            self.skip();
        } else {
            self.end = self.position();
        }
    }
}
