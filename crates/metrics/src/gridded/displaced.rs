//! Laws on the way from one to the other, along the displacements that a potential implies.

use super::spline::Refinement;

/// The masses of the cells after every piece of a cell moved by a fraction of $-\nabla \varphi$, the potential given at the nodes
/// of the refinement; a piece keeps its shape, gives to the cells that it then covers, and stays in the box.
pub(super) fn displaced(
    grid: &Refinement,
    masses: &[f64],
    potential: &[f64],
    fraction: f64,
) -> Vec<f64> {
    let [n, m] = grid.shape;
    let [cx, cy] = grid.cuts;
    let (across, step) = (grid.nodes()[1], grid.step());
    let mut out = vec![0.0; n * m];
    for i in 0..n * cx {
        for j in 0..m * cy {
            let mass = masses[i / cx * m + j / cy] / (cx * cy) as f64;
            if mass == 0.0 {
                continue;
            }
            let k = i * across + j;
            let corners =
                [potential[k], potential[k + 1], potential[k + across], potential[k + across + 1]];
            let slope_x = (corners[2] + corners[3] - corners[0] - corners[1]) / (2.0 * step[0]);
            let slope_y = (corners[1] + corners[3] - corners[0] - corners[2]) / (2.0 * step[1]);
            // Lower corner in cells.
            let x = i as f64 / cx as f64 - fraction * slope_x / grid.spacing[0];
            let y = j as f64 / cy as f64 - fraction * slope_y / grid.spacing[1];
            for (cell_x, share_x) in covered(x, cx, n) {
                for (cell_y, share_y) in covered(y, cy, m) {
                    out[cell_x * m + cell_y] += mass * share_x * share_y;
                }
            }
        }
    }
    out
}

/// The cells that a piece from `x` on covers, of `cells` each cut in `cuts`, with shares of the piece.
fn covered(x: f64, cuts: usize, cells: usize) -> [(usize, f64); 2] {
    let length = 1.0 / cuts as f64;
    let x = x.clamp(0.0, cells as f64 - length);
    let first = (x.floor() as usize).min(cells - 1);
    let rest = ((x + length - (first + 1) as f64) / length).clamp(0.0, 1.0);
    [(first, 1.0 - rest), ((first + 1).min(cells - 1), rest)]
}
