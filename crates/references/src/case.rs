//! The vocabulary: a comparison with its tolerance, a case with its name, the cases of a family.

use anyhow::{Error, Result, ensure};
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
                let largest = |row: &[f64]| row.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
                let scales = |row: &[f64]| vec![nonzero(largest(row)); row.len()];
                expected.chunks(length).flat_map(scales).collect()
            }
        }
    }
}

/// How far values are off, against what is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    error: f64,
    tolerance: f64,
    /// Whether a reference one part in a thousand larger would pass as well.
    blind: bool,
}

impl Check {
    /// What was compared without an error to measure: a count, a list of names.
    pub(crate) const EXACT: Self = Self { error: 0.0, tolerance: 0.0, blind: false };

    pub(crate) fn error(self) -> f64 {
        self.error
    }

    fn ratio(self) -> f64 {
        match self {
            // NaN is worse than anything.
            Self { error, .. } if error.is_nan() => f64::INFINITY,
            Self { error: 0.0, .. } => 0.0,
            Self { error, tolerance, .. } => error / tolerance,
        }
    }

    /// The worse of two, each against its own tolerance.
    pub(crate) fn and(self, other: Self) -> Self {
        let worse =
            if other.ratio() > self.ratio() || self.tolerance == 0.0 { other } else { self };
        Self { blind: self.blind || other.blind, ..worse }
    }
}

/// Values against those of a reference.
pub(crate) fn check(found: &[f64], expected: &[f64], by: By<'_>, tolerance: f64) -> Result<Check> {
    let (n, m) = (found.len(), expected.len());
    ensure!(n == m, "expected {m} values, computed {n}");
    let scales = by.scales(expected);
    ensure!(scales.len() == m, "{} scales for {m} values", scales.len());
    // Equal infinities differ by 0; `f64::max` would drop a NaN.
    let largest = |factor: f64| {
        let errors = found.iter().zip(expected).zip(&scales).map(|((a, b), scale)| {
            let b = factor * b;
            if *a == b { 0.0 } else { (a - b).abs() / scale }
        });
        errors.fold(0.0, |w: f64, e| if e.is_nan() || e > w { e } else { w })
    };
    let changes = expected.iter().any(|e| *e != 0.0 && e.is_finite());
    Ok(Check { error: largest(1.0), tolerance, blind: changes && largest(1.001) <= tolerance })
}

/// One value against that of a reference.
pub(crate) fn check_one(found: f64, expected: f64, by: By<'_>, tolerance: f64) -> Result<Check> {
    check(&[found], &[expected], by, tolerance)
}

/// A count that has to be met.
pub(crate) fn same(what: &str, found: u64, expected: usize) -> Result<Check> {
    ensure!(found == expected as u64, "{what} {found}, expected {expected}");
    Ok(Check::EXACT)
}

#[derive(Debug)]
enum Outcome {
    Compared(Check),
    Skipped(String),
    Failed(Error),
}

/// A case by name and what came of it.
#[derive(Debug)]
pub(crate) struct Case {
    name: String,
    outcome: Outcome,
}

impl Case {
    /// A case that was compared, or went wrong on the way.
    pub(crate) fn of(name: impl Into<String>, compared: Result<Check>) -> Self {
        let outcome = compared.map_or_else(Outcome::Failed, Outcome::Compared);
        Self { name: name.into(), outcome }
    }

    /// A case that cannot be tried, and why.
    pub(crate) fn skip(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: Outcome::Skipped(reason.into()) }
    }
}

/// Cases in the making.
#[derive(Debug, Default)]
pub(crate) struct Cases(Vec<Case>);

impl Cases {
    /// A comparison and its name.
    pub(crate) fn add(&mut self, name: impl Into<String>, run: impl FnOnce() -> Result<Check>) {
        self.0.push(Case::of(name, run()));
    }

    /// A case that cannot be tried, and why.
    pub(crate) fn skip(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Case::skip(name, reason));
    }

    /// Cases that share something: when that fails, it is a case under `name`.
    pub(crate) fn group(
        &mut self,
        name: impl Into<String>,
        run: impl FnOnce(&mut Self) -> Result<()>,
    ) {
        if let Err(error) = run(self) {
            self.0.push(Case::of(name, Err(error)));
        }
    }
}

impl Extend<Case> for Cases {
    fn extend<T: IntoIterator<Item = Case>>(&mut self, cases: T) {
        self.0.extend(cases);
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
    pub(crate) fn collect(name: &str, cases: Cases) -> Self {
        let mut family = Self {
            name: name.into(),
            cases: cases.0.len(),
            passed: 0,
            failed: 0,
            skipped: Vec::new(),
            worst: None,
            failures: Vec::new(),
            blind: Vec::new(),
        };
        let mut worst: Option<(String, Check)> = None;
        for Case { name, outcome } in cases.0 {
            match outcome {
                Outcome::Skipped(reason) => family.skip(reason),
                Outcome::Failed(error) => family.fail(name, format!("{error:#}")),
                Outcome::Compared(c) => {
                    if c.error <= c.tolerance {
                        family.passed += 1;
                    } else {
                        let reason = format!("error {:.3e} exceeds {:.0e}", c.error, c.tolerance);
                        family.fail(name.clone(), reason);
                    }
                    family.blind.extend(c.blind.then(|| name.clone()));
                    if worst.as_ref().is_none_or(|(_, w)| c.ratio() > w.ratio()) {
                        worst = Some((name, c));
                    }
                }
            }
        }
        family.worst =
            worst.map(|(case, c)| Worst { case, error: c.error, tolerance: c.tolerance });
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
