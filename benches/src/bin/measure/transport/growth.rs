//! How time and memory grow with the number of points.

use anyhow::Result;
use serde_json::{Value, json};

use super::Args;
use super::child::{self, Case};
use super::problem::FAMILIES;
use crate::peers::words;
use crate::table::markdown;

const SIZES: [usize; 7] = [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/// The cases of each family, smallest first.
pub(crate) struct Growth(Vec<(&'static str, Vec<Case>)>);

pub(crate) fn measure(args: &Args) -> Result<Growth> {
    let mut families = Vec::new();
    for (family, largest) in FAMILIES {
        let mut cases = Vec::new();
        for n in SIZES.into_iter().filter(|&n| n <= largest.min(args.largest)) {
            let case = child::spawn(&format!("{family}/{n}"), None, args.common.threads)?;
            eprintln!("{}: {:.3} s, gap {:.1e}", case.name, case.seconds, case.gap);
            cases.push(case);
        }
        families.push((family, cases));
    }
    Ok(Growth(families))
}

/// The exponent p of `value ~ n^p` by least squares on logarithms; none of fewer than three points.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 3 {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(n, v)| (n.ln(), v.ln())).collect();
    let mean = |f: fn(&(f64, f64)) -> f64| logs.iter().map(f).sum::<f64>() / logs.len() as f64;
    let (n, v) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = logs.iter().map(|p| (p.0 - n) * (p.1 - v)).sum();
    Some(covariance / logs.iter().map(|p| (p.0 - n).powi(2)).sum::<f64>())
}

/// Exponents of time, and of memory.
fn exponents(cases: &[Case]) -> [Option<f64>; 2] {
    let of = |value: fn(&Case) -> Option<f64>| {
        let points = cases.iter().filter_map(|case| Some((case.n as f64, value(case)?)));
        exponent(&points.filter(|point| point.1 > 0.0).collect::<Vec<_>>())
    };
    [of(|case| Some(case.seconds)), of(|case| case.memory_kib.map(|kib| kib as f64))]
}

impl Growth {
    pub(crate) fn json(&self) -> Value {
        let family = |(family, cases): &(&str, Vec<Case>)| {
            let [time, memory] = exponents(cases);
            json!({"family": family, "cases": cases, "time_exponent": time, "memory_exponent": memory})
        };
        self.0.iter().map(family).collect()
    }

    pub(crate) fn text(&self) -> String {
        let heading = ["clouds", "n", "s", "MiB of the solver", "MiB in all", "W2^2", "gap"];
        let mut rows = vec![words(&heading)];
        let mut fits = vec![words(&["grows as", "time n^", "memory n^"])];
        for (family, cases) in &self.0 {
            for case in cases {
                rows.push(vec![
                    (*family).to_owned(),
                    case.n.to_string(),
                    format!("{:.3}", case.seconds),
                    mebibytes(case.memory_kib),
                    mebibytes(case.peak_kib),
                    format!("{:.9}", case.value),
                    format!("{:.1e}", case.gap),
                ]);
            }
            let shown = |p: Option<f64>| p.map_or_else(|| "-".to_owned(), |p| format!("{p:.2}"));
            fits.push(
                [(*family).to_owned()].into_iter().chain(exponents(cases).map(shown)).collect(),
            );
        }
        format!("{}\n{}", markdown(&rows), markdown(&fits))
    }
}

pub(crate) fn mebibytes(kib: Option<u64>) -> String {
    kib.map_or_else(|| "-".to_owned(), |kib| format!("{:.1}", kib as f64 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_powers() {
        let points = [1.0, 2.0, 5.0, 10.0].map(|n: f64| (n, 3.0 * n.powf(1.25)));
        let found = exponent(&points).expect("four points");
        assert!((found - 1.25).abs() < 1e-12, "{found}");
        assert_eq!(exponent(&points[..2]), None);
    }
}
