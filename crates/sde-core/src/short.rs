//! Numbers as error messages print them.

use std::fmt;

/// A number with all its digits and no rows of zeros: `0.25`, `1e-200`, `-1.5e300`.
///
/// ```
/// use sde_core::Short;
/// assert_eq!(format!("{} {} {}", Short(80.00000000000001), Short(1e-200), Short(0.0)), "80.00000000000001 1e-200 0");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size == 0.0 || !size.is_finite() || (1e-5..1e16).contains(&size) {
            fmt::Display::fmt(&self.0, f)
        } else {
            fmt::LowerExp::fmt(&self.0, f)
        }
    }
}

/// A text in which no number takes more than 25 characters with its sign: longer ones are written as [`Short`] does.
/// What only looks like one, in a file name say, stays.
///
/// ```
/// let zeros = format!("eta = {}, steps 20", 1e-200);
/// assert_eq!(sde_core::shorten(&zeros), "eta = 1e-200, steps 20");
/// ```
pub fn shorten(text: &str) -> String {
    let digit = |c: char| c.is_ascii_digit() || c == '.';
    let word = |c: char| c.is_alphanumeric() || "_/\\".contains(c);
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(digit) {
        let len = rest[start..].find(|c| !digit(c)).unwrap_or(rest.len() - start);
        let (before, run, after) =
            (&rest[..start], &rest[start..start + len], &rest[start + len..]);
        out += before;
        match run.trim_end_matches('.').parse::<f64>() {
            Ok(v) if len > 24 && !out.ends_with(word) && !after.starts_with(word) => {
                out += &Short(v).to_string();
            }
            _ => out += run,
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{Short, shorten};

    /// Over all powers of ten: short, and the same number when it is read back.
    #[test]
    fn every_number_is_short_and_whole() {
        for exponent in -323..=308 {
            for digits in ["1", "-2.5", "1.2345678901234567", "-9.999999999999999"] {
                let Ok(v) = format!("{digits}e{exponent}").parse::<f64>() else { continue };
                let text = Short(v).to_string();
                assert!(text.len() <= 25, "{text}");
                assert_eq!(text.parse::<f64>(), Ok(v), "{text}");
            }
        }
        let (zeros, nines) = ("0".repeat(40), "9".repeat(40));
        for same in
            ["", "a b", "18446744073709551615", &format!("runs/{zeros}/a_{nines}.npy"), "1e-200"]
        {
            assert_eq!(shorten(same), same);
        }
        assert_eq!(shorten(&format!("[-0.{zeros}25, {:?}].", 1e300)), "[-2.5e-41, 1e300].");
        assert_eq!(shorten(&format!("at {}: and {}.", 1e300, -1e-30)), "at 1e300: and -1e-30");
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324] {
            assert!(Short(v).to_string().len() <= 25);
        }
    }
}
