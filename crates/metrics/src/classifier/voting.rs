//! A vote of the nearest neighbours.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::neighbours::nearest;
use crate::pairwise::{CHUNK, Points};

/// For every point asked about whether most of its k nearest training points are in their second
/// half.
pub(super) fn predict(learn: ArrayView2<f64>, ask: ArrayView2<f64>, k: usize) -> Vec<bool> {
    let (learn, ask) = (Points::new(learn), Points::new(ask));
    let half = learn.len() / 2;
    let vote = |buffer: &mut Vec<f64>, i: usize| {
        let voters = nearest(ask.row(i), &learn, k, None, buffer);
        let second = voters.iter().filter(|voter| voter.index >= half).count();
        if 2 * second == voters.len() { voters[0].index >= half } else { 2 * second > voters.len() }
    };
    (0..ask.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], vote).collect()
}
