//! Nearest neighbours by looking at every point: exact in any dimension, and of fixed order.

use crate::pairwise::{CHUNK, Points};

/// A point with its squared distance from the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neighbour {
    pub(crate) squared: f64,
    pub(crate) index: usize,
}

/// The k points nearest to a query, nearest first, equals by their number; `skip` is left out.
///
/// `buffer` holds [`CHUNK`] numbers.
pub(crate) fn nearest(
    query: &[f64],
    points: &Points,
    k: usize,
    skip: Option<usize>,
    buffer: &mut [f64],
) -> Vec<Neighbour> {
    let mut found: Vec<Neighbour> = Vec::with_capacity(k + 1);
    for start in (0..points.len()).step_by(CHUNK) {
        let squares = &mut buffer[..CHUNK.min(points.len() - start)];
        points.squared_distances(query, start, squares);
        let own = skip.and_then(|i| i.checked_sub(start));
        if let Some(square) = own.and_then(|at| squares.get_mut(at)) {
            *square = f64::INFINITY;
        }
        for (at, &squared) in squares.iter().enumerate() {
            let worst = if found.len() < k { f64::INFINITY } else { found[k - 1].squared };
            if squared < worst {
                // Behind its equals: those have lower numbers.
                let place = found.partition_point(|other| other.squared <= squared);
                found.insert(place, Neighbour { squared, index: start + at });
                found.truncate(k);
            }
        }
    }
    found
}
