//! Checks of settings before the first second of work: the key first, then the offending value.

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sde_core::Sde;
use sde_core::counts;
use sde_core::sde::check_time;

/// A number in a range, finite that is.
pub(crate) fn within(key: &str, value: f64, range: RangeInclusive<f64>) -> Result<()> {
    let (low, high) = (range.start(), range.end());
    ensure!(range.contains(&value), "{key} = {value:?}: must be from {low:?} to {high:?}");
    Ok(())
}

/// A count of at least `least`.
pub(crate) fn at_least(key: &str, value: usize, least: usize) -> Result<()> {
    ensure!(value >= least, "{key} = {value}: must be at least {least}");
    Ok(())
}

/// As [`at_least`], of several.
pub(crate) fn all_at_least(counts: &[(&str, usize, usize)]) -> Result<()> {
    counts.iter().try_for_each(|(key, value, least)| at_least(key, *value, *least))
}

/// Numbers of a list, each in a range.
pub(crate) fn all_within(key: &str, values: &[f64], range: RangeInclusive<f64>) -> Result<()> {
    values.iter().try_for_each(|value| within(key, *value, range.clone()))
}

/// Counts whose product, at so many bytes each, memory can hold.
pub(crate) fn memory(counts: &[(&str, usize)], bytes: u64) -> Result<usize> {
    let counts: Vec<(&str, u64)> = counts.iter().map(|(name, n)| (*name, *n as u64)).collect();
    Ok(counts::in_memory(&counts, bytes)?)
}

/// Counts whose product is a number of evaluations with an end in sight; how many they are.
pub(crate) fn time(counts: &[(&str, usize)]) -> Result<f64> {
    let counts: Vec<(&str, u64)> = counts.iter().map(|(name, n)| (*name, *n as u64)).collect();
    Ok(counts::in_time(&counts)?)
}

/// Says before a long run how long: one line on standard error, for work of hours and more.
pub(crate) fn announce(evaluations: f64) {
    const LONG: f64 = 1e11;
    if evaluations > LONG {
        let alone = report::duration(1e-6 * evaluations);
        let line = format!(
            "about {evaluations:.0e} evaluations of a score: {alone} at a microsecond each"
        );
        // A reader who closed it is nobody's concern.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The tolerances that adaptive steps in double precision can meet.
pub(crate) const TOLERANCES: RangeInclusive<f64> = 1e-13..=1.0;

/// A time of the data, with something left up to the horizon.
pub(crate) fn below_horizon(key: &str, sde: &dyn Sde, t: f64) -> Result<()> {
    let horizon = sde.horizon();
    ensure!(
        check_time(sde, t).is_ok() && t < horizon,
        "{key} = {t:?}: must be at least 0 and below {horizon:?}, the horizon"
    );
    Ok(())
}

/// The path that stands for the digits in the box.
pub(crate) const DIGITS: &str = "digits";

/// The absolute path of what is there; the word for the data in the box stays.
pub(crate) fn data_path(path: &Path) -> Result<String> {
    if path == Path::new(DIGITS) && !path.exists() {
        return Ok(DIGITS.into());
    }
    let shown = path.display();
    let full = path.canonicalize().with_context(|| format!("cannot read {shown}"))?;
    let text = full.to_str().with_context(|| format!("{shown}: not UTF-8"))?;
    ensure!(!text.contains(['\n', '\r']), "{shown}: a line break in the name");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_the_value_are_named_with_few_digits() {
        let said = |r: Result<()>| r.expect_err("refused").to_string();
        for (value, shown) in [(f64::NAN, "NaN"), (1e300, "1e300"), (-1e-300, "-1e-300")] {
            let line = said(within("a.b", value, 0.0..=1.0));
            assert_eq!(line, format!("a.b = {shown}: must be from 0.0 to 1.0"));
        }
        let ou = sde_core::Ou::default();
        assert!(below_horizon("t-end", &ou, 10.0).is_err());
        assert!(below_horizon("t-end", &ou, f64::NAN).is_err());
        assert!(below_horizon("t-end", &ou, 0.0).is_ok());
        assert!(memory(&[("n", usize::MAX), ("floors", usize::MAX)], 8).is_err());
        assert_eq!(memory(&[("n", 3), ("floors", 4)], 8).ok(), Some(12));
    }
}
