//! A cloud stored both ways: by points, to ask about one, and by coordinates, to be swept.

use ndarray::ArrayView2;

use super::vector;

/// Pairs that are worked on at a time: their values stay in the first-level cache.
pub(crate) const CHUNK: usize = 1024;

/// A cloud, row by row and column by column.
pub(crate) struct Points {
    dim: usize,
    len: usize,
    rows: Vec<f64>,
    columns: Vec<f64>,
}

impl Points {
    pub(crate) fn new(view: ArrayView2<f64>) -> Self {
        Self {
            dim: view.ncols(),
            len: view.nrows(),
            rows: view.iter().copied().collect(),
            columns: view.t().iter().copied().collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn view(&self) -> ArrayView2<'_, f64> {
        ArrayView2::from_shape((self.len, self.dim), &self.rows).expect("rows of coordinates")
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.dim..(i + 1) * self.dim]
    }

    /// $\lVert q - x_j \rVert^2$ for j = start, start + 1, ... into `out`.
    pub(crate) fn squared_distances(&self, query: &[f64], start: usize, out: &mut [f64]) {
        vector::squared_distances(&self.columns, self.len, query, start, out);
    }

    /// $q \cdot x_j$ for j = start, start + 1, ... into `out`.
    pub(crate) fn inner_products(&self, query: &[f64], start: usize, out: &mut [f64]) {
        vector::inner_products(&self.columns, self.len, query, start, out);
    }
}
