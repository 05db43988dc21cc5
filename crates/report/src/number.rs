//! Numbers and lists as figures, tables and sentences show them.

/// Where there is no number.
pub const DASH: &str = "\u{2014}";

/// A number as short as it can be said, for ticks and settings: `0.002`, `20`, `1e−6`.
#[must_use]
pub fn short(v: f64) -> String {
    let v = if v.abs() < 1e-12 { 0.0 } else { v };
    if v != 0.0 && !(1e-4..1e5).contains(&v.abs()) {
        return minus(&format!("{v:.1e}").replace(".0e", "e"));
    }
    let s = format!("{v:.5}");
    minus(s.trim_end_matches('0').trim_end_matches('.'))
}

/// A number with three significant digits, as tables show it; a dash for one that is not finite.
///
/// ```
/// assert_eq!(report::digits(0.012_345), "0.0123");
/// assert_eq!(report::digits(f64::NAN), "\u{2014}");
/// ```
#[must_use]
pub fn digits(v: f64) -> String {
    if !v.is_finite() {
        DASH.into()
    } else if v == 0.0 {
        "0".into()
    } else if !(1e-3..1e5).contains(&v.abs()) {
        minus(&format!("{v:.1e}"))
    } else {
        fixed(v, (2 - v.abs().log10().floor() as i32).max(0))
    }
}

/// As [`digits`], a dash where there is no number.
#[must_use]
pub fn maybe(v: Option<f64>) -> String {
    v.map_or(DASH.into(), digits)
}

/// A number and its error, both to the second significant digit of the error; the error is empty
/// where it is not a positive number.
///
/// ```
/// assert_eq!(report::with_error(0.027_491, 0.001_37), ("0.0275".into(), "0.0014".into()));
/// assert_eq!(report::with_error(2.0, f64::NAN), ("2.00".into(), String::new()));
/// ```
#[must_use]
pub fn with_error(value: f64, error: f64) -> (String, String) {
    if !(error.is_normal() && error > 0.0 && value.is_finite()) {
        return (digits(value), String::new());
    }
    let places = (1 - error.log10().floor() as i32).max(0);
    if places > 5 || value.abs().max(error) >= 1e6 {
        return (digits(value), minus(&format!("{error:.1e}")));
    }
    (fixed(value, places), fixed(error, places))
}

/// A whole number with thin spaces between the thousands.
///
/// ```
/// assert_eq!(report::grouped(1234567), "1\u{202f}234\u{202f}567");
/// ```
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// `42 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0);
    if s < 10.0 {
        format!("{s:.1} s")
    } else if s < 60.0 {
        format!("{s:.0} s")
    } else if s < 3600.0 {
        format!("{} min {} s", (s / 60.0) as u64, (s % 60.0) as u64)
    } else {
        format!("{} h {} min", (s / 3600.0) as u64, (s % 3600.0 / 60.0) as u64)
    }
}

/// `a`, `a and b`, `a, b and c`.
///
/// ```
/// assert_eq!(report::list(&["a", "b", "c"]), "a, b and c");
/// ```
#[must_use]
pub fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).into(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn fixed(v: f64, places: i32) -> String {
    minus(&format!("{v:.*}", places as usize))
}

/// With a minus sign in the place of hyphens.
fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}
