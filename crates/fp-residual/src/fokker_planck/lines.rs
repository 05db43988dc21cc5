//! One axis of the equation: Scharfetter-Gummel fluxes along lines of cells, and implicit steps of them.

use rayon::prelude::*;

/// Lines that are solved side by side.
const LANES: usize = 8;
type Lanes = [f64; LANES];

/// `1 - 1/sqrt 2`: the diagonal of the L-stable SDIRK method of two stages and order two.
///
/// # Reference
/// Alexander 1977, "Diagonally implicit Runge-Kutta methods for stiff ODEs", SIAM J. Numer. Anal. 14(6).
const GAMMA: f64 = 1.0 - std::f64::consts::FRAC_1_SQRT_2;

/// Where the lines of an axis lie in the cells, row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Cells of a line.
    pub(super) n: usize,
    /// Lines.
    pub(super) across: usize,
    /// Whether a line is contiguous.
    pub(super) contiguous: bool,
}

impl Layout {
    /// That of an axis of `n^dim` cells.
    pub(super) fn of(axis: usize, n: usize, dim: usize) -> Self {
        Self { n, across: n.pow(dim as u32 - 1), contiguous: axis + 1 == dim && dim > 1 }
    }

    /// Where entry `i` of line `l` lies.
    pub(super) fn at(self, i: usize, l: usize) -> usize {
        if self.contiguous { l * self.n + i } else { i * self.across + l }
    }
}

/// Rates at which mass crosses the faces of [`LANES`] lines, `n + 1` of them: from the cell below a face to that above, and
/// back. What crosses the outermost faces does not return.
struct Panel {
    up: Vec<Lanes>,
    down: Vec<Lanes>,
}

/// The discrete operator `A` of one axis, `dq/dtau = A q`.
pub(super) struct Lines {
    layout: Layout,
    panels: Vec<Panel>,
}

/// The drift over a face times the side of a cell, and the diffusivity: `D b(-beta/D)` upward and `D b(beta/D)` downward,
/// `b(z) = z / (e^z - 1)`.
///
/// # Reference
/// Scharfetter, Gummel 1969, "Large-signal analysis of a silicon Read diode oscillator"; the same as Chang, Cooper 1970.
fn exchange(beta: f64, diffusivity: f64) -> (f64, f64) {
    if diffusivity <= 0.0 {
        return (beta.max(0.0), (-beta).max(0.0));
    }
    // Of |z|, which does not overflow; b(-z) = b(z) + z.
    let z = (beta / diffusivity).abs();
    let smaller =
        if z < 1e-3 { 1.0 - z * (0.5 - z * (1.0 / 12.0 - z * z / 720.0)) } else { z / z.exp_m1() };
    let (against, along) = (diffusivity * smaller, diffusivity * (smaller + z));
    if beta > 0.0 { (along, against) } else { (against, along) }
}

impl Lines {
    /// From `beta(i, l)`, the drift times `h` over the inner face between cells `i` and `i + 1` of line `l`.
    pub(super) fn new(
        layout: Layout,
        h: f64,
        diffusivity: f64,
        beta: impl Fn(usize, usize) -> f64 + Sync,
    ) -> Self {
        let (n, scale) = (layout.n, 1.0 / (h * h));
        let panel = |p: usize| {
            let (mut up, mut down) = (vec![[0.0; LANES]; n + 1], vec![[0.0; LANES]; n + 1]);
            for lane in 0..LANES.min(layout.across - p * LANES) {
                let l = p * LANES + lane;
                for face in 1..n {
                    let (u, d) = exchange(beta(face - 1, l), diffusivity);
                    up[face][lane] = u * scale;
                    down[face][lane] = d * scale;
                }
                down[0][lane] = (-beta(0, l)).max(0.0) * scale;
                up[n][lane] = beta(n - 2, l).max(0.0) * scale;
            }
            Panel { up, down }
        };
        let panels = (0..layout.across.div_ceil(LANES)).into_par_iter().map(panel).collect();
        Self { layout, panels }
    }

