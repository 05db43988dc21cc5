//! A vote of the nearest neighbours.

use std::cmp::Ordering;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::neighbours::{Neighbour, nearest};
use crate::pairwise::{CHUNK, Points};

/// For every point asked about whether most of its k nearest training points are in their second half:
/// one, zero, or a half where it is undecided.
///
/// Of points at the distance of the k-th as many count as there is room for, each with the same share.
/// A draw is decided by the nearest, if there is one.
pub(super) fn predict(learn: ArrayView2<f64>, ask: ArrayView2<f64>, k: usize) -> Vec<f64> {
    let (learn, ask) = (Points::new(learn), Points::new(ask));
    let half = learn.len() / 2;
    let second = |voters: &[Neighbour]| voters.iter().filter(|one| one.index >= half).count();
    let vote = |buffer: &mut Vec<f64>, i: usize| {
        let query = ask.row(i);
        let found = nearest(query, &learn, k + 1, None, buffer);
        let voters = &found[..k.min(found.len())];
        let (Some(nearest), Some(furthest)) = (voters.first(), voters.last()) else { return 0.5 };
        let beyond = found.get(k).is_some_and(|next| next.squared == furthest.squared);
        let sure = voters.partition_point(|one| one.squared < furthest.squared);
        let tied = if beyond {
            tied(query, &learn, furthest.squared, buffer)
        } else {
            voters[sure..].to_vec()
        };
        // Twice the votes for the second half against all votes, both times the number of those tied.
        let seats = voters.len() - sure;
        let votes = 2 * (second(&voters[..sure]) * tied.len() + seats * second(&tied));
        let first = voters.partition_point(|one| one.squared == nearest.squared);
        let closest = if first == voters.len() { &tied } else { &voters[..first] };
        match votes.cmp(&(voters.len() * tied.len())) {
            Ordering::Less => 0.0,
            Ordering::Greater => 1.0,
            Ordering::Equal if second(closest) == 0 => 0.0,
            Ordering::Equal if second(closest) == closest.len() => 1.0,
            Ordering::Equal => 0.5,
        }
    };
    (0..ask.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], vote).collect()
}

/// All points at one squared distance.
fn tied(query: &[f64], points: &Points, squared: f64, buffer: &mut [f64]) -> Vec<Neighbour> {
    let mut found = Vec::new();
    for start in (0..points.len()).step_by(CHUNK) {
        let squares = &mut buffer[..CHUNK.min(points.len() - start)];
        points.squared_distances(query, start, squares);
        let equal = squares.iter().enumerate().filter(|(_, square)| **square == squared);
        found.extend(equal.map(|(at, _)| Neighbour { squared, index: start + at }));
    }
    found
}
