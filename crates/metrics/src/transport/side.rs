//! One side of a problem: the distinct places that carry mass, in an order in which neighbours in
//! memory are neighbours in space, so that searches stay within the cache.

use std::cmp::Ordering;

use ndarray::{ArrayView1, ArrayView2};

use super::cloud::Cloud;
use super::cost::GroundCost;
use super::kd_tree::KdTree;
use super::masses::Mass;

/// Rows of a cloud with mass, grouped by place.
pub(crate) struct Side<'a> {
    cloud: ArrayView2<'a, f64>,
    weights: &'a [f64],
    /// Rows with mass, place after place.
    rows: Vec<u32>,
    /// Where the rows of each place begin, and the end.
    start: Vec<u32>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(cloud: ArrayView2<'a, f64>, weights: &'a [f64]) -> Self {
        let point = |row: u32| cloud.row(row as usize);
        let mut rows: Vec<u32> =
            (0..cloud.nrows() as u32).filter(|&row| weights[row as usize] > 0.0).collect();
        rows.sort_unstable_by(|&p, &q| by_place(point(p), point(q)).then(p.cmp(&q)));
        let same = |&p: &u32, &q: &u32| by_place(point(p), point(q)).is_eq();
        let places: Vec<&[u32]> = rows.chunk_by(same).collect();
        let points: Vec<f64> =
            places.iter().flat_map(|rows| point(rows[0]).into_iter().copied()).collect();
        let order = KdTree::new(GroundCost::SquaredEuclidean, &points, cloud.ncols()).into_order();
        let mut start = vec![0];
        let mut sorted = Vec::with_capacity(rows.len());
        for place in order {
            sorted.extend_from_slice(places[place as usize]);
            start.push(sorted.len() as u32);
        }
        Self { cloud, weights, rows: sorted, start }
    }

    /// Rows with mass.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    pub(crate) fn n_places(&self) -> usize {
        self.start.len() - 1
    }

    /// The rows at a place.
    pub(crate) fn place(&self, k: usize) -> &[u32] {
        &self.rows[self.start[k] as usize..self.start[k + 1] as usize]
    }

    /// Values of places as values of all rows, of which those without mass have none.
    pub(crate) fn spread<T: Copy>(&self, values: &[T]) -> Vec<Option<T>> {
        let mut all = vec![None; self.cloud.nrows()];
        for (k, &value) in values.iter().enumerate() {
            self.place(k).iter().for_each(|&row| all[row as usize] = Some(value));
        }
        all
    }

    /// A point of the cloud with mass.
    pub(crate) fn origin(&self) -> Vec<f64> {
        self.cloud.row(self.rows[0] as usize).to_vec()
    }

    /// Centre of mass, about a point of the cloud, so that a large offset costs no digits.
    pub(crate) fn mean(&self) -> Vec<f64> {
        let origin = self.origin();
        let weight = |row: u32| self.weights[row as usize];
        let total: f64 = self.rows.iter().map(|&row| weight(row)).sum();
        let moment = |k: usize| -> f64 {
            let from_origin = |row: u32| self.cloud[[row as usize, k]] - origin[k];
            self.rows.iter().map(|&row| weight(row) / total * from_origin(row)).sum()
        };
        (0..self.cloud.ncols()).map(|k| origin[k] + moment(k)).collect()
    }

    /// Largest distance of a coordinate from `centre`.
    pub(crate) fn extent(&self, centre: &[f64]) -> f64 {
        let of = |row: u32| {
            let point = self.cloud.row(row as usize);
            point.iter().zip(centre).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
        };
        self.rows.iter().map(|&row| of(row)).fold(0.0, f64::max)
    }

    /// The places about `centre`, stretched by `scale`, with the masses of their rows; `masses` are
    /// those of [`Side::rows`].
    pub(crate) fn stretched(&self, centre: &[f64], scale: f64, masses: &[Mass]) -> Cloud {
        let dim = self.cloud.ncols();
        let mut points = Vec::with_capacity(dim * self.n_places());
        for k in 0..self.n_places() {
            let point = self.cloud.row(self.place(k)[0] as usize);
            points.extend(point.iter().zip(centre).map(|(p, q)| (p - q) * scale));
        }
        let of = |ends: &[u32]| masses[ends[0] as usize..ends[1] as usize].iter().sum();
        Cloud { dim, points, mass: self.start.windows(2).map(of).collect() }
    }
}

/// Coordinate by coordinate; zeros of either sign are the same place.
fn by_place(p: ArrayView1<f64>, q: ArrayView1<f64>) -> Ordering {
    let pairs = p.into_iter().zip(q).map(|(p, q)| p.partial_cmp(q).unwrap_or(Ordering::Equal));
    pairs.fold(Ordering::Equal, Ordering::then)
}
