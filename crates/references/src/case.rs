//! The vocabulary: a comparison with its tolerance, and the cases of a family.

use std::borrow::Borrow;
use std::fmt;

use anyhow::{Result, ensure};
use serde::Serialize;

/// What the error of an entry is relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By<'a> {
    /// The entry of the reference; 1 where that is zero.
    Entry,
    /// The entry of the reference, or 1 if that is larger.
    Mixed,
    /// The largest entry of the reference in each of so many rows; 1 where all are zero.
    Rows(usize),
    /// A scale an entry.
    Scales(&'a [f64]),
}

/// The largest entry of the whole reference.
pub(crate) const LARGEST: By<'_> = By::Rows(1);

impl By<'_> {
    fn scales(self, expected: &[f64]) -> Vec<f64> {
        let nonzero = |scale: f64| if scale == 0.0 { 1.0 } else { scale };
        match self {
            Self::Entry => expected.iter().map(|e| nonzero(e.abs())).collect(),
            Self::Mixed => expected.iter().map(|e| e.abs().max(1.0)).collect(),
            Self::Scales(scales) => scales.to_vec(),
            Self::Rows(rows) => {
                let length = (expected.len() / rows.max(1)).max(1);
                let scales = |row: &[f64]| vec![nonzero(largest(row)); row.len()];
                expected.chunks(length).flat_map(scales).collect()
            }
        }
    }
}

/// The largest magnitude.
pub(crate) fn largest(values: impl IntoIterator<Item: Borrow<f64>>) -> f64 {
    values.into_iter().fold(0.0, |m: f64, v| m.max(v.borrow().abs()))
}

/// How far values are off, against what is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) error: f64,
    tolerance: f64,
    /// Whether a reference one part in a thousand larger would pass as well.
    blind: bool,
}

impl Check {
    /// What was compared without an error to measure: a count, a list of names.
    pub(crate) const EXACT: Self = Self { error: 0.0, tolerance: 0.0, blind: false };

    /// The worse of two, each against its own tolerance.
    pub(crate) fn and(self, other: Self) -> Self {
        let worse = ratio(other.error, other.tolerance) > ratio(self.error, self.tolerance);
        let kept = if worse || self.tolerance == 0.0 { other } else { self };
        Self { blind: self.blind || other.blind, ..kept }
    }
}

/// An error in units of what is allowed.
fn ratio(error: f64, tolerance: f64) -> f64 {
    // NaN is worse than anything.
    if error.is_nan() {
        return f64::INFINITY;
    }
    if error == 0.0 { 0.0 } else { error / tolerance }
}

/// Values against those of a reference.
pub(crate) fn check(
    found: impl IntoIterator<Item: Borrow<f64>>,
    expected: impl IntoIterator<Item: Borrow<f64>>,
    by: By<'_>,
    tolerance: f64,
) -> Result<Check> {
    let found: Vec<f64> = found.into_iter().map(|v| *v.borrow()).collect();
    let expected: Vec<f64> = expected.into_iter().map(|v| *v.borrow()).collect();
    let (n, m) = (found.len(), expected.len());
    ensure!(n == m, "expected {m} values, computed {n}");
    let scales = by.scales(&expected);
    ensure!(scales.len() == m, "{} scales for {m} values", scales.len());
    // Equal infinities differ by 0; `f64::max` would drop a NaN.
    let worst = |factor: f64| {
        let errors = found.iter().zip(&expected).zip(&scales).map(|((a, b), scale)| {
            let b = factor * b;
            if *a == b { 0.0 } else { (a - b).abs() / scale }
        });
        errors.fold(0.0, |w: f64, e| if e.is_nan() || e > w { e } else { w })
    };
    let changes = expected.iter().any(|e| *e != 0.0 && e.is_finite());
    Ok(Check { error: worst(1.0), tolerance, blind: changes && worst(1.001) <= tolerance })
}

/// One value against that of a reference.
pub(crate) fn check_one(found: f64, expected: f64, by: By<'_>, tolerance: f64) -> Result<Check> {
    check([found], [expected], by, tolerance)
}

/// An error that makes a case one that cannot be tried: what it needs is not there, or is not known here.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// The cases of one family, counted.
#[derive(Clone, Debug, Default, Serialize)]
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
    /// Cases whose tolerance would let a reference pass that is off by one part in a thousand.
    #[serde(skip)]
    pub blind: Vec<String>,
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
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A case: a comparison and its name. One that fails with [`Absent`] is skipped.
    pub(crate) fn add(&mut self, case: impl Into<String>, compare: impl FnOnce() -> Result<Check>) {
        let case = case.into();
        let Check { error, tolerance, blind } = match compare() {
            Ok(check) => check,
            Err(error) => {
                return match error.downcast_ref() {
                    Some(Absent(reason)) => self.skip(reason),
                    None => self.fail(case, format!("{error:#}")),
                };
            }
        };
        if error <= tolerance {
            self.cases += 1;
            self.passed += 1;
        } else {
            self.fail(case.clone(), format!("error {error:.3e} exceeds {tolerance:.0e}"));
        }
        self.blind.extend(blind.then(|| case.clone()));
        let against = |w: &Worst| ratio(error, tolerance) > ratio(w.error, w.tolerance);
        if self.worst.as_ref().is_none_or(against) {
            self.worst = Some(Worst { case, error, tolerance });
        }
    }

    fn fail(&mut self, case: String, reason: String) {
        self.cases += 1;
        self.failed += 1;
        self.failures.push(Failure { case, reason });
    }

    /// A case that cannot be tried, and why.
    pub(crate) fn skip(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.cases += 1;
        match self.skipped.iter_mut().find(|s| s.reason == reason) {
            Some(skipped) => skipped.cases += 1,
            None => self.skipped.push(Skipped { cases: 1, reason }),
        }
    }

    /// Cases that share something: when that fails, it is a case under `name`.
    pub(crate) fn group(&mut self, name: &str, run: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = run(self) {
            self.add(name, || Err(error));
        }
    }
}
