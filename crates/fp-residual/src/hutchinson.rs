//! Hutchinson's estimate of a divergence from random probes.

use sde_core::{Error, Key, Probe, Result, ScoreJvp, State};

/// A mean over probes, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: Vec<f64>,
    /// Its standard error; `None` from fewer than [`Probe::FEWEST_FOR_ERROR`] probes.
    pub std_error: Option<Vec<f64>>,
}

/// The divergence `tr ds/dx` of every row, estimated as the mean of `v . (ds/dx) v` over `n_probes`
/// probes; probe `p` of row `b` is a function of `key`, `p` and `first_row + b` alone.
///
/// # Errors
/// [`Error::Parameter`] for no probes; whatever the model fails with.
///
/// # Reference
/// Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix".
pub fn hutchinson_divergence<S: State>(
    model: &dyn ScoreJvp<S>,
    x: &S,
    t: f64,
    probe: Probe,
    n_probes: usize,
    key: Key,
    first_row: u64,
) -> Result<Estimate> {
    if n_probes == 0 {
        return Err(Error::Parameter {
            name: "n_probes".into(),
            value: "0".into(),
            reason: "must be at least 1".into(),
        });
    }
    // Running mean and sum of squared deviations (Welford).
    let (mut mean, mut spread) = (vec![0.0; x.rows()], vec![0.0; x.rows()]);
    for p in 0..n_probes {
        let v = probe.draw(x, key.fold(p as u64), first_row)?;
        let (_, product) = model.score_jvp(x, t, &v)?;
        for ((mean, spread), value) in mean.iter_mut().zip(&mut spread).zip(v.row_dot(&product)?) {
            let before = value - *mean;
            *mean += before / (p + 1) as f64;
            *spread += before * (value - *mean);
        }
    }
    let std_error = (n_probes >= Probe::FEWEST_FOR_ERROR).then(|| {
        let scale = ((n_probes - 1) * n_probes) as f64;
        spread.iter().map(|s| (s / scale).sqrt()).collect()
    });
    Ok(Estimate { mean, std_error })
}
