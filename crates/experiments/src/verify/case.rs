//! One recomputed case, and how the cases of a family add up.

use anyhow::{Error, Result, ensure};
use serde::Serialize;

/// How far a recomputed case is off, against what is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deviation {
    pub(super) error: f64,
    pub(super) tolerance: f64,
}

impl Deviation {
    fn ratio(self) -> f64 {
        // NaN is worse than anything.
        if self.error.is_nan() { f64::INFINITY } else { self.error / self.tolerance }
    }

    /// The worse of two deviations, each against its own tolerance.
    pub(super) fn max(self, other: Self) -> Self {
        if other.ratio() > self.ratio() { other } else { self }
    }

    fn ok(self) -> bool {
        self.error <= self.tolerance
    }
}

#[derive(Debug)]
enum Outcome {
    Compared(Deviation),
    Skipped(String),
    Failed(Error),
}

/// A case by name and what came of it.
#[derive(Debug)]
pub(super) struct Case {
    name: String,
    outcome: Outcome,
}

impl Case {
    /// A case that was compared, or went wrong on the way.
    pub(super) fn of(name: impl Into<String>, compared: Result<Deviation>) -> Self {
        let outcome = match compared {
            Ok(deviation) => Outcome::Compared(deviation),
            Err(error) => Outcome::Failed(error),
        };
        Self { name: name.into(), outcome }
    }

    pub(super) fn failed(name: &str, error: Error) -> Self {
        Self { name: name.into(), outcome: Outcome::Failed(error) }
    }

    pub(super) fn skip(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: Outcome::Skipped(reason.into()) }
    }
}

/// The cases of one family, counted.
#[derive(Clone, Debug, Serialize)]
pub struct Family {
    /// The family's folder.
    pub name: String,
    /// Cases found.
    pub cases: usize,
    /// Cases within their tolerance.
    pub passed: usize,
    /// Cases that missed it, are damaged or could not be computed.
    pub failed: usize,
    /// Cases not tried, by reason.
    pub skipped: Vec<Skipped>,
    /// The case that is worst against its tolerance.
    pub worst: Option<Worst>,
    /// What failed and why.
    pub failures: Vec<Failure>,
}

/// Cases not tried for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// How many.
    pub cases: usize,
    /// Why.
    pub reason: String,
}

/// The worst error of a family.
#[derive(Clone, Debug, Serialize)]
pub struct Worst {
    /// The case.
    pub case: String,
    /// Its error; `null` in JSON when it is not a number.
    pub error: f64,
    /// What is allowed.
    pub tolerance: f64,
}

/// A case that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// One line with the values.
    pub reason: String,
}

impl Family {
    pub(super) fn collect(name: &str, cases: Vec<Case>) -> Self {
        let mut family = Self {
            name: name.into(),
            cases: cases.len(),
            passed: 0,
            failed: 0,
            skipped: Vec::new(),
            worst: None,
            failures: Vec::new(),
        };
        let mut worst: Option<(String, Deviation)> = None;
        for case in cases {
            match case.outcome {
                Outcome::Skipped(reason) => family.skip(reason),
                Outcome::Failed(error) => family.fail(case.name, format!("{error:#}")),
                Outcome::Compared(d) => {
                    if d.ok() {
                        family.passed += 1;
                    } else {
                        let reason = format!("error {:.3e} exceeds {:.0e}", d.error, d.tolerance);
                        family.fail(case.name.clone(), reason);
                    }
                    if worst.as_ref().is_none_or(|(_, w)| d.ratio() > w.ratio()) {
                        worst = Some((case.name, d));
                    }
                }
            }
        }
        family.worst =
            worst.map(|(case, d)| Worst { case, error: d.error, tolerance: d.tolerance });
        family
    }

    fn skip(&mut self, reason: String) {
        match self.skipped.iter_mut().find(|s| s.reason == reason) {
            Some(skipped) => skipped.cases += 1,
            None => self.skipped.push(Skipped { cases: 1, reason }),
        }
    }

    fn fail(&mut self, case: String, reason: String) {
        self.failed += 1;
        self.failures.push(Failure { case, reason });
    }
}

/// Largest `|found - expected|`, each over its own `scale(expected)`; equal infinities differ by 0.
fn largest(found: &[f64], expected: &[f64], scale: impl Fn(f64) -> f64) -> Result<f64> {
    ensure!(
        found.len() == expected.len(),
        "expected {} values, computed {}",
        expected.len(),
        found.len()
    );
    let errors = found
        .iter()
        .zip(expected)
        .map(|(&a, &b)| if a == b { 0.0 } else { (a - b).abs() / scale(b) });
    // `f64::max` would drop a NaN.
    Ok(errors.fold(0.0, |w, e| if e.is_nan() || e > w { e } else { w }))
}

/// Entry by entry relative to the reference; absolute where the reference is zero.
pub(super) fn relative(found: &[f64], expected: &[f64], tolerance: f64) -> Result<Deviation> {
    let error = largest(found, expected, |b| if b == 0.0 { 1.0 } else { b.abs() })?;
    Ok(Deviation { error, tolerance })
}

/// Entry by entry relative to the reference, absolute where the reference is below one.
pub(super) fn mixed(found: &[f64], expected: &[f64], tolerance: f64) -> Result<Deviation> {
    Ok(Deviation { error: largest(found, expected, |b| b.abs().max(1.0))?, tolerance })
}

/// Relative to the largest entry of the reference (absolute when all are zero).
pub(super) fn normwise(found: &[f64], expected: &[f64], tolerance: f64) -> Result<Deviation> {
    let norm = expected.iter().fold(0.0, |m: f64, b| m.max(b.abs()));
    let scale = if norm == 0.0 { 1.0 } else { norm };
    Ok(Deviation { error: largest(found, expected, |_| scale)?, tolerance })
}
