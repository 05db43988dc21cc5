//! What the particles of conditional samples say.

use std::collections::BTreeSet;

use control::ParticleSystem;
use metrics::Estimate;

use super::given::Known;

/// What particles say of themselves and of the known values.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) particles: usize,
    /// Effective sample sizes in the mean over samples: at the end, and the smallest on the way.
    pub(super) effective: f64,
    pub(super) least: f64,
    /// How often a system was resampled in the mean.
    pub(super) resampled: f64,
    /// The logarithm of the density of the known values in the units of the data, of each row of them; with a standard error
    /// from two samples on; or that of the probability of each class.
    pub(super) log_evidence: Vec<(f64, Option<f64>)>,
    /// What is known, and several of it.
    pub(super) of: [&'static str; 2],
}

impl Said {
    /// Of systems for known values.
    pub(super) fn of_values(
        systems: &[ParticleSystem],
        known: &Known,
        log_abs_det: f64,
        particles: usize,
    ) -> Self {
        let n = systems.len();
        let rows: Vec<usize> = (0..n).map(|i| known.row(i, n)).collect();
        let of = ["the known values", "rows of them"];
        Self::new(systems, &rows, log_abs_det, particles, of)
    }

    /// Of systems for a class each.
    pub(super) fn of_classes(systems: &[ParticleSystem], labels: &[u32], particles: usize) -> Self {
        let classes: Vec<u32> =
            labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let place = |label: &u32| classes.binary_search(label).unwrap_or(0);
        let rows: Vec<usize> = labels.iter().map(place).collect();
        Self::new(systems, &rows, 0.0, particles, ["the class", "classes"])
    }

    /// Of systems of which each is for one of several things.
    fn new(
        systems: &[ParticleSystem],
        rows: &[usize],
        log_abs_det: f64,
        particles: usize,
        of: [&'static str; 2],
    ) -> Self {
        let n = systems.len();
        let mean =
            |f: &dyn Fn(&ParticleSystem) -> f64| systems.iter().map(f).sum::<f64>() / n as f64;
        let logs = |r: usize| -> Vec<f64> {
            let of = (0..n).filter(|i| rows[*i] == r);
            of.map(|i| systems[i].log_evidence + log_abs_det).collect()
        };
        Self {
            particles,
            effective: mean(&|s| s.effective.last().copied().unwrap_or(f64::NAN)),
            least: mean(&|s| s.effective.iter().copied().fold(f64::INFINITY, f64::min)),
            resampled: mean(&|s| s.resampled as f64),
            log_evidence: (0..=rows.iter().copied().max().unwrap_or(0))
                .map(|r| log_mean(&logs(r)))
                .collect(),
            of,
        }
    }

    /// In words.
    pub(super) fn sentence(&self) -> String {
        use super::super::output::{number, short};
        let evidence = match &self.log_evidence[..] {
            [(value, Some(error))] => format!("{} +- {}", number(*value), short(*error)),
            [(value, None)] => number(*value),
            many => {
                let mean = many.iter().map(|e| e.0).sum::<f64>() / many.len() as f64;
                format!("{} in the mean over {} {}", number(mean), many.len(), self.of[1])
            }
        };
        format!(
            "{} particles a sample, effectively {} at the end and {} at the least (in the mean over samples), resampled {} times; \
             log p of {} {evidence} nats",
            self.particles,
            short(self.effective),
            short(self.least),
            short(self.resampled),
            self.of[0]
        )
    }
}

/// `log mean exp` of independent estimates, with its standard error to first order.
fn log_mean(logs: &[f64]) -> (f64, Option<f64>) {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return (most, None);
    }
    let shares: Vec<f64> = logs.iter().map(|l| (l - most).exp()).collect();
    let Estimate { value, standard_error } = Estimate::of_mean(&shares);
    let error = (logs.len() > 1).then_some(standard_error / value);
    (most + value.ln(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_evidence_is_that_of_densities() {
        let (value, error) = log_mean(&[1.0_f64.ln() - 900.0, 3.0_f64.ln() - 900.0]);
        assert!((value + 900.0 - 2.0_f64.ln()).abs() < 1e-12);
        // Mean 2 with a standard error of 1.
        assert!((error.expect("two") - 0.5).abs() < 1e-12);
        assert_eq!(log_mean(&[-2.0]), (-2.0, None));
        assert_eq!(log_mean(&[f64::NEG_INFINITY]).0, f64::NEG_INFINITY);
    }

    #[test]
    fn one_row_of_values_has_an_error_and_several_a_mean() {
        let said = |log_evidence| Said {
            particles: 8,
            effective: 6.24,
            least: 2.1,
            resampled: 3.0,
            log_evidence,
            of: ["the class", "rows of them"],
        };
        let one = said(vec![(-3.5, Some(0.04))]).sentence();
        assert!(
            one.contains("8 particles") && one.ends_with("log p of the class -3.5 +- 0.04 nats"),
            "{one}"
        );
        let two = said(vec![(-3.0, Some(0.1)), (-5.0, None)]).sentence();
        assert!(two.ends_with("-4 in the mean over 2 rows of them nats"), "{two}");
    }
}
