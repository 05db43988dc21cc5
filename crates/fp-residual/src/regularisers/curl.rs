//! How far a vector score is from a gradient.

use std::ops::Range;

use score_nets::{Gradients, Noising, Objective, Result, ScoreNet};
use sde_core::Key;

use super::batch::{dot, noised, of_rows, signs};
use crate::penalty::tensor;

/// The mean over noised rows of `(w . J v - v . J w)^2` with random signs `v` and `w`, without bias for the squared Frobenius norm
/// of `J - J^T`, `J = ds/dx`. A score that is no gradient is the score of no density; of a potential the term vanishes.
///
/// # Reference
/// Lai et al. 2023, arXiv 2210.04296 (scores that are conservative); Hutchinson 1990.
#[derive(Clone)]
pub struct CurlPenalty(pub Noising);

impl Objective for CurlPenalty {
    fn name(&self) -> &str {
        "curl"
    }

    fn rows(&self) -> u64 {
        self.0.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let batch = noised(&self.0, net, key, rows.clone())?;
        let x = tensor(net, batch.x, batch.t.len())?;
        let (v, w) = (signs(net, key.fold(5), &rows)?, signs(net, key.fold(6), &rows)?);
        let along = |v| -> Result<_> { Ok(net.score_jvp_graph(&x, &batch.t, v)?.1) };
        let curl = (dot(&w, &along(&v)?)? - dot(&v, &along(&w)?)?)?;
        of_rows(net, &curl.sqr()?, batch.time_weight, self.0.batch)
    }
}
