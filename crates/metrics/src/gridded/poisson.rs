//! The weighted Poisson equation on cells: $-\mathrm{div}(w \nabla \psi) = p - q$, no flow through the border.

/// Relative size, in the norm of the energy, of what is left of the equation.
const TOLERANCE: f64 = 1e-10;
/// Share of the dropped fill-in that the preconditioner keeps on its diagonal.
const KEPT: f64 = 0.97;
/// Pivots below this share of the diagonal are replaced.
const LEAST_PIVOT: f64 = 0.25;

/// Conductances of the faces between cells, `[n, m]` in row-major order.
pub(super) struct Conductances {
    shape: [usize; 2],
    /// Between $(i, j)$ and $(i + 1, j)$; zero in the last row.
    x: Vec<f64>,
    /// Between $(i, j)$ and $(i, j + 1)$; zero in the last column.
    y: Vec<f64>,
    diagonal: Vec<f64>,
    /// Inverse roots of the pivots of the modified incomplete Cholesky factor.
    pivots: Vec<f64>,
}

/// A potential and how much of the equation it leaves.
pub(super) struct Solution {
    pub(super) potential: Vec<f64>,
    /// $\langle \psi, p - q \rangle = \int w |\nabla \psi|^2$.
    pub(super) energy: f64,
    /// The energy of what is left, as the preconditioner measures it.
    pub(super) residual: f64,
}

impl Conductances {
    /// From resistivities $1 / w$ of the cells, infinite where nothing can pass: harmonic means at the faces.
    pub(super) fn new(shape: [usize; 2], spacing: [f64; 2], resistivity: &[f64]) -> Self {
        let [n, m] = shape;
        let face = |k: usize, l: usize, h: f64| 2.0 / (h * h * (resistivity[k] + resistivity[l]));
        let (mut x, mut y) = (vec![0.0; n * m], vec![0.0; n * m]);
        let mut diagonal = vec![0.0; n * m];
        for i in 0..n {
            for j in 0..m {
                let k = i * m + j;
                if i + 1 < n {
                    x[k] = face(k, k + m, spacing[0]);
                    diagonal[k] += x[k];
                    diagonal[k + m] += x[k];
                }
                if j + 1 < m {
                    y[k] = face(k, k + 1, spacing[1]);
                    diagonal[k] += y[k];
                    diagonal[k + 1] += y[k];
                }
            }
        }
        let mut matrix = Self { shape, x, y, diagonal, pivots: vec![0.0; n * m] };
        matrix.factorise();
        matrix
    }

    fn factorise(&mut self) {
        let [n, m] = self.shape;
        for i in 0..n {
            for j in 0..m {
                let k = i * m + j;
                let mut pivot = self.diagonal[k];
                if i > 0 {
                    let (l, square) = (k - m, self.pivots[k - m].powi(2));
                    pivot -= self.x[l] * (self.x[l] + KEPT * self.y[l]) * square;
                }
                if j > 0 {
                    let (l, square) = (k - 1, self.pivots[k - 1].powi(2));
                    pivot -= self.y[l] * (self.y[l] + KEPT * self.x[l]) * square;
                }
                if pivot < LEAST_PIVOT * self.diagonal[k] {
                    pivot = self.diagonal[k];
                }
                self.pivots[k] = if pivot > 0.0 { pivot.sqrt().recip() } else { 0.0 };
            }
        }
    }

    /// Solves with the incomplete factor.
    fn precondition(&self, right: &[f64], out: &mut [f64]) {
        let [n, m] = self.shape;
        for i in 0..n {
            for j in 0..m {
                let k = i * m + j;
                let mut t = right[k];
                if i > 0 {
                    t += self.x[k - m] * self.pivots[k - m] * out[k - m];
                }
                if j > 0 {
                    t += self.y[k - 1] * self.pivots[k - 1] * out[k - 1];
                }
                out[k] = t * self.pivots[k];
            }
        }
        for i in (0..n).rev() {
            for j in (0..m).rev() {
                let k = i * m + j;
                let mut t = out[k];
                if i + 1 < n {
                    t += self.x[k] * self.pivots[k] * out[k + m];
                }
                if j + 1 < m {
                    t += self.y[k] * self.pivots[k] * out[k + 1];
                }
                out[k] = t * self.pivots[k];
            }
        }
    }

    fn apply(&self, potential: &[f64], out: &mut [f64]) {
        let m = self.shape[1];
        for k in 0..out.len() {
            let mut t = self.diagonal[k] * potential[k];
            if k >= m {
                t -= self.x[k - m] * potential[k - m];
            }
            if k + m < out.len() {
                t -= self.x[k] * potential[k + m];
            }
            if k > 0 {
                t -= self.y[k - 1] * potential[k - 1];
            }
            if k + 1 < out.len() {
                t -= self.y[k] * potential[k + 1];
            }
            out[k] = t;
        }
    }

    /// Conjugate gradients; `right` sums to zero.
    pub(super) fn solve(&self, right: &[f64]) -> Solution {
        let len = right.len();
        let mut potential = vec![0.0; len];
        let mut residual = right.to_vec();
        let (mut z, mut image) = (vec![0.0; len], vec![0.0; len]);
        self.precondition(&residual, &mut z);
        let mut direction = z.clone();
        let mut size = dot(&residual, &z);
        let (first, limit) = (size, 100 + 20 * (self.shape[0] + self.shape[1]));
        for _ in 0..limit {
            if size <= TOLERANCE * TOLERANCE * first {
                break;
            }
            self.apply(&direction, &mut image);
            let step = size / dot(&direction, &image);
            if !step.is_finite() {
                break;
            }
            for k in 0..len {
                potential[k] += step * direction[k];
                residual[k] -= step * image[k];
            }
            self.precondition(&residual, &mut z);
            let next = dot(&residual, &z);
            let ratio = next / size;
            for k in 0..len {
                direction[k] = z[k] + ratio * direction[k];
            }
            size = next;
        }
        let energy = dot(&potential, right);
        Solution { potential, energy, residual: size.max(0.0) }
    }

    /// What a potential leaves of the equation.
    pub(super) fn imbalance(&self, potential: &[f64], right: &[f64]) -> Vec<f64> {
        let mut image = vec![0.0; right.len()];
        self.apply(potential, &mut image);
        right.iter().zip(&image).map(|(right, image)| right - image).collect()
    }

    /// Flows of a potential through the faces, in the direction of the axes: those along x, then along y, each
    /// with the face behind its cell.
    pub(super) fn flows(&self, potential: &[f64]) -> [Vec<f64>; 2] {
        let m = self.shape[1];
        let through = |conductance: &[f64], ahead: usize| -> Vec<f64> {
            (0..potential.len())
                .map(|k| match potential.get(k + ahead) {
                    Some(next) if conductance[k] > 0.0 => conductance[k] * (potential[k] - next),
                    _ => 0.0,
                })
                .collect()
        };
        [through(&self.x, m), through(&self.y, 1)]
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
