//! Transforms of potentials on regular nodes, axis by axis.

use rayon::prelude::*;

/// $\psi_j = \min_i \frac12 |x_i - x_j|^2 - \varphi_i$ on a grid of nodes, exactly, and where the minimum is.
pub(super) struct Transformed {
    pub(super) values: Vec<f64>,
    /// Index of the node of the minimum along x and along y.
    pub(super) nearest: Vec<(u32, u32)>,
}

/// The transform of `potential`, `[n, m]` in row-major order, nodes `spacing` apart.
///
/// The cost separates by axis, and along a line the minimum over parabolas is their lower envelope, found in one
/// sweep (Felzenszwalb and Huttenlocher 2012): the cost is proportional to the number of nodes.
pub(super) fn transform(shape: [usize; 2], spacing: [f64; 2], potential: &[f64]) -> Transformed {
    let [n, m] = shape;
    let (mut inner, mut along_y) = (vec![0.0; n * m], vec![0_u32; n * m]);
    let lines = potential.par_chunks(m).zip(inner.par_chunks_mut(m)).zip(along_y.par_chunks_mut(m));
    lines.for_each_init(Envelope::default, |envelope, ((line, values), nearest)| {
        envelope.find(spacing[1], line.iter().map(|value| -value));
        envelope.fill(spacing[1], values, nearest);
    });
    let (mut outer, mut along_x) = (vec![0.0; n * m], vec![0_u32; n * m]);
    let lines = outer.par_chunks_mut(n).zip(along_x.par_chunks_mut(n)).enumerate();
    lines.for_each_init(Envelope::default, |envelope, (j, (values, nearest))| {
        envelope.find(spacing[0], (0..n).map(|i| inner[i * m + j]));
        envelope.fill(spacing[0], values, nearest);
    });
    let mut values = vec![0.0; n * m];
    let mut nearest = vec![(0, 0); n * m];
    for i in 0..n {
        for j in 0..m {
            let x = along_x[j * n + i];
            values[i * m + j] = outer[j * n + i];
            nearest[i * m + j] = (x, along_y[x as usize * m + j]);
        }
    }
    Transformed { values, nearest }
}

/// Parabolas of which each is the least somewhere, and from where on.
#[derive(Default)]
struct Envelope {
    heights: Vec<f64>,
    kept: Vec<u32>,
    from: Vec<f64>,
}

impl Envelope {
    /// The envelope of $\frac12 h^2 (j - i)^2 + f_i$.
    fn find(&mut self, spacing: f64, heights: impl Iterator<Item = f64>) {
        let unit = 2.0 / (spacing * spacing);
        self.heights.clear();
        self.heights.extend(heights.map(|height| height * unit));
        self.kept.clear();
        self.from.clear();
        for i in 0..self.heights.len() {
            let mut start = f64::NEG_INFINITY;
            while let (Some(&k), Some(&from)) = (self.kept.last(), self.from.last()) {
                let apart = (i - k as usize) as f64;
                let middle = 0.5 * (i as f64 + f64::from(k));
                start = middle + 0.5 * (self.heights[i] - self.heights[k as usize]) / apart;
                if start > from {
                    break;
                }
                self.kept.pop();
                self.from.pop();
                start = f64::NEG_INFINITY;
            }
            self.kept.push(i as u32);
            self.from.push(start);
        }
    }

    /// Values at the nodes, and whose parabola it is.
    fn fill(&self, spacing: f64, values: &mut [f64], nearest: &mut [u32]) {
        let unit = 0.5 * spacing * spacing;
        let mut place = 0;
        for (j, (value, nearest)) in values.iter_mut().zip(nearest).enumerate() {
            while self.from.get(place + 1).is_some_and(|&from| from < j as f64) {
                place += 1;
            }
            let i = self.kept[place];
            let apart = j as f64 - f64::from(i);
            *value = unit * (apart * apart + self.heights[i as usize]);
            *nearest = i;
        }
    }
}
