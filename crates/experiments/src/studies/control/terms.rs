//! How far the guidance term of a method is from the exact one, at points on the way to the posterior.

use ::control::{ReconstructionGuidance, Twist as _};
use anyhow::Result;
use metrics::Estimate;
use ndarray::Array2;
use sde_core::{Key, LogLikelihood as _, Sde, State};
use serde::{Deserialize, Serialize};

use super::Config;
use super::methods::Method;
use super::problem::Setup;

/// The methods that have such a term.
pub(super) const WITH_TERM: [Method; 6] = [
    Method::Dps,
    Method::Pigdm,
    Method::PigdmVariance,
    Method::RowSums,
    Method::Diagonal,
    Method::Tmpd,
];

/// Shortest time, as a share of the horizon.
const SHORTEST: f64 = 1e-3;

/// The error of a method's term at every time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) method: Method,
    /// Mean length of the error over mean length of the exact term; nothing where that has none.
    pub(super) errors: Vec<Option<Estimate>>,
}

/// Times evenly spaced in their logarithm, up to the horizon.
pub(super) fn times(sde: &dyn Sde, count: usize) -> Vec<f64> {
    let last = (count - 1) as f64;
    let at = |k: usize| sde.horizon() * SHORTEST.powf(1.0 - k as f64 / last);
    (0..count).map(at).collect()
}

/// Every method at every time, at the same points: exact samples of the posterior, noised.
pub(super) fn courses(config: &Config, setup: &Setup, key: Key) -> Result<Vec<Course>> {
    let sde = &*config.sde;
    let exact = setup.exact.likelihood(sde);
    let score = setup.prior.under(sde);
    let data = setup.exact.mixture().sample(key.fold(0), 0, config.guidance.points);
    let mut courses: Vec<Course> =
        WITH_TERM.iter().map(|m| Course { method: *m, errors: vec![] }).collect();
    for (k, t) in times(sde, config.guidance.times).into_iter().enumerate() {
        let m = sde.marginal(t);
        let z = State::normals_like(&data, key.fold(1).fold(k as u64), 0)?;
        let x = &data * m.alpha + z * m.sigma;
        let (_, gradient) = exact.log_likelihood(&x, t)?;
        for course in &mut courses {
            let Some(covariance) = course.method.covariance(setup) else { continue };
            let guided = ReconstructionGuidance::new(sde, &score, setup.seen.clone(), covariance);
            let found = guided.twist(&x, t)?.gradient;
            course.errors.push(relative(&found, &gradient));
        }
    }
    Ok(courses)
}

/// `E|f - g| / E|g|` with its standard error (delta method).
fn relative(found: &Array2<f64>, exact: &Array2<f64>) -> Option<Estimate> {
    let lengths =
        |x: &Array2<f64>| -> Vec<f64> { x.outer_iter().map(|r| r.dot(&r).sqrt()).collect() };
    let (errors, sizes) = (lengths(&(found - exact)), lengths(exact));
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (error, size) = (mean(&errors), mean(&sizes));
    let ratio = error / size;
    let influence: Vec<f64> =
        errors.iter().zip(&sizes).map(|(e, s)| (e - ratio * s) / size).collect();
    let standard_error = Estimate::of_mean(&influence).standard_error;
    (ratio.is_finite() && standard_error.is_finite())
        .then_some(Estimate { value: ratio, standard_error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use sde_core::Vp;

    #[test]
    fn errors_are_relative_to_the_exact_term() {
        let exact = array![[3.0, 4.0], [0.0, 5.0]];
        let found = relative(&array![[3.0, 5.0], [0.0, 4.0]], &exact).expect("a ratio");
        assert!((found.value - 0.2).abs() < 1e-15 && found.standard_error < 1e-15, "{found:?}");
        assert_eq!(relative(&exact, &exact).map(|e| e.value), Some(0.0));
        assert_eq!(relative(&exact, &Array2::zeros((2, 2))), None);
        let uneven = relative(&array![[3.0, 6.0], [0.0, 5.0]], &exact).expect("a ratio");
        assert!((uneven.value - 0.2).abs() < 1e-15 && uneven.standard_error > 0.1, "{uneven:?}");
    }

    #[test]
    fn times_reach_the_horizon() {
        let times = times(&Vp::default(), 4);
        for (found, expected) in times.iter().zip([1e-3, 1e-2, 1e-1, 1.0]) {
            assert!((found / expected - 1.0).abs() < 1e-12, "{times:?}");
        }
    }
}