    /// `q` after a time `tau`, coefficients held; returns the sum of what left through the ends of lines.
    pub(super) fn advance(&self, q: &mut [f64], tau: f64) -> f64 {
        let Layout { n, across, .. } = self.layout;
        let step = |(p, panel): (usize, &Panel)| {
            let mut lines = vec![[0.0; LANES]; n];
            let width = LANES.min(across - p * LANES);
            for (i, cell) in lines.iter_mut().enumerate() {
                for (lane, cell) in cell[..width].iter_mut().enumerate() {
                    *cell = q[self.layout.at(i, p * LANES + lane)];
                }
            }
            let left = panel.step(&mut lines, tau);
            (lines, left)
        };
        let done: Vec<_> = self.panels.par_iter().enumerate().map(step).collect();
        let mut left = 0.0;
        for (p, (lines, lost)) in done.into_iter().enumerate() {
            let width = LANES.min(across - p * LANES);
            for (i, cell) in lines.iter().enumerate() {
                for (lane, cell) in cell[..width].iter().enumerate() {
                    q[self.layout.at(i, p * LANES + lane)] = *cell;
                }
            }
            left += lost;
        }
        left
    }
}

impl Panel {
    /// Both stages; returns what left.
    fn step(&self, q: &mut [Lanes], tau: f64) -> f64 {
        let n = q.len();
        let mut ratio = vec![[0.0; LANES]; n];
        let mut inverse = vec![[0.0; LANES]; n];
        self.factor(GAMMA * tau, &mut ratio, &mut inverse);
        let before = q.to_vec();
        self.solve(GAMMA * tau, &ratio, &inverse, q);
        let mut left = 0.0;
        let out = |q: &[Lanes]| -> f64 {
            (0..LANES).map(|l| self.down[0][l] * q[0][l] + self.up[n][l] * q[n - 1][l]).sum()
        };
        left += (1.0 - GAMMA) * tau * out(q);
        let weight = (1.0 - GAMMA) / GAMMA;
        for (stage, before) in q.iter_mut().zip(&before) {
            for l in 0..LANES {
                stage[l] = before[l] + weight * (stage[l] - before[l]);
            }
        }
        self.solve(GAMMA * tau, &ratio, &inverse, q);
        left + GAMMA * tau * out(q)
    }

    /// Elimination in `I - s A`: what the upper diagonal becomes, and the inverse of the pivots. Column sums are at
    /// least one and what is off the diagonal is not positive, so no pivoting is needed.
    fn factor(&self, s: f64, ratio: &mut [Lanes], inverse: &mut [Lanes]) {
        let n = ratio.len();
        let mut above = [0.0; LANES];
        for i in 0..n {
            for l in 0..LANES {
                let diagonal = 1.0 + s * (self.down[i][l] + self.up[i + 1][l]);
                let lower = if i == 0 { 0.0 } else { -s * self.up[i][l] };
                inverse[i][l] = 1.0 / (diagonal - lower * above[l]);
                let upper = if i + 1 == n { 0.0 } else { -s * self.down[i + 1][l] };
                above[l] = upper * inverse[i][l];
            }
            ratio[i] = above;
        }
    }

    /// `(I - s A)^-1 q` in place.
    fn solve(&self, s: f64, ratio: &[Lanes], inverse: &[Lanes], q: &mut [Lanes]) {
        let n = q.len();
        let mut before = [0.0; LANES];
        for i in 0..n {
            for l in 0..LANES {
                let from = if i == 0 { 0.0 } else { s * self.up[i][l] * before[l] };
                before[l] = (q[i][l] + from) * inverse[i][l];
            }
            q[i] = before;
        }
        for i in (0..n - 1).rev() {
            for l in 0..LANES {
                before[l] = q[i][l] - ratio[i][l] * before[l];
            }
            q[i] = before;
        }
    }
}
