//! The residual without its mean at each time: invariant under the gauge.

use std::ops::Range;

use score_nets::{Error, Gradients, Noising, Objective, Result, ScoreNet};
use sde_core::Key;

use super::batch::{noised, pulled_back, residuals};

/// The variance of the residual over `x ~ p_t` at fixed times, averaged over strata of rows that share a time:
/// `E_t Var_x R(x, t)`, without bias by the `n - 1` of a sample. A shift `c(t)` of the potential changes nothing in it, as it
/// changes no sampler.
///
/// # Reference
/// The gauge: Deveney et al. 2025, arXiv 2311.15996, section 4, penalise `R^2`, which charges `c'(t)^2` too.
#[derive(Clone)]
pub struct CentredPenalty {
    noising: Noising,
    strata: usize,
}

impl CentredPenalty {
    /// On noised rows, their times shared by the rows of `strata` equal parts of a batch.
    pub fn new(noising: Noising, strata: usize) -> Self {
        Self { noising: Noising { antithetic: false, ..noising }, strata }
    }

    /// Points, times and weights of whole strata.
    fn stratum_rows(
        &self,
        net: &ScoreNet,
        key: Key,
        size: usize,
        strata: Range<usize>,
    ) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
        let d = net.dim();
        let (mut x, mut t, mut weight) = (Vec::new(), Vec::new(), Vec::new());
        for stratum in strata {
            // The times of all strata are those of the first rows, which are spread evenly where rows are.
            let first = noised(&self.noising, net, key, stratum as u64..stratum as u64 + 1)?;
            let (time, share) = (first.t[0], first.time_weight[0]);
            let m = net.sde().marginal(time);
            let from = (stratum * size) as u64;
            let rows = noised(&self.noising, net, key.fold(1), from..from + size as u64)?;
            x.extend(rows.x0.iter().zip(&rows.z).map(|(x0, z)| m.alpha * x0 + m.sigma * z));
            t.extend(std::iter::repeat_n(time, size));
            weight.push(share);
        }
        debug_assert_eq!(x.len(), t.len() * d);
        Ok((x, t, weight))
    }
}

impl Objective for CentredPenalty {
    fn name(&self) -> &str {
        "centred-residual"
    }

    fn rows(&self) -> u64 {
        self.noising.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let size = self.noising.batch / self.strata.max(1);
        if size < 2 || rows.is_empty() {
            let reason = "needs strata of at least two rows of the batch".into();
            return Err(Error::Setting {
                name: "strata".into(),
                value: self.strata.to_string(),
                reason,
            });
        }
        // The means are those of whole strata, whatever part of them is asked for; rows past the last stratum are left out.
        let own = rows.start as usize..(rows.end as usize).min(size * self.strata);
        let strata = (own.start / size).min(self.strata)..own.end.div_ceil(size);
        if strata.is_empty() {
            return Ok((0.0, Gradients::none(net.parameters())));
        }
        let from = strata.start * size;
        let (x, t, weight) = self.stratum_rows(net, key, size, strata)?;
        let residual = residuals(net, &x, &t)?;
        let (mut loss, mut cotangent) = (0.0, vec![0.0; t.len()]);
        for ((stratum, values), weight) in residual.chunks(size).enumerate().zip(&weight) {
            let mean = values.iter().sum::<f64>() / size as f64;
            let share = weight / ((size - 1) * self.strata) as f64;
            for (i, value) in values.iter().enumerate() {
                let row = stratum * size + i;
                if own.contains(&(from + row)) {
                    loss += share * (value - mean).powi(2);
                    // The derivative of the mean drops out of the sum over its stratum.
                    cotangent[row] = 2.0 * share * (value - mean);
                }
            }
        }
        Ok((loss, pulled_back(net, (&x, &t), &residual, &cotangent)?))
    }
}
