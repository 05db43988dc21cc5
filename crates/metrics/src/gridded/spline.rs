//! Potentials between the centres of cells: quadratic splines.

/// A grid of cells and the nodes of its refinement: every cell is cut in `cuts` along each axis that is there.
#[derive(Clone, Copy)]
pub(super) struct Refinement {
    pub(super) shape: [usize; 2],
    pub(super) spacing: [f64; 2],
    pub(super) cuts: [usize; 2],
}

impl Refinement {
    /// Numbers of nodes along the axes.
    pub(super) fn nodes(&self) -> [usize; 2] {
        [self.shape[0] * self.cuts[0] + 1, self.shape[1] * self.cuts[1] + 1]
    }

    /// Distances of nodes along the axes.
    pub(super) fn step(&self) -> [f64; 2] {
        [self.spacing[0] / self.cuts[0] as f64, self.spacing[1] / self.cuts[1] as f64]
    }

    /// Masses of the cells on the nodes: every piece of a cell gives a quarter of its mass to each corner, so that what is linear
    /// along either axis on the pieces has the same integral.
    pub(super) fn spread(&self, masses: &[f64]) -> Vec<f64> {
        let [n, m] = self.shape;
        let [_, across] = self.nodes();
        let along_y: Vec<f64> =
            (0..n).flat_map(|i| spread_line(&masses[i * m..(i + 1) * m], self.cuts[1])).collect();
        let mut out = vec![0.0; self.nodes()[0] * across];
        for j in 0..across {
            let line: Vec<f64> = (0..n).map(|i| along_y[i * across + j]).collect();
            for (i, value) in spread_line(&line, self.cuts[0]).into_iter().enumerate() {
                out[i * across + j] = value;
            }
        }
        out
    }

    /// Values at the nodes of the quadratic spline with these coefficients, one a cell.
    pub(super) fn evaluate(&self, coefficients: &[f64]) -> Vec<f64> {
        let [n, m] = self.shape;
        let [down, across] = self.nodes();
        let (wx, wy) = (weights(n, self.cuts[0]), weights(m, self.cuts[1]));
        let mut inner = vec![0.0; n * across];
        for i in 0..n {
            for (j, taps) in wy.iter().enumerate() {
                let value = taps.iter().map(|&(k, w)| w * coefficients[i * m + k]).sum();
                inner[i * across + j] = value;
            }
        }
        let mut out = vec![0.0; down * across];
        for (i, taps) in wx.iter().enumerate() {
            let row = &mut out[i * across..(i + 1) * across];
            for &(k, w) in taps {
                for (value, inner) in row.iter_mut().zip(&inner[k * across..(k + 1) * across]) {
                    *value += w * inner;
                }
            }
        }
        out
    }

    /// Values at the nodes of the refinement with twice the cuts, linear in between.
    pub(super) fn halved(&self, values: &[f64]) -> Vec<f64> {
        let [n, m] = self.nodes();
        let mut out = Vec::with_capacity((2 * n - 1) * (2 * m - 1));
        for i in 0..2 * n - 1 {
            for j in 0..2 * m - 1 {
                let (a, b) = (i / 2 * m, i.div_ceil(2) * m);
                let (c, d) = (j / 2, j.div_ceil(2));
                out.push(0.25 * (values[a + c] + values[a + d] + values[b + c] + values[b + d]));
            }
        }
        out
    }

    /// The transpose of [`Refinement::evaluate`].
    pub(super) fn gather(&self, values: &[f64]) -> Vec<f64> {
        let [n, m] = self.shape;
        let [_, across] = self.nodes();
        let (wx, wy) = (weights(n, self.cuts[0]), weights(m, self.cuts[1]));
        let mut inner = vec![0.0; n * across];
        for (i, taps) in wx.iter().enumerate() {
            let row = &values[i * across..(i + 1) * across];
            for &(k, w) in taps {
                for (inner, value) in inner[k * across..(k + 1) * across].iter_mut().zip(row) {
                    *inner += w * value;
                }
            }
        }
        let mut out = vec![0.0; n * m];
        for i in 0..n {
            for (j, taps) in wy.iter().enumerate() {
                for &(k, w) in taps {
                    out[i * m + k] += w * inner[i * across + j];
                }
            }
        }
        out
    }
}

fn spread_line(masses: &[f64], cuts: usize) -> Vec<f64> {
    let mut out = vec![0.0; masses.len() * cuts + 1];
    for (i, mass) in masses.iter().enumerate() {
        let half = 0.5 * mass / cuts as f64;
        for k in i * cuts..(i + 1) * cuts {
            out[k] += half;
            out[k + 1] += half;
        }
    }
    out
}

/// For every node the cells whose coefficients count there, with their weights; beyond the border the last cell is repeated.
fn weights(cells: usize, cuts: usize) -> Vec<[(usize, f64); 3]> {
    (0..=cells * cuts)
        .map(|node| {
            let cell = (node / cuts).min(cells - 1);
            let t = (node - cell * cuts) as f64 / cuts as f64;
            let before = 0.5 * (1.0 - t) * (1.0 - t);
            let after = 0.5 * t * t;
            let next = (cell + 1).min(cells - 1);
            [(cell.saturating_sub(1), before), (cell, 1.0 - before - after), (next, after)]
        })
        .collect()
}
