//! Uniform densities on boxes: products of Gaussian masses of intervals once noise is added.

use super::components::{At, Components, Parts, Want};
use super::tail::{LOG_SQRT_TAU, mass, share};
use crate::{Error, Result};

/// The lower edges of the four columns (and rows) of the checkerboard.
pub(super) const EDGES: [f64; 4] = [-3.0, -1.5, 0.0, 1.5];
/// The side of a cell.
pub(super) const SIDE: f64 = 1.5;
/// The cells that are filled: their column and row.
pub(super) const CELLS: [[usize; 2]; 8] =
    [[0, 0], [2, 0], [1, 1], [3, 1], [0, 2], [2, 2], [1, 3], [3, 3]];

/// Eight cells of side 1.5 on `[-3, 3]^2`, each uniform with weight 1/8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checker;

/// A uniform density on one interval after noise: `u = (Phi(a) - Phi(b)) / (alpha SIDE)`.
#[derive(Clone, Copy, Default)]
struct Line {
    log: f64,
    /// `(log u)'`.
    first: f64,
    /// `(log u)''`.
    second: f64,
    d_t: f64,
}

/// Cells narrower than this in units of the noise are integrated over: their mass, a difference of
/// two values of `Phi`, has lost half of its digits.
const NARROW: f64 = 1e-6;

/// Where the edge of a cell lies, and how wide it is, in units of the noise.
fn units(at: At, x: f64, edge: f64) -> (f64, f64) {
    let sigma = at.var.sqrt();
    ((x - at.alpha * edge) / sigma, at.alpha * SIDE / sigma)
}

/// A [`line`] through a narrow cell: `u` is the normal density at `x`, averaged over the cell.
fn narrow(at: At, x: f64, a: f64, width: f64) -> Line {
    let sigma = at.var.sqrt();
    let (norm, mean, var) = share(a, width);
    let first = (width * mean - a) / sigma;
    let second = (width * width * var - 1.0) / at.var;
    let moved = -at.a * x * first + 0.5 * at.g2 * (second + first * first);
    let log = norm.ln() - 0.5 * a * a - LOG_SQRT_TAU - sigma.ln();
    Line { log, first, second, d_t: moved - at.a }
}

/// The expected data given `x`, of a cell alone.
fn expected(at: At, x: f64, edge: f64) -> f64 {
    let (a, width) = units(at, x, edge);
    if width < 1.0 && (a * width).abs() < 1.0 {
        return edge + SIDE * share(a, width).1;
    }
    (x + at.var * line(at, x, edge).first) / at.alpha
}

fn line(at: At, x: f64, edge: f64) -> Line {
    let (a, width) = units(at, x, edge);
    if width < NARROW && (a * width).abs() < 1.0 {
        return narrow(at, x, a, width);
    }
    let sigma = at.var.sqrt();
    let (a, b) = ((x - at.alpha * edge) / sigma, (x - at.alpha * (edge + SIDE)) / sigma);
    let (log_mass, pa, pb) = mass(a, b);
    // u'/u and u''/u; phi(a) - phi(b) is the smaller one times expm1 of half a difference of squares.
    let gap = 0.5 * (a - b) * (a + b); // log(phi(b) / phi(a))
    let rise = if gap > 0.0 { pb * (-gap).exp_m1() } else { -pa * gap.exp_m1() };
    let first = rise / sigma;
    let curve = (b * pb - a * pa) / at.var;
    // The mass moves with a' = -(a-coefficient x)/sigma - a g^2 / (2 sigma^2), b' alike.
    let moved = -at.a * x * first + 0.5 * at.g2 * curve;
    Line {
        log: log_mass - (at.alpha * SIDE).ln(),
        first,
        second: curve - first * first,
        d_t: moved - at.a,
    }
}

impl Components for Checker {
    type Prepared = At;

    fn dim(&self) -> usize {
        2
    }

    fn count(&self) -> usize {
        CELLS.len()
    }

    fn prepare(&self, at: At) -> Result<At> {
        if at.var > 0.0 {
            return Ok(at);
        }
        Err(Error::Parameter {
            name: "t".into(),
            value: at.t.to_string(),
            reason: "the score of a uniform density needs sigma(t) > 0".into(),
        })
    }

    fn parts(&self, at: &At, x: &[f64], want: Want<'_>, out: &mut Parts) {
        let lines: [[Line; 4]; 2] = [0, 1].map(|i| EDGES.map(|e| line(*at, x[i], e)));
        let weight = (CELLS.len() as f64).recip().ln();
        for (k, [column, row]) in CELLS.into_iter().enumerate() {
            let (lx, ly) = (lines[0][column], lines[1][row]);
            out.log[k] = weight + lx.log + ly.log;
            out.grad[2 * k..2 * k + 2].copy_from_slice(&[lx.first, ly.first]);
            out.trace[k] = lx.second + ly.second;
            out.d_t[k] = lx.d_t + ly.d_t;
            if let Want::Jvp(v) = want {
                let hv = [lx.second * v[0], ly.second * v[1]];
                out.hv[2 * k..2 * k + 2].copy_from_slice(&hv);
            }
        }
    }

    fn data(&self, at: &At, x: &[f64], out: &mut [f64]) {
        let means: [[f64; 4]; 2] = [0, 1].map(|i| EDGES.map(|e| expected(*at, x[i], e)));
        for (out, [column, row]) in out.chunks_mut(2).zip(CELLS) {
            out.copy_from_slice(&[means[0][column], means[1][row]]);
        }
    }
}
