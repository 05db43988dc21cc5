//! Means over particles that start in groups.

use ndarray::Array2;

use super::Found;

/// Shifted sequences of starting points, whose means scatter as the error does.
pub(super) const GROUPS: usize = 8;

/// The mean of what is kept; the error is the standard error of the means of [`GROUPS`] equal groups.
pub(super) fn mean(values: &[f64], kept: &[bool]) -> Found {
    let of = |from: usize, to: usize| {
        let all = (from..to).filter(|k| kept[*k]);
        let (n, sum) = all.fold((0.0, 0.0), |(n, sum), k| (n + 1.0, sum + values[k]));
        (n > 0.0).then(|| sum / n)
    };
    let n = values.len();
    let each: Vec<f64> =
        (0..GROUPS).filter_map(|g| of(g * n / GROUPS, (g + 1) * n / GROUPS)).collect();
    let (m, middle) = (each.len() as f64, each.iter().sum::<f64>() / each.len() as f64);
    let squares: f64 = each.iter().map(|v| (v - middle) * (v - middle)).sum();
    let error = if each.len() > 1 { (squares / (m * (m - 1.0))).sqrt() } else { f64::INFINITY };
    Found { value: of(0, n).unwrap_or(f64::NAN), error }
}

/// The root of a value with its error.
pub(super) fn root(found: Found) -> Found {
    let value = found.value.max(0.0).sqrt();
    // Of what is zero within its error the root is below that of the error.
    let error =
        if value * value > found.error { 0.5 * found.error / value } else { found.error.sqrt() };
    Found { value, error }
}

/// Squared lengths of rows.
pub(super) fn squares(rows: &Array2<f64>) -> Vec<f64> {
    rows.outer_iter().map(|row| row.dot(&row)).collect()
}
